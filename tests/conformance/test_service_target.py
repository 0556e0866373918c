"""A Service as the target: two Services that lead to others' pods, between which the weights shift."""

import pytest

from canary.status import Phase
from tests.conformance.case import Case
from tests.conformance.chorus import together
from tests.conformance.hooks import Hook
from tests.conformance.workload import BETTER, GOOD, NAME
from tests.conformance.world import World

TARGET = {"apiVersion": "v1", "kind": "Service", "name": NAME}


@pytest.mark.conformance
@together
async def test_users_follow_a_service_to_other_pods_step_by_step(world: World) -> None:
    """What the target leads to gets users by its weight; a rollback leaves them where they were."""
    case = Case(world, "kurator-member1", "service-target")
    await case.deploy_versions(GOOD, BETTER)
    async with Hook() as check, case.load(is_routed=False) as users:
        wanted = {"stepWeight": 50, "threshold": 1, "webhooks": [check.document()]}
        await case.initialise(spec={"targetRef": TARGET}, **wanted)
        await case.lead(BETTER)
        promoted = await case.rollout_ends(await case.rollout_begins())
        after_promotion = await case.version(f"{NAME}-primary")
        check.is_closed = True
        await case.lead(GOOD)
        rolled_back = await case.rollout_ends(await case.rollout_begins())
        await case.canary_is(Phase.FAILED)
        after_rollback = await case.version(f"{NAME}-primary")
        await case.delete()

    assert (promoted.outcome, rolled_back.outcome) == ("Promoted", "RolledBack")
    assert case.weights == [0, 50, 0, 50, 0]
    assert after_promotion == after_rollback == BETTER
    assert await case.version(NAME) == GOOD
    assert await case.find("services", f"{NAME}-primary") is None
    assert users.failures == {}
