"""C22: a rollback hook rolls back."""

import pytest

from tests.conformance import workload
from tests.conformance.case import Case
from tests.conformance.chorus import together
from tests.conformance.hooks import Hook
from tests.conformance.workload import BETTER, GOOD, NAME
from tests.conformance.world import World


@pytest.mark.proves("C22")
@pytest.mark.conformance
@together
async def test_a_rollback_hook_that_passes_takes_the_traffic_back(world: World) -> None:
    """A `rollback` hook that passes ends the rollout, though every check is good.

    C22: Flagger's scheduler_hooks.go.
    """
    case = Case(world, "kurator-member1", "rollback-hook")
    await case.deploy()
    async with Hook(is_closed=True) as hook:
        await case.initialise(interval="2s", stepWeight=25, webhooks=[hook.document(type_="rollback")])
        await case.release(BETTER)
        run = await case.rollout_begins()
        await case.weight_is(25)
        hook.is_closed = False
        ended = await case.rollout_ends(run)

    assert ended.outcome == "RolledBack", ended
    assert case.weights[-1] == 0
    assert max(case.weights) == 25
    assert await case.image(f"{NAME}-primary") == workload.image(GOOD)
    assert await case.replicas() == 0
