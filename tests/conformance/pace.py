"""How fast a rollout went."""

from datetime import timedelta
from itertools import pairwise

from tests.conformance.case import Case, Ended


def assert_no_step_was_early(case: Case, ended: Ended) -> None:
    """Every increase is an interval away from the one before, with a check between the two."""
    interval = case.spec.analysis.interval / timedelta(seconds=1)
    shifts = case.cluster.trail.of(case.namespace)
    increases = [after.decided for before, after in pairwise(shifts) if after.weight > before.weight]
    checks = [check.at.timestamp() for check in ended.checks]
    for before, after in pairwise(increases):
        assert after - before >= interval
        assert any(before < check < after for check in checks)
