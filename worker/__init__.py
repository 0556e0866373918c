"""The composition root: settings, clients, workers."""
