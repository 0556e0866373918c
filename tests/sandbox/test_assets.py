"""A real control plane: its command lines, and, where KUBEBUILDER_ASSETS names one, all of it."""

import asyncio
import os
from pathlib import Path

import aiohttp
import pytest

from sandbox.assets import (
    Files,
    RealControlPlane,
    api_server_command,
    controllers_command,
    etcd_command,
)
from sandbox.client import KubeClient
from sandbox.up import Sandbox

ASSETS = os.environ.get("KUBEBUILDER_ASSETS")
FILES = Files(Path("/box"), 1001, 1002)


def test_etcd_listens_on_loopback_only() -> None:
    command = etcd_command(Path("/assets/etcd"), FILES)

    assert command[0] == "/assets/etcd"
    assert "--listen-client-urls=http://127.0.0.1:1001" in command
    assert "--listen-peer-urls=http://127.0.0.1:0" in command
    assert "--data-dir=/box/etcd" in command


def test_the_api_server_lets_in_whoever_has_the_token() -> None:
    command = api_server_command(Path("/assets/kube-apiserver"), FILES)

    assert {
        "--etcd-servers=http://127.0.0.1:1001",
        "--bind-address=127.0.0.1",
        "--secure-port=1002",
        "--authorization-mode=AlwaysAllow",
        "--token-auth-file=/box/tokens.csv",
        "--cert-dir=/box/certificates",
    } <= set(command)
    assert any("TaintNodesByCondition" in one for one in command)  # DaemonSets would shun our node


def test_the_controllers_are_those_that_ours_stand_in_for() -> None:
    command = controllers_command(Path("/assets/kube-controller-manager"), FILES)
    chosen = next(one for one in command if one.startswith("--controllers=")).partition("=")[2].split(",")

    assert {"deployment-controller", "daemonset-controller", "endpoints-controller"} <= set(chosen)
    assert not any("node" in one for one in chosen)  # it would miss the heartbeat of ours
    assert "--kubeconfig=/box/kubeconfig" in command


async def test_a_folder_without_the_programs_is_refused(tmp_path: Path) -> None:
    (tmp_path / "etcd").touch(mode=0o755)

    with pytest.raises(LookupError, match="has no kube-apiserver; KUBEBUILDER_ASSETS names it"):
        await RealControlPlane.start(tmp_path, tmp_path)


async def test_what_ends_at_once_is_named_with_its_log(tmp_path: Path) -> None:
    for name in ("etcd", "kube-apiserver"):
        (tmp_path / name).write_text("#!/bin/sh\nexit 3\n")
        (tmp_path / name).chmod(0o755)

    with pytest.raises(LookupError, match=r"kube-apiserver ended with 3; see .*kube-apiserver\.log"):
        await RealControlPlane.start(tmp_path, tmp_path)


async def test_a_program_that_ended_is_noticed(tmp_path: Path) -> None:
    plane = RealControlPlane(has_controllers=False)
    (tmp_path / "etcd").write_text("#!/bin/sh\nexit 3\n")
    (tmp_path / "etcd").chmod(0o755)
    await plane._run([str(tmp_path / "etcd")], Files(tmp_path, 0, 0))

    await asyncio.wait_for(plane.wait(), 5)
    await plane.stop()


@pytest.mark.skipif(not ASSETS, reason="KUBEBUILDER_ASSETS names no folder")
@pytest.mark.timeout(180)
async def test_a_workload_runs_and_is_served(tmp_path: Path) -> None:
    assert ASSETS
    async with Sandbox(tmp_path, clusters=0, temporal=None, assets=Path(ASSETS)) as box:
        host = box.clusters["host"]
        async with KubeClient(host.endpoints["api"]) as client:
            await client.create("/apis/apps/v1/namespaces/default/deployments", DEPLOYMENT)
            await client.create("/api/v1/namespaces/default/services", SERVICE)
            await answers(
                f"{host.endpoints['api']}/api/v1/namespaces/default/services/web:80/proxy/version", None
            )
            await answers("http://web.default/version", host.endpoints["mesh"])


LABELS = {"app": "web"}
PORTS = [{"containerPort": 9898}]
POD_SPEC = {"containers": [{"name": "web", "image": "podinfo:6.0.0", "ports": PORTS}]}
DEPLOYMENT = {
    "metadata": {"name": "web"},
    "spec": {
        "replicas": 2,
        "selector": {"matchLabels": LABELS},
        "template": {"metadata": {"labels": LABELS}, "spec": POD_SPEC},
    },
}
SERVICE = {
    "metadata": {"name": "web"},
    "spec": {"selector": LABELS, "ports": [{"name": "http", "port": 80, "targetPort": 9898}]},
}


async def answers(url: str, proxy: str | None) -> None:
    """Wait until podinfo answers there."""
    async with aiohttp.ClientSession() as session, asyncio.timeout(60):
        while True:
            async with session.get(url, proxy=proxy) as answer:
                if answer.ok and (await answer.json(content_type=None))["version"] == "6.0.0":
                    return
            await asyncio.sleep(0.1)
