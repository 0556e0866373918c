"""An embedded cluster to try rollouts on, and what the tests run on.

Its parts talk HTTP only and import nothing of the engine.
"""
