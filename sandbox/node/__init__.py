"""The sandbox's one node: it binds pods to itself and runs them as servers on loopback addresses."""
