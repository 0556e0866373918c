"""The durable orchestration: one module a workflow, and the contract they share.

Deterministic: workflows observe through activities, ask `canary` what to do, and carry it out.
"""
