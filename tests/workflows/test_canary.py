"""One canary from its first `apply` to its deletion, under a clock that skips."""

import asyncio
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from temporalio.client import (
    Client,
    WithStartWorkflowOperation,
    WorkflowExecutionStatus,
    WorkflowHandle,
    WorkflowUpdateFailedError,
)
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.service import RPCError, RPCStatusCode

from activities.cluster.preflight import Preflight
from canary.problem import Problem
from canary.reference import ObjectRef
from canary.spec import CanarySpec, MetricProvider, MetricSpec, MetricTemplate, TestLoader
from canary.status import CanaryStatus, ListRow, Outcome, Phase
from tests.workflows.cluster import EPOCH, NEW, OLD, Cluster, seed_spec
from tests.workflows.conftest import Serve
from workflows.canary import CanaryWorkflow
from workflows.contract import (
    APPLY,
    BELL,
    DELETE,
    QUEUE,
    ROW,
    STATUS,
    ApplyCanary,
    ApplyResult,
    CanaryView,
    Command,
    DeleteCommand,
    RolloutView,
    Verb,
    canary_id,
    rollout_id,
)
from workflows.entity import RESYNC

Handle = WorkflowHandle[Any, Any]
PATIENCE = 30


def a_spec(**changes: Any) -> CanarySpec:
    """The seed's canary on a target of its own, so that tests do not meet."""
    spec = seed_spec(**changes)
    return spec.model_copy(update={"namespace": f"ns-{uuid.uuid4().hex[:8]}"})


async def apply(client: Client, spec: CanarySpec) -> tuple[Handle, ApplyResult]:
    start = WithStartWorkflowOperation(
        CanaryWorkflow.run,
        id=canary_id(spec.tail),
        task_queue=QUEUE,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
    )
    result = await client.execute_update_with_start_workflow(
        APPLY,
        ApplyCanary(spec=spec).model_dump(mode="json"),
        start_workflow_operation=start,
        result_type=ApplyResult,
    )
    return await start.workflow_handle(), result


async def status(handle: Handle) -> CanaryStatus:
    view = await handle.query(STATUS, result_type=CanaryView)
    assert isinstance(view, CanaryView)
    return view.status


async def until(handle: Handle, holds: Callable[[CanaryStatus], bool]) -> CanaryStatus:
    """Wait for a status; the server tells no one of changes, so it is asked again and again."""
    async with asyncio.timeout(PATIENCE):
        while (found := await _answered(handle)) is None or not holds(found):  # noqa: ASYNC110 — the state of a server, not of this process
            await asyncio.sleep(0.05)
    return found


async def _answered(handle: Handle) -> CanaryStatus | None:
    """The status; a history that has just begun cannot be asked yet."""
    try:
        return await status(handle)
    except RPCError as error:
        if error.status is not RPCStatusCode.FAILED_PRECONDITION:
            raise
        return None


async def in_phase(handle: Handle, phase: Phase) -> CanaryStatus:
    return await until(handle, lambda found: found.phase is phase)


def settled() -> Cluster:
    """A cluster whose target runs what was promoted."""
    return Cluster(target=OLD, target_replicas=2, primary=None, has_routes=False)


async def initialised(serve: Serve, cluster: Cluster, **changes: Any) -> tuple[Client, Handle, CanarySpec]:
    client, spec = await serve(cluster.activities()), a_spec(**changes)
    handle, result = await apply(client, spec)
    assert result.accepted
    await in_phase(handle, Phase.INITIALIZED)
    return client, handle, spec


async def leave(handle: Handle) -> None:
    """End a canary, so that its history is whole."""
    await handle.execute_update(DELETE, DeleteCommand(), result_type=dict)
    await handle.result()


@pytest.mark.proves("C01")
async def test_initialises_in_the_order_that_loses_no_request(serve: Serve) -> None:
    """Primary ready, routes, apex, a delay, and only then the target to zero.

    C01: Flagger's scheduler.go.
    """
    cluster = settled()
    _, handle, _ = await initialised(serve, cluster)

    assert cluster.log == ["create primary", "routes", "target 0"]
    found = await status(handle)
    assert (found.last_promoted, found.last_applied) == (OLD, OLD)
    await leave(handle)


async def scheduled(handle: Handle) -> list[tuple[str, datetime]]:
    """The activities that a canary has scheduled, in order, and when."""
    kind = "activity_task_scheduled_event_attributes"
    return [
        (getattr(event, kind).activity_type.name, event.event_time.ToDatetime(UTC))
        async for event in handle.fetch_history_events()
        if event.HasField(kind)
    ]


async def asked(handle: Handle) -> list[str]:
    """The activities that a canary has scheduled, in order."""
    return [name for name, _ in await scheduled(handle)]


async def looked_at_after(handle: Handle, name: str) -> timedelta:
    """How long after an activity something else is asked; waits for that."""
    async with asyncio.timeout(PATIENCE):
        while (await asked(handle))[-1] == name:  # noqa: ASYNC110 — the state of a server
            await asyncio.sleep(0.05)
    found = await scheduled(handle)
    place = [one for one, _ in found].index(name)
    return found[place + 1][1] - found[place][1]


async def test_looks_no_oftener_than_it_must(serve: Serve) -> None:
    """It begins with what the look before leaping has seen, and is at rest where it ends."""
    cluster = settled()
    before = {"seen": cluster.seen(), "provider_errors": ()}
    cluster.preflight_result = cluster.preflight_result.model_copy(update=before)
    _, handle, _ = await initialised(serve, cluster)

    assert (await asked(handle))[:2] == ["preflight", "create_primary"]
    assert "check_providers" not in await asked(handle)
    assert await looked_at_after(handle, "scale_target") >= RESYNC
    await leave(handle)


async def test_what_was_seen_before_an_outage_is_looked_at_again(serve: Serve) -> None:
    cluster = settled()
    before = {"seen": cluster.seen().model_copy(update={"found_at": EPOCH}), "provider_errors": ()}
    cluster.preflight_result = cluster.preflight_result.model_copy(update=before)
    _, handle, _ = await initialised(serve, cluster)

    assert (await asked(handle))[:2] == ["preflight", "observe"]
    assert "check_providers" in await asked(handle)
    await leave(handle)


@pytest.mark.parametrize(
    ("what", "during"),
    [("a command", "create_primary"), ("a document", "create_primary"), ("a change", "scale_target")],
)
async def test_what_comes_during_an_initialisation_is_looked_at_in_the_end(
    serve: Serve, what: str, during: str
) -> None:
    cluster = settled()
    go = cluster.hangs[during] = asyncio.Event()
    client, spec = await serve(cluster.activities()), a_spec()
    handle, _ = await apply(client, spec)
    async with asyncio.timeout(PATIENCE):
        while not cluster.entered:  # noqa: ASYNC110 — the state of a server
            await asyncio.sleep(0.05)
    if what == "a command":
        await handle.signal(Verb.RESTART)
    elif what == "a document":
        await apply(client, spec.model_copy(update={"progress_deadline": timedelta(seconds=7)}))
    else:
        await handle.signal(BELL)
    go.set()
    await in_phase(handle, Phase.INITIALIZED)

    assert await looked_at_after(handle, "scale_target") < RESYNC
    await leave(handle)


async def test_a_load_tester_of_its_own_comes_first(serve: Serve) -> None:
    cluster = settled()
    _, handle, _ = await initialised(serve, cluster, test_loader=TestLoader(name="backend-testloader"))

    assert cluster.log[:2] == ["load tester", "create primary"]
    await leave(handle)


async def test_a_document_applied_again_deploys_a_load_tester_that_is_outdated(serve: Serve) -> None:
    cluster = settled()
    wanted = TestLoader(name="backend-testloader")
    client, handle, spec = await initialised(serve, cluster, test_loader=wanted)
    for _ in range(2):
        _, result = await apply(client, spec)
        assert (result.accepted, result.changed) == (True, False)
    assert cluster.log.count("load tester") == 1
    cluster.preflight_result = Preflight(is_outdated=True)
    await apply(client, spec)

    async with asyncio.timeout(PATIENCE):
        while cluster.log.count("load tester") < 2:  # noqa: ASYNC110 — a fake tells no event
            await asyncio.sleep(0.05)
    await leave(handle)


async def test_waits_for_a_target_that_the_source_has_yet_to_bring(serve: Serve) -> None:
    cluster = settled()
    looks = asyncio.Event()
    target_there = cluster.seen

    def nothing_yet():  # noqa: ANN202 — an observation
        looks.set()
        return target_there().model_copy(update={"target": None})

    cluster.seen = nothing_yet  # type: ignore[method-assign]
    client, spec = await serve(cluster.activities()), a_spec()
    handle, _ = await apply(client, spec)
    await looks.wait()

    waiting = await until(handle, lambda found: "to be there" in found.message)
    cluster.seen = target_there  # type: ignore[method-assign]
    await handle.signal(BELL)

    assert waiting.phase is Phase.INITIALIZING
    await in_phase(handle, Phase.INITIALIZED)
    await leave(handle)


async def test_a_change_is_rolled_out_and_promoted(serve: Serve) -> None:
    cluster = settled()
    client, handle, spec = await initialised(serve, cluster)
    cluster.target = NEW

    await handle.signal(BELL)

    found = await in_phase(handle, Phase.SUCCEEDED)
    assert (found.outcome, found.last_promoted) == (Outcome.PROMOTED, NEW)
    rollout = await client.get_workflow_handle(rollout_id(spec.tail)).describe()
    assert rollout.status is WorkflowExecutionStatus.COMPLETED
    await leave(handle)


def with_query(spec: CanarySpec, query: str) -> CanarySpec:
    """A spec whose one metric is a template of the cluster's, with this query."""
    place = ObjectRef(namespace="istio-system", name="errors", path="spec.analysis.metrics[0].templateRef")
    template = MetricTemplate(name="errors", namespace="istio-system", query=query, provider=MetricProvider())
    metric = MetricSpec(name="errors", template=template, template_ref=place)
    return spec.model_copy(update={"analysis": spec.analysis.model_copy(update={"metrics": (metric,)})})


def query_of(spec: CanarySpec) -> str:
    template = spec.analysis.metrics[0].template
    assert template is not None
    return template.query


async def test_templates_of_the_cluster_are_read_again_when_a_rollout_begins(serve: Serve) -> None:
    """Flagger reads them at every check: what is changed in one counts without another `apply`."""
    cluster = settled()
    cluster.read_in = lambda spec: with_query(spec, "new")
    client, spec = await serve(cluster.activities()), with_query(a_spec(), "old")
    handle, _ = await apply(client, spec)
    await in_phase(handle, Phase.INITIALIZED)
    before = await handle.query(STATUS, result_type=CanaryView)
    cluster.target = NEW
    await handle.signal(BELL)
    await in_phase(handle, Phase.SUCCEEDED)

    rollout = await client.get_workflow_handle(rollout_id(spec.tail)).query(STATUS, result_type=RolloutView)
    assert (query_of(before.spec), query_of(rollout.spec)) == ("old", "new")
    await leave(handle)


async def test_without_its_templates_no_rollout_begins(serve: Serve) -> None:
    cluster = settled()
    cluster.missing = "MetricTemplate istio-system/errors not found in member1; pass it with -f"
    client, spec = await serve(cluster.activities()), with_query(a_spec(), "old")
    handle, _ = await apply(client, spec)
    await in_phase(handle, Phase.INITIALIZED)
    cluster.target = NEW
    await handle.signal(BELL)
    held = await until(handle, lambda found: found.needs_person)

    assert held.message == f"No rollout begins: {cluster.missing}"
    assert held.phase is Phase.INITIALIZED
    cluster.missing = ""
    done = await in_phase(handle, Phase.SUCCEEDED)
    assert not done.needs_person
    await leave(handle)


async def test_without_references_nothing_is_read_again(serve: Serve) -> None:
    cluster = settled()
    _, handle, _ = await initialised(serve, cluster)
    cluster.target = NEW
    await handle.signal(BELL)
    await in_phase(handle, Phase.SUCCEEDED)

    assert "read_references" not in await asked(handle)
    await leave(handle)


async def test_shows_no_failed_check_of_another_run(serve: Serve) -> None:
    cluster = settled()
    cluster.values = [90.0, 90.0]
    client, handle, _ = await initialised(serve, cluster)
    cluster.target = NEW
    await handle.signal(BELL)
    await in_phase(handle, Phase.FAILED)
    await handle.execute_update(Verb.RESTART, Command(who="ada"), result_type=dict)
    await in_phase(handle, Phase.SUCCEEDED)
    changes = [
        event.workflow_properties_modified_event_attributes.upserted_memo.fields
        for event in (await handle.fetch_history()).events
        if event.HasField("workflow_properties_modified_event_attributes")
    ]
    rows = [(await client.data_converter.decode([fields[ROW]], [ListRow]))[0] for fields in changes]
    shown = {(row.phase, row.failed_checks) for row in rows}

    assert (Phase.FAILED, 2) in shown
    assert (Phase.PROGRESSING, 2) not in shown
    await leave(handle)


async def test_a_failed_revision_is_not_tried_again_unasked(serve: Serve) -> None:
    cluster = settled()
    cluster.values = [90.0, 90.0]
    _, handle, _ = await initialised(serve, cluster)
    cluster.target = NEW
    await handle.signal(BELL)
    failed = await in_phase(handle, Phase.FAILED)

    await handle.signal(BELL)
    rested = await status(handle)
    answer = await handle.execute_update(Verb.RESTART, Command(who="ada"), result_type=dict)

    assert (failed.outcome, rested.phase) == (Outcome.ROLLED_BACK, Phase.FAILED)
    assert "restart recorded" in answer["message"]
    assert (await in_phase(handle, Phase.SUCCEEDED)).last_promoted == NEW
    await leave(handle)


async def test_a_terminated_rollout_loses_its_traffic(serve: Serve) -> None:
    cluster = settled()
    client, handle, spec = await initialised(serve, cluster)
    cluster.hangs["analyse"] = asyncio.Event()
    cluster.target = NEW
    await handle.signal(BELL)
    await until_weight(cluster, 10)

    await client.get_workflow_handle(rollout_id(spec.tail)).terminate("by hand")

    found = await in_phase(handle, Phase.FAILED)
    cluster.hangs.pop("analyse").set()
    assert found.outcome is Outcome.ABORTED
    assert (cluster.weight, cluster.target_replicas) == (0, 0)
    await leave(handle)


@pytest.mark.proves("T4")
async def test_a_promotion_that_is_cut_off_holds_and_asks(serve: Serve) -> None:
    """Where the engine's rollout was ended in mid-promotion no revision gets users unasked.

    T4: Flagger's scheduler.go.
    """
    cluster = settled()
    client, handle, spec = await initialised(serve, cluster)
    cluster.hangs["analyse"] = asyncio.Event()
    cluster.target = NEW
    await handle.signal(BELL)
    await until_weight(cluster, 10)
    cluster.promoting = "new"

    await client.get_workflow_handle(rollout_id(spec.tail)).terminate("by hand")

    found = await in_phase(handle, Phase.FAILED)
    cluster.hangs.pop("analyse").set()
    assert found.outcome is Outcome.HALTED
    assert cluster.weight == 10
    await handle.execute_update(Verb.ABORT, Command(who="ada"), result_type=dict)
    given_up = await until(handle, lambda status: status.outcome is Outcome.ABORTED)
    assert given_up.traffic_weight == 0
    assert cluster.log[-3:] == ["restore primary", "weight 0", "target 0"]
    await leave(handle)


async def until_weight(cluster: Cluster, weight: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while cluster.weight != weight:  # noqa: ASYNC110 — as above
            await asyncio.sleep(0.05)


async def until_refused(cluster: Cluster, activity: str) -> None:
    async with asyncio.timeout(PATIENCE):
        while activity not in cluster.refused:  # noqa: ASYNC110 — as above
            await asyncio.sleep(0.05)


async def until_entered(cluster: Cluster, activity: str, times: int = 1) -> None:
    async with asyncio.timeout(PATIENCE):
        while cluster.entered.count(activity) < times:  # noqa: ASYNC110 — as above
            await asyncio.sleep(0.05)


async def test_abort_while_initialising_leaves_the_target_serving(serve: Serve) -> None:
    cluster = settled()
    cluster.primary_ready = False
    client, spec = await serve(cluster.activities()), a_spec()
    handle, _ = await apply(client, spec)
    await until(handle, lambda found: "not ready" in found.message)

    await handle.execute_update(Verb.ABORT, Command(who="ada"), result_type=dict)

    found = await in_phase(handle, Phase.FAILED)
    assert found.outcome is Outcome.ABORTED
    assert "routes" not in cluster.log
    assert "target 0" not in cluster.log
    cluster.primary_ready = True
    await handle.execute_update(Verb.RESTART, Command(who="ada"), result_type=dict)
    await in_phase(handle, Phase.INITIALIZED)
    await leave(handle)


@pytest.mark.proves("T20")
async def test_a_refused_first_apply_closes_the_workflow(serve: Serve) -> None:
    """An invalid document is answered; in Flagger it stays as a Canary without a status.

    T20: Flagger's controller.go.
    """
    cluster = settled()
    problem = Problem(path="spec.targetRef.name", message="Deployment backend not found")
    cluster.preflight_result = Preflight(problems=(problem,))

    handle, result = await apply(await serve(cluster.activities()), a_spec())

    assert result == ApplyResult(accepted=False, problems=(problem,))
    await handle.result()
    assert cluster.log == []


async def test_delivers_by_what_was_read_from_the_cluster(serve: Serve) -> None:
    cluster = settled()
    given = a_spec()
    whole = given.model_copy(update={"progress_deadline": timedelta(seconds=77)})
    cluster.preflight_result = Preflight(spec=whole, scale_down_delay=timedelta(seconds=1))
    client = await serve(cluster.activities())

    handle, first = await apply(client, given)
    view = await handle.query(STATUS, result_type=CanaryView)
    _, again = await apply(client, given)

    assert isinstance(view, CanaryView)
    assert view.spec == whole
    assert (first.created, first.changed) == (True, True)
    assert (again.created, again.changed) == (False, False)
    await in_phase(handle, Phase.INITIALIZED)
    await leave(handle)


async def test_a_document_that_names_what_nobody_has_is_refused(serve: Serve) -> None:
    cluster = settled()
    missing = Problem(path="x", message="MetricTemplate a/b not found", is_missing=True)
    cluster.preflight_result = Preflight(missing=(missing,))

    handle, result = await apply(await serve(cluster.activities()), a_spec())

    assert result == ApplyResult(accepted=False, problems=(missing,))
    await handle.result()


async def test_a_refused_document_leaves_the_running_one(serve: Serve) -> None:
    cluster = settled()
    client, handle, spec = await initialised(serve, cluster)
    cluster.preflight_result = Preflight(problems=(Problem(path="x", message="no"),))

    _, result = await apply(client, spec.model_copy(update={"skip_analysis": True}))

    view = await handle.query(STATUS, result_type=CanaryView)
    assert not result.accepted
    assert isinstance(view, CanaryView)
    assert view.spec == spec
    await leave(handle)


async def test_a_warning_refuses_nothing(serve: Serve) -> None:
    cluster = settled()
    warning = Problem(path="x", message="careful", is_warning=True)
    cluster.preflight_result = Preflight(problems=(warning,), scale_down_delay=timedelta(seconds=1))

    handle, result = await apply(await serve(cluster.activities()), a_spec())

    assert result.accepted
    assert result.problems == (warning,)
    await in_phase(handle, Phase.INITIALIZED)
    await leave(handle)


async def test_deletes_in_the_order_that_loses_no_request(serve: Serve) -> None:
    cluster = settled()
    _, handle, _ = await initialised(serve, cluster)
    cluster.log.clear()

    answer = await handle.execute_update(DELETE, DeleteCommand(), result_type=dict)

    assert cluster.log == ["restore target", "restore routes", "restore routes", "remove objects"]
    assert answer["message"] == "Taken out; the workload is as it was"
    assert (await handle.result()).phase is Phase.TERMINATING


async def test_deleting_in_mid_rollout_ends_the_rollout_first(serve: Serve) -> None:
    cluster = settled()
    _, handle, _ = await initialised(serve, cluster)
    cluster.hangs["analyse"] = asyncio.Event()
    cluster.target = NEW
    await handle.signal(BELL)
    await until_weight(cluster, 10)
    cluster.log.clear()

    await leave(handle)

    cluster.hangs.pop("analyse").set()
    assert cluster.log[:4] == ["weight 0", "target 0", "restore target", "restore routes"]
    assert cluster.log[-1] == "remove objects"


async def test_nothing_to_abort_is_said_so(serve: Serve) -> None:
    _, handle, _ = await initialised(serve, settled())

    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await handle.execute_update(Verb.ABORT, Command(who="ada"), result_type=dict)

    assert "Nothing is running" in str(refused.value.cause)
    await leave(handle)


async def test_a_watch_that_was_terminated_is_told_again(serve: Serve) -> None:
    cluster = settled()
    _, handle, _ = await initialised(serve, cluster)
    known = len(cluster.registrations)

    async with asyncio.timeout(PATIENCE):
        while len(cluster.registrations) < known + 2:  # noqa: ASYNC110 — as above
            await asyncio.sleep(0.05)

    assert cluster.registrations[-1] == cluster.registrations[0]
    await leave(handle)


async def test_tells_the_watch_which_objects_concern_it(serve: Serve) -> None:
    cluster = settled()
    _, handle, spec = await initialised(serve, cluster)
    await leave(handle)

    first, last = cluster.registrations[0].argument, cluster.registrations[-1].argument
    assert first["canary"] == spec.tail
    assert first["objects"] == [
        "Deployment/backend",
        "Deployment/backend-primary",
        "VirtualService/backend",
        "Service/backend",
        "Service/backend-canary",
        "Service/backend-primary",
    ]
    assert last["remove"] is True


@pytest.mark.parametrize("argument", [(), ("stop it",), ({"who": "ada"},), ([1, 2],)])
async def test_a_signal_aborts_whatever_it_brings(serve: Serve, argument: tuple[Any, ...]) -> None:
    cluster = settled()
    client, handle, spec = await initialised(serve, cluster)
    cluster.hangs["analyse"] = asyncio.Event()
    cluster.target = NEW
    await handle.signal(BELL)
    await until_weight(cluster, 10)

    await client.get_workflow_handle(rollout_id(spec.tail)).signal(Verb.ABORT, args=list(argument))

    found = await in_phase(handle, Phase.FAILED)
    cluster.hangs.pop("analyse").set()
    assert found.outcome is Outcome.ABORTED
    assert cluster.weight == 0
    await leave(handle)
