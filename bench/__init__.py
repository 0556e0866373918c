"""Measurements that print figures: `python -m bench`. Never part of the tests."""
