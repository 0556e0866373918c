"""One rollout, under a clock that skips."""

import uuid
from datetime import datetime, timedelta
from typing import NamedTuple

import pytest
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.exceptions import ApplicationError

from canary.spec import CanarySpec
from canary.status import Outcome, Phase, RolloutStatus
from tests.workflows.cluster import NEW, OLD, Cluster, seed_spec
from tests.workflows.conftest import Serve
from workflows.contract import QUEUE, ROW, STATUS, Command, RolloutStart, RolloutView, Verb
from workflows.rollout import RolloutWorkflow

SEED: list[tuple[float, str, int]] = [
    (0, "Progressing", 0),
    (90, "Progressing", 10),
    (180, "Progressing", 10),
    (270, "Progressing", 20),
    (360, "Progressing", 30),
    (450, "Progressing", 40),
    (540, "Progressing", 50),
    (630, "Promoting", 0),
    (720, "Finalising", 0),
    (810, "Succeeded", 0),
]


async def start(client: Client, spec: CanarySpec) -> WorkflowHandle[RolloutWorkflow, RolloutStatus]:
    begin = RolloutStart(spec=spec, revision=NEW, promoted=OLD, scale_down_delay=timedelta(seconds=1))
    return await client.start_workflow(
        RolloutWorkflow.run, begin, id=f"rollout/{uuid.uuid4()}", task_queue=QUEUE
    )


async def outcome(handle: WorkflowHandle[RolloutWorkflow, RolloutStatus]) -> ApplicationError:
    with pytest.raises(WorkflowFailureError) as failed:
        await handle.result()
    assert isinstance(failed.value.cause, ApplicationError)
    return failed.value.cause


class Row(NamedTuple):
    """A transition, as the list shows it."""

    seconds: float
    """Since the beginning."""
    waited: float
    """So much of that was waited for on purpose; the rest is what this machine took to work."""
    phase: str
    weight: int


async def rows(handle: WorkflowHandle[RolloutWorkflow, RolloutStatus]) -> list[Row]:
    """Every transition of a rollout."""
    found: list[Row] = []
    timers: dict[int, float] = {}
    waited, begun = 0.0, None
    for event in (await handle.fetch_history()).events:
        if event.HasField("timer_started_event_attributes"):
            timer = event.timer_started_event_attributes.start_to_fire_timeout
            timers[event.event_id] = timer.ToTimedelta().total_seconds()
        if event.HasField("timer_fired_event_attributes"):
            waited += timers[event.timer_fired_event_attributes.started_event_id]
        if event.HasField("workflow_properties_modified_event_attributes"):
            fields = event.workflow_properties_modified_event_attributes.upserted_memo.fields
            row = (await handle._client.data_converter.decode([fields[ROW]]))[0]
            when = datetime.fromisoformat(row["last_transition_time"])
            begun = begun or when
            found.append(Row((when - begun).total_seconds(), waited, row["phase"], row["weight"]))
    return found


@pytest.mark.proves("C03", "D9")
async def test_gives_the_seeds_timeline(serve: Serve) -> None:
    """Phases, weights and times as Kurator's own page shows them, less Flagger's late start.

    The first check has no data and counts. No step is early, and none is more than two seconds late but for
    what this machine takes to work: the clock skips while all waits, and goes on while an activity works.

    C03, D9: Flagger's scheduler.go, docs/architecture.md.
    """
    cluster = Cluster(values=[None])
    handle = await start(await serve(cluster.activities()), seed_spec())

    status = await handle.result()

    timeline = await rows(handle)
    assert [(row.phase, row.weight) for row in timeline] == [row[1:] for row in SEED]
    assert [row.waited for row in timeline] == pytest.approx([row[0] for row in SEED], abs=2)
    assert all(row.seconds >= expected[0] for row, expected in zip(timeline, SEED, strict=True))
    assert status.failed_checks == 1
    assert status.outcome is Outcome.PROMOTED


@pytest.mark.proves("C25", "D1", "D4")
async def test_rolls_back_at_the_very_check_that_reaches_the_threshold(serve: Serve) -> None:
    """Flagger waits one interval more, and then zeroes what it counted.

    C25, D1, D4: Flagger's scheduler.go, docs/architecture.md.
    """
    cluster = Cluster(values=[98.0, 98.0])
    handle = await start(await serve(cluster.activities()), seed_spec())

    ended = await outcome(handle)

    assert ended.type == Outcome.ROLLED_BACK
    assert cluster.log == ["target 1", "weight 10", "check 98.0", "check 98.0", "weight 0", "target 0"]
    view = await handle.query(STATUS, result_type=RolloutView)
    assert (view.status.phase, view.status.failed_checks) == (Phase.FAILED, 2)
    assert [check.verdict.result for check in view.checks] == ["Failed", "Failed"]


async def test_abort_moves_traffic_before_pods(serve: Serve) -> None:
    cluster = Cluster()
    client = await serve(cluster.activities())
    handle = await start(client, seed_spec())
    await handle.execute_update(Verb.ABORT, Command(who="ada", reason="no"), result_type=dict)

    ended = await outcome(handle)

    assert ended.type == Outcome.ABORTED
    assert "ada" in ended.message
    assert cluster.log[-2:] == ["weight 0", "target 0"]
