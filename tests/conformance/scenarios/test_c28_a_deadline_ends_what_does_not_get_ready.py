"""C28: a deadline ends what does not get ready, the Deployment's own as well.

The target's own is not to be had while it is judged: it is paused then, and Kubernetes judges no progress of
what is paused. That of the Canary document holds for both sides.
"""

import pytest

from tests.conformance.case import Case
from tests.conformance.chorus import together
from tests.conformance.workload import BETTER
from tests.conformance.world import World


@pytest.mark.proves("C28")
@pytest.mark.conformance
@together
async def test_a_canary_that_is_not_ready_by_its_deadline_is_rolled_back(world: World) -> None:
    """`progressDeadlineSeconds` ends what does not get ready (C28: Flagger's deployment_ready.go)."""
    case = Case(world, "kurator-member1", "deadline")
    await case.deploy()
    await case.initialise(spec={"progressDeadlineSeconds": 5})
    ended = await case.roll_out(f"{BETTER}-slow60")

    assert ended.outcome == "RolledBack"
    assert "not ready: waiting for rollout to finish: 0 " in ended.message
    assert ended.message.endswith("not ready for 5 s")
    assert case.weights == [0]
    assert await case.replicas() == 0


@pytest.mark.proves("C28", "C35")
@pytest.mark.conformance
@together
async def test_the_deployments_own_deadline_ends_a_promotion_as_well(world: World) -> None:
    """A primary that says itself that it gave up is not waited for until the canary's deadline.

    C28, C35: Flagger's deployment_ready.go, scheduler.go.
    """
    case = Case(world, "kurator-member2", "own-deadline")
    await case.deploy()
    own = {"spec": {"progressDeadlineSeconds": 2}}
    await case.cluster.api.patch(case.path("deployments"), own)
    await case.initialise(interval="2s", stepWeight=50, spec={"progressDeadlineSeconds": 600})
    await case.release(BETTER)
    run = await case.rollout_begins()
    await case.weight_is(50)
    async with case.no_more_pods():  # for the new primary
        ended = await case.rollout_ends(run)

    assert ended.outcome == "Halted", ended
    assert "podinfo-primary exceeded its progress deadline" in ended.message
    assert case.weights == [0, 50, 100]
