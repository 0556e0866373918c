"""What a rollout goes through when things are refused, change under way or come at the wrong moment."""

import asyncio
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowHandle
from temporalio.exceptions import ApplicationError

from activities.cluster.traffic import Written
from canary.revision import checksum
from canary.spec import CanarySpec, HookType, MetricSpec, ThresholdRange
from canary.status import Outcome, Phase, Revision, RolloutStatus
from canary.transition import begin, resumed
from tests.workflows.cluster import EPOCH, NEW, OLD, Cluster, seed_spec
from tests.workflows.conftest import Serve
from tests.workflows.test_gates import MATCH, Handle, approve, spec_with, status_is
from tests.workflows.test_rollout import outcome, start
from workflows.carrying import PAUSE
from workflows.contract import BELL, QUEUE, STATUS, UPDATE_SPEC, Command, RolloutStart, RolloutView, Verb
from workflows.rollout import RolloutWorkflow

FORBIDDEN = ApplicationError("patch of virtualservices", type="Forbidden", non_retryable=True)
PATIENCE = 30
NOT_READY = (
    "canary deployment backend.webapp not ready: waiting for rollout to finish: 1 of 2 (readyThreshold 100%) "
    "updated replicas are available"
)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not holds():  # noqa: ASYNC110 — a fake tells no event
            await asyncio.sleep(0.02)


async def test_a_check_from_before_the_engine_was_away_moves_no_traffic(serve: Serve) -> None:
    """It passed, and was stored; by the time that somebody could act on it the canary fails."""
    cluster = Cluster(outdated=["analyse"], values=[100.0, 50.0, 50.0])
    handle = await start(await serve(cluster.activities()), seed_spec())

    assert (await outcome(handle)).type == "RolledBack"
    assert cluster.log.count("check 50.0") == 2
    assert "check 100.0" in cluster.log
    assert "weight 20" not in cluster.log


async def overdue(serve: Serve, cluster: Cluster) -> Handle:
    """A rollout at weight 10 whose check is five minutes late."""
    client, spec = await serve(cluster.activities()), seed_spec()
    long_ago = datetime.now(UTC) - timedelta(minutes=5)
    status = resumed(spec, begin(spec, NEW, OLD, 1, long_ago), 10)
    return await client.start_workflow(
        RolloutWorkflow.run,
        RolloutStart(spec=spec, revision=NEW, promoted=OLD, status=status),
        id=f"rollout/{uuid.uuid4()}",
        task_queue=QUEUE,
    )


async def test_after_the_engine_was_away_a_look_comes_before_the_check(serve: Serve) -> None:
    """What was pushed meanwhile keeps its weight for no check."""
    cluster = Cluster(target=Revision(template="newer"), target_replicas=1, weight=10)
    handle = await overdue(serve, cluster)

    assert (await handle.result()).restarts == 1
    assert cluster.log[0] == "weight 0"


async def test_a_check_that_is_late_is_carried_out_once(serve: Serve) -> None:
    cluster = Cluster(target_replicas=1, weight=10)
    handle = await overdue(serve, cluster)

    assert (await handle.result()).outcome is Outcome.PROMOTED
    assert cluster.log[:3] == ["check 100.0", "weight 20", "check 100.0"]


async def test_a_gate_that_opened_before_the_engine_was_away_is_asked_again(serve: Serve) -> None:
    cluster = Cluster(outdated=["ask_gates"])
    handle = await start(await serve(cluster.activities()), spec_with(HookType.CONFIRM_ROLLOUT))

    assert (await handle.result()).outcome is Outcome.PROMOTED
    assert cluster.log[:2] == ["confirm-rollout passes"] * 2


async def test_what_was_seen_before_the_engine_was_away_is_looked_at_again(serve: Serve) -> None:
    """It had gone back to the promoted version by then, which would end the rollout."""
    cluster = Cluster(seen_before=Cluster(target=OLD).seen())
    handle = await start(await serve(cluster.activities()), seed_spec())
    await handle.signal(BELL)

    assert (await handle.result()).outcome is Outcome.PROMOTED
    assert cluster.seen_before is None


async def test_an_abort_decided_before_the_engine_was_away_is_decided_anew_at_once(serve: Serve) -> None:
    """The primary may have stopped serving meanwhile, so there is a look; and no pause, for it took long."""
    cluster = Cluster(hangs={"analyse": asyncio.Event()})
    handle = await start(await serve(cluster.activities()), seed_spec())
    await until(lambda: cluster.weight == 10)
    cluster.late_shifts = 1
    await handle.execute_update(Verb.ABORT, Command(who="ada"), result_type=dict)
    ended = await outcome(handle)
    cluster.hangs.pop("analyse").set()

    assert ended.type == "Aborted"
    assert (cluster.late_shifts, cluster.weight) == (0, 0)
    assert PAUSE not in await timers(handle)


async def timers(handle: Handle) -> list[timedelta]:
    """What was waited for, or was to be."""
    return [
        event.timer_started_event_attributes.start_to_fire_timeout.ToTimedelta()
        for event in (await handle.fetch_history()).events
        if event.HasField("timer_started_event_attributes")
    ]


@pytest.mark.parametrize("is_rung", [True, False], ids=["a bell rings", "the watch is away"])
async def test_a_check_grows_nothing_on_what_it_saw_before_its_hooks(serve: Serve, *, is_rung: bool) -> None:
    """All its canary's pods were ready when it began, and are not when its hooks have been called."""
    cluster = Cluster(hangs={"analyse": asyncio.Event()})
    handle = await start(await serve(cluster.activities()), seed_spec())
    await until(lambda: "analyse" in cluster.entered)
    cluster.checked = cluster.seen() if is_rung else cluster.seen().model_copy(update={"found_at": EPOCH})
    cluster.target_replicas, cluster.unready = 2, 1
    if is_rung:
        await handle.signal(BELL)
    cluster.hangs.pop("analyse").set()
    held = await status_is(handle, checks=1, message=NOT_READY)
    cluster.checked, cluster.unready = None, 0

    assert held.traffic_weight == 10
    assert (await handle.result()).outcome is Outcome.PROMOTED


async def test_configs_that_change_in_mid_run_are_judged_by_pods_that_have_them(serve: Serve) -> None:
    """The template is the same, so nobody else starts pods anew; and a new config is watched from now on."""
    cluster = Cluster(hangs={"analyse": asyncio.Event()})
    handle = await start(await serve(cluster.activities()), seed_spec())
    await until(lambda: "analyse" in cluster.entered)
    cluster.target = Revision(template=NEW.template, configs={"configmap/settings": "1"})
    await handle.signal(BELL)
    await until(lambda: "weight 0" in cluster.log)
    cluster.hangs.pop("analyse").set()

    assert (await handle.result()).outcome is Outcome.PROMOTED
    scaled = [line for line in cluster.log[cluster.log.index("weight 0") :] if line.startswith("target")]
    assert scaled[0] == f"target 1 with {checksum(cluster.target)}"
    (told,) = cluster.registrations
    assert "ConfigMap/settings" in told.argument["objects"]


async def test_configs_that_change_in_front_of_a_gate_are_judged_by_pods_that_have_them(serve: Serve) -> None:
    """The canary has pods by then: a newer revision has sent it back to its gate."""
    cluster = Cluster(hangs={"analyse": asyncio.Event()})
    handle = await start(await serve(cluster.activities()), spec_with(HookType.CONFIRM_ROLLOUT))
    await until(lambda: cluster.weight > 0)
    cluster.gates["confirm-rollout"] = False
    cluster.target = Revision(template="newer")
    await handle.signal(BELL)
    await status_is(handle, phase=Phase.WAITING, restarts=1)
    cluster.log.clear()
    cluster.target = Revision(template="newer", configs={"configmap/settings": "1"})
    await handle.signal(BELL)
    await status_is(handle, restarts=2)
    cluster.hangs.pop("analyse").set()
    cluster.gates.clear()

    assert (await handle.result()).outcome is Outcome.PROMOTED
    scaled = [line for line in cluster.log if line.startswith("target 1")]
    assert scaled == [f"target 1 with {checksum(cluster.target)}", "target 1", "target 1"]


async def test_a_revision_that_changes_before_its_gate_opens_gets_no_pods(serve: Serve) -> None:
    cluster = Cluster(gates={"confirm-rollout": False})
    handle = await start(await serve(cluster.activities()), spec_with(HookType.CONFIRM_ROLLOUT))
    await status_is(handle, waiting_for=HookType.CONFIRM_ROLLOUT)
    cluster.target = Revision(template=NEW.template, configs={"configmap/settings": "1"})
    await handle.signal(BELL)
    await status_is(handle, restarts=1, waiting_for=HookType.CONFIRM_ROLLOUT)

    assert cluster.target_replicas == 0
    cluster.target = Revision(template="newer")
    await handle.signal(UPDATE_SPEC, spec_with())
    assert (await handle.result()).outcome is Outcome.PROMOTED
    assert "target 1" in cluster.log


async def test_a_canary_that_could_not_be_paused_is_before_its_next_step(serve: Serve) -> None:
    """Its controller had not made the ReplicaSet of its template yet."""
    cluster = Cluster(scaled=Written.UNPAUSED)
    handle = await start(await serve(cluster.activities()), seed_spec())
    await handle.result()

    assert cluster.log[:3] == ["target 1", "target 1", "weight 10"]
    assert cluster.log.count("target 1") == 2


def with_metrics(spec: CanarySpec, count: int) -> CanarySpec:
    metrics = tuple(
        MetricSpec(name=f"metric-{number}", threshold_range=ThresholdRange(min=99)) for number in range(count)
    )
    return spec.model_copy(update={"analysis": spec.analysis.model_copy(update={"metrics": metrics})})


@pytest.mark.parametrize("count", [0, 2])
async def test_a_check_by_another_document_counts_for_nothing(serve: Serve, count: int) -> None:
    cluster = Cluster(hangs={"analyse": asyncio.Event()})
    handle = await start(await serve(cluster.activities()), seed_spec())
    await until(lambda: cluster.weight == 10)

    await handle.signal(UPDATE_SPEC, with_metrics(seed_spec(), count))
    cluster.hangs.pop("analyse").set()

    assert (await handle.result()).outcome is Outcome.PROMOTED


async def test_a_changed_document_reaches_a_gate_that_is_being_asked(serve: Serve) -> None:
    cluster = Cluster(gates={"confirm-rollout": False})
    handle = await start(await serve(cluster.activities()), spec_with(HookType.CONFIRM_ROLLOUT))
    await status_is(handle, waiting_for=HookType.CONFIRM_ROLLOUT)
    spec = spec_with(HookType.CONFIRM_ROLLOUT)
    elsewhere = spec.analysis.webhooks[0].model_copy(update={"name": "elsewhere"})
    analysis = spec.analysis.model_copy(update={"webhooks": (elsewhere,)})

    await handle.signal(UPDATE_SPEC, spec.model_copy(update={"analysis": analysis}))

    assert (await handle.result()).outcome is Outcome.PROMOTED
    assert "elsewhere passes" in cluster.log


async def test_an_approval_is_not_kept_for_the_next_gate(serve: Serve) -> None:
    """It comes while the gate has opened by itself and the weight is being written."""
    cluster = Cluster(gates={"confirm-traffic-increase": False, "confirm-promotion": False})
    spec = spec_with(HookType.CONFIRM_TRAFFIC_INCREASE, HookType.CONFIRM_PROMOTION)
    handle = await start(await serve(cluster.activities()), spec)
    await status_is(handle, waiting_for=HookType.CONFIRM_TRAFFIC_INCREASE)
    cluster.hangs["shift_traffic"] = asyncio.Event()
    cluster.gates["confirm-traffic-increase"] = True
    await until(lambda: "shift_traffic" in cluster.entered)

    await approve(handle)
    cluster.hangs.pop("shift_traffic").set()

    await status_is(handle, phase=Phase.WAITING_PROMOTION)
    await until(lambda: cluster.log.count("confirm-promotion does not pass") > 2)
    assert "promote" not in cluster.log
    await handle.execute_update(Verb.ABORT, Command(who="ada"))
    await outcome(handle)


async def test_a_primary_is_promoted_at_the_size_it_had_when_the_rollout_began(serve: Serve) -> None:
    cluster = Cluster(primary_replicas=3)
    client, spec = await serve(cluster.activities()), spec_with()
    handle = await client.start_workflow(
        RolloutWorkflow.run,
        RolloutStart(spec=spec, revision=NEW, promoted=OLD, primary_size=3, primary_desired=3),
        id=f"rollout/{uuid.uuid4()}",
        task_queue=QUEUE,
    )

    assert (await handle.result()).outcome is Outcome.PROMOTED
    assert cluster.promoted_at == 3


async def test_a_restart_that_was_refused_is_done_in_the_end(serve: Serve) -> None:
    cluster = Cluster(hangs={"analyse": asyncio.Event()})
    handle = await start(await serve(cluster.activities()), seed_spec())
    await until(lambda: cluster.weight == 10)
    cluster.refusals["shift_traffic"] = FORBIDDEN
    await handle.execute_update(Verb.RESTART, Command(who="ada"))
    refused = await status_is(handle, needs_person=True)

    cluster.refusals.clear()

    assert "patch of virtualservices" in refused.message
    await status_is(handle, restarts=1, needs_person=False)
    cluster.hangs.pop("analyse").set()
    assert (await handle.result()).restarts == 1


async def test_abort_ends_a_rollout_whose_beginning_is_refused(serve: Serve) -> None:
    cluster = Cluster(refusals={"scale_target": FORBIDDEN})
    handle = await start(await serve(cluster.activities()), seed_spec())
    await status_is(handle, needs_person=True)
    await handle.execute_update(Verb.ABORT, Command(who="ada"))
    await status_is(handle, phase=Phase.FAILED)

    cluster.refusals.clear()

    assert (await outcome(handle)).type == Outcome.ABORTED


async def test_why_it_ended_outlives_a_refusal_in_the_end(serve: Serve) -> None:
    cluster = Cluster(values=[98.0, 98.0])
    handle = await start(await serve(cluster.activities()), seed_spec())
    await until(lambda: cluster.weight == 10)
    cluster.refusals["scale_target"] = FORBIDDEN
    refused = await status_is(handle, phase=Phase.FAILED, needs_person=True)

    cluster.refusals.clear()

    assert "patch of virtualservices" in refused.message
    assert "failed checks threshold reached" in (await outcome(handle)).message


async def test_a_cancellation_in_the_first_interval_is_an_abort(serve: Serve) -> None:
    cluster = Cluster(hangs={"observe": asyncio.Event()})
    handle = await start(await serve(cluster.activities()), seed_spec())
    await until(lambda: "target 1" in cluster.log)

    await handle.cancel()
    cluster.hangs.pop("observe").set()

    assert (await outcome(handle)).type == Outcome.ABORTED


@pytest.mark.parametrize(
    ("before", "later"),
    [
        pytest.param({"iterations": 9, "match": MATCH}, {}, id="A/B to weights"),
        pytest.param({"iterations": 9, "match": MATCH}, {"iterations": 9}, id="A/B to blue/green"),
        pytest.param({}, {"iterations": 9, "match": MATCH}, id="weights to A/B"),
    ],
)
async def test_another_strategy_begins_the_analysis_again(
    serve: Serve, before: dict[str, object], later: dict[str, object]
) -> None:
    cluster = Cluster()
    handle = await start(await serve(cluster.activities()), spec_with(**before))
    cluster.hangs["analyse"] = asyncio.Event()
    await until(lambda: cluster.weight > 0)
    cluster.log.clear()

    await handle.signal(UPDATE_SPEC, spec_with(**later))
    await status_is(handle, restarts=1)

    assert cluster.log[0] == "weight 0"
    await handle.execute_update(Verb.ABORT, Command(who="ada"))
    cluster.hangs.pop("analyse").set()
    await outcome(handle)


async def runs(client: Client, handle: Handle) -> int:
    return len([one async for one in client.list_workflows(f"WorkflowId = '{handle.id}'")])


async def test_many_histories_give_one_timeline(serve_briefly: Serve) -> None:
    cluster = Cluster(values=[None])
    client = await serve_briefly(cluster.activities())
    handle = await start(client, seed_spec())

    status: RolloutStatus = await handle.result()

    expected = ["target 1", "weight 10", "check None", "check 100.0", "weight 20"]
    assert cluster.log[:5] == expected
    assert [entry for entry in cluster.log if entry.startswith("weight")] == [
        f"weight {weight}" for weight in (10, 20, 30, 40, 50, 0)
    ]
    assert (status.failed_checks, status.checks, status.outcome) == (1, 6, Outcome.PROMOTED)
    assert status.last_transition_time - status.started_at >= timedelta(seconds=90 * 9)
    assert await runs(client, handle) > 2


async def test_a_refusal_without_end_does_not_fill_a_history(serve_briefly: Serve) -> None:
    cluster = Cluster(refusals={"scale_target": FORBIDDEN})
    client = await serve_briefly(cluster.activities())
    handle = await start(client, seed_spec())
    async with asyncio.timeout(PATIENCE):
        while await runs(client, handle) < 3:  # noqa: ASYNC110 — the state of a server
            await asyncio.sleep(0.1)

    cluster.refusals.clear()

    assert (await handle.result()).outcome is Outcome.PROMOTED
    assert cluster.log.count("target 1") == 1


async def test_a_canary_that_could_not_be_paused_is_in_a_later_history(serve_briefly: Serve) -> None:
    gate = HookType.CONFIRM_TRAFFIC_INCREASE
    cluster = Cluster(scaled=Written.UNPAUSED, gates={str(gate): False})
    client = await serve_briefly(cluster.activities())
    handle = await start(client, spec_with(gate))
    current: WorkflowHandle[object, RolloutStatus] = client.get_workflow_handle(handle.id)
    async with asyncio.timeout(PATIENCE):
        while await runs(client, handle) < 2:
            await current.signal("bell")
            await asyncio.sleep(0.1)
    cluster.gates[str(gate)] = True

    assert (await handle.result()).outcome is Outcome.PROMOTED
    assert [entry for entry in cluster.log if entry in ("target 1", "weight 50")] == [
        "target 1",
        "target 1",
        "weight 50",
    ]


async def test_bells_at_a_closed_gate_do_not_fill_a_history(serve_briefly: Serve) -> None:
    cluster = Cluster(gates={"confirm-rollout": False})
    client = await serve_briefly(cluster.activities())
    handle = await start(client, spec_with(HookType.CONFIRM_ROLLOUT))
    current: WorkflowHandle[object, RolloutStatus] = client.get_workflow_handle(handle.id)
    await status_is(handle, waiting_for=HookType.CONFIRM_ROLLOUT)
    async with asyncio.timeout(PATIENCE):
        while await runs(client, handle) < 3:
            await current.signal("bell")
            await asyncio.sleep(0.3)

    await current.execute_update(Verb.APPROVE, Command(who="ada"))

    assert (await handle.result()).outcome is Outcome.PROMOTED
    view: RolloutView = await current.query(STATUS, result_type=RolloutView)
    assert [given.verb for given in view.commands] == [Verb.APPROVE]
    assert (await current.describe()).status is WorkflowExecutionStatus.COMPLETED
