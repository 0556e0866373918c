"""A canary's way out, and whose document it is that a target is delivered by."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from temporalio.client import (
    Client,
    WithStartWorkflowOperation,
    WorkflowExecutionStatus,
    WorkflowUpdateFailedError,
    WorkflowUpdateStage,
)
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.exceptions import ApplicationError

from canary.status import Phase
from tests.workflows.cluster import OLD
from tests.workflows.conftest import Serve
from tests.workflows.test_canary import (
    Handle,
    a_spec,
    apply,
    initialised,
    leave,
    settled,
    until,
    until_entered,
)
from tests.workflows.test_canary_hardships import FORBIDDEN, latest, rolling, several_runs
from tests.workflows.test_gates import alerting
from workflows.contract import (
    BELL,
    CANARY_WORKFLOW,
    DELETE,
    QUEUE,
    STATUS,
    Answer,
    CanaryView,
    DeleteCommand,
    rollout_id,
)


async def test_a_target_is_delivered_by_one_document(serve: Serve) -> None:
    client, handle, spec = await initialised(serve, settled())
    _, refused = await apply(client, spec.model_copy(update={"application": "default/shop"}))
    known = (await handle.query(STATUS, result_type=CanaryView)).spec

    assert not refused.accepted
    (problem,) = refused.problems
    whose = f"Canary {spec.namespace}/{spec.name}"
    assert (
        problem.message == f"Deployment {spec.target.name} is delivered by {whose}: take it out of that first"
    )
    assert known == spec
    await leave(handle)


async def delete(handle: Handle, document: str) -> Answer:
    answer: Answer = await handle.execute_update(DELETE, DeleteCommand(document=document), result_type=Answer)
    return answer


async def test_the_canary_of_another_document_is_left_alone(serve: Serve) -> None:
    cluster = settled()
    _, handle, spec = await initialised(serve, cluster)

    answer = await delete(handle, "Application default/shop")

    whose = f"Canary {spec.namespace}/{spec.name}"
    assert answer.message == f"canary/{spec.tail} left alone: it is delivered by {whose}"
    assert "restore target" not in cluster.log
    assert (await delete(handle, whose)).message == "Taken out; the workload is as it was"
    await handle.result()


async def test_an_applications_canary_is_the_applications_to_take_out(serve: Serve) -> None:
    cluster = settled()
    client = await serve(cluster.activities())
    handle, _ = await apply(client, a_spec().model_copy(update={"application": "default/shop"}))

    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await delete(handle, "")

    assert getattr(refused.value.cause, "message", "") == (
        "it is delivered by Application default/shop: take `rollout:` out of that, "
        "or delete it (canary delete application shop -n default)"
    )
    await delete(handle, "Application default/shop")
    await handle.result()


async def test_what_a_terminated_canary_left_is_taken_out_by_another_one(serve: Serve) -> None:
    cluster = settled()
    client, handle, spec = await initialised(serve, cluster)
    await handle.terminate()
    cluster.log.clear()
    start: WithStartWorkflowOperation[Any, Any] = WithStartWorkflowOperation(
        CANARY_WORKFLOW,
        id=handle.id,
        task_queue=QUEUE,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
    )

    answer = await client.execute_update_with_start_workflow(
        DELETE,
        DeleteCommand(document=spec.document, spec=spec),
        start_workflow_operation=start,
        result_type=Answer,
    )

    assert answer.message == "Taken out; the workload is as it was"
    restored = ["restore target", "restore routes", "restore routes"]
    assert cluster.log == ["end orphan", *restored, "remove objects"]


@pytest.mark.parametrize("act", ["restore_target", "restore_routes"])
async def test_a_way_out_waits_for_a_target_that_is_not_ready_and_says_so(serve: Serve, act: str) -> None:
    cluster = settled()
    _, handle, _ = await initialised(serve, cluster)
    cluster.refusals[act] = ApplicationError("backend is not ready yet", type="NotReady", non_retryable=True)
    deletion = asyncio.create_task(handle.execute_update(DELETE, DeleteCommand(), result_type=Answer))
    told = await until(handle, lambda status: status.needs_person)
    cluster.refusals.clear()

    assert told.message == "The way out waits: backend is not ready yet"
    assert await deletion == Answer(message="Taken out; the workload is as it was")
    assert cluster.log[-1] == "remove objects"
    await handle.result()


async def test_a_way_out_that_waits_goes_on_in_many_histories(serve_briefly: Serve) -> None:
    """No Update goes over into another one: who waits is told to ask there, and bells do not fill any."""
    cluster = settled()
    client, _, spec = await initialised(serve_briefly, cluster, analysis=alerting().analysis)
    handle = latest(client, spec.tail)
    cluster.refusals["restore_target"] = ApplicationError("not yet", type="NotReady", non_retryable=True)
    deletion = asyncio.create_task(delete(handle, ""))
    await until(handle, lambda status: status.needs_person)
    await several_runs(client, handle)

    waits = await deletion
    told = await until(handle, lambda status: status.needs_person)
    cluster.refusals.clear()
    cluster.hangs["restore_target"] = asyncio.Event()
    tries = cluster.entered.count("restore_target")
    await handle.signal(BELL)
    await until_entered(cluster, "restore_target", times=tries + 1)
    accepted = WorkflowUpdateStage.ACCEPTED
    again = await handle.start_update(DELETE, DeleteCommand(), wait_for_stage=accepted, result_type=Answer)
    cluster.hangs["restore_target"].set()
    done = await again.result()

    text = "The way out waits: not yet"
    assert waits == Answer(message=text, is_done=False, goes_on=True)
    assert (told.phase, told.message) == (Phase.TERMINATING, text)
    assert done == Answer(message="Taken out; the workload is as it was")
    assert len(set(cluster.left_at)) == 1
    assert sum(text in alert for alert in cluster.alerts) == 1
    await handle.result()


@pytest.mark.parametrize(("is_reverted", "word"), [(True, "is as it was"), (False, "was left as it is")])
async def test_a_way_out_says_what_became_of_the_workload(
    serve: Serve, *, is_reverted: bool, word: str
) -> None:
    _, handle, _ = await initialised(serve, settled(), revert_on_deletion=is_reverted)
    answer = await handle.execute_update(DELETE, DeleteCommand(), result_type=Answer)

    assert answer == Answer(message=f"Taken out; the workload {word}")
    await handle.result()


async def test_a_way_out_that_is_given_up_is_no_success(serve: Serve) -> None:
    cluster = settled()
    _, handle, _ = await initialised(serve, cluster)
    cluster.refusals["restore_routes"] = ApplicationError(
        "patch of services", type="Forbidden", non_retryable=True
    )
    answer = await handle.execute_update(DELETE, DeleteCommand(), result_type=Answer)

    assert not answer.is_done
    assert answer.message.startswith("Left behind in ")
    assert "remove objects" not in cluster.log
    await handle.result()


async def test_routes_that_come_late_are_given_back_before_the_primary_goes(serve: Serve) -> None:
    """A write that was called off may still arrive."""
    cluster = settled()
    _, handle, _ = await initialised(serve, cluster)
    cluster.log.clear()
    cluster.late_routes = [False, True, True]
    await leave(handle)

    assert cluster.log == ["restore target", *["restore routes"] * 3, "remove objects"]


async def test_a_way_out_that_begins_anew_fences_by_the_same_moment(serve: Serve) -> None:
    """Its own fence would look to it like the work of an earlier decision."""
    cluster = settled()
    _, handle, _ = await initialised(serve, cluster)
    cluster.hangs["restore_target"] = asyncio.Event()
    deletion = asyncio.create_task(handle.execute_update(DELETE, DeleteCommand(), result_type=Answer))
    await until_entered(cluster, "restore_target")
    await handle.cancel()
    await until_entered(cluster, "restore_target", times=2)
    cluster.hangs["restore_target"].set()
    await deletion
    await handle.result()

    assert len(set(cluster.left_at)) == 1


@pytest.fixture
def in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock does not skip while a rollout or an activity is awaited."""
    monkeypatch.setattr("workflows.rolling.LEAVING", timedelta(seconds=2))


async def ends_as(client: Client, tail: str) -> WorkflowExecutionStatus | None:
    return (await client.get_workflow_handle(rollout_id(tail)).describe()).status


async def test_a_primary_that_cannot_be_made_anew_holds_up_no_way_out(serve: Serve) -> None:
    """Its traffic stays with the canary that serves it until the target can have it."""
    cluster = settled()
    client, handle, tail = await rolling(serve, cluster)
    cluster.primary, cluster.refusals["create_primary"] = None, FORBIDDEN
    await client.get_workflow_handle(rollout_id(tail)).signal(BELL)
    await until_entered(cluster, "create_primary")
    cluster.log.clear()

    await leave(handle)

    cluster.hangs.pop("analyse").set()
    assert cluster.log == ["restore target", "restore routes", "restore routes", "remove objects"]
    assert cluster.weight == 10
    assert await ends_as(client, tail) is WorkflowExecutionStatus.FAILED


@pytest.mark.usefixtures("in_a_hurry")
async def test_a_rollout_that_cannot_come_to_its_end_holds_up_no_way_out_for_long(serve: Serve) -> None:
    cluster = settled()
    client, handle, tail = await rolling(serve, cluster)
    cluster.client, cluster.refusals["scale_target"] = client, FORBIDDEN
    cluster.log.clear()

    await leave(handle)

    cluster.hangs.pop("analyse").set()
    assert cluster.log[:3] == ["weight 0", "terminate", "restore target"]
    assert cluster.log[-1] == "remove objects"
    assert await ends_as(client, tail) is WorkflowExecutionStatus.TERMINATED


@pytest.mark.usefixtures("in_a_hurry")
async def test_a_rollout_of_another_life_holds_up_no_way_out_for_long(serve: Serve) -> None:
    """Nothing of it runs here any more: what is terminated is gone by then, which is fine."""
    cluster = replace(settled(), primary=OLD, hangs={"end_orphan": asyncio.Event()})
    client, spec = await serve(cluster.activities()), a_spec()
    cluster.client = client
    handle, _ = await apply(client, spec)
    await until_entered(cluster, "end_orphan")

    await leave(handle)

    cluster.hangs.pop("end_orphan").set()
    assert cluster.log[:2] == ["terminate", "restore target"]
