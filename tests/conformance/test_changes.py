"""Changes of a target in mid-run: back to what was promoted, and while that is promoted."""

import pytest

from tests.conformance import workload
from tests.conformance.case import Case
from tests.conformance.chorus import together
from tests.conformance.workload import BEST, BETTER, GOOD, NAME
from tests.conformance.world import World


@pytest.mark.proves("D6")
@pytest.mark.conformance
@together
async def test_a_target_that_returns_to_what_was_promoted_ends_the_run(world: World) -> None:
    """Flagger goes on with the run and calls it promoted (D6: docs/architecture.md)."""
    case = Case(world, "kurator-member2", "revert")
    await case.deploy()
    await case.initialise(interval="3s", stepWeight=25)
    await case.release(BETTER)
    run = await case.rollout_begins()
    await case.weight_is(25)
    await case.release(GOOD)
    ended = await case.rollout_ends(run)

    assert ended.outcome == "Reverted"
    assert case.weights == [0, 25, 0]
    assert await case.replicas() == 0


@pytest.mark.proves("T3")
@pytest.mark.conformance
@together
async def test_what_is_pushed_during_a_promotion_is_rolled_out_right_after(world: World) -> None:
    """Flagger swallows it: no run begins before the next change (T3: Flagger's scheduler.go)."""
    case = Case(world, "kurator-member2", "push-in-promotion")
    await case.deploy()
    await case.initialise(interval="2s", stepWeight=50)
    await case.release(BETTER)
    run = await case.rollout_begins()
    await case.rollout_is(lambda status: status.phase == "Promoting", "it is promoted")
    await case.release(BEST)
    first = await case.rollout_ends(run)
    second = await case.rollout_ends(await case.rollout_begins())

    assert (first.outcome, second.outcome) == ("Promoted", "Promoted")
    assert await case.image(f"{NAME}-primary") == workload.image(BEST)
