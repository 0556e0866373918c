"""The Kubernetes API server: everything kubectl and clients see of it, in memory, over HTTP."""
