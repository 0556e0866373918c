"""Controllers of the sandbox: what makes Deployments, DaemonSets, Services and owners mean something."""
