"""The node, against the API server, with requests to the pods it runs."""

import asyncio
import base64
import contextlib
import os
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest

from sandbox.apiserver.server import ApiServer
from sandbox.client import ApiError, KubeClient
from sandbox.node import kubelet
from sandbox.node.kubelet import Addresses
from sandbox.objects import Object

SUBNET = 150 + os.getpid() % 50
PODS = "/api/v1/namespaces/default/pods"
EVENTS = "/api/v1/namespaces/default/events"
NODE = f"/api/v1/nodes/{kubelet.NAME}"
PORT = 9898


@pytest.fixture(scope="module")
async def client() -> AsyncIterator[KubeClient]:
    """A client of an API server with one node."""
    server = await ApiServer.start()
    async with KubeClient(server.url) as client:
        await _ensure_namespace(client, "default", {})
        task = asyncio.ensure_future(kubelet.run(client, subnet=SUBNET, drain=0.3))
        yield client
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    await server.stop()


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def _ensure_namespace(client: KubeClient, name: str, labels: dict[str, str]) -> None:
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
    with contextlib.suppress(ApiError):
        await client.create("/api/v1/namespaces", body)


def _pod(name: str, image: str = "podinfo:6.1.0", *, spec: Object | None = None, **container: Any) -> Object:
    first = {"name": "app", "image": image, "ports": [{"name": "http", "containerPort": PORT}]} | container
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {"containers": [first]} | (spec or {}),
    }


async def _until(client: KubeClient, name: str, holds: Callable[[Object], bool], pods: str = PODS) -> Object:
    async with asyncio.timeout(15):
        while True:
            found = await client.get(f"{pods}/{name}")
            if holds(found):
                return found
            await asyncio.sleep(0.01)


async def _until_gone(client: KubeClient, name: str) -> None:
    async with asyncio.timeout(15):
        with contextlib.suppress(ApiError):
            while True:
                await client.get(f"{PODS}/{name}")
                await asyncio.sleep(0.01)


def _condition(pod: Object, kind: str) -> str:
    conditions = pod.get("status", {}).get("conditions", [])
    return next((str(item["status"]) for item in conditions if item["type"] == kind), "")


def _is_ready(pod: Object) -> bool:
    return _condition(pod, "Ready") == "True"


def _waits_for(reason: str) -> Callable[[Object], bool]:
    def holds(pod: Object) -> bool:
        states = [item["state"] for item in pod["status"].get("containerStatuses", [])]
        return any(state.get("waiting", {}).get("reason") == reason for state in states)

    return holds


async def _started(client: KubeClient, pod: Object) -> Object:
    await client.create(PODS, pod)
    return await _until(client, pod["metadata"]["name"], _is_ready)


def _url(pod: Object, path: str = "/", port: int = PORT) -> str:
    return f"http://{pod['status']['podIP']}:{port}{path}"


async def _ready_node(client: KubeClient) -> Object:
    async with asyncio.timeout(15):
        while True:
            node = await client.get(NODE)
            if [one["status"] for one in node.get("status", {}).get("conditions", [])] == ["True"]:
                return node
            await asyncio.sleep(0.01)


async def test_a_node_that_starts_again_is_ready_as_before(client: KubeClient) -> None:
    before = await _ready_node(client)
    gone = {"conditions": [{"type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown"}]}
    await client.patch(f"{NODE}/status", {"status": gone})
    task = asyncio.ensure_future(kubelet.run(client, subnet=SUBNET + 50, drain=0.3))
    after = await _ready_node(client)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert after["status"]["allocatable"] == before["status"]["allocatable"]
    assert after["metadata"]["labels"]["kubernetes.io/hostname"] == kubelet.NAME


async def test_node_is_ready(client: KubeClient) -> None:
    node = await _until(client, "sandbox-node", _is_ready, "/api/v1/nodes")

    assert node["metadata"]["labels"]["kubernetes.io/os"] == "linux"


async def test_pod_is_bound_and_serves_on_its_own_address(
    client: KubeClient, http: aiohttp.ClientSession
) -> None:
    first, second = [await _started(client, _pod(name)) for name in ("one", "two")]

    assert first["spec"]["nodeName"] == "sandbox-node"
    assert first["status"]["phase"] == "Running"
    assert first["status"]["podIP"].startswith(f"127.{SUBNET}.")
    assert first["status"]["podIP"] != second["status"]["podIP"]
    assert first["status"]["containerStatuses"][0]["image"] == "podinfo:6.1.0"
    for kind in ("PodScheduled", "Initialized", "ContainersReady"):
        assert _condition(first, kind) == "True"
    async with http.get(_url(second)) as answer:
        assert (await answer.json())["hostname"] == "two"


async def test_all_ports_of_a_pod_are_served(client: KubeClient, http: aiohttp.ClientSession) -> None:
    ports = [{"name": "http", "containerPort": PORT}, {"name": "http-metrics", "containerPort": 9797}]
    pod = await _started(client, _pod("ports", ports=ports))

    async with http.get(_url(pod, "/metrics", 9797)) as answer:
        assert "http_requests_total" in await answer.text()


async def test_pod_no_node_suits_stays_pending(client: KubeClient) -> None:
    await client.create(PODS, _pod("nowhere", spec={"nodeSelector": {"disk": "ssd"}}))

    found = await _until(client, "nowhere", lambda pod: _condition(pod, "PodScheduled") == "False")

    assert found["status"]["phase"] == "Pending"
    assert found["status"]["conditions"][0]["reason"] == "Unschedulable"
    assert "nodeName" not in found["spec"]


async def _refuse(client: KubeClient, *requests: tuple[str, str]) -> None:
    """Let each request fail once."""
    rules = [{"do": "status", "method": method, "path": path, "times": 1} for method, path in requests]
    await client.replace("/_sandbox/faults", rules)


async def test_what_is_refused_is_tried_again_and_a_start_tells_of_it(client: KubeClient) -> None:
    await _refuse(client, ("POST", "refused/binding"), ("PATCH", "refused/status"))
    await _started(client, _pod("refused"))
    await client.delete(f"{PODS}/refused")
    await _refuse(client, ("DELETE", "pods/refused"))

    await _until_gone(client, "refused")
    events = (await client.list(EVENTS, fieldSelector="involvedObject.name=refused"))["items"]
    assert "FailedCreatePodSandBox" in [event["reason"] for event in events]


@pytest.mark.parametrize(
    ("image", "reason", "phase"),
    [
        ("podinfo:6.1.0-crash", "CrashLoopBackOff", "Running"),
        ("podinfo:6.1.0-missing", "ImagePullBackOff", "Pending"),
    ],
)
async def test_bad_image_is_told(client: KubeClient, image: str, reason: str, phase: str) -> None:
    name = image.rpartition("-")[2]
    await client.create(PODS, _pod(name, image))

    found = await _until(client, name, _waits_for(reason))

    assert found["status"]["phase"] == phase
    assert _condition(found, "Ready") == "False"


async def test_crashing_container_is_restarted_ever_later(client: KubeClient) -> None:
    await client.create(PODS, _pod("crashing", "podinfo:1-crash"))

    def has_restarted(pod: Object) -> bool:
        statuses = pod["status"].get("containerStatuses", [{}])
        return bool(statuses[0].get("restartCount", 0) >= 1) and _waits_for("CrashLoopBackOff")(pod)

    found = await _until(client, "crashing", has_restarted)

    status = found["status"]["containerStatuses"][0]
    assert status["lastState"]["terminated"]["exitCode"] == 1
    assert "back-off 2s restarting failed container=app" in status["state"]["waiting"]["message"]


@pytest.mark.parametrize(
    "probe",
    [
        {"httpGet": {"path": "/readyz", "port": "http"}},
        {"exec": {"command": ["podcli", "check", "http", f"localhost:{PORT}/readyz"]}},
    ],
    ids=["httpGet", "podcli"],
)
async def test_readiness_follows_the_probe(
    client: KubeClient, http: aiohttp.ClientSession, probe: Object
) -> None:
    name = next(iter(probe)).lower()
    rules = {"periodSeconds": 1, "failureThreshold": 1, "initialDelaySeconds": 60}
    pod = await _started(client, _pod(name, readinessProbe=probe | rules))

    async with http.post(_url(pod, "/readyz/disable")):
        pass
    await _until(client, name, lambda pod: not _is_ready(pod))
    async with http.post(_url(pod, "/readyz/enable")):
        pass

    await _until(client, name, _is_ready)


async def test_slow_image_is_ready_only_then(client: KubeClient) -> None:
    began = asyncio.get_running_loop().time()

    await _started(client, _pod("slow", "podinfo:1-slow1"))

    assert asyncio.get_running_loop().time() - began >= 1


async def test_other_images_are_ready_without_a_server(client: KubeClient) -> None:
    probe = {"httpGet": {"path": "/", "port": 80}}

    await _started(client, _pod("other", "nginx:1", ports=[{"containerPort": 80}], readinessProbe=probe))


async def test_environment_is_resolved(client: KubeClient, http: aiohttp.ClientSession) -> None:
    core = "/api/v1/namespaces/default"
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "env"}, "data": {"COLOR": "red"}}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "env"}}
    await client.create(f"{core}/configmaps", config)
    encoded = base64.b64encode(b"hidden").decode()
    await client.create(f"{core}/secrets", secret | {"data": {"password": encoded}})
    env = [
        {"name": "PLAIN", "value": "1"},
        {"name": "TWICE", "value": "$(PLAIN)$(PLAIN)"},
        {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "env", "key": "password"}}},
        {"name": "MAYBE", "valueFrom": {"configMapKeyRef": {"name": "no", "key": "no", "optional": True}}},
        {"name": "NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "APP", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app']"}}},
        {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
    ]
    sources = [{"configMapRef": {"name": "env"}, "prefix": "UI_"}]
    sources.append({"configMapRef": {"name": "missing", "optional": True}})
    pod = await _started(client, _pod("env", env=env, envFrom=sources))

    async with http.get(_url(pod, "/env")) as answer:
        found = dict(line.split("=", 1) for line in await answer.json())

    assert found == {
        "UI_COLOR": "red",
        "PLAIN": "1",
        "TWICE": "11",
        "PASSWORD": "hidden",
        "NAME": "env",
        "APP": "env",
        "IP": pod["status"]["podIP"],
    }


async def test_missing_reference_holds_the_container_until_it_is_there(client: KubeClient) -> None:
    sources = [{"configMapRef": {"name": "late"}}]
    await client.create(PODS, _pod("waiting", envFrom=sources))
    found = await _until(client, "waiting", _waits_for("CreateContainerConfigError"))
    state = found["status"]["containerStatuses"][0]["state"]
    assert state["waiting"]["message"] == 'configmap "late" not found'

    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "late"}}
    await client.create("/api/v1/namespaces/default/configmaps", config)

    await _until(client, "waiting", _is_ready)


async def test_missing_volume_holds_the_pod(client: KubeClient) -> None:
    volumes = [{"name": "keys", "secret": {"secretName": "no-such-secret"}}]
    await client.create(PODS, _pod("unmounted", spec={"volumes": volumes}))

    found = await _until(client, "unmounted", _waits_for("ContainerCreating"))

    assert not _is_ready(found)


async def test_deleted_pod_serves_on_while_it_drains(client: KubeClient, http: aiohttp.ClientSession) -> None:
    pod = await _started(client, _pod("drained"))
    await client.delete(f"{PODS}/drained")
    loop = asyncio.get_running_loop()
    began = loop.time()
    while loop.time() - began < 0.2:
        async with http.get(_url(pod)) as answer:
            assert answer.status == 200

    await _until_gone(client, "drained")

    assert 0.3 <= loop.time() - began < 2
    with pytest.raises(aiohttp.ClientConnectorError):
        await http.get(_url(pod))


@pytest.mark.parametrize(
    ("hook", "grace", "least"),
    [
        pytest.param({"sleep": {"seconds": 1}}, 30, 1.0, id="sleep"),
        pytest.param({"exec": {"command": ["sh", "-c", "sleep 1"]}}, 30, 1.0, id="exec"),
        pytest.param({"exec": {"command": ["sleep", "20"]}}, 1, 1.0, id="grace period ends it"),
    ],
)
async def test_pre_stop_prolongs_the_drain(
    client: KubeClient, hook: Object, grace: int, least: float
) -> None:
    name = f"hook-{next(iter(hook))}-{grace}"
    spec = {"terminationGracePeriodSeconds": grace}
    await _started(client, _pod(name, spec=spec, lifecycle={"preStop": hook}))
    began = asyncio.get_running_loop().time()

    await client.delete(f"{PODS}/{name}")
    await _until_gone(client, name)

    assert least <= asyncio.get_running_loop().time() - began < least + 2


async def test_pod_deleted_by_force_stops_at_once(client: KubeClient, http: aiohttp.ClientSession) -> None:
    pod = await _started(client, _pod("forced"))

    await client.delete(f"{PODS}/forced", {"gracePeriodSeconds": 0})

    async with asyncio.timeout(5):
        with contextlib.suppress(aiohttp.ClientConnectionError):
            while True:
                async with http.get(_url(pod)):
                    await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("labels", "pod_labels", "expected"),
    [
        pytest.param({"istio-injection": "enabled"}, {}, True, id="namespace"),
        pytest.param({"istio.io/rev": "1-20"}, {}, True, id="revision"),
        pytest.param({}, {}, False, id="not asked for"),
        pytest.param({"istio-injection": "disabled", "istio.io/rev": "x"}, {}, False, id="disabled"),
        pytest.param(
            {"istio-injection": "enabled"}, {"sidecar.istio.io/inject": "false"}, False, id="opt out"
        ),
        pytest.param({}, {"sidecar.istio.io/inject": "true"}, True, id="opt in"),
    ],
)
async def test_sidecar_is_where_istio_would_inject_it(  # noqa: PLR0913 — fixtures and parameters
    client: KubeClient,
    http: aiohttp.ClientSession,
    request: pytest.FixtureRequest,
    labels: dict[str, str],
    pod_labels: dict[str, str],
    *,
    expected: bool,
) -> None:
    namespace = f"istio-{request.node.callspec.id.replace(' ', '-')}"
    await _ensure_namespace(client, namespace, labels)
    body = _pod("web")
    body["metadata"]["labels"] |= pod_labels
    path = f"/api/v1/namespaces/{namespace}/pods"
    await client.create(path, body)
    pod = await _until(client, "web", _is_ready, path)

    assert ("sidecar.istio.io/status" in pod["metadata"].get("annotations", {})) is expected
    if not expected:
        return
    async with http.get(_url(pod)):
        pass
    async with http.get(_url(pod, "/stats/prometheus", 15020)) as answer:
        assert 'destination_workload="web"' in await answer.text()


async def test_load_tester_runs_in_its_pod(client: KubeClient, http: aiohttp.ClientSession) -> None:
    ports = [{"containerPort": 8080}]
    pod = await _started(client, _pod("tester", "weaveworks/flagger-loadtester:0.29.0", ports=ports))

    async with http.get(_url(pod, "/healthz", 8080)) as answer:
        assert answer.status == 200


FILE: Object = {
    "command": ["python", "-m", "sandbox", "loadtester", "--token-file=/etc/loadtester/token"],
    "volumeMounts": [{"name": "token", "mountPath": "/etc/loadtester"}],
}
VARIABLE: Object = {
    "env": [{"name": "LOADTESTER_TOKEN", "valueFrom": {"secretKeyRef": {"name": "tester", "key": "token"}}}]
}


@pytest.mark.parametrize(
    ("form", "container"),
    [pytest.param("file", FILE, id="a file"), pytest.param("variable", VARIABLE, id="a variable")],
)
async def test_our_load_tester_takes_its_token_as(
    client: KubeClient, http: aiohttp.ClientSession, form: str, container: Object
) -> None:
    data = {"token": base64.b64encode(b"let me in").decode()}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "tester"}, "data": data}
    await client.apply("/api/v1/namespaces/default/secrets/tester", secret, manager="test")
    volumes = [{"name": "token", "secret": {"secretName": "tester"}}]
    ports = [{"containerPort": 8080}]
    wanted = _pod(f"by-{form}", "durable-canary:0.1.0", spec={"volumes": volumes}, ports=ports, **container)
    pod = await _started(client, wanted)
    statuses = []
    for headers in ({}, {"X-Loadtester-Token": "let me in"}):
        async with http.get(_url(pod, "/results", 8080), headers=headers) as answer:
            statuses.append(answer.status)

    assert statuses == [401, 200]


async def test_our_load_tester_serves_the_namespaces_it_is_told(
    client: KubeClient, http: aiohttp.ClientSession
) -> None:
    ports = [{"containerPort": 8080}]
    command = ["python", "-m", "sandbox", "loadtester", "--namespace-regexp=^webapp$"]
    pod = await _started(client, _pod("choosy", "durable-canary:0.1.0", ports=ports, command=command))
    statuses = []
    for namespace in ("webapp", "shop"):
        body = {"name": "a", "namespace": namespace, "metadata": {"cmd": "true"}}
        async with http.post(_url(pod, "/", 8080), json=body) as answer:
            statuses.append(answer.status)

    assert statuses == [202, 403]


async def test_other_programs_may_have_options_of_the_same_names(client: KubeClient) -> None:
    command = ["./podinfo", "--token-file", "/etc/nothing", "--namespace-regexp"]

    await _started(client, _pod("unconcerned", command=command))


async def test_a_token_that_is_not_there_keeps_a_load_tester_from_starting(client: KubeClient) -> None:
    await client.create(PODS, _pod("tokenless", "durable-canary:0.1.0", command=FILE["command"]))

    await _until(client, "tokenless", _waits_for("CreateContainerConfigError"))


def test_addresses_are_unique_and_not_reused_soon() -> None:
    addresses = Addresses(7)
    first, second = addresses.take(), addresses.take()
    addresses.release(first)

    assert {first, second} == {"127.7.0.1", "127.7.0.2"}
    assert addresses.take() == "127.7.0.3"
    assert addresses.take(first) == first
    assert addresses.take("10.0.0.1") == "127.7.0.4"


def test_addresses_skip_what_looks_like_a_broadcast() -> None:
    addresses = Addresses(7)

    taken = [addresses.take() for _ in range(260)]

    assert "127.7.0.255" not in taken
    assert "127.7.1.0" not in taken
