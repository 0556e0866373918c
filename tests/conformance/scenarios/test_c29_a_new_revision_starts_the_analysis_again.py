"""C29: a new revision in mid-run starts the analysis again, without traffic."""

import pytest

from tests.conformance import workload
from tests.conformance.case import Case
from tests.conformance.chorus import together
from tests.conformance.workload import BEST, BETTER, NAME
from tests.conformance.world import World


@pytest.mark.proves("C29", "T22")
@together
async def test_restarts_the_analysis_for_a_new_revision(world: World) -> None:
    """A push in mid-run: 100/0 at once, then the new revision from its first step.

    C29, T22: Flagger's scheduler.go, job.go.
    """
    case = Case(world, "kurator-member1", "change")
    await case.deploy()
    await case.initialise(interval="2s", stepWeight=25)
    await case.release(BETTER)
    run = await case.rollout_begins()
    await case.weight_is(25)
    await case.release(BEST)
    await case.weight_is(0, within=5)
    ended = await case.rollout_ends(run)

    assert ended.outcome == "Promoted"
    assert ended.view.status.restarts == 1
    assert case.weights == [0, 25, 0, 25, 50, 0]
    assert await case.image(f"{NAME}-primary") == workload.image(BEST)
