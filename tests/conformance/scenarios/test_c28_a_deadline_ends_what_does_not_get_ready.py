"""C28: a deadline ends what does not get ready."""

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
    await case.initialise(spec={"progressDeadlineSeconds": 3})
    ended = await case.roll_out(f"{BETTER}-slow60")

    assert ended.outcome == "RolledBack"
    assert "not ready: waiting for rollout to finish: 0 " in ended.message
    assert ended.message.endswith("not ready for 3 s")
    assert case.weights == [0]
    assert await case.replicas() == 0
