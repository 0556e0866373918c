"""The watch of a cluster on a real server, in real time."""

import asyncio
import contextlib
import sys
import uuid
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from temporalio import activity, workflow
from temporalio.client import Client, WorkflowHandle
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.exceptions import ApplicationError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner, Worker

from activities.cluster.api import ClusterApi
from activities.cluster.settings import ClusterSettings
from activities.cluster.watch import WatchActivities, WatchRequest
from activities.heartbeat import heartbeating
from sandbox.apiserver.server import ApiServer
from sandbox.client import KubeClient
from tests.clients import api_client
from tests.workflows.conftest import record
from worker.runner import build_runner
from workflows.cluster_watch import STAND_BY, ClusterWatchWorkflow, WatchState
from workflows.contract import BELL, QUEUE, REGISTER, STATUS, WATCH_QUEUE, Registration, canary_id, watch_id

TEMPORAL = str(Path(sys.executable).with_name("temporal"))
Handle = WorkflowHandle[ClusterWatchWorkflow, None]
STOPPED_WITHIN = 10.0


class Watch:
    """Stands in for the watch: keeps what it is asked for and lasts until it is cancelled."""

    def __init__(self) -> None:
        self.asked: list[WatchRequest] = []
        self.running = 0
        self.refuses = False
        """Whether it is refused for good, as where the cluster is unknown."""
        self.changed = asyncio.Condition()

    @activity.defn
    async def watch_cluster(self, request: WatchRequest) -> None:
        async with self.changed:
            self.asked.append(request)
            self.running += not self.refuses
            self.changed.notify_all()
        if self.refuses:
            raise ApplicationError("member1 is not there", non_retryable=True)
        try:
            async with heartbeating():
                await asyncio.Event().wait()
        finally:
            async with self.changed:
                self.running -= 1
                self.changed.notify_all()

    async def until(self, canaries: int, running: int = 1) -> None:
        """Wait until it watches for so many canaries, and nothing else does any more."""
        async with self.changed, asyncio.timeout(20):
            await self.changed.wait_for(
                lambda: self.running == running and len(self.asked[-1].wanted) == canaries
            )


@workflow.defn
class Rung:
    """Stands in for a canary: ends when it is rung."""

    def __init__(self) -> None:
        self._is_rung = False

    @workflow.run
    async def run(self, rings: int) -> None:
        for _ in range(rings):
            await workflow.wait_condition(lambda: self._is_rung)
            self._is_rung = False

    @workflow.signal(name=BELL)
    def bell(self) -> None:
        self._is_rung = True


@pytest.fixture(scope="module")
async def server() -> AsyncIterator[WorkflowEnvironment]:
    environment = await WorkflowEnvironment.start_local(
        dev_server_existing_path=TEMPORAL,
        data_converter=pydantic_data_converter,
        dev_server_extra_args=["--dynamic-config-value", "limit.historyCount.suggestContinueAsNew=150"],
    )
    async with environment:
        yield environment


@pytest.fixture
async def client(server: WorkflowEnvironment) -> AsyncIterator[Client]:
    runners = {ClusterWatchWorkflow: build_runner(), Rung: UnsandboxedWorkflowRunner()}
    async with contextlib.AsyncExitStack() as stack:
        for type_, runner in runners.items():
            queue = QUEUE if type_ is ClusterWatchWorkflow else "rung"
            worker = Worker(server.client, task_queue=queue, workflows=[type_], workflow_runner=runner)
            await stack.enter_async_context(worker)
        yield server.client


@contextlib.asynccontextmanager
async def running(worker: Worker) -> AsyncIterator[None]:
    """Run a worker, whose end is not awaited for ever.

    temporalio 1.35 may wait without end in `finalize_shutdown` for an activity that ended just as its
    workflow was terminated: the server no longer knows it, and the worker goes on counting it.
    """
    run = asyncio.create_task(worker.run())
    try:
        yield
    finally:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(worker.shutdown(), STOPPED_WITHIN)
        run.cancel()
        await asyncio.wait({run})


@contextlib.asynccontextmanager
async def watching(client: Client, watch: Watch | WatchActivities, member: str = "") -> AsyncIterator[Handle]:
    """Run a watch workflow with these activities; its histories are replayed at the end.

    That of a member with a name of its own is recorded, where histories are.
    """
    heartbeats = timedelta(milliseconds=500)
    worker = Worker(
        client,
        task_queue=WATCH_QUEUE,
        activities=[watch.watch_cluster],
        max_heartbeat_throttle_interval=heartbeats,
        default_heartbeat_throttle_interval=heartbeats,
    )
    async with running(worker):
        handle: Handle = await client.start_workflow(
            ClusterWatchWorkflow.run, id=watch_id(member or f"member-{uuid.uuid4()}"), task_queue=QUEUE
        )
        yield handle
        await client.get_workflow_handle(handle.id).terminate()
    replayer = Replayer(
        workflows=[ClusterWatchWorkflow],
        workflow_runner=build_runner(),
        data_converter=pydantic_data_converter,
    )
    async for run in client.list_workflows(f"WorkflowId = '{handle.id}'"):
        history = await client.get_workflow_handle(run.id, run_id=run.run_id).fetch_history()
        if member:
            record(history)
        await replayer.replay_workflow(history)


def registration(name: str, *, remove: bool = False) -> Registration:
    target = name.rsplit("/", maxsplit=1)[-1]
    return Registration(canary=name, namespace="default", objects=(f"Deployment/{target}",), remove=remove)


async def register(handle: Handle, *names: str, remove: bool = False) -> None:
    await asyncio.gather(*(handle.signal(REGISTER, registration(name, remove=remove)) for name in names))


async def stands_by(handle: Handle) -> None:
    """Wait until the workflow waits before it tries again; the server tells nobody of a timer."""
    async with asyncio.timeout(20):
        while await _longest_timer(handle) < STAND_BY:  # noqa: ASYNC110 — the state of a server
            await asyncio.sleep(0.05)


async def _longest_timer(handle: Handle) -> timedelta:
    return max(
        event.timer_started_event_attributes.start_to_fire_timeout.ToTimedelta()
        for event in (await handle.fetch_history()).events
        if event.HasField("timer_started_event_attributes")
    )


async def test_a_registration_starts_the_watch(client: Client) -> None:
    watch = Watch()
    async with watching(client, watch) as handle:
        await register(handle, "m/default/Deployment/a")
        await watch.until(1)
        (request,) = watch.asked

        assert request.cluster == handle.id.removeprefix("watch/")
        assert request.wanted[0].objects == ("Deployment/a",)
        assert request.bells == ("canary/", "rollout/")
        assert request.signal == BELL


async def test_a_burst_of_registrations_restarts_the_watch_a_few_times_only(client: Client) -> None:
    watch = Watch()
    async with watching(client, watch) as handle:
        await register(handle, "first")
        await watch.until(1)
        for number in range(100):
            await register(handle, f"canary-{number}")
        await watch.until(101)

        assert len(watch.asked) <= 4


async def test_the_same_registration_again_changes_nothing(client: Client) -> None:
    watch = Watch()
    async with watching(client, watch) as handle:
        await register(handle, "a")
        await watch.until(1)
        await register(handle, "a", "a")
        await handle.signal(REGISTER)

        async with watch.changed:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1.5):
                    await watch.changed.wait()


async def test_the_watch_ends_with_the_last_registration(client: Client) -> None:
    watch = Watch()
    async with watching(client, watch) as handle:
        await register(handle, "a")
        await watch.until(1)
        await register(handle, "a", remove=True)
        await watch.until(1, running=0)

        assert (await handle.query(STATUS, result_type=WatchState)).registrations == ()


async def test_the_watch_follows_registrations_that_come_and_go_and_stands_by_where_it_is_refused(
    client: Client,
) -> None:
    watch = Watch()
    async with watching(client, watch, "whose-canaries-come-and-go") as handle:
        await register(handle, "a")
        await watch.until(1)
        await register(handle, "b")
        await watch.until(2)
        await register(handle, "a", remove=True)
        await watch.until(1)
        watch.refuses = True
        await register(handle, "c")
        await stands_by(handle)
        watch.refuses = False
        await register(handle, "d")  # whoever comes is not kept waiting
        await watch.until(3)

        asked = [[interest.canary for interest in request.wanted] for request in watch.asked]
        assert asked == [["a"], ["a", "b"], ["b"], ["b", "c"], ["b", "c", "d"]]


async def test_registrations_outlive_the_history(client: Client) -> None:
    watch = Watch()
    async with watching(client, watch) as first:
        names = [f"canary-{number}" for number in range(160)]
        await register(first, *names)
        await watch.until(160)
        await register(first, "one-more")
        await watch.until(161)
        handle = client.get_workflow_handle(first.id)

        assert (await handle.describe()).run_id != first.result_run_id
        state = await handle.query(STATUS, result_type=WatchState)
        assert {one.canary for one in state.registrations} == {*names, "one-more"}


async def test_a_watch_that_is_full_turns_away_who_came_last_and_says_so(
    client: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A payload that Temporal does not take would stop the watch for all."""
    monkeypatch.setattr("workflows.cluster_watch.LARGEST", 250)
    names, watch = [f"canary-{number:02}" for number in range(20)], Watch()
    async with watching(client, watch) as handle:
        for name in names:
            await register(handle, name)
        async with watch.changed, asyncio.timeout(20):
            await watch.changed.wait_for(lambda: watch.running == 1 and bool(_left_out(caplog)))
        watched = [one.canary for one in watch.asked[-1].wanted]
        asked = len(watch.asked)
        await register(handle, *_left_out(caplog)[-3:])
        await register(handle, watched[0], remove=True)
        await watch.until(len(watched) - 1)
        await register(handle, names[-1])
        await watch.until(len(watched))

    assert 5 < len(watched) < 15
    assert watched == names[: len(watched)]
    assert set(_left_out(caplog)) == set(names[len(watched) :])
    assert asked + 2 == len(watch.asked)
    assert watch.asked[-1].wanted[-1].canary == names[-1]


def _left_out(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The canaries that the log says are not rung."""
    text = "no room to watch for a canary"
    return [vars(record)["canary"] for record in caplog.records if record.getMessage().startswith(text)]


async def test_a_watch_that_hears_the_same_for_days_begins_a_new_history(client: Client) -> None:
    watch = Watch()
    async with watching(client, watch) as first:
        await register(first, "a")
        await watch.until(1)
        for _ in range(4):
            await register(first, *["a"] * 50)
        async with watch.changed, asyncio.timeout(20):
            await watch.changed.wait_for(lambda: len(watch.asked) > 1 and watch.running == 1)

        assert (await client.get_workflow_handle(first.id).describe()).run_id != first.result_run_id
        assert {one.canary for one in watch.asked[-1].wanted} == {"a"}


async def test_a_change_in_the_cluster_reaches_its_canary_within_a_second(client: Client) -> None:
    api = await ApiServer.start()
    kubernetes = api_client(api.url)

    class Clusters:
        async def get(self, name: str) -> ClusterApi:
            return ClusterApi(ClusterSettings(name), kubernetes)

    tail = f"{uuid.uuid4()}/backend"
    path = "/apis/apps/v1/namespaces/default/deployments"
    template = {
        "metadata": {"labels": {"a": "b"}},
        "spec": {"containers": [{"name": "a", "image": "podinfo:1"}]},
    }
    spec = {"selector": {"matchLabels": {"a": "b"}}, "template": template}
    async with KubeClient(api.url) as kube, watching(client, WatchActivities(Clusters(), client)) as handle:
        await kube.create(path, {"metadata": {"name": "backend"}, "spec": spec})
        greeted, changed = [
            await client.start_workflow(Rung.run, rings, id=canary_id(f"{tail}{end}"), task_queue="rung")
            for rings, end in ((1, "-greeted"), (2, ""))
        ]
        await register(handle, tail, f"{tail}-greeted")
        await asyncio.wait_for(greeted.result(), 10)
        started = asyncio.get_running_loop().time()
        await kube.patch(f"{path}/backend", {"metadata": {"labels": {"x": "y"}}, "spec": {"replicas": 3}})
        await asyncio.wait_for(changed.result(), 10)

        assert asyncio.get_running_loop().time() - started < 1
    await kubernetes.close()  # type: ignore[no-untyped-call]
    await api.stop()
