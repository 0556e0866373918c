"""C05: steps are a list, whose overflow is all traffic."""

import pytest

from tests.conformance.case import Case
from tests.conformance.chorus import together
from tests.conformance.workload import BETTER
from tests.conformance.world import World


@pytest.mark.proves("C05")
@pytest.mark.conformance
@together
async def test_takes_the_steps_of_a_list_and_all_traffic_where_one_is_above_it(world: World) -> None:
    """`stepWeights` are taken one by one, whatever `maxWeight` says; more than 100 is all traffic.

    C05: Flagger's scheduler.go.
    """
    case = Case(world, "kurator-member2", "list")
    await case.deploy()
    await case.initialise(stepWeights=[5, 60, 120], maxWeight=50)
    ended = await case.roll_out(BETTER)

    assert ended.outcome == "Promoted", ended
    assert case.weights == [0, 5, 60, 100, 0]
