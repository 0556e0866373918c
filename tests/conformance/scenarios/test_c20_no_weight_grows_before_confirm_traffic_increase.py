"""C20: confirm-traffic-increase: no weight grows while the gate is closed."""

import pytest

from canary.spec import HookType
from canary.status import Phase
from tests.conformance.case import Case
from tests.conformance.chorus import together
from tests.conformance.hooks import Hook
from tests.conformance.waiting import until
from tests.conformance.workload import BETTER
from tests.conformance.world import World


@pytest.mark.proves("C20")
@pytest.mark.conformance
@together
async def test_a_weight_stays_while_the_gate_is_closed_and_its_checks_go_on(world: World) -> None:
    """A gate that closes at weight 25 keeps it there: checks go on, and that it is closed fails none.

    C20: Flagger's scheduler_hooks.go.
    """
    case = Case(world, "kurator-member2", "confirm-traffic")
    await case.deploy()
    async with Hook() as gate, Hook() as check:
        hooks = [gate.document(type_="confirm-traffic-increase"), check.document()]
        await case.initialise(interval="2s", threshold=1, stepWeight=25, webhooks=hooks)
        await case.release(BETTER)
        run = await case.rollout_begins()
        await case.weight_is(25)
        gate.is_closed = True
        calls = len(check.calls)
        await until(lambda: check.has_calls(calls + 3), 20, "it goes on being checked")
        held, weights = (await case.view()).status, case.weights
        gate.is_closed = False
        ended = await case.rollout_ends(run)

    assert (held.phase, held.waiting_for) == (Phase.PROGRESSING, HookType.CONFIRM_TRAFFIC_INCREASE)
    assert (held.failed_checks, weights) == (0, [0, 25])
    assert ended.outcome == "Promoted", ended
    assert case.weights == [0, 25, 50, 0]
