"""The `canary` command line.
"""
