"""Everything that is said to a cluster's API server."""
