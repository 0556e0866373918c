"""All I/O of the engine: thin adapters, one module an outside system.

They translate, they do not decide: no thresholds, no retry loops.
"""
