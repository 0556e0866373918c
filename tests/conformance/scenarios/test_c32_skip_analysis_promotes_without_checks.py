"""C32: skipAnalysis promotes without checks, also in mid-run."""

import asyncio
from typing import Any

import pytest

from canary.status import Phase
from tests.conformance import workload
from tests.conformance.case import Case
from tests.conformance.chorus import together
from tests.conformance.workload import BETTER, NAME
from tests.conformance.world import World


@pytest.mark.proves("C32", "T16")
@pytest.mark.conformance
@together
async def test_skipping_the_analysis_in_mid_run_waits_for_the_primary(world: World) -> None:
    """Flagger says Succeeded before the primary has rolled out (C32, T16: Flagger's scheduler.go)."""
    case = Case(world, "kurator-member2", "skipped")
    await case.deploy()
    wanted: dict[str, Any] = {"interval": "2s"}
    await case.initialise(**wanted)
    await case.is_routed()
    async with case.load() as users:
        await case.release(BETTER)
        run = await case.rollout_begins()
        await case.weight_is(10)
        async with case.no_more_pods():  # for the new primary
            await case.apply(**wanted, spec={"skipAnalysis": True})
            await case.rollout_is(lambda status: status.phase is Phase.PROMOTING, "it is promoted", 15)
            await asyncio.sleep(5)  # what is measured is that nothing happens, for two intervals
            waiting, weights = (await case.view()).status.phase, case.weights
        ended = await case.rollout_ends(run)

    assert (waiting, weights[-1] < 50) == (Phase.PROMOTING, True)
    assert ended.outcome == "Promoted", ended
    assert case.weights == [*weights, 0]
    assert await case.images(f"{NAME}-primary") == {workload.image(BETTER)}
    assert users.failures == {}
