"""What must never be, whatever is done."""

from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any

from tests.conformance.load import Load
from tests.conformance.trail import Shift
from tests.conformance.workload import NAME

OWN = "500"
"""What a bad version answers."""
FAULTS = ("TMPRL1100", "never retrieved", " ERROR ")
"""In a worker's log: a history replayed otherwise than it was made, a failure nobody looked at, any other."""


def of_routes(routes: Mapping[str, Any]) -> list[str]:
    """The weights of every route of a VirtualService sum to 100."""
    weights = [
        [part.get("weight", 100) for part in rule.get("route", [])] for rule in routes["spec"].get("http", [])
    ]
    # One destination alone gets everything, whatever its weight says.
    return [f"weights are {each}" for each in weights if len(each) > 1 and sum(each) != 100]


def of_primary(workload: Mapping[str, Any], good: set[str]) -> list[str]:
    """Nothing is promoted that was never good."""
    image = workload["spec"]["template"]["spec"]["containers"][0]["image"]
    is_primary = workload["metadata"]["name"] == f"{NAME}-primary"
    return [f"the primary runs {image}"] if is_primary and image not in good else []


def of_steps(shifts: Iterable[Shift], interval: float) -> list[str]:
    """No step comes earlier than an interval after the step before."""
    return [
        f"from {before.weight} to {after.weight} after {after.decided - before.decided:.3f} s"
        for before, after in pairwise(shifts)
        if 0 < before.weight < after.weight and after.decided - before.decided < interval
    ]


def of_users(users: Load) -> list[str]:
    """No request of a user fails but by a bad version's own answer."""
    return [f"{way}: {dict(failed)}" for way, failed in users.failures.items() if failed.keys() - {OWN}]


def of_logs(log: str) -> list[str]:
    """No worker is at a loss."""
    return [line[:300] for line in log.splitlines() if any(sign in line for sign in FAULTS)]
