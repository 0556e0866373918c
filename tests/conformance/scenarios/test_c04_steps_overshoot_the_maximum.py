"""C04: steps overshoot the maximum rather than stop below it."""

import pytest

from tests.conformance.case import Case
from tests.conformance.chorus import together
from tests.conformance.workload import BETTER
from tests.conformance.world import World


@pytest.mark.proves("C04")
@pytest.mark.conformance
@together
async def test_steps_of_thirty_to_fifty_promote_at_sixty(world: World) -> None:
    """The first weight at or above `maxWeight` promotes, and is not cut down to it.

    C04: Flagger's scheduler.go.
    """
    case = Case(world, "kurator-member1", "overshoot")
    await case.deploy()
    await case.initialise(stepWeight=30, maxWeight=50)
    ended = await case.roll_out(BETTER)

    assert ended.outcome == "Promoted", ended
    assert case.weights == [0, 30, 60, 0]
    assert [weight for phase, weight in ended.rows if phase == "Progressing"] == [0, 30, 60]
