"""C33: suspend starts nothing."""

import pytest

from tests.conformance.case import Case
from tests.conformance.chorus import together
from tests.conformance.waiting import nothing_comes_of_it
from tests.conformance.workload import BETTER
from tests.conformance.world import World


@pytest.mark.proves("C33")
@pytest.mark.conformance
@together
async def test_a_change_of_a_suspended_canary_waits_until_it_is_no_longer_suspended(world: World) -> None:
    """With `suspend` a new revision starts nothing; it is rolled out once `suspend` is taken back.

    C33: Flagger's scheduler.go.
    """
    case = Case(world, "kurator-member2", "asleep")
    await case.deploy()
    await case.initialise(stepWeight=50)
    await case.apply(stepWeight=50, spec={"suspend": True})
    await case.release(BETTER)
    await nothing_comes_of_it()
    begun, wanted, weights = await case.has_new_rollout(), await case.replicas(), case.weights
    await case.apply(stepWeight=50, spec={"suspend": False})
    ended = await case.rollout_ends(await case.rollout_begins())

    assert (begun, wanted, weights) == (False, 0, [0])
    assert ended.outcome == "Promoted", ended
    assert case.weights == [0, 50, 0]
