"""C39: no restart of the engine shortens a step."""

import asyncio
import random

import pytest

from tests.conformance.case import Case
from tests.conformance.chorus import afterwards
from tests.conformance.hooks import Hook
from tests.conformance.pace import assert_no_step_was_early
from tests.conformance.workload import BETTER
from tests.conformance.world import World

STEPS = [0, 10, 20, 30, 40, 50, 0]
KILLS = 2


@pytest.mark.proves("C39", "T1", "D8")
@pytest.mark.conformance
@afterwards
async def test_workers_and_temporal_die_in_mid_rollout(world: World) -> None:
    """Flagger takes a step early at each start: here every weight has its whole interval.

    C39, T1, D8: Flagger's job.go, docs/architecture.md.
    """
    cases = [Case(world, "kurator-member1", "killed") for _ in range(3)]
    async with Hook() as hook:
        for case in cases:
            await case.deploy()
            await case.initialise(interval="2s", webhooks=[hook.document()])
        for case in cases:
            await case.release(BETTER)
        runs = [await case.rollout_begins() for case in cases]
        for _ in range(KILLS):
            await asyncio.sleep(random.uniform(0.5, 3))  # at any moment
            async with world.surgery:
                await world.kill_worker()
                await world.start_worker()
        await asyncio.sleep(random.uniform(0, 1))
        await world.restart_temporal()
        ends = await asyncio.gather(
            *(case.rollout_ends(run, within=90) for case, run in zip(cases, runs, strict=True))
        )

    for case, ended in zip(cases, ends, strict=True):
        assert ended.outcome == "Promoted"
        assert case.weights == STEPS
        assert_no_step_was_early(case, ended)
