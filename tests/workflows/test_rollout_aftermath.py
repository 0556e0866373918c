"""A rollout that has its outcome, and somebody who leads users to its canary before the pods are gone."""

import asyncio

import pytest

from canary.safeguards import FOREIGN_WRITES
from canary.status import Outcome, Phase
from tests.workflows.cluster import Cluster
from tests.workflows.conftest import Serve
from tests.workflows.test_gates import Handle, alerting, spec_with, status_is
from tests.workflows.test_rollout import outcome, start
from tests.workflows.test_rollout_hardships import FORBIDDEN, until
from workflows.contract import BELL


@pytest.fixture
def cluster() -> Cluster:
    return Cluster(values=[50.0], hangs={"analyse": asyncio.Event()})


async def rolled_back(serve: Serve, cluster: Cluster) -> Handle:
    """A rollout that has been rolled back, and whose mesh has yet to forget the canary.

    Its last alert hangs: the clock does not skip meanwhile.
    """
    spec = alerting()
    once = spec.analysis.model_copy(update={"threshold": 1})
    handle = await start(await serve(cluster.activities()), spec.model_copy(update={"analysis": once}))
    await until(lambda: "analyse" in cluster.entered)
    cluster.hangs["alert"] = asyncio.Event()
    cluster.hangs.pop("analyse").set()
    await status_is(handle, phase=Phase.FAILED, traffic_weight=0)
    return handle


@pytest.mark.proves("D29")
async def test_a_promotion_has_succeeded_before_its_canarys_pods_go(serve: Serve) -> None:
    """Flagger tells that after the scale-down, and goes on finalising where it is refused.

    D29: docs/architecture.md.
    """
    cluster = Cluster()
    handle = await start(await serve(cluster.activities()), spec_with())
    await until(lambda: "promote" in cluster.log)
    cluster.refusals["scale_target"] = FORBIDDEN

    told = await status_is(handle, phase=Phase.SUCCEEDED, needs_person=True)
    pods = cluster.target_replicas
    cluster.refusals.clear()

    assert (told.message, told.traffic_weight, pods) == ("Forbidden: patch of virtualservices", 0, 1)
    assert (await handle.result()).outcome is Outcome.PROMOTED
    assert cluster.target_replicas == 0


async def lead_astray(cluster: Cluster, handle: Handle) -> None:
    cluster.weight = 50
    await handle.signal(BELL)


async def test_no_pods_are_taken_from_users_whom_somebody_led_there(serve: Serve, cluster: Cluster) -> None:
    handle = await rolled_back(serve, cluster)
    await lead_astray(cluster, handle)
    await status_is(handle, foreign_writes=1)
    cluster.hangs["alert"].set()

    assert (await outcome(handle)).type == "RolledBack"
    assert cluster.weight == 0
    assert cluster.log[-3:] == ["weight 0", "weight 0", "target 0"]


async def test_whoever_does_not_stop_keeps_the_pods_and_a_person_is_asked(
    serve: Serve, cluster: Cluster
) -> None:
    handle = await rolled_back(serve, cluster)
    for number in range(1, FOREIGN_WRITES + 1):
        await lead_astray(cluster, handle)
        await status_is(handle, foreign_writes=number)
    await lead_astray(cluster, handle)
    told = await status_is(handle, needs_person=True)
    cluster.hangs["alert"].set()

    failure = await outcome(handle)
    assert failure.type == "RolledBack"
    assert "success rate 50.00% < 99%. Standing back" in failure.message
    assert "undone 3 times" in told.message
    assert (cluster.weight, cluster.target_replicas) == (50, 1)
