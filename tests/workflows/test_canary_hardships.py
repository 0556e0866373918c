"""What a canary's workflow goes through when things are refused, cut off or come at the wrong moment."""

import asyncio
import time
import uuid
from dataclasses import replace
from typing import Any

import pytest
from temporalio import activity
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowHandle, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from activities.cluster.preflight import Preflight
from activities.cluster.traffic import Written
from activities.cluster.watch import WatchRequest
from canary.problem import Problem
from canary.status import Outcome, Phase
from tests.workflows.cluster import NEW, OLD, Cluster
from tests.workflows.conftest import Serve
from tests.workflows.test_canary import (
    PATIENCE,
    a_spec,
    apply,
    in_phase,
    initialised,
    leave,
    settled,
    until,
    until_entered,
    until_refused,
    until_weight,
)
from tests.workflows.test_gates import alerting
from worker.assembly import WORKFLOWS
from worker.runner import build_runner
from workflows.cluster_watch import ClusterWatchWorkflow
from workflows.contract import (
    ALERTS,
    BELL,
    CHECKS_QUEUE,
    DELETE,
    QUEUE,
    REGISTER,
    UPDATE_SPEC,
    Command,
    DeleteCommand,
    Registration,
    Verb,
    canary_id,
    rollout_id,
    watch_id,
)

FORBIDDEN = ApplicationError("Forbidden: patch of virtualservices", type="Forbidden", non_retryable=True)
BUSY = ApplicationError("the API server is busy")


async def rolling(serve: Serve, cluster: Cluster) -> tuple[Client, WorkflowHandle[Any, Any], str]:
    """A canary whose rollout has weight 10 and is in the middle of a check."""
    client, handle, spec = await initialised(serve, cluster)
    cluster.hangs["analyse"] = asyncio.Event()
    cluster.target = NEW
    await handle.signal(BELL)
    await until_weight(cluster, 10)
    return client, handle, spec.tail


async def test_cancelling_in_mid_rollout_ends_the_rollout_first(serve: Serve) -> None:
    cluster = settled()
    _, handle, _ = await rolling(serve, cluster)
    cluster.log.clear()

    await handle.cancel()
    await handle.result()

    cluster.hangs.pop("analyse").set()
    assert cluster.log[:4] == ["weight 0", "target 0", "restore target", "restore routes"]
    assert cluster.log[-1] == "remove objects"


async def test_cancelling_while_something_is_refused_takes_it_out(serve: Serve) -> None:
    cluster = settled()
    _, handle, _ = await initialised(serve, cluster)
    cluster.refusals["observe"] = FORBIDDEN
    await handle.signal(BELL)
    await until(handle, lambda found: found.needs_person)

    await handle.cancel()

    assert (await handle.result()).phase is Phase.TERMINATING
    assert cluster.log[-1] == "remove objects"


async def test_what_is_refused_is_told_and_the_word_before_comes_back(serve: Serve) -> None:
    cluster = settled()
    cluster.values = [90.0, 90.0]
    _, handle, _ = await initialised(serve, cluster)
    cluster.target = NEW
    await handle.signal(BELL)
    failed = await in_phase(handle, Phase.FAILED)
    cluster.refusals["observe"] = FORBIDDEN
    await handle.signal(BELL)

    refused = await until(handle, lambda found: found.needs_person)
    del cluster.refusals["observe"]
    mended = await until(handle, lambda found: not found.needs_person)

    assert "Forbidden: patch of virtualservices" in refused.message
    assert mended.message == failed.message
    await leave(handle)


async def test_one_that_wants_to_leave_does_not_wait_for_a_member_that_is_away(serve: Serve) -> None:
    cluster = settled()
    _, handle, _ = await initialised(serve, cluster)
    cluster.hangs["observe"] = asyncio.Event()
    await handle.signal(BELL)

    await leave(handle)

    cluster.hangs.pop("observe").set()
    assert cluster.log[-1] == "remove objects"


async def test_a_renewal_that_was_refused_is_done_in_the_end(serve: Serve) -> None:
    cluster = settled()
    client, handle, spec = await initialised(serve, cluster)
    cluster.log.clear()
    cluster.refusals["establish_routes"] = FORBIDDEN
    await apply(client, spec.model_copy(update={"skip_analysis": True}))
    await until(handle, lambda found: found.needs_person)

    del cluster.refusals["establish_routes"]
    await until(handle, lambda found: not found.needs_person)

    assert cluster.log.count("routes") == 1
    await leave(handle)


@pytest.mark.proves("T2")
async def test_routes_are_put_back_and_the_weights_that_somebody_gave_are_reported(serve: Serve) -> None:
    """Flagger writes its own weights wherever routes differ; while nothing runs they are somebody's.

    T2: Flagger's istio.go.
    """
    cluster = settled()
    _, handle, _ = await initialised(serve, cluster)
    cluster.weight, cluster.are_routes_intact = 30, False
    await handle.signal(BELL)

    told = await until(handle, lambda found: found.needs_person)

    assert told.message == "someone gave the canary weight 30 while no rollout runs"
    assert (told.mendings, cluster.weight, cluster.are_routes_intact) == (1, 30, True)
    await leave(handle)


async def test_a_document_changed_in_mid_rollout_is_renewed_after_it(serve: Serve) -> None:
    cluster = settled()
    client, handle, _ = await rolling(serve, cluster)
    spec = (await handle.query("status"))["spec"]
    cluster.log.clear()
    await apply(client, a_spec().model_validate(spec | {"skip_analysis": True}))

    cluster.hangs.pop("analyse").set()
    await in_phase(handle, Phase.SUCCEEDED)

    async with asyncio.timeout(PATIENCE):
        while "routes" not in cluster.log:  # noqa: ASYNC110 — a fake tells no event
            await asyncio.sleep(0.05)
    await leave(handle)


async def test_a_rollout_that_ends_unheard_costs_nothing(environment: WorkflowEnvironment) -> None:
    """The canary's worker is away, the rollout is terminated, a person restarts it: back first, then on."""
    cluster, spec = settled(), a_spec()

    def worker(queue: str) -> Worker:
        return Worker(
            environment.client,
            task_queue=queue,
            workflows=WORKFLOWS if queue == QUEUE else [],
            activities=cluster.activities(),
            workflow_runner=build_runner(),
        )

    client = environment.client
    async with worker(QUEUE), worker(CHECKS_QUEUE):
        handle, _ = await apply(client, spec)
        await in_phase(handle, Phase.INITIALIZED)
        cluster.hangs["analyse"] = asyncio.Event()
        cluster.target = NEW
        await handle.signal(BELL)
        await until_weight(cluster, 10)
        cluster.hangs.pop("analyse").set()
    await client.get_workflow_handle(rollout_id(spec.tail)).terminate("by hand")
    await handle.signal(Verb.RESTART, "once more")
    async with worker(QUEUE), worker(CHECKS_QUEUE):
        found = await in_phase(handle, Phase.SUCCEEDED)

        assert found.last_promoted == NEW
        assert cluster.log.index("weight 0") < cluster.log.index("promote")
        assert (await handle.describe()).status is WorkflowExecutionStatus.RUNNING
        await leave(handle)


async def test_a_rollout_cut_off_at_its_very_end_was_a_promotion(serve: Serve) -> None:
    cluster = settled()
    client, handle, tail = await rolling(serve, cluster)
    cluster.primary, cluster.weight = NEW, 0

    await client.get_workflow_handle(rollout_id(tail)).terminate("by hand")

    found = await in_phase(handle, Phase.SUCCEEDED)
    cluster.hangs.pop("analyse").set()
    assert (found.outcome, found.last_promoted) == (Outcome.PROMOTED, NEW)
    await leave(handle)


async def test_a_rollout_is_recovered_even_if_the_first_look_is_refused(serve: Serve) -> None:
    cluster = settled()
    client, handle, tail = await rolling(serve, cluster)
    cluster.refusals["observe"] = FORBIDDEN
    await client.get_workflow_handle(rollout_id(tail)).terminate("by hand")
    await until(handle, lambda found: found.needs_person)

    del cluster.refusals["observe"]

    found = await in_phase(handle, Phase.FAILED)
    cluster.hangs.pop("analyse").set()
    assert (found.outcome, cluster.weight) == (Outcome.ABORTED, 0)
    await leave(handle)


@pytest.mark.proves("T5")
async def test_a_rollout_that_was_terminated_alerts_once_of_its_end(serve: Serve) -> None:
    """Flagger alerts of some ends and not of others; each has its one terminal alert here.

    T5: Flagger's scheduler.go.
    """
    cluster = settled()
    client, spec = await serve(cluster.activities()), alerting()
    handle, _ = await apply(client, spec.model_copy(update={"namespace": f"ns-{uuid.uuid4().hex[:8]}"}))
    tail = (await in_phase(handle, Phase.INITIALIZED)) and handle.id.removeprefix("canary/")
    cluster.hangs["analyse"] = asyncio.Event()
    cluster.target = NEW
    await handle.signal(BELL)
    await until_weight(cluster, spec.analysis.steps.step_weight)
    cluster.alerts.clear()

    await client.get_workflow_handle(rollout_id(tail)).terminate("by hand")

    await in_phase(handle, Phase.FAILED)
    cluster.hangs.pop("analyse").set()
    await leave(handle)
    assert cluster.alerts == ["error Aborted by durable-canary: the rollout was terminated"]


async def test_nothing_is_applied_to_a_canary_that_leaves(serve: Serve) -> None:
    cluster = settled()
    client, handle, spec = await initialised(serve, cluster)
    cluster.hangs["restore_target"] = asyncio.Event()
    leaving = asyncio.create_task(handle.execute_update(DELETE, DeleteCommand(), result_type=dict))
    await in_phase(handle, Phase.TERMINATING)

    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await apply(client, spec)

    assert "is being deleted; apply it again once it is gone" in str(refused.value.cause)
    cluster.hangs.pop("restore_target").set()
    await leaving
    await handle.result()


@pytest.mark.parametrize("signal", [Verb.ABORT, Verb.RESTART, ALERTS, BELL])
async def test_a_signal_before_any_document_harms_nothing(serve: Serve, signal: str) -> None:
    cluster = settled()
    cluster.preflight_result = Preflight(problems=(Problem(path="x", message="no"),))
    client, spec = await serve(cluster.activities()), a_spec()
    handle = await client.start_workflow(
        "CanaryWorkflow", id=canary_id(spec.tail), task_queue=QUEUE, start_signal=signal
    )

    _, result = await apply(client, spec)

    assert not result.accepted
    await handle.result()


async def test_a_rollout_ignores_a_document_that_says_nothing(serve: Serve) -> None:
    cluster = settled()
    client, handle, tail = await rolling(serve, cluster)
    await client.get_workflow_handle(rollout_id(tail)).signal(UPDATE_SPEC)
    await client.get_workflow_handle(rollout_id(tail)).signal(UPDATE_SPEC, {"name": uuid.uuid4().hex})

    await handle.execute_update(Verb.ABORT, Command(who="ada"), result_type=dict)

    cluster.hangs.pop("analyse").set()
    assert (await in_phase(handle, Phase.FAILED)).outcome is Outcome.ABORTED
    await leave(handle)


async def runs(client: Client, handle: WorkflowHandle[Any, Any]) -> int:
    return len([one async for one in client.list_workflows(f"WorkflowId = '{handle.id}'")])


async def several_runs(client: Client, handle: WorkflowHandle[Any, Any]) -> None:
    """Wait until a workflow has begun a new history twice, ringing it all the time."""
    async with asyncio.timeout(PATIENCE):
        while await runs(client, handle) < 3:
            await handle.signal(BELL)
            await asyncio.sleep(0.3)


def latest(client: Client, tail: str) -> WorkflowHandle[Any, Any]:
    return client.get_workflow_handle(canary_id(tail))


async def test_a_canary_is_the_same_in_many_histories(serve_briefly: Serve) -> None:
    cluster = settled()
    client, _, spec = await initialised(serve_briefly, cluster)
    handle = latest(client, spec.tail)
    await several_runs(client, handle)
    changed = spec.model_copy(update={"skip_analysis": True})
    _, applied = await apply(client, changed)
    cluster.target = NEW
    await handle.signal(BELL)

    found = await in_phase(handle, Phase.SUCCEEDED)

    assert applied.changed
    assert (found.last_promoted, found.outcome) == (NEW, Outcome.PROMOTED)
    assert cluster.log.count("promote") == 1
    await leave(handle)


async def test_a_halted_promotion_stays_halted_in_many_histories(serve_briefly: Serve) -> None:
    cluster = settled()
    client, _, spec = await initialised(serve_briefly, cluster)
    handle = latest(client, spec.tail)
    cluster.hangs["analyse"] = asyncio.Event()
    cluster.target = NEW
    await handle.signal(BELL)
    await until_weight(cluster, 10)
    cluster.promoting = "new"
    await client.get_workflow_handle(rollout_id(spec.tail)).terminate("by hand")
    await until(handle, lambda found: found.outcome is Outcome.HALTED)
    cluster.hangs.pop("analyse").set()

    await several_runs(client, handle)

    found = await until(handle, lambda found: found.needs_person)
    assert (found.outcome, cluster.weight) == (Outcome.HALTED, 10)
    await handle.execute_update(Verb.ABORT, Command(who="ada"), result_type=dict)
    assert (await until(handle, lambda found: found.outcome is Outcome.ABORTED)).traffic_weight == 0
    await leave(handle)


async def test_waiting_for_a_primary_does_not_fill_a_history(serve_briefly: Serve) -> None:
    cluster = settled()
    cluster.primary_ready = False
    client, spec = await serve_briefly(cluster.activities()), a_spec()
    await apply(client, spec)
    handle = latest(client, spec.tail)
    await several_runs(client, handle)

    cluster.primary_ready = True

    await in_phase(handle, Phase.INITIALIZED)
    await leave(handle)


async def test_an_aborted_initialisation_stays_aborted_in_many_histories(serve_briefly: Serve) -> None:
    cluster = settled()
    cluster.primary_ready = False
    client, spec = await serve_briefly(cluster.activities()), a_spec(analysis=alerting().analysis)
    await apply(client, spec)
    handle = latest(client, spec.tail)
    await handle.execute_update(Verb.ABORT, Command(who="ada"), result_type=dict)
    await in_phase(handle, Phase.FAILED)
    await several_runs(client, handle)
    cluster.primary_ready = True

    found = await in_phase(handle, Phase.FAILED)
    assert (found.outcome, found.message) == (Outcome.ABORTED, "Initialisation aborted by ada")
    assert [each for each in cluster.alerts if "aborted" in each] == ["warn Initialisation aborted by ada"]
    await handle.execute_update(Verb.RESTART, Command(who="ada"), result_type=dict)
    await in_phase(handle, Phase.INITIALIZED)
    await leave(handle)


async def test_restarting_a_halted_promotion_without_traffic_goes_back_first(serve: Serve) -> None:
    cluster = settled()
    client, handle, tail = await rolling(serve, cluster)
    cluster.promoting, cluster.weight = "new", 0
    await client.get_workflow_handle(rollout_id(tail)).terminate("by hand")
    await until(handle, lambda found: found.outcome is Outcome.HALTED)
    cluster.hangs.pop("analyse")  # the check of the terminated rollout never gets to its end
    cluster.log.clear()

    await handle.execute_update(Verb.RESTART, Command(who="ada"), result_type=dict)

    assert (await in_phase(handle, Phase.SUCCEEDED)).last_promoted == NEW
    assert cluster.log[:4] == ["restore primary", "weight 0", "target 0", "target 1"]
    await leave(handle)


async def test_a_promotion_that_fails_again_hands_over_at_the_primarys_former_size(serve: Serve) -> None:
    """Its autoscaler let the canary begin smaller than the primary, which is half promoted by now."""
    cluster = settled()
    cluster.primary_replicas = 3
    client, handle, tail = await rolling(serve, cluster)
    cluster.promoting, cluster.primary_ready, cluster.weight = "new", False, 100
    await client.get_workflow_handle(rollout_id(tail)).terminate("by hand")
    await until(handle, lambda found: found.outcome is Outcome.HALTED)
    cluster.hangs.pop("analyse")  # the check of the terminated rollout never gets to its end
    cluster.log.clear()

    await handle.execute_update(Verb.RESTART, Command(who="ada"), result_type=dict)

    found = await until(handle, lambda found: found.message.startswith("Promotion of"))
    assert found.outcome is Outcome.HALTED
    assert cluster.log[-3:] == ["promote", "target 3", "weight 100"]
    await leave(handle)


async def test_a_resumed_promotion_that_is_rolled_back_puts_the_primary_back(serve: Serve) -> None:
    """It is half promoted, and has all the users: the canary's pods have gone."""
    cluster = settled()
    client, handle, tail = await rolling(serve, cluster)
    cluster.promoting, cluster.weight, cluster.target_ready = "new", 100, False
    await client.get_workflow_handle(rollout_id(tail)).terminate("by hand")
    await until(handle, lambda found: found.outcome is Outcome.HALTED)
    cluster.hangs.pop("analyse")
    cluster.log.clear()

    await handle.execute_update(Verb.RESTART, Command(who="ada"), result_type=dict)

    await until(handle, lambda found: found.outcome is Outcome.ROLLED_BACK)
    assert cluster.log[-4:] == ["weight 0", "weight 0", "restore primary", "target 0"]
    await leave(handle)


async def test_a_watch_that_is_refused_is_tried_again(serve: Serve) -> None:
    tries: list[str] = []

    @activity.defn
    async def watch_cluster(request: WatchRequest) -> None:
        tries.append(request.cluster)
        raise FORBIDDEN

    client = await serve([watch_cluster])
    cluster = uuid.uuid4().hex
    registration = Registration(canary=f"{cluster}/a/b/c", namespace="a", objects=("Deployment/c",))
    handle = await client.start_workflow(
        ClusterWatchWorkflow.run,
        id=watch_id(cluster),
        task_queue=QUEUE,
        start_signal=REGISTER,
        start_signal_args=[registration],
    )
    async with asyncio.timeout(PATIENCE):
        while len(tries) < 3:  # noqa: ASYNC110 — a fake tells no event
            await asyncio.sleep(0.05)

    assert (await handle.describe()).status is WorkflowExecutionStatus.RUNNING
    await handle.terminate()


async def test_a_target_stays_while_the_primary_has_stopped_serving(serve: Serve) -> None:
    cluster = settled()
    cluster.scaled = Written.NOT_SERVING
    client, spec = await serve(cluster.activities()), a_spec()
    handle, _ = await apply(client, spec)
    await until_refused(cluster, "scale_target")
    cluster.scaled = Written.DONE

    await in_phase(handle, Phase.INITIALIZED)

    assert cluster.log[:2] == ["create primary", "routes"]
    assert cluster.log[-4:] == ["end orphan", "create primary", "routes", "target 0"]
    await leave(handle)


async def test_a_refused_primary_does_not_wait_for_a_provider_that_hangs(serve: Serve) -> None:
    cluster = settled()
    cluster.hangs["check_providers"] = asyncio.Event()
    cluster.refusals["create_primary"] = FORBIDDEN
    client, spec = await serve(cluster.activities()), a_spec()
    handle, _ = await apply(client, spec)

    refused = await until(handle, lambda found: found.needs_person)
    del cluster.refusals["create_primary"]
    cluster.hangs.pop("check_providers").set()

    assert "Forbidden" in refused.message
    await in_phase(handle, Phase.INITIALIZED)
    await leave(handle)


@pytest.mark.parametrize(
    "left", [pytest.param({"primary": OLD}, id="a primary"), pytest.param({"has_routes": True}, id="routes")]
)
async def test_a_rollout_that_may_have_been_left_behind_is_ended_first(
    serve: Serve, left: dict[str, Any]
) -> None:
    cluster = replace(settled(), **left)
    _, handle, _ = await initialised(serve, cluster)

    assert cluster.log == ["end orphan", "create primary", "routes", "target 0"]
    await leave(handle)


@pytest.mark.parametrize("error", [FORBIDDEN, BUSY], ids=["for good", "for a while"])
@pytest.mark.parametrize("where", ["create_primary", "lead_to_primary", "observe"])
async def test_an_abort_stops_an_initialisation_that_is_refused(
    serve: Serve, where: str, error: ApplicationError
) -> None:
    cluster = settled()
    cluster.refusals[where] = error
    client, spec = await serve(cluster.activities()), a_spec()
    handle, _ = await apply(client, spec)
    await until_entered(cluster, where)

    begun = time.monotonic()
    await handle.execute_update(Verb.ABORT, Command(who="ada"), result_type=dict)
    found = await in_phase(handle, Phase.FAILED)
    took = time.monotonic() - begun

    assert found.outcome is Outcome.ABORTED
    assert took < 3
    assert "target 0" not in cluster.log
    cluster.refusals.clear()
    await leave(handle)


@pytest.mark.proves("T14")
async def test_a_first_template_that_does_not_get_ready_makes_way_for_the_next(serve: Serve) -> None:
    """A primary is made from its target until something was promoted, and from then on from that alone.

    T14: Flagger's deployment_controller.go.
    """
    cluster = settled()
    cluster.primary_ready = False
    client, spec = await serve(cluster.activities()), a_spec()
    handle, _ = await apply(client, spec)
    await until(handle, lambda found: "not ready" in found.message)
    cluster.target = NEW
    await handle.signal(BELL)
    async with asyncio.timeout(PATIENCE):
        while cluster.primary != NEW:  # noqa: ASYNC110 — a fake tells no event
            await asyncio.sleep(0.05)
    cluster.primary_ready = True

    assert (await in_phase(handle, Phase.INITIALIZED)).last_promoted == NEW
    assert not cluster.is_initialising
    assert cluster.log == ["create primary", "end orphan", "create primary", "routes", "target 0"]
    await leave(handle)


async def test_why_an_initialisation_is_refused_for_a_while_is_told(serve: Serve) -> None:
    cluster = settled()
    cluster.refusals["create_primary"] = BUSY
    client, spec = await serve(cluster.activities()), a_spec()
    handle, _ = await apply(client, spec)

    told = await until(handle, lambda found: found.needs_person)
    cluster.refusals.clear()

    assert "the API server is busy" in told.message
    await in_phase(handle, Phase.INITIALIZED)
    await leave(handle)


async def test_a_target_that_is_being_emptied_is_not_called_back(serve: Serve) -> None:
    """Its users are with the primary by then, and the write may arrive: nobody is to be told otherwise."""
    cluster = settled()
    cluster.hangs["scale_target"] = asyncio.Event()
    client, spec = await serve(cluster.activities()), a_spec()
    handle, _ = await apply(client, spec)
    await until_entered(cluster, "scale_target")

    await handle.execute_update(Verb.ABORT, Command(who="ada"), result_type=dict)
    await asyncio.sleep(0.5)
    cluster.hangs.pop("scale_target").set()

    assert (await in_phase(handle, Phase.INITIALIZED)).outcome is None
    await leave(handle)


async def test_a_restart_is_not_lost_while_a_canary_comes_to_rest(serve: Serve) -> None:
    cluster = settled()
    cluster.values = [90.0, 90.0]
    _, handle, _ = await initialised(serve, cluster)
    cluster.target = NEW
    await handle.signal(BELL)
    await in_phase(handle, Phase.FAILED)
    cluster.hangs["lead_services"] = asyncio.Event()
    cluster.is_misled = True
    await handle.signal(BELL)
    await until_entered(cluster, "lead_services")

    await handle.execute_update(Verb.RESTART, Command(who="ada"), result_type=dict)

    cluster.hangs.pop("lead_services").set()
    assert (await in_phase(handle, Phase.SUCCEEDED)).last_promoted == NEW
    await leave(handle)


async def test_a_restart_is_not_lost_while_a_cut_off_rollout_is_taken_back(serve: Serve) -> None:
    cluster = settled()
    client, handle, tail = await rolling(serve, cluster)
    cluster.hangs["observe"] = asyncio.Event()
    await client.get_workflow_handle(rollout_id(tail)).terminate("by hand")
    await until_entered(cluster, "observe")

    await handle.execute_update(Verb.RESTART, Command(who="ada"), result_type=dict)

    cluster.hangs.pop("analyse").set()
    cluster.hangs.pop("observe").set()
    assert (await in_phase(handle, Phase.SUCCEEDED)).last_promoted == NEW
    assert cluster.log.count("target 0") == 3
    await leave(handle)
