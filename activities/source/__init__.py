"""The source of an Application: its git repository, what kustomize builds, and its way into a cluster."""
