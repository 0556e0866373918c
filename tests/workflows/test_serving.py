"""A cluster that only workers of its own reach: what they do, what others do, and what is told of them."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import pairwise
from typing import Any

import pytest
from temporalio import activity
from temporalio.client import Client, WorkflowHandle
from temporalio.worker import Worker

from activities.cluster.preflight import Preflight
from activities.source.delivery import Members, Reachability
from canary.application import ClusterRef
from canary.examination import Examination, Finding, Findings
from canary.notice import Announcement
from canary.problem import Problem
from canary.status import Outcome, Phase
from tests.workflows.cluster import NEW, Cluster, seed_spec
from tests.workflows.conftest import Acts, Serve
from tests.workflows.fleet import Fleet, policy_of, shop
from tests.workflows.test_application import Application
from tests.workflows.test_canary import a_spec, apply, in_phase, leave, settled
from tests.workflows.test_cluster_watch import Watch
from tests.workflows.test_gates import status_is
from tests.workflows.test_rollout import outcome, rows, start
from workflows.cluster_watch import ClusterWatchWorkflow
from workflows.contract import (
    BELL,
    CHECKS_QUEUE,
    DOCTOR_WORKFLOW,
    QUEUE,
    REGISTER,
    STATUS,
    WATCH_QUEUE,
    ApplyResult,
    CanaryView,
    Command,
    Registration,
    Verb,
    doctor_id,
    own_queue,
    rollout_id,
    watch_id,
)

ENGINES = {
    "store_report",
    "signal_with_start",
    "end_orphan",
    "terminate",
    "preflight",
    "fetch_revision",
    "start_and_update",
}
"""What is done outside, too; everything else is done inside."""


@pytest.fixture
def queue() -> str:
    """A task queue of the test's own."""
    return f"member-{uuid.uuid4().hex[:8]}"


class Ear:
    """Stands in for the herald of the worker inside."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    @activity.defn
    async def hand_on(self, announcement: Announcement) -> None:
        self.heard.append(announcement.notice.message)


@asynccontextmanager
async def inside(client: Client, queue: str, acts: Acts, *, checks: int = 10) -> AsyncIterator[Ear]:
    """A worker inside the cluster: its three queues, and no workflows."""
    ear = Ear()
    async with AsyncExitStack() as stack:
        for kind, slots in ((QUEUE, 10), (CHECKS_QUEUE, checks), (WATCH_QUEUE, 10)):
            worker = Worker(
                client,
                task_queue=own_queue(queue, kind),
                activities=[*acts, ear.hand_on],
                max_concurrent_activities=slots,
            )
            await stack.enter_async_context(worker)
        yield ear


async def until_true(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110 — a fake tells no event
            await asyncio.sleep(0.02)


def outside(queue: str) -> Acts:
    """What the shared workers do: they know who serves the cluster, and do not reach it."""
    elsewhere = Preflight(problems=(Problem(path="cluster", message="not here"),), task_queue=queue)
    return [act for act in Cluster(preflight_result=elsewhere).activities() if act.__name__ in ENGINES]


async def places(handle: WorkflowHandle[Any, Any]) -> list[tuple[str, str]]:
    """Each activity of a workflow's history, and the queue it was put on."""
    scheduled = [
        event.activity_task_scheduled_event_attributes
        for event in (await handle.fetch_history()).events
        if event.HasField("activity_task_scheduled_event_attributes")
    ]
    return [(one.activity_type.name, one.task_queue.name) for one in scheduled]


async def test_a_clusters_work_is_done_inside_and_the_engines_outside(serve: Serve, queue: str) -> None:
    cluster, spec = settled(), a_spec()
    client = await serve(outside(queue))
    async with inside(client, queue, cluster.activities()) as ear:
        handle, result = await apply(client, spec)
        await in_phase(handle, Phase.INITIALIZED)
        cluster.target = NEW
        await handle.signal(BELL)
        await in_phase(handle, Phase.SUCCEEDED)
        rollout = client.get_workflow_handle(rollout_id(spec.tail))
        done = {*await places(rollout), *await places(handle)}
        await leave(handle)

    assert result.accepted
    assert {name for name, where in done if where in (QUEUE, CHECKS_QUEUE)} <= ENGINES
    assert {
        ("observe", queue),
        ("scale_target", queue),
        ("shift_traffic", queue),
        ("promote", queue),
        ("analyse", f"{queue}-checks"),
        ("check_providers", f"{queue}-checks"),
        ("store_report", CHECKS_QUEUE),
        ("signal_with_start", QUEUE),
    } <= done
    assert "Starting canary analysis" in " ".join(ear.heard)


async def test_what_the_look_before_leaping_heard_of_a_provider_is_told(serve: Serve, queue: str) -> None:
    cluster, spec = settled(), a_spec()
    before = {"seen": cluster.seen(), "provider_errors": ("Prometheus is away",)}
    cluster.preflight_result = cluster.preflight_result.model_copy(update=before)
    client = await serve(outside(queue))
    async with inside(client, queue, cluster.activities()) as ear:
        handle, _ = await apply(client, spec)
        await in_phase(handle, Phase.INITIALIZED)
        await until_true(lambda: "Error checking metric providers: Prometheus is away" in ear.heard)
        await leave(handle)


async def test_an_abort_does_not_wait_for_the_slots_of_hanging_checks(serve: Serve, queue: str) -> None:
    cluster = Cluster(hangs={"analyse": asyncio.Event()})
    client = await serve(outside(queue))
    async with inside(client, queue, cluster.activities(), checks=1):
        handle = await start(client, seed_spec(task_queue=queue))
        await until_true(lambda: "analyse" in cluster.entered)
        async with asyncio.timeout(5):
            await handle.execute_update(Verb.ABORT, Command(who="ada"), result_type=dict)
            await until_true(lambda: not cluster.weight)
        cluster.hangs["analyse"].set()

        assert (await outcome(handle)).type == Outcome.ABORTED


async def test_a_rollout_waits_for_a_worker_that_is_away_and_says_so(serve: Serve, queue: str) -> None:
    cluster = Cluster(hangs={"analyse": asyncio.Event()})
    client = await serve(outside(queue))
    async with inside(client, queue, cluster.activities()):
        handle = await start(client, seed_spec(task_queue=queue))
        await until_true(lambda: "analyse" in cluster.entered)
    await handle.signal(BELL)

    await status_is(
        handle,
        message=(
            f"No worker of task queue {queue} answers: see that one runs inside the cluster "
            f"(canary-worker --task-queue {queue})"
        ),
        needs_person=True,
    )
    assert cluster.weight == 10
    cluster.hangs.pop("analyse")
    async with inside(client, queue, cluster.activities()):
        ended = await handle.result()

    begun: dict[int, float] = {}
    for row in await rows(handle):
        if row.phase == Phase.PROGRESSING:
            begun.setdefault(row.weight, row.seconds)
    assert ended.outcome is Outcome.PROMOTED
    assert not ended.needs_person
    assert list(begun) == [0, 10, 20, 30, 40, 50]
    assert all(later - earlier >= 90 for earlier, later in pairwise(begun.values()))


async def test_the_next_apply_follows_a_cluster_to_another_queue(serve: Serve, queue: str) -> None:
    cluster, spec, moved = settled(), a_spec(), f"{queue}-moved"
    teller = Cluster(preflight_result=Preflight(task_queue=queue))
    client = await serve([act for act in teller.activities() if act.__name__ in ENGINES])
    async with inside(client, queue, cluster.activities()), inside(client, moved, cluster.activities()):
        handle, _ = await apply(client, spec)
        await in_phase(handle, Phase.INITIALIZED)
        _, same = await apply(client, spec)
        teller.preflight_result = Preflight(task_queue=moved)
        _, another = await apply(client, spec)
        view = await handle.query(STATUS, result_type=CanaryView)
        await until_true(lambda: teller.registrations[-1].argument["task_queue"] == moved)
        await leave(handle)

    assert isinstance(view, CanaryView)
    assert (same.changed, another.changed) == (False, True)
    assert view.spec.task_queue == moved
    assert ("restore_target", moved) in await places(handle)
    queues = [one.argument["task_queue"] for one in teller.registrations if not one.argument["remove"]]
    assert list(dict.fromkeys(queues)) == [queue, moved]  # each is told again at every resync


async def test_the_watch_is_where_the_newest_registration_says(serve: Serve, queue: str) -> None:
    watch, cluster = Watch(), f"member-{uuid.uuid4().hex[:8]}"
    client = await serve([watch.watch_cluster])
    one = Registration(canary=f"{cluster}/a", namespace="a", task_queue=queue)
    async with inside(client, queue, [watch.watch_cluster]):
        handle = await client.start_workflow(
            ClusterWatchWorkflow.run,
            id=watch_id(cluster),
            task_queue=QUEUE,
            start_signal=REGISTER,
            start_signal_args=[one],
        )
        await watch.until(1)
        await handle.signal(REGISTER, Registration(canary=f"{cluster}/b", namespace="b", task_queue=""))
        await watch.until(2)
        await handle.signal(REGISTER, one)  # says nothing new
        await handle.signal(
            REGISTER, Registration(canary=f"{cluster}/b", namespace="b", task_queue=queue, remove=True)
        )
        await watch.until(1)
        found = [where for _, where in await places(handle)]
        await handle.terminate()

    assert found == [f"{queue}-watch", WATCH_QUEUE, WATCH_QUEUE]


class Knowing(Fleet):
    """The shared workers of a fleet: they know who serves a cluster, and do not reach it."""

    queue: str

    @activity.defn
    async def check_clusters(self, wanted: Members) -> Reachability:
        return Reachability(task_queues={cluster.name: self.queue for cluster in wanted.clusters})


def knowing(queue: str) -> Acts:
    fleet = Knowing()
    fleet.queue = queue
    return [act for act in fleet.activities() if act.__name__ in {*ENGINES, "check_clusters"} - {"preflight"}]


async def test_an_application_is_brought_by_the_workers_inside(serve: Serve, queue: str) -> None:
    fleet = Fleet()
    spec = shop(policy_of("web", ClusterRef(name="one"), rollout=True), name=queue)
    client = await serve(knowing(queue))
    application = Application(client, spec)
    async with inside(client, queue, fleet.activities()):
        result = await application.apply(spec)
        async with asyncio.timeout(20):
            while not (await application.status()).progress[0].is_ready:  # noqa: ASYNC110 — a server's state
                await asyncio.sleep(0.05)
        again = await application.apply(spec)
        found = await places(application.handle)
        await application.handle.terminate()

    assert (result.accepted, again.changed) == (True, False)
    checks = f"{queue}-checks"
    assert {("check_clusters", checks), ("preflight", queue), ("sync_policy", checks)} <= set(found)
    assert {name for name, where in found if where in (QUEUE, CHECKS_QUEUE)} == {
        "check_clusters",
        "fetch_revision",
        "start_and_update",
    }


def examining(seen: Callable[[Examination], Findings]) -> Any:
    @activity.defn
    async def examine_clusters(examination: Examination) -> Findings:
        return seen(examination)

    return examine_clusters


async def examined(client: Client) -> Findings:
    found: Findings = await client.execute_workflow(
        DOCTOR_WORKFLOW,
        Examination(clusters=("member1",)),
        id=doctor_id(uuid.uuid4().hex),
        task_queue=QUEUE,
        result_type=Findings,
    )
    return found


async def test_the_doctor_asks_the_workers_inside(serve: Serve, queue: str) -> None:
    seen = Finding(cluster="member1", what="Istio", seen="fine")
    client = await serve([examining(lambda _: Findings(task_queues={"member1": queue}))])
    asked: list[Examination] = []

    def look(examination: Examination) -> Findings:
        asked.append(examination)
        return Findings(findings=(seen,))

    async with inside(client, queue, [examining(look)]):
        found = await examined(client)

    assert found == Findings(findings=(seen,), task_queues={"member1": queue})
    assert asked == [Examination(clusters=("member1",), has_file=False)]


async def test_without_a_worker_inside_nothing_is_applied_and_all_say_so(serve: Serve, queue: str) -> None:
    """Told together, since each waits its ten seconds."""
    doctor = examining(lambda _: Findings(task_queues={"one": queue}))
    client = await serve([*outside(queue), *knowing(queue), doctor])
    spec = shop(policy_of("web", ClusterRef(name="one"), rollout=True), name=queue)

    (handle, canary), application, findings = await asyncio.gather(
        apply(client, a_spec(cluster="one")), Application(client, spec).apply(spec), examined(client)
    )

    message = (
        f"Cluster one is not reached: No worker of task queue {queue} answers: see that one runs inside "
        f"the cluster (canary-worker --task-queue {queue})."
    )
    problem = Problem(path="cluster", message=message, is_unreachable=True)
    assert canary == ApplyResult(accepted=False, problems=(problem,))
    await handle.result()
    placed = problem.model_copy(update={"path": "spec.syncPolicies[0].destination.fleet"})
    assert application == ApplyResult(accepted=False, problems=(placed,))
    (finding,) = findings.findings
    assert finding.seen == f"not looked at: no worker of task queue {queue} answers"
    assert finding.remedy == f"run inside it: canary-worker --task-queue {queue}"
