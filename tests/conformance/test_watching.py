"""What is noticed, how soon, and what it costs."""

import asyncio
from collections import Counter

import pytest

from tests.conformance.case import Case
from tests.conformance.chorus import together
from tests.conformance.faults import ENGINE
from tests.conformance.workload import BETTER
from tests.conformance.world import World

IDLE_FOR = 5.0
"""Seconds."""


@pytest.mark.proves("D9")
@pytest.mark.conformance
@together
async def test_a_change_is_noticed_after_closed_watches_and_a_gap(world: World) -> None:
    """A push is noticed at once, also where a watch was closed or its place is gone.

    D9: docs/architecture.md.
    """
    case = Case(world, "kurator-member1", "gap")
    await case.deploy()
    await case.initialise(stepWeight=50)
    watches = r"/deployments\?.*watch="
    async with (
        case.cluster.faults.of_api(do="gone", path=watches, userAgent=ENGINE, times=2),
        case.cluster.faults.of_api(do="closeWatches", path=watches, userAgent=ENGINE),
    ):
        await case.release(BETTER)
        run = await case.rollout_begins(within=5)
    ended = await case.rollout_ends(run)

    assert ended.outcome == "Promoted"


@pytest.mark.conformance
@together
async def test_an_idle_canary_asks_nothing_and_a_rollout_little(world: World) -> None:
    case = Case(world, "kurator-member2", "requests")
    await case.deploy()
    before = await case.cluster.asked_so_far()
    await case.initialise(interval="1s")
    initialised = await case.cluster.asked_so_far()
    ended = await case.roll_out(BETTER)
    await case.is_quiet()
    over = await case.cluster.asked_so_far()
    await asyncio.sleep(IDLE_FOR)  # what is measured is that nothing happens

    idle, whole = await case.asked(over), await case.asked(initialised)
    assert ended.outcome == "Promoted"
    assert [f"{each['method']} {each['path']}" for each in idle] == []
    # The bench tells what it asks alone; on a busy machine what settles slowly is looked at and told again,
    # and what a controller has changed meanwhile is written once more.
    asked = Counter(f"{each['method']} {each['path'].partition('?')[0]}" for each in whole)
    writes = Counter(each for each in await case.writes(initialised) if each != "events")
    assert asked.total() <= 75, asked
    assert writes.total() <= 15, writes
    assert before < initialised
