"""C30: a return to the promoted revision starts no rollout."""

import pytest

from canary.status import Phase
from tests.conformance.case import Case
from tests.conformance.chorus import together
from tests.conformance.waiting import nothing_comes_of_it
from tests.conformance.workload import BEST, BETTER, GOOD, NAME
from tests.conformance.world import World
from workflows.contract import Verb


@pytest.mark.proves("C30")
@pytest.mark.conformance
@together
async def test_what_was_promoted_is_nothing_new_and_what_comes_after_it_is(world: World) -> None:
    """A revision fails and the target returns to the one before: no rollout, no pod; the next is rolled out.

    C30: Flagger's spec.go.
    """
    case = Case(world, "kurator-member1", "back")
    await case.deploy()
    await case.initialise(stepWeight=50)
    await case.release(BETTER)
    run = await case.rollout_begins()
    await case.wish(Verb.ABORT)
    await case.rollout_ends(run)
    await case.canary_is(Phase.FAILED)
    primary = await case.get("deployments", f"{NAME}-primary")
    await case.release(GOOD)
    await nothing_comes_of_it()
    begun, wanted = await case.has_new_rollout(), await case.replicas()
    after = await case.get("deployments", f"{NAME}-primary")
    ended = await case.roll_out(BEST)

    assert (begun, wanted) == (False, 0)
    assert after["metadata"]["generation"] == primary["metadata"]["generation"]
    assert ended.outcome == "Promoted", ended
