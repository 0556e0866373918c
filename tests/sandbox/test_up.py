"""The assembled sandbox, as its own process and inside this one."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from ruamel.yaml import YAML

from sandbox.apiserver.server import ApiServer
from sandbox.client import ApiError, KubeClient
from sandbox.handover import kubeconfig
from sandbox.occupancy import AlreadyRunningError, claimed, holder, locked
from sandbox.up import Sandbox

Object = dict[str, Any]

WEBAPP = Path(__file__).parents[2] / "sandbox/webapp/deploy/webapp"
KUBECTL = Path(sys.executable).with_name("kubectl")
COMMAND = (sys.executable, "-m", "sandbox")


@pytest.fixture(scope="module")
async def box(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Sandbox]:
    async with Sandbox(tmp_path_factory.mktemp("box"), clusters=1, temporal=None) as box:
        yield box


@pytest.fixture(scope="module")
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def kubectl(box: Sandbox, *arguments: str) -> str:
    """Run the real kubectl in the member cluster."""
    child = await asyncio.create_subprocess_exec(
        str(KUBECTL),
        *(f"--kubeconfig={box.directory}/kubeconfig", "--context=kurator-member1", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await child.communicate()
    assert child.returncode == 0, errors.decode()
    return output.decode()


async def test_the_files_say_where_everything_is(box: Sandbox, session: aiohttp.ClientSession) -> None:
    endpoints = json.loads((box.directory / "endpoints.json").read_text())
    member = endpoints["clusters"]["kurator-member1"]
    clusters = YAML(typ="safe").load((box.directory / "clusters.yaml").read_text())

    assert endpoints["pid"] == os.getpid()
    assert list(endpoints["clusters"]) == ["host", "kurator-member1"]
    assert list(clusters["clusters"]) == ["host", "kurator-member1"]
    assert clusters["clusters"]["kurator-member1"]["prometheus"] == member["prometheus"]
    for url in (f"{member['api']}/version", f"{member['prometheus']}/-/ready", *member["faults"].values()):
        async with session.get(url) as answer:
            assert answer.status == 200, url


async def test_istio_and_prometheus_are_there(box: Sandbox) -> None:
    kinds = await kubectl(box, "api-resources", "--api-group=networking.istio.io", "-o", "name")
    gateway = await kubectl(box, "get", "gateway", "-n", "istio-system", "-o", "name")
    answer = await kubectl(
        box, "get", "--raw", "/api/v1/namespaces/istio-system/services/prometheus:9090/proxy/-/ready"
    )

    assert "virtualservices.networking.istio.io" in kinds.split()
    assert gateway.strip() == "gateway.networking.istio.io/public-gateway"
    assert "Prometheus" in answer


@pytest.mark.parametrize("version", ["v1", "v1alpha3", "v1beta1"])
async def test_istio_is_served_in_all_its_versions(box: Sandbox, version: str) -> None:
    async with KubeClient(box.clusters["kurator-member1"].endpoints["api"]) as client:
        found = await client.list(f"/apis/networking.istio.io/{version}/gateways")

    assert [one["metadata"]["name"] for one in found["items"]] == ["public-gateway"]


async def test_a_virtual_service_with_a_weight_in_words_is_refused(box: Sandbox) -> None:
    route = {"destination": {"host": "a"}, "weight": "ten"}
    body = {
        "apiVersion": "networking.istio.io/v1beta1",
        "kind": "VirtualService",
        "metadata": {"name": "words", "namespace": "default"},
        "spec": {"hosts": ["a"], "http": [{"route": [route]}]},
    }
    async with KubeClient(box.clusters["kurator-member1"].endpoints["api"]) as client:
        with pytest.raises(ApiError, match=r"spec\.http\[0\]\.route\[0\]\.weight"):
            await client.create("/apis/networking.istio.io/v1beta1/namespaces/default/virtualservices", body)


async def test_the_host_keeps_the_kubeconfigs_of_its_members(box: Sandbox) -> None:
    async with KubeClient(box.clusters["host"].endpoints["api"]) as client:
        secret = await client.get("/api/v1/namespaces/default/secrets/kurator-member1")

    assert "kurator-member1.config" in secret["data"]


async def test_a_workload_is_served_measured_and_loaded(box: Sandbox, session: aiohttp.ClientSession) -> None:
    await kubectl(box, "apply", "-f", str(WEBAPP / "common/namespace.yaml"))
    await kubectl(box, "label", "namespace", "webapp", "istio-injection=enabled")
    await kubectl(box, "apply", "-R", "-f", str(WEBAPP))
    await kubectl(box, "rollout", "status", "-n", "webapp", "deployment/backend", "--timeout=15s")
    member = box.clusters["kurator-member1"]
    hey = {"type": "bash", "cmd": "hey -n 50 -c 2 http://backend.webapp:9898/"}
    hook = {"name": "x", "namespace": "webapp", "phase": "Progressing", "metadata": hey}
    async with session.post(member.endpoints["loadTester"], json=hook) as answer:
        assert answer.status == 200, await answer.text()

    for proxy in (member.endpoints["mesh"], member.endpoints["services"]):
        async with session.get("http://backend.webapp:9898/version", proxy=proxy) as answer:
            assert (await answer.json())["version"] == "6.1.0"
    query = 'sum(istio_requests_total{destination_workload="backend"})'
    async with asyncio.timeout(10):
        while await measured(session, member.endpoints["prometheus"], query) < 50:  # noqa: ASYNC110 — scraped by the second
            await asyncio.sleep(0.05)


async def measured(session: aiohttp.ClientSession, prometheus: str, query: str) -> float:
    async with session.get(f"{prometheus}/api/v1/query", params={"query": query}) as answer:
        found = (await answer.json())["data"]["result"]
        return float(found[0]["value"][1]) if found else 0.0


async def test_pods_are_rolled_without_a_failed_request(box: Sandbox, session: aiohttp.ClientSession) -> None:
    await kubectl(box, "apply", "-f", str(WEBAPP / "common/namespace.yaml"))
    await kubectl(box, "apply", "-R", "-f", str(WEBAPP))
    await kubectl(box, "rollout", "status", "-n", "webapp", "deployment/frontend", "--timeout=15s")
    member = box.clusters["kurator-member1"]
    statuses: dict[str, list[int]] = {member.endpoints["mesh"]: [], member.endpoints["services"]: []}

    async def load(proxy: str) -> None:
        while True:
            async with session.get("http://frontend.webapp/", proxy=proxy) as answer:
                statuses[proxy].append(answer.status)

    loads = [asyncio.create_task(load(proxy)) for proxy in statuses]
    await kubectl(box, "rollout", "restart", "-n", "webapp", "deployment/frontend")
    await kubectl(box, "rollout", "status", "-n", "webapp", "deployment/frontend", "--timeout=20s")
    await asyncio.sleep(1)  # the old pods end
    for one in loads:
        one.cancel()
    await asyncio.gather(*loads, return_exceptions=True)

    assert {proxy: set(seen) for proxy, seen in statuses.items()} == {proxy: {200} for proxy in statuses}
    assert min(len(seen) for seen in statuses.values()) > 100


async def test_two_sandboxes_never_share_a_directory_or_an_address(box: Sandbox) -> None:
    with pytest.raises(AlreadyRunningError):
        async with Sandbox(box.directory, clusters=1, temporal=None):
            pass
    with claimed(2) as one, claimed(2) as other:
        assert not set(one) & set(other)


@pytest.fixture
def process(tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    child = subprocess.Popen([*COMMAND, "up", "--dir", str(tmp_path), "--clusters", "1"])
    yield child
    child.kill()
    child.wait()


async def ready(process: "subprocess.Popen[bytes]", directory: Path) -> Object:
    """Wait until the sandbox has written where it is."""
    path = directory / "endpoints.json"
    async with asyncio.timeout(30):
        while not path.exists():
            assert process.poll() is None
            await asyncio.sleep(0.02)
    found: Object = json.loads(path.read_text())
    return found


def children_of(directory: Path) -> set[int]:
    """List the processes that name the directory in their command line."""
    found = set()
    for one in Path("/proc").iterdir():
        if one.name.isdigit() and int(one.name) != os.getpid():
            try:
                command = (one / "cmdline").read_bytes()
            except OSError:
                continue  # gone meanwhile
            if str(directory).encode() in command:
                found.add(int(one.name))
    return found


async def no_child_is_left(directory: Path) -> None:
    async with asyncio.timeout(10):
        while children_of(directory):  # noqa: ASYNC110 — other processes end
            await asyncio.sleep(0.02)


async def test_temporal_is_ready_with_attributes_and_retention(
    process: "subprocess.Popen[bytes]", tmp_path: Path, session: aiohttp.ClientSession
) -> None:
    endpoints = await ready(process, tmp_path)
    namespace = f"{endpoints['ui']}/api/v1/namespaces/default"
    async with session.get(namespace) as answer:
        config = (await answer.json())["config"]

    assert config["workflowExecutionRetentionTtl"] == "2592000s"
    assert {"CanaryPhase", "CanaryWeight"} <= set(config["customSearchAttributeAliases"].values())
    assert process.poll() is None


async def test_a_killed_sandbox_leaves_no_process(process: "subprocess.Popen[bytes]", tmp_path: Path) -> None:
    await ready(process, tmp_path)
    assert len(children_of(tmp_path)) >= 4  # itself, two Envoys, Temporal
    process.send_signal(signal.SIGKILL)
    process.wait()

    await no_child_is_left(tmp_path)


async def test_the_end_of_a_part_ends_the_sandbox(
    process: "subprocess.Popen[bytes]", tmp_path: Path, session: aiohttp.ClientSession
) -> None:
    await ready(process, tmp_path)
    admin = (tmp_path / "kurator-member1/admin").read_text()
    async with session.post(f"http://{admin}/quitquitquit") as answer:
        assert answer.ok

    assert await asyncio.to_thread(process.wait, 15) == 1
    await no_child_is_left(tmp_path)


@pytest.mark.parametrize("moment", [0.0, 0.3, 0.6, None], ids=["at once", "early", "midway", "ready"])
async def test_a_signal_ends_everything_at_any_moment(
    process: "subprocess.Popen[bytes]", tmp_path: Path, moment: float | None
) -> None:
    if moment is None:
        await ready(process, tmp_path)
    else:
        await asyncio.sleep(moment)
    process.send_signal(signal.SIGINT)
    await asyncio.to_thread(process.wait, 15)

    await no_child_is_left(tmp_path)
    assert not (tmp_path / "endpoints.json").exists()


async def test_up_status_and_down(tmp_path: Path) -> None:
    where = ("--dir", str(tmp_path))
    began = time.monotonic()
    up = await run("up", *where, "--clusters", "1", "--no-temporal", "--detach")
    took = time.monotonic() - began
    status = await run("status", *where)
    down = await run("down", *where)
    after = await run("status", *where)

    assert (up[0], status[0], down[0], after[0]) == (0, 0, 0, 1)
    assert "kurator-member1" in status[1]
    assert after[1].startswith("No sandbox is running")
    assert not children_of(tmp_path)
    assert took < 15


async def test_a_sandbox_without_a_mesh_starts_no_envoy(tmp_path: Path) -> None:
    where = ("--dir", str(tmp_path))
    up = await run("up", *where, "--clusters", "1", "--no-temporal", "--no-mesh", "--detach")
    member = json.loads((tmp_path / "endpoints.json").read_text())["clusters"]["kurator-member1"]
    processes = children_of(tmp_path)
    down = await run("down", *where)

    assert (up[0], down[0]) == (0, 0)
    assert len(processes) == 1
    assert member.keys() == {"api", "prometheus", "faults", "loadTester"}
    assert member["faults"].keys() == {"api", "metrics"}


@pytest.mark.parametrize("broken", ["", "{", "{}", "7"])
async def test_a_sandbox_whose_file_is_broken_can_be_ended(tmp_path: Path, broken: str) -> None:
    where = ("--dir", str(tmp_path))
    with locked(tmp_path):
        (tmp_path / "endpoints.json").write_text(broken)
        status = await run("status", *where)

    assert status[0] == 1
    assert status[1].startswith(f"{tmp_path}/endpoints.json cannot be used: ")
    assert status[1].endswith(
        f"canary sandbox down --dir {tmp_path}, then canary sandbox up --dir {tmp_path}\n"
    )
    assert len(status[1].splitlines()) == 1


async def test_down_ends_a_sandbox_that_is_still_being_started(
    process: "subprocess.Popen[bytes]", tmp_path: Path
) -> None:
    while not holder(tmp_path):  # noqa: ASYNC110 — another process takes it
        await asyncio.sleep(0.01)
    down = await run("down", "--dir", str(tmp_path))

    assert down == (0, "")
    await asyncio.to_thread(process.wait, 15)
    await no_child_is_left(tmp_path)


@pytest.mark.parametrize("options", [[], ["--detach"]], ids=["here", "detached"])
async def test_what_keeps_it_from_starting_is_said_in_one_line(tmp_path: Path, options: list[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        code, said = await run("up", "--dir", str(tmp_path), "--temporal-port", port, *options)

    assert code == 1
    assert "temporal ended with 1; see" in said
    assert said.endswith("address already in use\n")
    assert len(said.splitlines()) == 1
    await no_child_is_left(tmp_path)


async def test_interrupted_while_it_waits_it_leaves_nothing(tmp_path: Path) -> None:
    child = await asyncio.create_subprocess_exec(
        *COMMAND, "up", "--dir", str(tmp_path), "--detach", stderr=asyncio.subprocess.PIPE
    )
    while not holder(tmp_path):  # noqa: ASYNC110 — another process takes it
        await asyncio.sleep(0.01)
    child.send_signal(signal.SIGINT)
    _, said = await child.communicate()

    assert (child.returncode, said) == (130, b"")
    assert holder(tmp_path) is None
    await no_child_is_left(tmp_path)


@pytest.mark.parametrize(
    "option", [["--clusters", "-1"], ["--clusters", "500"], ["--ui-port", "99999"], ["--temporal-port", "x"]]
)
async def test_numbers_that_cannot_be_are_refused(tmp_path: Path, option: list[str]) -> None:
    code, said = await run("up", "--dir", str(tmp_path), *option)

    assert code == 2
    assert f"argument {option[0]}: {option[1]} is no number from 0 to " in said


async def run(*arguments: str) -> tuple[int | None, str]:
    child = await asyncio.create_subprocess_exec(
        *COMMAND, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await child.communicate()
    return child.returncode, output.decode()


async def test_the_mesh_runs_alone_in_front_of_an_api_server(
    box: Sandbox, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    child = await asyncio.create_subprocess_exec(
        *(*COMMAND, "mesh", "--kubeconfig", f"{box.directory}/kubeconfig", "--context", "kurator-member1"),
        *("--dir", str(tmp_path)),
        stdout=asyncio.subprocess.PIPE,
    )
    assert child.stdout
    said = dict([(await child.stdout.readline()).decode().split() for _ in range(3)])
    url = "http://prometheus.istio-system:9090/-/ready"
    async with session.get(url, proxy=said["services"]) as answer:
        status = answer.status
    child.terminate()
    await child.wait()

    assert status == 200
    await no_child_is_left(tmp_path)


async def test_controllers_node_and_metrics_run_alone(session: aiohttp.ClientSession, tmp_path: Path) -> None:
    server = await ApiServer.start()
    (tmp_path / "kubeconfig").write_text(kubeconfig({"bare": server.url}, "bare"))
    deployment = yaml_of("kustomize/deployment.yaml")
    with claimed(1) as subnets:
        parts = [
            await start_part(tmp_path, *arguments)
            for arguments in (["controllers"], ["node", "--subnet", str(subnets[0])], ["metrics"])
        ]
        async with KubeClient(server.url) as client:
            await client.create("/apis/apps/v1/namespaces/default/deployments", deployment)
            async with asyncio.timeout(20):
                while not await is_available(client):  # noqa: ASYNC110 — other processes work on it
                    await asyncio.sleep(0.05)
        assert parts[2].stdout
        url = (await parts[2].stdout.readline()).decode().split()[1]
        async with asyncio.timeout(10):
            while await measured(session, url, "sum(up)") < 1:  # noqa: ASYNC110 — scraped by the second
                await asyncio.sleep(0.05)
        for part in parts:
            part.terminate()
        await asyncio.gather(*(part.wait() for part in parts))
    await server.stop()

    assert [part.returncode for part in parts] == [0, 0, 0]


async def start_part(directory: Path, *arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(*COMMAND, *arguments, "--kubeconfig", f"{directory}/kubeconfig"), stdout=asyncio.subprocess.PIPE
    )


async def is_available(client: KubeClient) -> bool:
    found = await client.get("/apis/apps/v1/namespaces/default/deployments/podinfo")
    return bool(found.get("status", {}).get("availableReplicas"))


def yaml_of(name: str) -> Object:
    found: Object = YAML(typ="safe").load((WEBAPP.parents[1] / name).read_text())
    return found


async def test_a_server_that_needs_credentials_is_refused(tmp_path: Path) -> None:
    (tmp_path / "kubeconfig").write_text(kubeconfig({"real": "https://10.0.0.1:6443"}, "real"))
    child = await asyncio.create_subprocess_exec(
        *(*COMMAND, "node", "--kubeconfig", f"{tmp_path}/kubeconfig"), stderr=asyncio.subprocess.PIPE
    )
    _, errors = await child.communicate()

    assert child.returncode == 1
    assert (
        errors.decode() == "https://10.0.0.1:6443 needs TLS or credentials; put `kubectl proxy` before it.\n"
    )
