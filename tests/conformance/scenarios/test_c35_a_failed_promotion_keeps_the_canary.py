"""C35: a promotion that fails leaves the traffic with the canary."""

import pytest

from canary.status import Outcome, Phase
from tests.conformance import workload
from tests.conformance.case import Case
from tests.conformance.chorus import together
from tests.conformance.workload import BETTER, NAME
from tests.conformance.world import World
from workflows.contract import Verb


@pytest.mark.proves("C35")
@pytest.mark.conformance
@together
async def test_a_primary_that_does_not_get_ready_leaves_the_traffic_to_the_canary(world: World) -> None:
    """A promotion that fails: users stay with the canary, which was judged, and a person is asked.

    C35: Flagger's scheduler.go.
    """
    case = Case(world, "kurator-member2", "lost-promotion")
    await case.deploy()
    await case.initialise(interval="2s", stepWeight=50, spec={"progressDeadlineSeconds": 12})
    async with case.load() as users:
        await case.release(BETTER)
        run = await case.rollout_begins()
        await case.weight_is(50)
        async with case.no_more_pods():  # for the new primary
            ended = await case.rollout_ends(run)
            asked = await case.canary_is(Phase.FAILED)
        await case.is_ready(f"{NAME}-primary")
        await case.wish(Verb.RESTART, case.canary)
        again = await case.rollout_ends(await case.rollout_begins())

    assert ended.outcome == "Halted"
    assert "primary not ready" in ended.message
    assert (asked.outcome, asked.traffic_weight) == (Outcome.HALTED, 100)
    assert again.outcome == "Promoted", again
    assert case.weights == [0, 50, 100, 0]
    assert await case.image(f"{NAME}-primary") == workload.image(BETTER)
    assert users.failures == {}
