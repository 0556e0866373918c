"""The decision core: specs, status, steps, thresholds and `decide()`.

Pure: pydantic and the standard library, no clock, no I/O, no randomness.
"""
