"""C08: A/B: matching users get the canary for the iterations, nobody else."""

import pytest

from canary.spec import HookType
from tests.conformance.case import Case
from tests.conformance.chorus import together
from tests.conformance.hooks import Hook
from tests.conformance.load import Load
from tests.conformance.waiting import until
from tests.conformance.workload import BETTER, GOOD
from tests.conformance.world import World
from workflows.contract import Verb

INSIDER = {"x-canary": "insider"}


@pytest.mark.proves("C08", "C21", "T17")
@pytest.mark.conformance
@together
async def test_matching_users_get_the_canary_until_a_person_lets_everybody_have_it(world: World) -> None:
    """A/B testing with a closed promotion gate, which a person's `approve` opens.

    C08, C21, T17: Flagger's scheduler.go, scheduler_hooks.go, pkg/loadtester.
    """
    case = Case(world, "kurator-member1", "ab")
    await case.deploy()
    match = [{"headers": {"x-canary": {"exact": "insider"}}}]
    async with Hook(is_closed=True) as gate:
        hooks = [gate.document(type_="confirm-promotion")]
        await case.initialise(interval="2s", iterations=2, match=match, webhooks=hooks)
        await case.is_routed()
        gateway, *_ = case.ways()
        async with Load([gateway.as_taken_by("insider", INSIDER), gateway.as_taken_by("other")], 25) as users:
            await case.release(BETTER)
            run = await case.rollout_begins()
            await case.rollout_is(lambda status: status.waiting_for is HookType.CONFIRM_PROMOTION, "it waits")
            before = {name: set(tally.versions) for name, tally in users.tallies.items()}
            await case.wish(Verb.APPROVE)
            ended = await case.rollout_ends(run)
            await until(lambda: users.tallies["other"].has(BETTER), 10, "everybody gets the new version")

    assert before == {"insider": {GOOD, BETTER}, "other": {GOOD}}
    assert ended.outcome == "Promoted", ended
    assert gate.calls
    assert users.failures == {}
