"""The controllers against the API server, compared with what a real controller manager was recorded to do.

The node here is a stand-in that behaves like kwok: pods run at once, and go at once.
"""

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from sandbox.apiserver.server import ApiServer
from sandbox.client import ApiError, KubeClient, Reflector
from sandbox.controllers import manager
from sandbox.controllers.pods import format_time, utc_now
from sandbox.controllers.revisions import REVISION
from sandbox.objects import Object

RECORDED = Path(__file__).parent / "recorded" / "controllers.jsonl"
NAMESPACE = "steps"
NODE = "kwok-0"
# Nothing changed for this long: at rest.
QUIET = 0.3
# How often a change is looked for before a test gives up.
PATIENCE = 800
# Said by a `Recreate` only if its old pods take a moment to go, which a busy machine gives them.
BETWEEN_SETS = 'Deployment "web" is progressing.'
# One of the Deployment, two of its ReplicaSet.
EVENTS_OF_WEB = 3
PLURALS = {"Deployment": "deployments", "ReplicaSet": "replicasets", "DaemonSet": "daemonsets"}


class Kwok:
    """Makes every pod that fits ready at once, and takes deleted ones away."""

    def __init__(self, client: KubeClient) -> None:
        self._client = client
        self._count = 0
        self._seen: set[str] = set()

    async def run(self) -> None:
        node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}}
        await self._client.create("/api/v1/nodes", node)
        await Reflector(self._client, "/api/v1/pods", self._changed).run()

    async def _changed(self, kind: str, pod: Object) -> None:
        meta = pod["metadata"]
        path = f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}"
        if kind == "DELETED":
            return
        if "deletionTimestamp" in meta:
            with contextlib.suppress(ApiError):
                await self._client.delete(path, {"gracePeriodSeconds": 0})
        elif meta["uid"] not in self._seen and not pod["spec"].get("nodeSelector"):
            self._seen.add(meta["uid"])
            self._count += 1
            node = re.search(r"kwok-\d", str(pod["spec"].get("affinity")))
            await self._make_ready(path, f"127.99.0.{self._count % 250 + 1}", node[0] if node else NODE)

    async def _make_ready(self, path: str, address: str, node: str) -> None:
        name = path.rpartition("/")[2]
        binding = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": name},
            "target": {"name": node},
        }
        await self._client.create(f"{path}/binding", binding)
        ready = {"type": "Ready", "status": "True", "lastTransitionTime": format_time(utc_now())}
        status = {"phase": "Running", "podIP": address, "conditions": [ready]}
        await self._client.patch(f"{path}/status", {"status": status})


class Witness:
    """Notes what changed, in the form of the recording."""

    def __init__(self, client: KubeClient, namespace: str) -> None:
        self.events: list[Object] = []
        self._change = asyncio.Event()
        self._client = client
        self._namespace = namespace
        self._hashes: list[str] = []

    async def run(self) -> None:
        paths = [f"/apis/apps/v1/namespaces/{self._namespace}/{plural}" for plural in PLURALS.values()]
        core = f"/api/v1/namespaces/{self._namespace}"
        async with asyncio.TaskGroup() as group:
            for path in [*paths, f"{core}/endpoints", f"{core}/pods"]:
                group.create_task(Reflector(self._client, path, self._changed).run())

    async def at_rest(self) -> list[Object]:
        """Wait until nothing changes any more; return what did since the last time."""
        changed = True
        while changed:
            self._change.clear()
            try:
                changed = await asyncio.wait_for(self._change.wait(), QUIET)
            except TimeoutError:
                changed = False
        events, self.events = self.events, []
        return events

    async def _changed(self, event: str, obj: Object) -> None:
        self._change.set()
        kind, status = obj["kind"], dict(obj.get("status", {}))
        noted = {"event": event, "kind": kind, "name": self._masked(obj["metadata"]["name"])}
        if kind == "Endpoints":
            noted["subsets"] = [_counted(subset) for subset in obj.get("subsets", [])]
        elif kind != "Pod":
            conditions = [
                {name: self._masked(item[name]) for name in ("type", "status", "reason", "message")}
                for item in status.pop("conditions", [])
            ]
            noted |= {"status": {k: v for k, v in status.items() if v}, "conditions": conditions}
        if kind in ("Deployment", "DaemonSet"):
            noted["generation"] = obj["metadata"]["generation"]
        if kind == "Deployment":
            noted["revision"] = obj["metadata"].get("annotations", {}).get(REVISION)
        if kind == "ReplicaSet":
            noted["annotations"] = obj["metadata"]["annotations"]
            # In how many waves it was resized is a matter of milliseconds too.
            noted["status"].pop("observedGeneration", None)
        if kind in ("Deployment", "ReplicaSet"):
            noted["specReplicas"] = obj["spec"]["replicas"]
        self.events.append(noted)

    def _masked(self, text: str) -> str:
        for digest in re.findall(r"web-([a-z0-9]{4,10})\b", text):
            if digest not in self._hashes:
                self._hashes.append(digest)
            text = text.replace(digest, f"<hash{self._hashes.index(digest) + 1}>")
        return text


def _counted(subset: Object) -> Object:
    counts = {"ready": len(subset.get("addresses", []))}
    return counts | {"notReady": len(subset.get("notReadyAddresses", [])), "ports": subset["ports"]}


def _recorded() -> dict[str, list[Object]]:
    steps: dict[str, list[Object]] = {}
    for line in RECORDED.read_text().splitlines():
        event = json.loads(line)
        if "status" in event:
            status = event["status"]
            event["conditions"] = status.pop("conditions", [])
            event["status"] = {name: value for name, value in status.items() if value}
        if event["kind"] == "ReplicaSet":
            event["status"].pop("observedGeneration", None)
        steps.setdefault(event["step"], []).append(event)
    return steps


def _conditions(events: list[Object], kind: str) -> dict[str, list[Object]]:
    """Return what was said under each type of condition, one after the other.

    Which types change in one write is a matter of milliseconds: how many pods a ReplicaSet counted at once.
    """
    sequences: dict[str, list[Object]] = {}
    for event in events:
        if event["kind"] == kind and event["event"] != "DELETED":
            for item in event["conditions"]:
                if item["message"] == BETWEEN_SETS:
                    continue
                said = {name: item[name] for name in ("status", "reason", "message")}
                sequence = sequences.setdefault(item["type"], [])
                if sequence[-1:] != [said]:
                    sequence.append(said)
    return sequences


def _at_rest(events: list[Object], kind: str) -> dict[str, Object | None]:
    """Return the last state of each object; None of one that was deleted."""
    names = ("status", "conditions", "specReplicas", "revision", "annotations", "generation", "subsets")
    found: dict[str, Object | None] = {}
    for event in events:
        if event["kind"] == kind:
            state = {name: event[name] for name in names if name in event}
            found[event["name"]] = None if event["event"] == "DELETED" else state
    for state in found.values():
        if state and "conditions" in state:
            state["conditions"] = sorted(map(repr, state["conditions"]))
    return found


def _template(image: str, **extra: Any) -> Object:
    container = {"name": "web", "image": image, "ports": [{"name": "http", "containerPort": 9898}]}
    return {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [container], **extra}}


def _spec(image: str, **extra: Any) -> Object:
    return {"template": {"spec": {"containers": [{"name": "web", "image": image}]} | extra}}


DEPLOYMENT = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web"},
    "spec": {
        "replicas": 4,
        "selector": {"matchLabels": {"app": "web"}},
        "template": _template("podinfo:1"),
    },
}
SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "web"},
    "spec": {"selector": {"app": "web"}, "ports": [{"name": "http", "port": 9898, "targetPort": "http"}]},
}
DAEMON_SET = {
    "apiVersion": "apps/v1",
    "kind": "DaemonSet",
    "metadata": {"name": "ds"},
    "spec": {
        "selector": {"matchLabels": {"app": "ds"}},
        "template": _template("podinfo:1") | {"metadata": {"labels": {"app": "ds"}}},
    },
}
RECREATE = {"strategy": {"type": "Recreate", "rollingUpdate": None}}


class Steps:
    """What was done to the real cluster, by the name of the step."""

    def __init__(self, client: KubeClient) -> None:
        self._client = client
        self._apps = f"/apis/apps/v1/namespaces/{NAMESPACE}"
        self.actions: dict[str, Callable[[], Awaitable[Any]]] = {
            "create 4 replicas": self._create,
            "new image: rolling update, 25%/25%": lambda: self._web(_spec("podinfo:2")),
            "annotation on the Deployment only": lambda: self._patch(
                {"metadata": {"annotations": {"a": "b"}}}
            ),
            "scale to 6": lambda: self._web({"replicas": 6}),
            "a revision that never gets ready (unschedulable), deadline 6 s": lambda: self._web(
                {"progressDeadlineSeconds": 6, **_spec("podinfo:3", nodeSelector={"no": "such-node"})}
            ),
            "back to the last good template: the old ReplicaSet is used again": lambda: self._web(
                _spec("podinfo:2", nodeSelector=None)
            ),
            "scale to 0": lambda: self._web({"replicas": 0}),
            "new image while at 0": lambda: self._web(_spec("podinfo:4")),
            "scale from 0 to 2": lambda: self._web({"replicas": 2}),
            "paused, then a new image": self._pause,
            "resumed": lambda: self._web({"paused": False}),
            "Recreate strategy, new image": lambda: self._web(RECREATE | _spec("podinfo:6")),
            "DaemonSet: create": lambda: client.create(f"{self._apps}/daemonsets", DAEMON_SET),
            "DaemonSet: new image": lambda: self._ds(_spec("podinfo:2")),
            "DaemonSet: node selector that matches no node": lambda: self._ds(
                {"template": {"spec": {"nodeSelector": {"no": "such-node"}}}}
            ),
            "delete the Deployment, background": lambda: client.delete(
                f"{self._apps}/deployments/web", {"propagationPolicy": "Background"}
            ),
        }

    async def _create(self) -> None:
        await self._client.create(f"/api/v1/namespaces/{NAMESPACE}/services", SERVICE)
        await self._client.create(f"{self._apps}/deployments", DEPLOYMENT)

    async def _pause(self) -> None:
        await self._web({"paused": True})
        await self._web(_spec("podinfo:5"))

    async def _web(self, spec: Object) -> None:
        await self._patch({"spec": spec})

    async def _patch(self, patch: Object) -> None:
        await self._client.patch(f"{self._apps}/deployments/web", patch, kind="strategic")

    async def _ds(self, spec: Object) -> None:
        await self._client.patch(f"{self._apps}/daemonsets/ds", {"spec": spec}, kind="strategic")


@contextlib.asynccontextmanager
async def _running(*parts: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    tasks = [asyncio.ensure_future(part()) for part in parts]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(end, asyncio.CancelledError) for end in ends), ends


@pytest.fixture
async def client() -> AsyncIterator[KubeClient]:
    """A client of an API server with controllers and the stand-in for a node."""
    server = await ApiServer.start()
    async with KubeClient(server.url) as client, _running(lambda: manager.run(client), Kwok(client).run):
        yield client
    await server.stop()


@pytest.fixture
async def namespace(client: KubeClient) -> str:
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    await client.create("/api/v1/namespaces", body)
    return NAMESPACE


async def test_every_recorded_step_goes_as_in_a_real_cluster(client: KubeClient, namespace: str) -> None:
    recorded, steps = _recorded(), Steps(client)
    assert list(steps.actions) == list(recorded)
    witness = Witness(client, namespace)
    async with _running(witness.run):
        for step, act in steps.actions.items():
            await act()
            expected, seen = recorded[step], await witness.at_rest()
            for _ in range(PATIENCE // 20):
                if _is_at_rest_alike(seen, expected):
                    break
                # On a busy machine something pauses for longer; and a deadline passes in silence.
                seen += await witness.at_rest()
            for kind in PLURALS:
                assert _conditions(seen, kind) == _conditions(expected, kind), (step, kind)
            for kind in (*PLURALS, "Endpoints"):
                assert _at_rest(seen, kind) == _at_rest(expected, kind), (step, kind)


def _is_at_rest_alike(seen: list[Object], expected: list[Object]) -> bool:
    return all(_at_rest(seen, kind) == _at_rest(expected, kind) for kind in (*PLURALS, "Endpoints"))


# Single rules


def _pods(namespace: str) -> str:
    return f"/api/v1/namespaces/{namespace}/pods"


async def _until(client: KubeClient, path: str, holds: Callable[[Object], bool]) -> Object:
    """Wait until what is at `path` is as wanted, and return it."""
    found: Object = {}
    for _ in range(PATIENCE):
        with contextlib.suppress(ApiError):
            found = await client.get(path)
            if holds(found):
                return found
        await asyncio.sleep(0.01)
    pytest.fail(f"{path} is still {found}")


async def _until_gone(client: KubeClient, path: str) -> None:
    for _ in range(PATIENCE):
        try:
            found = await client.get(path)
        except ApiError:
            return
        await asyncio.sleep(0.01)
    pytest.fail(f"{path} is still {found}")


def _deployment(name: str, **spec: Any) -> Object:
    body = json.loads(json.dumps(DEPLOYMENT)) | {"metadata": {"name": name}}
    body["spec"] |= {"replicas": 2, **spec}
    return dict(body)


def _config_map(name: str, owners: list[Object] | None = None) -> Object:
    meta = {"name": name, "ownerReferences": owners or []}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta}


def _owner(obj: Object, **extra: Any) -> Object:
    meta = obj["metadata"]
    return {"apiVersion": "v1", "kind": "ConfigMap", "name": meta["name"], "uid": meta["uid"], **extra}


def _unready() -> Object:
    return {"type": "Ready", "status": "False", "lastTransitionTime": format_time(utc_now())}


async def _complete(client: KubeClient, path: str, replicas: int = 2) -> Object:
    def is_complete(found: Object) -> bool:
        status = found.get("status", {})
        is_seen = status.get("observedGeneration") == found["metadata"]["generation"]
        names = ("replicas", "updatedReplicas", "availableReplicas")
        return is_seen and all(status.get(name, 0) == replicas for name in names)

    return await _until(client, path, is_complete)


@pytest.fixture
async def web(client: KubeClient, namespace: str) -> str:
    """The address of a Deployment of two replicas."""
    collection = f"/apis/apps/v1/namespaces/{namespace}/deployments"
    await client.create(collection, _deployment("web"))
    await _complete(client, f"{collection}/web")
    return f"{collection}/web"


async def test_pod_that_is_deleted_is_replaced(client: KubeClient, namespace: str, web: str) -> None:
    pods = (await client.list(_pods(namespace)))["items"]

    await client.delete(f"{_pods(namespace)}/{pods[0]['metadata']['name']}")
    await _until_gone(client, f"{_pods(namespace)}/{pods[0]['metadata']['name']}")
    await _until(client, _pods(namespace), lambda found: len(found["items"]) == 2)

    await _complete(client, web)


async def test_condition_that_says_the_same_keeps_its_times(client: KubeClient, web: str) -> None:
    before = (await client.get(web))["status"]["conditions"]
    # Times are kept in whole seconds.
    await asyncio.sleep(1.1)

    await client.patch(web, {"metadata": {"annotations": {"a": "b"}}})
    found = await _complete(client, web)

    assert found["status"]["conditions"] == before


async def test_what_is_at_rest_costs_no_request(client: KubeClient, web: str) -> None:
    async def count() -> int:
        counters = (await client.get("/_sandbox/requests"))["counters"]
        return int(sum(number for name, number in counters.items() if not name.startswith("GET")))

    await _until(client, "/api/v1/events", lambda found: len(found["items"]) == EVENTS_OF_WEB)
    before = await count()
    # Times are kept in whole seconds: what is written again for the time alone is written within two.
    await asyncio.sleep(2)

    assert await count() == before
    assert web


async def test_old_revisions_are_kept_up_to_the_limit(client: KubeClient, namespace: str, web: str) -> None:
    await client.patch(web, {"spec": {"revisionHistoryLimit": 1}})
    for image in ("podinfo:2", "podinfo:3", "podinfo:4"):
        await client.patch(web, {"spec": _spec(image)}, kind="strategic")
        await _complete(client, web)

    sets = f"/apis/apps/v1/namespaces/{namespace}/replicasets"
    found = await _until(client, sets, lambda found: len(found["items"]) == 2)

    images = {item["spec"]["template"]["spec"]["containers"][0]["image"] for item in found["items"]}
    assert images == {"podinfo:3", "podinfo:4"}


async def test_what_is_paused_is_scaled_and_not_rolled(client: KubeClient, namespace: str, web: str) -> None:
    await client.patch(web, {"spec": {"replicas": 0}})
    await _complete(client, web, 0)
    await client.patch(web, {"spec": {"paused": True, **_spec("podinfo:2")}}, kind="strategic")
    await client.patch(web, {"spec": {"replicas": 3}})
    found = await _until(client, web, lambda found: found["status"].get("availableReplicas", 0) == 3)
    pods = (await client.list(_pods(namespace)))["items"]

    assert {one["spec"]["containers"][0]["image"] for one in pods} == {"podinfo:1"}
    assert found["status"].get("updatedReplicas", 0) == 0
    conditions = [(one["status"], one["reason"]) for one in found["status"]["conditions"]]
    assert ("Unknown", "DeploymentPaused") in conditions

    await client.patch(web, {"spec": {"paused": False}})
    await _complete(client, web, 3)


async def test_replicas_are_available_only_after_min_ready_seconds(client: KubeClient, web: str) -> None:
    def is_ready(found: Object) -> bool:
        return bool(found["status"].get("readyReplicas") == 3)

    await client.patch(web, {"spec": {"minReadySeconds": 2, "replicas": 3}})
    found = await _until(client, web, is_ready)
    assert found["status"].get("availableReplicas", 0) < 3

    await _complete(client, web, 3)


async def test_pod_that_is_not_ready_is_the_first_to_go(client: KubeClient, namespace: str, web: str) -> None:
    await client.patch(web, {"spec": {"replicas": 4}})
    await _complete(client, web, 4)
    pods = [pod["metadata"]["name"] for pod in (await client.list(_pods(namespace)))["items"]]
    for name in pods[1:]:
        await client.patch(f"{_pods(namespace)}/{name}/status", {"status": {"conditions": [_unready()]}})
    await _until(client, web, lambda found: found["status"].get("readyReplicas", 0) == 1)

    await client.patch(web, {"spec": {"replicas": 1}})
    await _complete(client, web, 1)

    assert [pod["metadata"]["name"] for pod in (await client.list(_pods(namespace)))["items"]] == pods[:1]


async def test_orphaned_pods_are_adopted_again(client: KubeClient, namespace: str, web: str) -> None:
    before = {pod["metadata"]["uid"] for pod in (await client.list(_pods(namespace)))["items"]}
    await client.delete(web, {"propagationPolicy": "Orphan"})
    await _until_gone(client, web)

    await client.create(web.rpartition("/")[0], _deployment("web"))
    await _complete(client, web)

    after = {pod["metadata"]["uid"] for pod in (await client.list(_pods(namespace)))["items"]}
    assert after == before


async def test_daemon_set_is_replaced_node_by_node(client: KubeClient, namespace: str) -> None:
    for number in (1, 2):
        node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": f"kwok-{number}"}}
        await client.create("/api/v1/nodes", node)
    collection = f"/apis/apps/v1/namespaces/{namespace}/daemonsets"
    await client.create(collection, DAEMON_SET)
    await _until(client, f"{collection}/ds", lambda found: found["status"].get("numberAvailable") == 3)

    witness = Witness(client, namespace)
    async with _running(witness.run):
        await witness.at_rest()
        await client.patch(f"{collection}/ds", {"spec": _spec("podinfo:2")}, kind="strategic")
        events = [event["status"] for event in await witness.at_rest() if event["kind"] == "DaemonSet"]

    assert events[-1]["updatedNumberScheduled"] == 3
    assert min(status.get("numberAvailable", 0) for status in events) == 2


async def test_a_daemon_set_that_may_surge_always_serves(client: KubeClient, namespace: str) -> None:
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    collection = f"/apis/apps/v1/namespaces/{namespace}/daemonsets"
    await client.create(collection, DAEMON_SET | {"spec": DAEMON_SET["spec"] | {"updateStrategy": strategy}})
    await _until(client, f"{collection}/ds", lambda found: found["status"].get("numberAvailable") == 1)

    witness = Witness(client, namespace)
    async with _running(witness.run):
        await witness.at_rest()
        await client.patch(f"{collection}/ds", {"spec": _spec("podinfo:2")}, kind="strategic")
        events = [event["status"] for event in await witness.at_rest() if event["kind"] == "DaemonSet"]

    assert events[-1]["updatedNumberScheduled"] == 1
    assert {status.get("numberAvailable", 0) for status in events} == {1}


async def test_a_daemon_sets_pods_count_as_available_once_they_were_ready_long_enough(
    client: KubeClient, namespace: str
) -> None:
    """No event tells that time has passed: the controller looks again by itself."""
    collection = f"/apis/apps/v1/namespaces/{namespace}/daemonsets"
    await client.create(collection, DAEMON_SET | {"spec": DAEMON_SET["spec"] | {"minReadySeconds": 1}})
    early = await _until(client, f"{collection}/ds", lambda found: found["status"].get("numberReady") == 1)
    late = await _until(client, f"{collection}/ds", lambda found: found["status"].get("numberAvailable") == 1)

    assert early["status"]["numberUnavailable"] == 1
    assert "numberUnavailable" not in late["status"]


# Endpoints


async def _service(client: KubeClient, namespace: str, **spec: Any) -> str:
    body = json.loads(json.dumps(SERVICE))
    body["spec"] |= spec
    await client.create(f"/api/v1/namespaces/{namespace}/services", body)
    return f"/api/v1/namespaces/{namespace}/endpoints/web"


def _addresses(found: Object, kind: str = "addresses") -> int:
    return sum(len(subset.get(kind, [])) for subset in found.get("subsets", []))


async def test_named_port_is_resolved_on_each_pod(client: KubeClient, namespace: str, web: str) -> None:
    endpoints = await _service(client, namespace)
    other = _deployment("other", replicas=1, selector={"matchLabels": {"tier": "other"}})
    other["spec"]["template"]["metadata"]["labels"]["tier"] = "other"
    other["spec"]["template"]["spec"]["containers"][0]["ports"][0]["containerPort"] = 8080

    await client.create(web.rpartition("/")[0], other)

    found = await _until(client, endpoints, lambda found: _addresses(found) == 3)
    assert {subset["ports"][0]["port"] for subset in found["subsets"]} == {9898, 8080}


async def test_unready_pod_is_listed_apart_unless_published(
    client: KubeClient, namespace: str, web: str
) -> None:
    endpoints = await _service(client, namespace)
    pods = (await _until(client, endpoints, lambda found: _addresses(found) == 2))["subsets"]
    name = pods[0]["addresses"][0]["targetRef"]["name"]
    await client.patch(f"{_pods(namespace)}/{name}/status", {"status": {"conditions": [_unready()]}})

    await _until(client, endpoints, lambda found: _addresses(found, "notReadyAddresses") == 1)
    service = endpoints.replace("endpoints", "services")
    await client.patch(service, {"spec": {"publishNotReadyAddresses": True}})

    await _until(client, endpoints, lambda found: _addresses(found) == 2)
    assert web


async def test_pod_on_its_way_out_is_listed_no_more(client: KubeClient, namespace: str, web: str) -> None:
    endpoints = await _service(client, namespace)
    await _until(client, endpoints, lambda found: _addresses(found) == 2)
    name = (await client.list(_pods(namespace)))["items"][0]["metadata"]["name"]
    path = f"{_pods(namespace)}/{name}"
    await client.patch(path, {"metadata": {"finalizers": ["example.com/wait"]}})

    await client.delete(path)

    await _until(client, endpoints, lambda found: str(found).count(name) == 0 and _addresses(found) == 2)
    slices = f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"
    endings = [
        item["conditions"]
        for item in (await client.get(slices))["items"][0]["endpoints"]
        if name in str(item)
    ]
    assert endings == [{"ready": False, "serving": True, "terminating": True}]
    await client.patch(path, {"metadata": {"finalizers": None}})
    assert web


async def test_slice_tells_ready_pods_from_others(client: KubeClient, namespace: str, web: str) -> None:
    await _service(client, namespace)
    slices = f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"

    def is_ready(found: Object) -> bool:
        items = found["items"]
        return len(items) == 1 and len(items[0]["endpoints"] or []) == 2

    found = (await _until(client, slices, is_ready))["items"][0]

    assert found["metadata"]["labels"]["kubernetes.io/service-name"] == "web"
    assert found["ports"] == [{"name": "http", "port": 9898, "protocol": "TCP"}]
    assert all(item["conditions"]["ready"] for item in found["endpoints"])
    assert web


async def test_what_is_made_for_a_service_has_its_labels(
    client: KubeClient, namespace: str, web: str
) -> None:
    endpoints = await _service(client, namespace, clusterIP="None")
    slices = f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"
    await _until(client, slices, lambda found: len(found["items"]) == 1)
    service = endpoints.replace("endpoints", "services")
    await client.patch(service, {"metadata": {"labels": {"team": "a"}}})
    wanted = {"service.kubernetes.io/headless": "", "team": "a"}

    await _until(client, endpoints, lambda found: wanted.items() <= found["metadata"]["labels"].items())
    await _until(
        client, slices, lambda found: wanted.items() <= found["items"][0]["metadata"]["labels"].items()
    )
    assert web


async def test_endpoints_go_with_their_service(client: KubeClient, namespace: str) -> None:
    endpoints = await _service(client, namespace)
    await _until(client, endpoints, lambda _: True)
    slices = f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"
    await _until(client, slices, lambda found: len(found["items"]) == 1)

    await client.delete(endpoints.replace("endpoints", "services"))

    await _until_gone(client, endpoints)
    await _until(client, slices, lambda found: not found["items"])


async def test_service_without_selector_is_left_alone(client: KubeClient, namespace: str) -> None:
    endpoints = await _service(client, namespace, selector=None)
    own = {"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "web"}}
    own["subsets"] = [{"addresses": [{"ip": "10.1.2.3"}], "ports": [{"port": 9090}]}]  # type: ignore[assignment]
    await client.create(endpoints.rpartition("/")[0], own)
    witness = Witness(client, namespace)
    async with _running(witness.run):
        await witness.at_rest()

    assert _addresses(await client.get(endpoints)) == 1


# Garbage


@pytest.fixture
def configs(namespace: str) -> str:
    return f"/api/v1/namespaces/{namespace}/configmaps"


async def test_dependent_goes_with_its_last_owner(client: KubeClient, configs: str) -> None:
    first = await client.create(configs, _config_map("first"))
    second = await client.create(configs, _config_map("second"))
    await client.create(configs, _config_map("dependent", [_owner(first), _owner(second)]))

    await client.delete(f"{configs}/first")
    found = await _until(
        client, f"{configs}/dependent", lambda found: len(found["metadata"]["ownerReferences"]) == 1
    )
    assert found["metadata"]["ownerReferences"][0]["name"] == "second"
    await client.delete(f"{configs}/second")

    await _until_gone(client, f"{configs}/dependent")


@pytest.mark.parametrize(
    ("namespace_of_owner", "change"),
    [
        pytest.param("default", {}, id="another namespace"),
        pytest.param(NAMESPACE, {"uid": "0"}, id="another uid"),
        pytest.param(NAMESPACE, {"name": "nobody"}, id="another name"),
    ],
)
async def test_dependent_of_an_owner_that_is_not_there_is_deleted(
    client: KubeClient, configs: str, namespace_of_owner: str, change: Object
) -> None:
    path = f"/api/v1/namespaces/{namespace_of_owner}/configmaps"
    reference = _owner(await client.create(path, _config_map("owner"))) | change

    await client.create(configs, _config_map("dependent", [reference]))

    await _until_gone(client, f"{configs}/dependent")


async def test_foreground_deletion_waits_for_dependents(client: KubeClient, configs: str) -> None:
    owner = await client.create(configs, _config_map("owner"))
    blocking = _config_map("blocking", [_owner(owner, blockOwnerDeletion=True)])
    blocking["metadata"]["finalizers"] = ["example.com/wait"]
    await client.create(configs, blocking)

    await client.delete(f"{configs}/owner", {"propagationPolicy": "Foreground"})
    await _until(client, f"{configs}/blocking", lambda found: "deletionTimestamp" in found["metadata"])
    assert (await client.get(f"{configs}/owner"))["metadata"]["finalizers"] == ["foregroundDeletion"]
    await client.patch(f"{configs}/blocking", {"metadata": {"finalizers": None}})

    await _until_gone(client, f"{configs}/owner")


async def test_deployment_deleted_in_the_foreground_goes_last(
    client: KubeClient, namespace: str, web: str
) -> None:
    witness = Witness(client, namespace)
    async with _running(witness.run):
        await witness.at_rest()
        await client.delete(web, {"propagationPolicy": "Foreground"})
        await _until_gone(client, web)
        events = await witness.at_rest()

    gone = [event["kind"] for event in events if event["event"] == "DELETED"]
    assert gone == ["Pod", "Pod", "ReplicaSet", "Deployment"]


async def test_orphans_stay_and_lose_their_owner(client: KubeClient, configs: str) -> None:
    owner = await client.create(configs, _config_map("owner"))
    await client.create(configs, _config_map("dependent", [_owner(owner)]))

    await client.delete(f"{configs}/owner", {"propagationPolicy": "Orphan"})
    await _until_gone(client, f"{configs}/owner")

    assert "ownerReferences" not in (await client.get(f"{configs}/dependent"))["metadata"]


async def test_custom_objects_are_collected_too(client: KubeClient, configs: str, namespace: str) -> None:
    names = {"plural": "gadgets", "singular": "gadget", "kind": "Gadget", "listKind": "GadgetList"}
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    version = {"name": "v1", "served": True, "storage": True, "schema": schema}
    spec = {"group": "example.com", "scope": "Namespaced", "names": names, "versions": [version]}
    crd = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition"}
    await client.create(
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
        crd | {"metadata": {"name": "gadgets.example.com"}, "spec": spec},
    )
    owner = await client.create(configs, _config_map("owner"))
    gadgets = f"/apis/example.com/v1/namespaces/{namespace}/gadgets"
    await _until(client, gadgets, lambda _: True)
    meta = {"name": "dependent", "ownerReferences": [_owner(owner)]}
    await client.create(gadgets, {"apiVersion": "example.com/v1", "kind": "Gadget", "metadata": meta})

    await client.delete(f"{configs}/owner")

    await _until_gone(client, f"{gadgets}/dependent")


async def test_namespace_is_emptied_before_it_goes(client: KubeClient, namespace: str, web: str) -> None:
    held = _config_map("held")
    held["metadata"]["finalizers"] = ["example.com/wait"]
    await client.create(f"/api/v1/namespaces/{namespace}/configmaps", held)

    await client.delete(f"/api/v1/namespaces/{namespace}")
    await _until_gone(client, web)
    found = await client.get(f"/api/v1/namespaces/{namespace}")
    assert found["status"]["phase"] == "Terminating"
    path = f"/api/v1/namespaces/{namespace}/configmaps/held"
    await client.patch(path, {"metadata": {"finalizers": None}})

    await _until_gone(client, f"/api/v1/namespaces/{namespace}")


# Autoscaler


def _autoscaler(least: int, most: int) -> Object:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    spec = {"scaleTargetRef": target, "minReplicas": least, "maxReplicas": most}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "web"},
        "spec": spec,
    }


def _has_condition(reason: str) -> Callable[[Object], bool]:
    def holds(found: Object) -> bool:
        conditions = found.get("status", {}).get("conditions", [])
        return any(item["reason"] == reason for item in conditions)

    return holds


@pytest.mark.parametrize(("bounds", "expected"), [((3, 5), 3), ((1, 1), 1)], ids=["up", "down"])
async def test_autoscaler_keeps_its_target_within_bounds(
    client: KubeClient, namespace: str, web: str, bounds: tuple[int, int], expected: int
) -> None:
    path = f"/apis/autoscaling/v2/namespaces/{namespace}/horizontalpodautoscalers"

    await client.create(path, _autoscaler(*bounds))

    await _complete(client, web, expected)
    await _until(client, f"{path}/web", lambda found: found["status"]["desiredReplicas"] == expected)


async def test_autoscaler_lets_a_target_at_zero_sleep(client: KubeClient, namespace: str, web: str) -> None:
    await client.patch(web, {"spec": {"replicas": 0}})
    path = f"/apis/autoscaling/v2/namespaces/{namespace}/horizontalpodautoscalers"
    await client.create(path, _autoscaler(2, 5))

    await _until(client, f"{path}/web", _has_condition("ScalingDisabled"))
    assert (await client.get(web))["spec"]["replicas"] == 0
    await client.patch(web, {"spec": {"replicas": 1}})

    await _complete(client, web, 2)
