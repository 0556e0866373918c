"""What comes to a rollout while it runs: its document says that it is suspended."""

from typing import Any

import pytest

from tests.conformance.case import Case
from tests.conformance.chorus import together
from tests.conformance.hooks import Hook
from tests.conformance.waiting import until
from tests.conformance.workload import BETTER
from tests.conformance.world import World


@pytest.mark.proves("D7", "T15")
@pytest.mark.conformance
@together
async def test_a_rollout_that_is_suspended_holds_its_weight_is_checked_and_may_roll_back(
    world: World,
) -> None:
    """Flagger leaves a suspended canary its traffic and looks no more.

    T15, D7: Flagger's scheduler.go, docs/architecture.md.
    """
    case = Case(world, "kurator-member1", "suspended")
    await case.deploy()
    async with Hook() as hook:
        wanted: dict[str, Any] = {"interval": "1s", "stepWeight": 25, "webhooks": [hook.document()]}
        await case.initialise(**wanted)
        await case.release(BETTER)
        run = await case.rollout_begins()
        await case.weight_is(25)
        await case.apply(**wanted, spec={"suspend": True})
        weights, calls = case.weights, len(hook.calls)
        await until(lambda: hook.has_calls(calls + 4), 20, "it goes on being checked")
        held = case.weights
        hook.is_closed = True
        ended = await case.rollout_ends(run)

    assert held == weights
    assert ended.outcome == "RolledBack", ended
    assert case.weights == [*weights, 0]
