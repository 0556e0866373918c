"""C19: confirm-rollout: nothing begins before its gate opens."""

import pytest

from canary.status import Phase
from tests.conformance.case import Case
from tests.conformance.chorus import together
from tests.conformance.hooks import Hook
from tests.conformance.waiting import until
from tests.conformance.workload import BETTER
from tests.conformance.world import World


@pytest.mark.proves("C19")
@pytest.mark.conformance
@together
async def test_no_pod_of_a_new_revision_starts_before_the_gate_opens(world: World) -> None:
    """While the gate answers 403 the phase is Waiting: no pod, no weight, no check.

    C19: Flagger's scheduler_hooks.go.
    """
    case = Case(world, "kurator-member1", "confirm-rollout")
    await case.deploy()
    async with Hook(is_closed=True) as gate, Hook() as check:
        hooks = [gate.document(type_="confirm-rollout"), check.document()]
        await case.initialise(stepWeight=50, webhooks=hooks)
        await case.release(BETTER)
        run = await case.rollout_begins()
        await until(lambda: gate.has_calls(3), 20, "the gate is asked again and again")
        waiting, wanted = (await case.view()).status, await case.replicas()
        weights, checks = case.weights, list(check.calls)
        gate.is_closed = False
        ended = await case.rollout_ends(run)

    assert (waiting.phase, waiting.failed_checks) == (Phase.WAITING, 0)
    assert (wanted, weights, checks) == (0, [0], [])
    assert ended.outcome == "Promoted", ended
    assert case.weights == [0, 50, 0]
    assert check.calls
