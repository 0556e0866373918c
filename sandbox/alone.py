"""One part of the sandbox in front of any API server that a kubeconfig names."""

# ruff: noqa: T201 — a command line prints
import argparse
import asyncio
import re
import sys
import tempfile
from pathlib import Path

from sandbox import children
from sandbox.client import KubeClient
from sandbox.loadtester import LoadTester, Rules
from sandbox.objects import Object

SERVING = re.compile(r"Starting to serve on (\S+)")
SERVES_WITHIN = 30.0


async def run_part(options: argparse.Namespace) -> None:
    """Run the part that a command line names."""
    from sandbox.controllers import manager
    from sandbox.node import kubelet

    async with KubeClient(_server_of(options.kubeconfig, options.context)) as client:
        match options.part:
            case "controllers":
                await manager.run(client)
            case "node":
                await kubelet.run(client, subnet=options.subnet, mesh_proxy=lambda: options.mesh_proxy)
            case "mesh":
                await _run_mesh(client, options.dir)
            case _:
                await _run_metrics(client, options.port)


async def _run_mesh(client: KubeClient, directory: Path) -> None:
    from sandbox.mesh.mesh import Mesh

    mesh = await Mesh.start(client, directory)
    print("\n".join(f"{name} {url}" for name, url in mesh.urls.items()), flush=True)
    try:
        await mesh.run()
    finally:
        await mesh.stop()


async def _run_metrics(client: KubeClient, port: int) -> None:
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


async def run_front(kubeconfig: Path, context: str | None) -> None:
    """Put our request log and faults in front of a cluster, and say where they listen.

    How the cluster is reached is kubectl's to know: certificates, tokens, programs that give them.
    """
    from sandbox.front import Front, Upstream

    with tempfile.TemporaryDirectory(prefix="front-") as folder:
        log = Path(folder) / "kubectl.log"
        command = [str(Path(sys.executable).with_name("kubectl")), "--kubeconfig", str(kubeconfig), "proxy"]
        command += ["--port=0", "--reject-paths=^$", *(["--context", context] if context else [])]
        child = await children.start(*command, log=log)
        try:
            url = await asyncio.wait_for(_serving(child, log), SERVES_WITHIN)
            front = await Front.start(Upstream(url, has_sandbox_pods=False))
            print(f"api {front.url}", flush=True)
            try:
                await child.wait()
            finally:
                await front.stop()
            raise LookupError("kubectl proxy ended by itself.")
        finally:
            await children.stop(child)


async def _serving(child: asyncio.subprocess.Process, log: Path) -> str:
    """Wait until `kubectl proxy` says where it listens."""
    while child.returncode is None:
        if found := SERVING.search(await asyncio.to_thread(log.read_text)):
            return f"http://{found[1]}"
        await asyncio.sleep(0.05)
    said = await asyncio.to_thread(log.read_text)
    raise LookupError(f"kubectl proxy did not start: {said.strip()}")


def _server_of(kubeconfig: Path, context: str | None) -> str:
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
