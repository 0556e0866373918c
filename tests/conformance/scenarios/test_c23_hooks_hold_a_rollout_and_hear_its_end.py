"""C23: hooks before a rollout hold it, hooks after it are told how it ended."""

import pytest

from tests.conformance.case import Case
from tests.conformance.chorus import together
from tests.conformance.hooks import Hook
from tests.conformance.waiting import until
from tests.conformance.workload import BEST, BETTER
from tests.conformance.world import World


@pytest.mark.proves("C23")
@pytest.mark.conformance
@together
async def test_users_come_once_the_hook_before_has_passed_and_the_hook_after_hears_the_end(
    world: World,
) -> None:
    """A pre-rollout hook that fails holds weight 0 and counts; post-rollout is called once, with the phase.

    C23: Flagger's scheduler_hooks.go.
    """
    case = Case(world, "kurator-member2", "around")
    await case.deploy()
    async with Hook(is_closed=True) as before, Hook() as after:
        hooks = [before.document(type_="pre-rollout"), after.document(type_="post-rollout")]
        await case.initialise(interval="2s", threshold=3, stepWeight=50, webhooks=hooks)
        await case.release(BETTER)
        run = await case.rollout_begins()
        await until(lambda: before.has_calls(2), 20, "it has failed twice")
        weights = case.weights
        before.is_closed = False
        good = await case.rollout_ends(run)
        passed = len(before.calls)
        before.is_closed = True
        bad = await case.roll_out(BEST)
        await until(lambda: after.has_calls(2), 10, "both ends are told")

    assert weights == [0]
    assert (good.outcome, good.view.status.failed_checks) == ("Promoted", 2)
    assert passed == 3  # once it has passed it is not called again
    assert (bad.outcome, bad.view.status.failed_checks) == ("RolledBack", 3)
    assert case.weights == [0, 50, 0]
    assert [call["phase"] for call in after.calls] == ["Succeeded", "Failed"]
