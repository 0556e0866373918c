"""The `canary` command line: reads documents, talks to Temporal, prints; never touches a cluster."""
