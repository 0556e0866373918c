"""C25: failed checks add up to the threshold, at which the rollout is rolled back."""

import pytest

from tests.conformance import workload
from tests.conformance.case import Case
from tests.conformance.chorus import together
from tests.conformance.ground import Need
from tests.conformance.workload import BAD, FAILING, GOOD, success_rate
from tests.conformance.world import World


@pytest.mark.proves("C25", "D1")
@together
async def test_rolls_a_bad_version_back_at_the_very_check(world: World) -> None:
    """Flagger waits one interval more, in which users get the errors.

    C25, D1: Flagger's scheduler.go, docs/architecture.md.
    """
    world.require(Need.SCRAPES)
    case = Case(world, "kurator-member2", "bad")
    await case.deploy()
    await case.initialise(interval="2s", threshold=2, metrics=[success_rate()])
    async with case.canary_load(path=FAILING):
        ended = await case.roll_out(BAD)

    assert ended.outcome == "RolledBack", ended
    assert [row for row in ended.rows if row[0] != "Failed"] == [("Progressing", 0), ("Progressing", 10)]
    assert case.weights == [0, 10, 0]
    assert ended.view.status.failed_checks == 2
    assert await case.image("podinfo-primary") == workload.image(GOOD)
    assert await case.replicas() == 0
    # D1: what came after the second check's answer was the write, not another interval.
    put_back, decided = case.cluster.trail.of(case.namespace)[-1].at, ended.checks[-1].at.timestamp()
    assert put_back - decided < 1
