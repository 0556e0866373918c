"""C27: a workload that is not ready holds the rollout and counts nothing."""

import asyncio

import pytest

from canary.status import Phase
from tests.conformance.case import Case
from tests.conformance.chorus import together
from tests.conformance.workload import BETTER
from tests.conformance.world import World


@pytest.mark.proves("C27")
@pytest.mark.conformance
@together
async def test_waits_for_the_canarys_pods_and_calls_that_no_failed_check(world: World) -> None:
    """Without pods a canary gets no weight, and with a threshold of one it is not rolled back either.

    C27: Flagger's deployment_ready.go.
    """
    case = Case(world, "kurator-member2", "unready")
    await case.deploy()
    await case.initialise(threshold=1, stepWeight=50)
    async with case.no_more_pods():
        await case.release(BETTER)
        run = await case.rollout_begins()
        await case.rollout_is(lambda status: "not ready: " in status.message, "it is held", 15)
        await asyncio.sleep(3)  # what is measured is that nothing happens, for three intervals
        held, weights = (await case.view()).status, case.weights
    ended = await case.rollout_ends(run)

    assert (held.phase, held.failed_checks, weights) == (Phase.PROGRESSING, 0, [0])
    assert (ended.outcome, ended.view.status.failed_checks) == ("Promoted", 0)
    assert case.weights == [0, 50, 0]
