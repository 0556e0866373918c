"""Commands, documents and ends that reach a canary's workflow at the worst of its moments."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from temporalio.client import Client, WorkflowUpdateFailedError

from activities.cluster.preflight import Preflight
from canary.notice import Notice
from canary.spec import CanarySpec
from canary.status import Outcome, Phase
from tests.workflows.cluster import NEW, OLD, Cluster, seed_spec
from tests.workflows.conftest import Serve
from tests.workflows.test_canary import (
    Handle,
    a_spec,
    apply,
    in_phase,
    initialised,
    leave,
    settled,
    status,
    until,
)
from tests.workflows.test_canary_hardships import FORBIDDEN
from tests.workflows.test_gates import alerting
from tests.workflows.test_rollout_adversarial import held, release
from tests.workflows.test_rollout_hardships import until as it_is
from workflows.contract import (
    ALERTS,
    BELL,
    QUEUE,
    STATUS,
    Alerts,
    CanaryView,
    Command,
    RolloutStart,
    Verb,
    rollout_id,
)
from workflows.rollout import RolloutWorkflow

ADA = Command(who="ada", reason="looks bad")


async def say(handle: Handle, verb: Verb) -> str:
    """Send a command as an Update; returns what is answered."""
    answer: dict[str, str] = await handle.execute_update(verb, ADA, result_type=dict)
    return answer["message"]


def with_alerts() -> dict[str, Any]:
    alerts = alerting().analysis.alerts
    return {"analysis": seed_spec().analysis.model_copy(update={"alerts": alerts})}


async def document(handle: Handle) -> CanarySpec:
    view = await handle.query(STATUS, result_type=CanaryView)
    assert isinstance(view, CanaryView)
    return view.spec


async def taken_back(serve: Serve, cluster: Cluster) -> tuple[Client, Handle, CanarySpec]:
    """A canary whose rollout hangs in the write that takes all traffic back."""
    cluster.values = [98.0] * 9
    client, handle, spec = await initialised(serve, cluster)
    cluster.target = NEW
    await handle.signal(BELL)
    await held(cluster, "analyse")
    await held(cluster, "shift_traffic", after="analyse")
    return client, handle, spec


async def test_an_abort_is_not_undone_by_a_restart_before_it(serve: Serve) -> None:
    cluster = settled()
    cluster.primary_ready = False
    client, spec = await serve(cluster.activities()), a_spec()
    handle, _ = await apply(client, spec)
    await until(handle, lambda found: "not ready" in found.message)
    await say(handle, Verb.RESTART)
    await say(handle, Verb.ABORT)
    aborted = await in_phase(handle, Phase.FAILED)
    cluster.primary_ready = True
    for _ in range(5):
        await handle.signal(BELL)
        await asyncio.sleep(0.1)

    still = await status(handle)
    await say(handle, Verb.RESTART)

    assert (aborted.outcome, still.phase) == (Outcome.ABORTED, Phase.FAILED)
    await in_phase(handle, Phase.INITIALIZED)
    await leave(handle)


async def test_an_abort_does_not_wait_for_the_mesh(serve: Serve) -> None:
    """A clock that skips goes like any other while an alert is under way."""
    cluster = settled()
    cluster.preflight_result = Preflight(scale_down_delay=timedelta(seconds=60))
    cluster.hangs["lead_to_primary"] = asyncio.Event()
    client = await serve(cluster.activities())
    handle, _ = await apply(client, a_spec())
    await it_is(lambda: "lead_to_primary" in cluster.entered)
    notice = Notice(reason="Test", message="m")
    await handle.signal(ALERTS, Alerts(phase=Phase.INITIALIZING, revision=OLD, notices=(notice,)))
    await held(cluster, "alert", after="lead_to_primary")
    await it_is(lambda: "routes" in cluster.log)

    await say(handle, Verb.ABORT)

    async with asyncio.timeout(5):
        await in_phase(handle, Phase.FAILED)
    release(cluster, "alert")
    assert "target 0" not in cluster.log
    await leave(handle)


async def test_a_restart_while_a_rollout_is_taken_back_begins_another(serve: Serve) -> None:
    cluster = settled()
    _, handle, _ = await taken_back(serve, cluster)

    answer = await say(handle, Verb.RESTART)
    cluster.values = []
    release(cluster, "shift_traffic")

    assert answer.startswith("restart passed on")
    assert (await in_phase(handle, Phase.SUCCEEDED)).last_promoted == NEW
    await leave(handle)


async def test_an_abort_after_a_restart_while_a_rollout_is_taken_back_begins_no_other(serve: Serve) -> None:
    cluster = settled()
    _, handle, _ = await taken_back(serve, cluster)
    await say(handle, Verb.RESTART)

    await say(handle, Verb.ABORT)
    cluster.values = []
    release(cluster, "shift_traffic")

    await in_phase(handle, Phase.FAILED)
    await handle.signal(BELL)
    await asyncio.sleep(0.5)
    assert (await status(handle)).phase is Phase.FAILED
    await leave(handle)


async def test_an_abort_while_a_promotion_is_halted_puts_the_promoted_version_back(serve: Serve) -> None:
    cluster = settled()
    _, handle, _ = await initialised(serve, cluster)
    cluster.target = NEW
    await handle.signal(BELL)
    await held(cluster, "promote")
    cluster.primary_ready = False
    await held(cluster, "shift_traffic", after="promote")

    await say(handle, Verb.ABORT)
    cluster.primary_ready = True
    release(cluster, "shift_traffic")

    found = await until(handle, lambda found: found.outcome is Outcome.ABORTED)
    assert (found.traffic_weight, cluster.weight) == (0, 0)
    assert "restore primary" in cluster.log
    await leave(handle)


async def test_a_rollout_that_is_being_started_can_be_aborted(serve: Serve) -> None:
    cluster = settled()
    client, handle, spec = await initialised(serve, cluster)
    orphan = RolloutStart(spec=spec, revision=OLD, promoted=OLD)
    other = await client.start_workflow(
        RolloutWorkflow.run, orphan, id=rollout_id(spec.tail), task_queue=QUEUE
    )
    cluster.hangs["end_orphan"] = asyncio.Event()
    cluster.target = NEW
    await handle.signal(BELL)
    await it_is(lambda: "end_orphan" in cluster.entered)

    answer = await say(handle, Verb.ABORT)
    await other.terminate()
    cluster.log.clear()
    release(cluster, "end_orphan")

    assert answer.startswith("abort recorded")
    assert (await in_phase(handle, Phase.FAILED)).outcome is Outcome.ABORTED
    assert "weight 10" not in cluster.log
    await leave(handle)


async def test_who_took_a_hand_is_known_until_the_next_rollout(serve: Serve) -> None:
    cluster = settled()
    _, handle, _ = await initialised(serve, cluster)
    cluster.target = NEW
    await handle.signal(BELL)
    await held(cluster, "analyse")
    await say(handle, Verb.RESTART)
    release(cluster, "analyse")
    first = await in_phase(handle, Phase.SUCCEEDED)

    cluster.target = OLD
    await handle.signal(BELL)
    await held(cluster, "analyse")
    running = await status(handle)
    release(cluster, "analyse")
    second = await until(handle, lambda found: found.last_promoted == OLD)

    assert first.by is not None
    assert (first.by.who, first.by.reason, first.restarts) == ("ada", "looks bad", 1)
    assert (running.by, running.restarts, second.by, second.restarts) == (None, 0, None, 0)
    await leave(handle)


async def test_the_document_that_was_applied_last_stands(serve: Serve) -> None:
    cluster = settled()
    client, handle, spec = await initialised(serve, cluster)
    cluster.hangs["preflight"] = asyncio.Event()
    cluster.entered.clear()
    first = asyncio.create_task(apply(client, spec.model_copy(update={"skip_analysis": True})))
    await it_is(lambda: "preflight" in cluster.entered)
    slow = cluster.hangs.pop("preflight")

    last = asyncio.create_task(apply(client, spec.model_copy(update={"suspend": True})))
    await asyncio.wait([last], timeout=0.5)
    slow.set()
    await asyncio.gather(first, last)

    found = await document(handle)
    assert (found.suspend, found.skip_analysis) == (True, False)
    await leave(handle)


async def test_an_apply_that_hangs_does_not_keep_a_canary_from_leaving(serve: Serve) -> None:
    cluster = settled()
    client, handle, spec = await initialised(serve, cluster)
    cluster.hangs["preflight"] = asyncio.Event()
    cluster.entered.clear()
    applied = asyncio.create_task(apply(client, spec))
    await it_is(lambda: "preflight" in cluster.entered)

    await asyncio.wait_for(leave(handle), 10)

    release(cluster, "preflight")
    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await applied
    assert "is being deleted" in str(refused.value.cause)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        pytest.param({}, "old is promoted already", id="nothing to roll out"),
        pytest.param({"suspend": True}, "Suspended: a new revision starts nothing", id="suspended"),
    ],
)
async def test_a_restart_of_what_cannot_be_restarted_is_answered_for(
    serve: Serve, changes: dict[str, Any], why: str
) -> None:
    cluster = settled()
    _, handle, _ = await initialised(serve, cluster, **with_alerts(), **changes)
    if changes:
        cluster.target = NEW

    await say(handle, Verb.RESTART)

    told = f"warn restart by ada is not done. {why}"
    await it_is(lambda: told in cluster.alerts)
    await leave(handle)


class Orphaned(Cluster):
    """A cluster whose promotion comes to its end together with the rollout that nobody waits for."""

    async def _enter(self, name: str) -> None:
        if name == "end_orphan":
            self.primary, self.promoting = self.target, ""
        await super()._enter(name)


async def test_a_promotion_that_ends_with_its_orphaned_rollout_was_not_cut_off(serve: Serve) -> None:
    cluster = Orphaned(target=NEW, target_replicas=2, primary=OLD, promoting="new")
    _, handle, _ = await initialised(serve, cluster)

    found = await status(handle)

    assert (found.outcome, found.last_promoted) == (None, NEW)
    await leave(handle)


async def test_a_promotion_cut_off_before_the_primary_can_tell_is_taken_back(serve: Serve) -> None:
    """It may have written the primary's configs, and what it was about to write may still arrive."""
    cluster = settled()
    client, handle, spec = await initialised(serve, cluster)
    cluster.target = NEW
    await handle.signal(BELL)
    await held(cluster, "promote")
    cluster.log.clear()

    await client.get_workflow_handle(rollout_id(spec.tail)).terminate("by hand")

    await until(handle, lambda found: found.outcome is Outcome.ABORTED)
    assert cluster.log == ["weight 0", "restore primary", "target 0"]
    await leave(handle)


async def test_a_registration_that_was_cut_off_is_made_in_the_end(serve: Serve) -> None:
    cluster = settled()
    cluster.hangs["signal_with_start"] = asyncio.Event()
    cluster.refusals["create_primary"] = FORBIDDEN
    client = await serve(cluster.activities())
    handle, _ = await apply(client, a_spec())
    await until(handle, lambda found: found.needs_person)
    cluster.hangs.pop("signal_with_start")

    del cluster.refusals["create_primary"]

    await in_phase(handle, Phase.INITIALIZED)
    assert cluster.registrations
    await leave(handle)
