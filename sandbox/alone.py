"""One part of the sandbox in front of any API server that a kubeconfig names."""

# ruff: noqa: T201 — a command line prints
import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from sandbox.client import KubeClient
from sandbox.loadtester import LoadTester, Rules

Object = dict[str, Any]


async def run_controllers(client: KubeClient) -> None:
    """Run the controllers."""
    from sandbox.controllers import manager

    await manager.run(client)


async def run_node(client: KubeClient, subnet: int, mesh_proxy: str | None) -> None:
    """Run the node."""
    from sandbox.node import kubelet

    await kubelet.run(client, subnet=subnet, mesh_proxy=mesh_proxy)


async def run_mesh(client: KubeClient, directory: Path) -> None:
    """Run an Envoy, and say where it listens."""
    from sandbox.mesh.mesh import Mesh

    mesh = await Mesh.start(client, directory)
    print(f"gateway {mesh.gateway_url}\nmesh {mesh.mesh_url}\nservices {mesh.services_url}", flush=True)
    try:
        await mesh.run()
    finally:
        await mesh.stop()


async def run_metrics(client: KubeClient, port: int) -> None:
    """Run the scraper and its query API, and say where it listens."""
    from sandbox.metrics.server import MetricsServer

    server = await MetricsServer.start(client, port=port)
    print(f"prometheus {server.url}", flush=True)
    try:
        await asyncio.Event().wait()
    finally:
        await server.stop()


async def run_load_tester(host: str, port: int, rules: Rules) -> None:
    """Run the load tester, and say where it listens; a sidecar brings its load into the mesh."""
    tester = await LoadTester.start(host, port, None, rules)
    print(f"loadtester {tester.url}", flush=True)
    try:
        await asyncio.Event().wait()
    finally:
        await tester.stop()


@contextlib.asynccontextmanager
async def connected(kubeconfig: Path, context: str | None) -> AsyncIterator[KubeClient]:
    """Connect to the API server of a context."""
    async with KubeClient(server_of(kubeconfig, context)) as client:
        yield client


def server_of(kubeconfig: Path, context: str | None) -> str:
    """Find the address of a context's API server; only one without TLS and credentials will do."""
    from ruamel.yaml import YAML

    document: Object = YAML(typ="safe").load(kubeconfig.read_text())
    wanted = context or document.get("current-context")
    chosen = next((one["context"] for one in document["contexts"] if one["name"] == wanted), None)
    if chosen is None:
        raise LookupError(f"{kubeconfig} has no context {wanted!r}.")
    cluster = next(one["cluster"] for one in document["clusters"] if one["name"] == chosen["cluster"])
    server = str(cluster["server"])
    if not server.startswith("http://"):
        raise LookupError(f"{server} needs TLS or credentials; put `kubectl proxy` before it.")
    return server
