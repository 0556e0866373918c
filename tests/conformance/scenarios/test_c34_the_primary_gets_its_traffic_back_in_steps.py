"""C34: the primary gets its traffic back in steps."""

import pytest

from tests.conformance.case import Case
from tests.conformance.chorus import together
from tests.conformance.workload import BETTER
from tests.conformance.world import World


@pytest.mark.proves("C34")
@pytest.mark.conformance
@together
async def test_a_promoted_primary_gets_twenty_more_at_each_tick_until_it_has_all(world: World) -> None:
    """With `stepWeightPromotion: 20` the canary's 50 become 30, 10 and 0, while it is Promoting.

    C34: Flagger's scheduler.go.
    """
    case = Case(world, "kurator-member1", "back-in-steps")
    await case.deploy()
    await case.initialise(stepWeight=50, stepWeightPromotion=20)
    ended = await case.roll_out(BETTER)

    assert ended.outcome == "Promoted", ended
    assert case.weights == [0, 50, 30, 10, 0]
    assert [phase for phase, _ in ended.rows][-3:] == ["Promoting", "Finalising", "Succeeded"]
