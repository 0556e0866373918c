"""Documents people write, Kurator's and Flagger's, and how they become the engine's specs."""
