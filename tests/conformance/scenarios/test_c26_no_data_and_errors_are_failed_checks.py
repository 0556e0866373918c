"""C26: no data and errors count as failed checks."""

import pytest

from tests.conformance.case import Case
from tests.conformance.chorus import together
from tests.conformance.ground import Need
from tests.conformance.workload import BETTER, success_rate
from tests.conformance.world import World


@pytest.mark.proves("C26")
@pytest.mark.conformance
@together
async def test_a_prometheus_that_is_away_is_a_failed_check(world: World) -> None:
    """A query without an answer counts as a failed check, and no more.

    C26: Flagger's scheduler_metrics.go.
    """
    world.require(Need.SCRAPES, Need.METRICS_FAULTS)
    case = Case(world, "kurator-member3", "no-metrics")
    await case.deploy()
    await case.initialise(interval="2s", threshold=5, stepWeight=50, metrics=[success_rate()])
    async with case.canary_load():
        await case.release(BETTER)
        run = await case.rollout_begins()
        await case.weight_is(50)
        async with case.cluster.faults.of_metrics(refused=True):
            await case.rollout_is(lambda status: status.failed_checks == 1, "a check has failed")
        ended = await case.rollout_ends(run)

    first = ended.checks[0].check.measurements[0]
    assert first.value is None
    assert first.error
    assert ended.outcome == "Promoted"
    assert case.weights == [0, 50, 0]


@pytest.mark.proves("C26")
@pytest.mark.conformance
@together
async def test_a_canary_that_nobody_asks_anything_fails_its_checks(world: World) -> None:
    """No values are no good values: without requests to judge by, two checks end the rollout.

    C26: Flagger's scheduler_metrics.go.
    """
    world.require(Need.SCRAPES)
    case = Case(world, "kurator-member1", "no-requests")
    await case.deploy()
    await case.initialise(threshold=2, stepWeight=50, metrics=[success_rate()])
    ended = await case.roll_out(BETTER)

    assert ended.outcome == "RolledBack", ended
    assert "no values found for istio metric request-success-rate" in ended.message
    assert ended.view.status.failed_checks == 2
    assert case.weights == [0, 50, 0]
