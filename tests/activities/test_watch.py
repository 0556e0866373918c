import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any, cast

import pytest
from kubernetes.aio.client import ApiClient
from temporalio.client import Client
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode
from temporalio.testing import ActivityEnvironment

from activities.cluster import watch
from activities.cluster.api import ROLLOUT_MANAGER, ClusterApi
from activities.cluster.errors import ApiError
from activities.cluster.interests import Interest
from activities.cluster.marks import DECIDED_AT
from activities.cluster.settings import ClusterSettings
from activities.cluster.streams import NAMESPACED_STREAMS
from activities.cluster.watch import WatchActivities, WatchRequest
from sandbox.apiserver.server import ApiServer
from sandbox.client import KubeClient
from sandbox.installed import install
from tests.clients import api_client

DEPLOYMENTS = "/apis/apps/v1/namespaces/{}/deployments"
CONFIG_MAPS = "/api/v1/namespaces/{}/configmaps"
SECRETS = "/api/v1/namespaces/{}/secrets"
SERVICES = "/api/v1/namespaces/{}/services"
ISTIO = {"apiVersion": "networking.istio.io/v1beta1", "kind": "VirtualService"}


class Temporal:
    """Takes the signals of a Temporal client; some ids are not there, some fail at first."""

    def __init__(self) -> None:
        self.rung: asyncio.Queue[str] = asyncio.Queue()
        self.hints: list[tuple[str, ...]] = []
        self.failures: dict[str, list[RPCStatusCode]] = {}
        self.has_failed = asyncio.Event()

    def get_workflow_handle(self, workflow: str) -> "Handle":
        return Handle(self, workflow)

    async def next(self) -> str:
        return await asyncio.wait_for(self.rung.get(), 5)

    async def next_of(self, count: int) -> list[str]:
        return sorted([await self.next() for _ in range(count)])

    def drain(self) -> list[str]:
        return [self.rung.get_nowait() for _ in range(self.rung.qsize())]


class Handle:
    def __init__(self, temporal: Temporal, workflow: str) -> None:
        self.temporal = temporal
        self.workflow = workflow

    async def signal(self, name: str, *hint: str) -> None:
        assert name == "bell"
        self.temporal.hints.append((self.workflow, *hint))
        if failures := self.temporal.failures.get(self.workflow):
            self.temporal.has_failed.set()
            raise RPCError("no", failures.pop(0), b"")
        self.temporal.rung.put_nowait(self.workflow)


class RecordingApi(ClusterApi):
    """Keeps what is asked: the sandbox's log does not tell a list from a watch."""

    def __init__(self, client: ApiClient) -> None:
        super().__init__(ClusterSettings("member1"), client)
        self.lists: list[str] = []
        self.was_refused = asyncio.Event()
        self.watches: list[str] = []

    async def list(self, path: str, **query: str) -> dict[str, Any]:
        self.lists.append(path)
        try:
            return await super().list(path, **query)
        except ApiError:
            self.was_refused.set()
            raise

    def watch(self, path: str, **options: Any) -> AsyncIterator[dict[str, Any]]:
        self.watches.append(path)
        return super().watch(path, **options)


class World:
    """A cluster, a client that changes it, and the watch."""

    def __init__(self, server: ApiServer, kube: KubeClient, client: ApiClient) -> None:
        self.server = server
        self.kube = kube
        self.api = RecordingApi(client)
        self.temporal = Temporal()
        self.activities = self.new_worker()

    def new_worker(self) -> WatchActivities:
        return WatchActivities(self, cast("Client", self.temporal))

    async def get(self, name: str) -> ClusterApi:
        assert name == "member1"
        return self.api

    async def fault(self, *rules: dict[str, Any]) -> None:
        await self.kube.replace("/_sandbox/faults", cast("Any", list(rules)))

    @contextlib.asynccontextmanager
    async def watching(
        self,
        *interests: Interest,
        bells: tuple[str, ...] = ("canary/",),
        greeted: bool = True,
        details: Sequence[Any] = (),
    ) -> AsyncIterator[asyncio.Future[None]]:
        """Watch, and wait until whoever is new has been rung; *details* were another worker's heartbeats."""
        request = WatchRequest(cluster="member1", interests=interests, bells=bells, signal="bell")
        worker = ActivityEnvironment()
        worker.info = replace(worker.info, heartbeat_details=details)
        running = asyncio.ensure_future(worker.run(self.activities.watch_cluster, request))
        if greeted:
            assert await self.temporal.next_of(len(interests)) == sorted(
                f"canary/{i.canary}" for i in interests
            )
        yield running
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


@pytest.fixture
async def world(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    monkeypatch.setattr(watch, "GREETED_AFTER", 0.0)
    server = await ApiServer.start()
    client = api_client(server.url)
    async with KubeClient(server.url) as kube:
        yield World(server, kube, client)
    await client.close()  # type: ignore[no-untyped-call]
    await server.stop()


def deployment(name: str, image: str = "podinfo:1") -> dict[str, Any]:
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "app", "image": image}]},
            },
        },
    }


def image(value: str) -> dict[str, Any]:
    return {"spec": {"template": {"spec": {"containers": [{"name": "app", "image": value}]}}}}


def fence(moment: str) -> dict[str, Any]:
    return {"metadata": {"annotations": {DECIDED_AT: moment}}}


def interest(name: str, *objects: str, namespace: str = "default") -> Interest:
    return Interest(canary=name, namespace=namespace, objects=objects or (f"Deployment/{name}",))


async def add(world: World, *names: str, namespace: str = "default") -> None:
    for name in names:
        await world.kube.create(DEPLOYMENTS.format(namespace), deployment(name))


async def change(world: World, name: str, body: dict[str, Any], sub: str = "") -> None:
    path = f"{DEPLOYMENTS.format('default')}/{name}{sub}"
    await world.kube.patch(path, body, kind="merge" if sub else "strategic")


@pytest.mark.proves("D9")
@pytest.mark.parametrize("is_rolling", [False, True])
async def test_a_new_template_rings_the_rollout_or_else_the_canary_within_a_second(
    world: World, *, is_rolling: bool
) -> None:
    """Flagger looks at its next interval; a watch tells at once (D9: docs/architecture.md)."""
    await add(world, "a", "b")
    async with world.watching(interest("a"), interest("b"), bells=("canary/", "rollout/"), greeted=False):
        await world.temporal.next_of(4)
        world.temporal.failures = {} if is_rolling else {"rollout/a": [RPCStatusCode.NOT_FOUND]}
        started = asyncio.get_running_loop().time()
        await change(world, "a", image("podinfo:2"))

        assert await world.temporal.next() == ("rollout/a" if is_rolling else "canary/a")
        assert asyncio.get_running_loop().time() - started < 1
        assert world.temporal.drain() == []


@pytest.mark.parametrize(
    ("body", "sub"),
    [
        pytest.param(image("podinfo:2") | fence("2026-01-02"), "", id="our own template"),
        pytest.param({"spec": {"replicas": 0}} | fence("2026-01-02"), "", id="our own size"),
        pytest.param({"metadata": {"labels": {"a": "b"}}}, "", id="a label"),
        pytest.param({"spec": {"paused": True}}, "", id="another field"),
        pytest.param({"status": {"replicas": 2, "updatedReplicas": 1}}, "/status", id="a mere counter"),
    ],
)
async def test_our_own_writes_and_counters_do_not_ring(world: World, body: dict[str, Any], sub: str) -> None:
    await add(world, "a", "b")
    await change(world, "a", fence("2026-01-01"))
    async with world.watching(interest("a"), interest("b")):
        await change(world, "a", body, sub)
        await change(world, "b", image("podinfo:2"))

        assert await world.temporal.next() == "canary/b"


@pytest.mark.parametrize(
    ("body", "sub"),
    [
        pytest.param(image("podinfo:2"), "", id="a template by somebody else"),
        pytest.param({"spec": {"replicas": 5}}, "", id="a size by somebody else"),
        pytest.param({"status": {"replicas": 2, "readyReplicas": 1}}, "/status", id="serving"),
        pytest.param(image("podinfo:2") | fence("2025-12-31"), "", id="a rollout that is undone"),
        pytest.param(
            image("podinfo:2") | {"metadata": {"annotations": {DECIDED_AT: None}}}, "", id="a replacement"
        ),
        pytest.param(
            {
                "status": {
                    "observedGeneration": 9,
                    "replicas": 2,
                    "updatedReplicas": 2,
                    "readyReplicas": 2,
                    "availableReplicas": 2,
                }
            },
            "/status",
            id="fully ready",
        ),
        pytest.param(
            {
                "status": {
                    "conditions": [
                        {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}
                    ],
                    "observedGeneration": 9,
                }
            },
            "/status",
            id="past its deadline",
        ),
    ],
)
async def test_what_others_do_and_readiness_ring(world: World, body: dict[str, Any], sub: str) -> None:
    await add(world, "a", "b")
    await change(world, "a", fence("2026-01-01"))
    async with world.watching(interest("a"), interest("b")):
        await change(world, "a", body, sub)

        assert await world.temporal.next() == "canary/a"


READY = {
    "observedGeneration": 9,
    "replicas": 2,
    "updatedReplicas": 2,
    "availableReplicas": 2,
    "readyReplicas": 2,
}


async def test_a_workload_that_our_own_write_makes_unready_rings_when_it_is_ready_again(world: World) -> None:
    await add(world, "a", "b")
    await change(world, "a", fence("2026-01-01"))
    generation = (await world.kube.get(f"{DEPLOYMENTS.format('default')}/a"))["metadata"]["generation"]
    ready = {"status": READY | {"observedGeneration": generation}}
    await change(world, "a", ready, "/status")
    async with world.watching(interest("a"), interest("b")):
        await change(world, "a", image("podinfo:2") | fence("2026-01-02"))
        unready = {"updatedReplicas": 0, "observedGeneration": generation + 1}
        await change(world, "a", {"status": unready}, "/status")
        await change(world, "b", image("podinfo:2"))
        assert await world.temporal.next() == "canary/b"
        await change(world, "a", {"status": {"updatedReplicas": 2}}, "/status")

        assert await world.temporal.next() == "canary/a"


async def test_a_workload_that_becomes_unready_by_itself_rings(world: World) -> None:
    await add(world, "a")
    await change(world, "a", {"status": READY}, "/status")
    async with world.watching(interest("a")):
        await change(world, "a", {"status": {"availableReplicas": 1}}, "/status")

        assert await world.temporal.next() == "canary/a"


async def test_coming_and_going_ring(world: World) -> None:
    async with world.watching(interest("a")):
        await add(world, "a")
        assert await world.temporal.next() == "canary/a"

        await world.kube.delete(f"{DEPLOYMENTS.format('default')}/a")
        assert await world.temporal.next() == "canary/a"


async def test_an_edited_service_rings_unless_we_wrote_it(world: World) -> None:
    path = SERVICES.format("default")
    for name in ("a", "b"):
        spec = {"selector": {"app": name}, "ports": [{"port": 80}]}
        await world.kube.create(path, {"metadata": {"name": name}, "spec": spec})
    async with world.watching(interest("a", "Service/a"), interest("b", "Service/b")):
        ours = {"spec": {"selector": {"app": "a-primary"}}} | fence("2026-01-01")
        await world.kube.patch(f"{path}/a", ours)
        await world.kube.patch(f"{path}/b", {"spec": {"selector": {"app": "other"}}})
        assert await world.temporal.next() == "canary/b"

        await world.kube.patch(f"{path}/a", {"spec": {"selector": {"app": "foreign"}}})
        assert await world.temporal.next() == "canary/a"


async def test_a_canary_is_told_that_it_was_a_service_that_changed(world: World) -> None:
    """A rollout does not look at Services; its canary does so for it."""
    watched = interest("a", "Service/a", "Deployment/a")
    async with world.watching(watched, bells=("canary/", "rollout/"), greeted=False):
        await world.temporal.next_of(2)
        world.temporal.hints.clear()
        spec = {"selector": {"app": "a"}, "ports": [{"port": 80}]}
        await world.kube.create(SERVICES.format("default"), {"metadata": {"name": "a"}, "spec": spec})
        await world.temporal.next_of(2)
        await add(world, "a")
        await world.temporal.next()

    assert sorted(world.temporal.hints[:2]) == [("canary/a", "Service"), ("rollout/a",)]
    assert world.temporal.hints[2:] == [("rollout/a",)]


async def test_what_we_made_rings_nobody_until_its_pods_are_ready(world: World) -> None:
    routes = "/apis/networking.istio.io/v1beta1/namespaces/default/virtualservices"
    await install(world.kube, "http://127.0.0.1:9090")
    ours = interest("a", "Deployment/a", "Service/a", "VirtualService/a")
    async with world.watching(ours, interest("b")):
        await world.kube.create(DEPLOYMENTS.format("default"), deployment("a"), fieldManager=ROLLOUT_MANAGER)
        spec = {"selector": {"app": "a"}, "ports": [{"port": 80}]}
        service = {"metadata": {"name": "a"}, "spec": spec}
        await world.kube.create(SERVICES.format("default"), service, fieldManager=ROLLOUT_MANAGER)
        route = {"metadata": {"name": "a"}, "spec": {"hosts": ["a"], "http": [{"route": []}]}}
        await world.kube.create(routes, ISTIO | route, fieldManager=ROLLOUT_MANAGER)
        await add(world, "b")
        assert await world.temporal.next() == "canary/b"

        await change(world, "a", {"status": READY}, "/status")
        assert await world.temporal.next() == "canary/a"


async def test_what_we_made_and_others_wrote_since_rings(world: World) -> None:
    """Both may come as one: between two streams only a list tells what is there."""
    path = DEPLOYMENTS.format("default")
    async with world.watching(interest("a")) as watching:
        watching.cancel()
        await world.kube.create(path, deployment("a"), fieldManager=ROLLOUT_MANAGER)
        await change(world, "a", image("podinfo:2"))
        async with world.watching(interest("a"), greeted=False):
            assert await world.temporal.next() == "canary/a"


async def test_an_apex_that_we_lead_to_the_primary_rings_nobody(world: World) -> None:
    path = SERVICES.format("default")
    for name in ("a", "b"):
        spec = {"selector": {"app": name}, "ports": [{"port": 80}]}
        await world.kube.create(path, {"metadata": {"name": name}, "spec": spec})
    async with world.watching(interest("a", "Service/a"), interest("b", "Service/b")):
        led = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}}
        led |= {"spec": {"selector": {"app": "a-primary"}, "ports": [{"port": 80}]}}
        await world.kube.apply(f"{path}/a", led, manager=ROLLOUT_MANAGER)
        await world.kube.patch(f"{path}/b", {"spec": {"selector": {"app": "other"}}})
        assert await world.temporal.next() == "canary/b"

        await world.kube.patch(f"{path}/a", {"spec": {"selector": {"app": "foreign"}}})
        assert await world.temporal.next() == "canary/a"


async def test_configs_ring_and_are_read_as_metadata_only(world: World) -> None:
    secret = {"metadata": {"name": "s"}, "type": "Opaque", "stringData": {"k": "mark3r"}}
    await world.kube.create(CONFIG_MAPS.format("default"), {"metadata": {"name": "c"}, "data": {"k": "1"}})
    await world.kube.create(SECRETS.format("default"), secret)
    async with world.watching(interest("a", "ConfigMap/c", "Secret/s")):
        await world.kube.patch(f"{CONFIG_MAPS.format('default')}/c", {"data": {"k": "2"}})
        assert await world.temporal.next() == "canary/a"
        await world.kube.patch(f"{SECRETS.format('default')}/s", {"stringData": {"k": "other"}})
        assert await world.temporal.next() == "canary/a"

    assert world.api.lists == []  # only their metadata was listed
    assert "mark3r" not in repr(world.activities._known["member1"].memory)


@pytest.mark.parametrize(
    "deed", [{"do": "gone"}, {"do": "status", "status": 504}], ids=["too old", "too new"]
)
async def test_a_gap_rings_for_what_differs_and_for_nothing_else(world: World, deed: dict[str, Any]) -> None:
    await add(world, "a", "b")
    async with world.watching(interest("a"), interest("b")):
        gone = {"id": "g", **deed, "path": "watch=1", "times": 1}
        shut = {
            "id": "s",
            "do": "status",
            "status": 503,
            "path": "deployments",
            "userAgent": "durable-canary",
        }
        await world.fault(shut, {"id": "c", "do": "closeWatches"})
        await change(world, "a", image("podinfo:2"))
        await world.fault(gone)
        assert await world.temporal.next() == "canary/a"

        await change(world, "b", image("podinfo:2"))
        assert await world.temporal.next() == "canary/b"
        assert world.temporal.drain() == []
    assert len(world.api.lists) >= 2


async def test_a_gap_hides_nobody_who_wrote_after_us(world: World) -> None:
    """Other streams than before begin with a list, as in the sixth namespace: it shows all writes as one."""
    await add(world, "a")
    await change(world, "a", fence("2026-01-01"))
    async with world.watching(interest("a")):
        pass
    await change(world, "a", {"spec": {"replicas": 0}} | fence("2026-01-02"))
    await change(world, "a", image("podinfo:2"))
    others = [interest("b", namespace=f"n{number}") for number in range(NAMESPACED_STREAMS)]
    async with world.watching(interest("a"), *others, greeted=False):
        assert "canary/a" in await world.temporal.next_of(2)


async def test_a_closed_stream_goes_on_where_it_was(world: World) -> None:
    await add(world, "a")
    async with world.watching(interest("a")):
        for turn in range(3):
            await world.fault({"id": str(turn), "do": "closeWatches"})
            await change(world, "a", image(f"podinfo:{turn + 2}"))
            assert await world.temporal.next() == "canary/a"

    assert len(world.api.lists) == 1


async def test_other_interests_list_nothing_again_and_greet_the_new_alone(world: World) -> None:
    await add(world, "a", "b")
    async with world.watching(interest("a")):
        pass
    await change(world, "a", image("podinfo:2"))
    async with world.watching(interest("a"), interest("b"), greeted=False):
        assert await world.temporal.next_of(2) == ["canary/a", "canary/b"]

        await change(world, "b", image("podinfo:2"))
        assert await world.temporal.next() == "canary/b"
        assert world.temporal.drain() == []

    assert len(world.api.lists) == 1
    assert len(world.api.watches) == 2


async def test_a_newcomer_is_not_rung_for_the_first_sight_of_what_we_wrote(world: World) -> None:
    """What an open stream has shown is remembered of everybody: newcomers come by the hundred."""
    await add(world, "a", "b", "gone")
    await change(world, "b", fence("2026-01-01"))
    async with world.watching(interest("a")):
        await change(world, "gone", image("podinfo:2"))
        await world.kube.delete(f"{DEPLOYMENTS.format('default')}/gone")
        await change(world, "a", image("podinfo:2"))
        assert await world.temporal.next() == "canary/a"
    async with world.watching(interest("a"), interest("b"), greeted=False):
        assert await world.temporal.next() == "canary/b"

        await change(world, "b", image("podinfo:2") | fence("2026-01-02"))
        await change(world, "a", image("podinfo:3"))
        assert await world.temporal.next() == "canary/a"
        assert world.temporal.drain() == []


async def test_a_later_run_takes_over_from_one_that_does_not_know_yet(world: World) -> None:
    await add(world, "a", "b")
    async with (
        world.watching(interest("a")) as earlier,
        world.watching(interest("a"), interest("b"), greeted=False),
    ):
        assert await world.temporal.next() == "canary/b"
        await asyncio.wait_for(earlier, 5)

        await change(world, "a", image("podinfo:2"))
        assert await world.temporal.next() == "canary/a"
        await change(world, "b", image("podinfo:2"))
        assert await world.temporal.next() == "canary/b"
        assert world.temporal.drain() == []


async def test_another_object_of_the_same_name_rings(world: World) -> None:
    await add(world, "a")
    async with world.watching(interest("a")):
        pass
    world.activities._known["member1"].memory.versions.clear()
    await world.kube.delete(f"{DEPLOYMENTS.format('default')}/a")
    await add(world, "a")
    async with world.watching(interest("a"), greeted=False):
        assert await world.temporal.next() == "canary/a"


async def test_a_worker_without_memory_rings_everybody_once(world: World) -> None:
    await add(world, "a", "b")
    both = (
        interest("a", "Deployment/a", "ConfigMap/c", "Service/a"),
        interest("b", "Deployment/b", "ConfigMap/c", "Service/b"),
    )
    async with world.watching(*both):
        pass
    world.activities = world.new_worker()
    await world.fault({"id": "slow", "do": "latency", "path": "services", "seconds": 0.3})
    async with world.watching(*both):
        body = {"metadata": {"name": "b"}, "spec": {"ports": [{"port": 80}]}}
        await world.kube.create(SERVICES.format("default"), body)

        assert await world.temporal.next() == "canary/b"
        assert world.temporal.drain() == []


async def test_a_change_does_not_wait_until_everybody_is_greeted(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker without memory greets hundreds, each of whom then takes a look."""
    monkeypatch.setattr(watch, "GREETING_PAUSE", 3600)
    await add(world, "a", "b", "c")
    everybody = interest("a"), interest("b"), interest("c")
    async with world.watching(*everybody, greeted=False):
        assert await world.temporal.next() == "canary/a"
        await change(world, "c", image("podinfo:2"))
        assert await world.temporal.next() == "canary/c"
    async with world.watching(*everybody, greeted=False):
        assert await world.temporal.next() == "canary/b"  # where the greetings were cut off
        assert world.temporal.drain() == []


async def test_whoever_is_rung_before_it_is_greeted_counts_as_greeted(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A primary that gets ready rings its canary soon after that has come: one look is enough."""
    monkeypatch.setattr(watch, "GREETING_PAUSE", 3600)
    await add(world, "a", "b", "c")
    everybody = interest("a"), interest("b"), interest("c")
    both = ("canary/", "rollout/")
    async with world.watching(*everybody, bells=both, greeted=False):
        assert await world.temporal.next_of(2) == ["canary/a", "rollout/a"]
        await change(world, "c", image("podinfo:2"))
        assert await world.temporal.next_of(2) == ["canary/c", "rollout/c"]
    monkeypatch.setattr(watch, "GREETING_PAUSE", 0)
    async with world.watching(*everybody, bells=both, greeted=False):
        assert await world.temporal.next_of(2) == ["canary/b", "rollout/b"]
        await change(world, "a", image("podinfo:2"))
        assert await world.temporal.next() == "rollout/a"
        assert world.temporal.drain() == []

    greetings = [hint for hint in world.temporal.hints if hint[0].startswith("canary/")]
    assert greetings == [("canary/a", "Service"), ("canary/c", "Service"), ("canary/b", "Service")]


async def handed_on(world: World, *interests: Interest, deed: Callable[[], Awaitable[None]]) -> list[Any]:
    """What a worker that ends after a *deed* has told by its heartbeats, as Temporal gives it to the next."""
    request = WatchRequest(cluster="member1", interests=interests, bells=("canary/",), signal="bell")
    told: list[Any] = []
    worker = ActivityEnvironment()
    worker.on_heartbeat = lambda *details: told.append(details)
    running = asyncio.ensure_future(worker.run(world.activities.watch_cluster, request))
    await world.temporal.next_of(len(interests))
    async with asyncio.timeout(5):
        while not any(told):  # noqa: ASYNC110 — a heartbeat tells nobody that it was sent
            await asyncio.sleep(0.01)
    await deed()
    worker.worker_shutdown()
    with pytest.raises(ApplicationError, match="another goes on watching"):
        await asyncio.wait_for(running, 5)
    world.activities = world.new_worker()
    return [each.model_dump(mode="json") for each in told[-1]]


@pytest.mark.parametrize("namespaces", [1, NAMESPACED_STREAMS + 1])
async def test_another_worker_goes_on_and_rings_for_what_has_changed_alone(
    world: World, namespaces: int
) -> None:
    """Beside five hundred canaries the one that has changed would else wait for the looks of all others."""
    await add(world, "a", "b")
    others = [
        interest(f"n{number}", "Deployment/none", namespace=f"n{number}") for number in range(namespaces - 1)
    ]
    both = (interest("a", "Deployment/a", "Service/a"), interest("b"), *others)

    async def nothing() -> None: ...

    details = await handed_on(world, *both, deed=nothing)
    await change(world, "b", image("podinfo:2"))
    lists = len(world.api.lists)
    async with world.watching(*both, greeted=False, details=details):
        assert await world.temporal.next() == "canary/b"
        await change(world, "a", image("podinfo:2"))
        assert await world.temporal.next() == "canary/a"
        assert world.temporal.drain() == []
    assert len(world.api.lists) == lists


async def test_a_bell_that_was_not_heard_is_rung_by_the_next_worker(world: World) -> None:
    await add(world, "a")

    async def unheard() -> None:
        world.temporal.failures = {"canary/a": [RPCStatusCode.UNAVAILABLE] * 9}
        await change(world, "a", image("podinfo:2"))
        await asyncio.wait_for(world.temporal.has_failed.wait(), 5)

    details = await handed_on(world, interest("a"), deed=unheard)
    world.temporal.failures = {}
    async with world.watching(interest("a"), greeted=False, details=details):
        assert await world.temporal.next() == "canary/a"


async def test_a_worker_that_greeted_nobody_hands_nothing_on(world: World) -> None:
    await add(world, "a")
    await world.fault({"id": "shut", "do": "status", "status": 503, "path": "deployments"})
    request = WatchRequest(cluster="member1", interests=(interest("a"),), bells=("canary/",), signal="bell")
    worker = ActivityEnvironment()
    told: list[Any] = []
    worker.on_heartbeat = lambda *details: told.append(details)
    running = asyncio.ensure_future(worker.run(world.activities.watch_cluster, request))
    await asyncio.wait_for(world.api.was_refused.wait(), 5)
    worker.worker_shutdown()
    with pytest.raises(ApplicationError, match="another goes on watching"):
        await asyncio.wait_for(running, 5)

    assert told[-1] == ()


@pytest.mark.parametrize(
    ("count", "is_namespaced"), [(NAMESPACED_STREAMS, True), (NAMESPACED_STREAMS + 1, False)]
)
async def test_many_namespaces_share_one_stream(world: World, count: int, is_namespaced: bool) -> None:  # noqa: FBT001 — a parameter
    namespaces = [f"n{number}" for number in range(count)]
    for namespace in namespaces:
        await world.kube.create("/api/v1/namespaces", {"metadata": {"name": namespace}})
        await add(world, "app", namespace=namespace)
    async with world.watching(*(interest(one, "Deployment/app", namespace=one) for one in namespaces)):
        await world.kube.patch(f"{DEPLOYMENTS.format('n1')}/app", image("podinfo:2"), kind="strategic")
        assert await world.temporal.next() == "canary/n1"

    assert len(set(world.api.watches)) == (count if is_namespaced else 1)


async def test_an_event_too_large_for_a_stream_is_found_by_a_list(world: World) -> None:
    await add(world, "a", "b")
    async with world.watching(interest("a"), interest("b")):
        large = {"metadata": {"annotations": {"note": "x" * 250_000}}}
        await change(world, "a", image("podinfo:2") | large)
        assert await world.temporal.next() == "canary/a"

        await change(world, "b", image("podinfo:2"))
        assert await world.temporal.next() == "canary/b"


async def test_a_kind_that_is_not_served_holds_up_nothing(world: World) -> None:
    await add(world, "a")
    async with world.watching(interest("a", "Deployment/a", "VirtualService/a")):
        await change(world, "a", image("podinfo:2"))

        assert await world.temporal.next() == "canary/a"


async def test_a_bell_is_tried_again_while_temporal_is_away(world: World) -> None:
    await add(world, "a", "b")
    world.temporal.failures = {
        "canary/a": [RPCStatusCode.UNAVAILABLE, RPCStatusCode.DEADLINE_EXCEEDED],
        "canary/b": [RPCStatusCode.NOT_FOUND],
    }
    async with world.watching(interest("a"), interest("b"), greeted=False):
        assert await world.temporal.next() == "canary/a"

        await change(world, "b", image("podinfo:2"))
        assert await world.temporal.next() == "canary/b"
        assert world.temporal.drain() == []


async def test_a_canary_whose_rollout_has_ended_is_rung_once_temporal_is_back(world: World) -> None:
    await add(world, "a")
    async with world.watching(interest("a"), bells=("canary/", "rollout/"), greeted=False):
        await world.temporal.next_of(2)
        world.temporal.failures = {
            "rollout/a": [RPCStatusCode.NOT_FOUND],
            "canary/a": [RPCStatusCode.UNAVAILABLE],
        }
        await change(world, "a", image("podinfo:2"))

        assert await world.temporal.next() == "canary/a"


async def test_a_bell_outlives_the_run_that_was_to_ring_it(world: World) -> None:
    await add(world, "a")
    async with world.watching(interest("a")):
        world.temporal.failures = {"canary/a": [RPCStatusCode.UNAVAILABLE]}
        await change(world, "a", image("podinfo:2"))
        await asyncio.wait_for(world.temporal.has_failed.wait(), 5)
    async with world.watching(interest("a"), greeted=False):
        assert await world.temporal.next() == "canary/a"


async def test_the_resync_rings_one_canary_after_the_other(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "RESYNC", 0.3)
    monkeypatch.setattr(watch, "RESYNC_PAUSE", 0.0)
    monkeypatch.setattr(watch, "GREETING_PAUSE", 0.0)
    async with world.watching(interest("a"), interest("b"), bells=("canary/", "rollout/"), greeted=False):
        await world.temporal.next_of(4)

        assert [await world.temporal.next() for _ in range(4)] == ["canary/a", "canary/b"] * 2


async def test_an_api_server_that_is_away_is_awaited(world: World) -> None:
    await add(world, "a")
    down = {"id": "d", "do": "status", "status": 503, "path": "deployments"}
    await world.fault(down)
    async with world.watching(interest("a"), greeted=False):
        await asyncio.wait_for(world.api.was_refused.wait(), 5)
        await world.fault()

        assert await world.temporal.next() == "canary/a"


async def test_a_worker_that_stops_hands_the_watch_on(world: World) -> None:
    await add(world, "web")
    request = WatchRequest(
        cluster="member1", interests=(interest("web", "Deployment/web"),), bells=("canary/",), signal="bell"
    )
    worker = ActivityEnvironment()
    running = asyncio.ensure_future(worker.run(world.activities.watch_cluster, request))
    await world.temporal.next_of(1)

    worker.worker_shutdown()

    with pytest.raises(ApplicationError, match="another goes on watching"):
        await asyncio.wait_for(running, 5)
