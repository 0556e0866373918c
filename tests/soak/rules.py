"""What must never be, whatever is done."""

from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any

from tests.conformance.load import Load
from tests.conformance.trail import Shift
from tests.conformance.workload import NAME, image

OWN = "500"
"""What a bad version answers."""
FAULTS = ("TMPRL1100", "never retrieved", " ERROR ")
"""In a worker's log: a history replayed otherwise than it was made, a failure nobody looked at, any other."""
TO_BE = 'cause="AlertRefused: '
"""A listener that refuses is told of as an error."""


def of_routes(routes: Mapping[str, Any]) -> list[str]:
    """The weights of every route of a VirtualService sum to 100."""
    weights = [
        [part.get("weight", 100) for part in rule.get("route", [])] for rule in routes["spec"].get("http", [])
    ]
    # One destination alone gets everything, whatever its weight says.
    return [f"weights are {each}" for each in weights if len(each) > 1 and sum(each) != 100]


def of_primary(found: Mapping[str, Any], good: set[str]) -> list[str]:
    """Nothing is promoted that was never good: no template, and no version that a Service leads to."""
    spec = found["spec"]
    if "template" in spec:
        runs = spec["template"]["spec"]["containers"][0]["image"]
    else:
        runs = image(spec["selector"]["version"]) if "version" in spec["selector"] else None
    is_primary = found["metadata"]["name"] == f"{NAME}-primary"
    return [f"the primary runs {runs}"] if is_primary and runs is not None and runs not in good else []


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
    told = [line for line in log.splitlines() if TO_BE not in line]
    return [line[:300] for line in told if any(sign in line for sign in FAULTS)]
