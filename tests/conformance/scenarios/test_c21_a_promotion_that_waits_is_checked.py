"""C21: confirm-promotion: a waiting promotion goes on being checked and may fail."""

import pytest

from canary.status import Phase
from tests.conformance import workload
from tests.conformance.case import Case
from tests.conformance.chorus import together
from tests.conformance.hooks import Hook
from tests.conformance.waiting import until
from tests.conformance.workload import BETTER, GOOD, NAME
from tests.conformance.world import World


@pytest.mark.proves("C21")
@pytest.mark.conformance
@together
async def test_a_promotion_that_waits_is_checked_and_rolled_back_when_its_checks_fail(world: World) -> None:
    """At its last weight a canary waits for the gate, and two failed checks end it while it waits.

    C21: Flagger's scheduler_hooks.go.
    """
    case = Case(world, "kurator-member1", "confirm-promotion")
    await case.deploy()
    async with Hook(is_closed=True) as gate, Hook() as check:
        hooks = [gate.document(type_="confirm-promotion"), check.document()]
        await case.initialise(threshold=2, stepWeight=50, webhooks=hooks)
        await case.release(BETTER)
        run = await case.rollout_begins()
        await case.rollout_is(lambda status: status.phase is Phase.WAITING_PROMOTION, "it waits")
        calls = len(check.calls)
        await until(lambda: check.has_calls(calls + 2), 20, "it goes on being checked")
        waiting, weights = (await case.view()).status, case.weights
        check.is_closed = True
        ended = await case.rollout_ends(run)

    assert (waiting.failed_checks, weights) == (0, [0, 50])
    assert ended.outcome == "RolledBack", ended
    assert ended.view.status.failed_checks == 2
    assert case.weights == [0, 50, 0]
    assert await case.image(f"{NAME}-primary") == workload.image(GOOD)
