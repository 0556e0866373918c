"""C09: a match beside weights: only matching users are shifted."""

import asyncio

import pytest

from tests.conformance.case import Case
from tests.conformance.chorus import together
from tests.conformance.load import Load
from tests.conformance.waiting import until
from tests.conformance.workload import BETTER, GOOD
from tests.conformance.world import World

INSIDER = {"x-canary": "insider"}


@pytest.mark.proves("C09")
@pytest.mark.conformance
@together
async def test_a_weight_holds_for_those_who_match_and_everybody_else_keeps_the_primary(world: World) -> None:
    """Of those who match half get the canary, of all others nobody, until it is promoted.

    C09: Flagger's istio.go.
    """
    case = Case(world, "kurator-member1", "match-weights")
    await case.deploy()
    match = [{"headers": {"x-canary": {"exact": "insider"}}}]
    await case.initialise(interval="3s", stepWeight=50, match=match)
    await case.is_routed()
    gateway, *_ = case.ways()
    async with Load([gateway.as_taken_by("insider", INSIDER), gateway.as_taken_by("other")], 25) as users:
        await case.release(BETTER)
        run = await case.rollout_begins()
        await case.weight_is(50)
        await until(lambda: users.tallies["insider"].has(BETTER), 10, "insiders get the canary")
        users.tallies["insider"].versions.clear()
        await asyncio.sleep(1)  # long enough for 25 requests of each
        shared = {name: set(tally.versions) for name, tally in users.tallies.items()}
        ended = await case.rollout_ends(run)
        await until(lambda: users.tallies["other"].has(BETTER), 10, "everybody gets the new version")

    assert shared == {"insider": {GOOD, BETTER}, "other": {GOOD}}
    assert ended.outcome == "Promoted", ended
    assert case.weights == [0, 50, 0]
    assert users.failures == {}
