"""`canary demo`: the whole story on a sandbox of its own; the stage, the play, and what the audience sees."""
