"""One cluster: an API server and the parts around it."""

import asyncio
import contextlib
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

from sandbox import switches
from sandbox.apiserver.server import ApiServer
from sandbox.assets import RealControlPlane
from sandbox.client import KubeClient
from sandbox.controllers import manager
from sandbox.installed import install
from sandbox.loadtester import LoadTester
from sandbox.mesh.mesh import Mesh
from sandbox.metrics.server import MetricsServer
from sandbox.node import kubelet

# A pod goes on serving for so long after its end began: Envoy hears of it in milliseconds, but on a busy
# machine those can be many.
DRAIN = 1.5


@dataclass(frozen=True)
class Place:
    """Where a cluster keeps its files and its pods, and how slow its mesh is (in seconds).

    `assets` is the folder with the programs of a real control plane, if it is to have one.
    """

    directory: Path
    subnet: int
    propagation: float = 0.0
    assets: Path | None = None


class ControlPlane(Protocol):
    """An API server, ours or another, that listens at `url`, and perhaps its controllers."""

    url: str
    has_controllers: bool

    async def wait(self) -> None:
        """Return when it has ended by itself."""

    async def stop(self) -> None:
        """End it."""


class Cluster:
    """The running parts of a cluster, and where each is reached; made by `start`, ended by `stop`."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.api_url = ""
        self.prometheus_url = ""
        self.gateway_url = ""
        self.mesh_url = ""
        self.services_url = ""
        self.load_tester_url = ""
        self.faults: dict[str, str] = {}
        self._running = contextlib.AsyncExitStack()
        self._parts: list[asyncio.Task[None]] = []

    @classmethod
    async def start(cls, name: str, place: Place) -> Self:
        """Start everything around an API server."""
        cluster = cls(name)
        try:
            await cluster._start(place)
        except BaseException:
            await cluster.stop()
            raise
        return cluster

    async def wait(self) -> None:
        """Return, or raise, when a part has ended by itself."""
        done, _ = await asyncio.wait(self._parts, return_when=asyncio.FIRST_COMPLETED)
        for part in done:
            part.result()

    def endpoints(self) -> dict[str, Any]:
        """List where the parts are."""
        return {
            "api": self.api_url,
            "prometheus": self.prometheus_url,
            "gateway": self.gateway_url,
            "mesh": self.mesh_url,
            "services": self.services_url,
            "loadTester": self.load_tester_url,
            "faults": self.faults,
        }

    async def stop(self) -> None:
        """End every part, the last started first."""
        await self._running.aclose()

    async def _start(self, place: Place) -> None:
        plane = await _control_plane(place)
        self._running.push_async_callback(plane.stop)
        self._run(plane.wait())
        client = await self._running.enter_async_context(KubeClient(plane.url))
        metrics = await MetricsServer.start(client)
        self._running.push_async_callback(metrics.stop)
        self.api_url, self.prometheus_url = plane.url, metrics.url
        await install(client, metrics.url)
        if not plane.has_controllers:
            self._run(manager.run(client))
        drain = DRAIN + place.propagation
        self._run(
            kubelet.run(client, subnet=place.subnet, mesh_proxy=lambda: self.mesh_url or None, drain=drain)
        )
        mesh = await Mesh.start(client, place.directory, self.name, place.propagation)
        self._running.push_async_callback(mesh.stop)
        self._run(mesh.run())
        self.gateway_url, self.mesh_url, self.services_url = (
            mesh.gateway_url,
            mesh.mesh_url,
            mesh.services_url,
        )
        load_tester = await LoadTester.start(proxy=mesh.mesh_url)
        self._running.push_async_callback(load_tester.stop)
        self.load_tester_url = load_tester.url
        self.faults = {
            "api": f"{plane.url}{switches.PATH}",
            "metrics": metrics.faults_url,
            "mesh": mesh.faults_url,
        }

    def _run(self, part: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(part)
        self._parts.append(task)
        self._running.push_async_callback(_end, task)


async def _control_plane(place: Place) -> ControlPlane:
    if place.assets:
        return await RealControlPlane.start(place.assets, place.directory)
    return await ApiServer.start()


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
