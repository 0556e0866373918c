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
from sandbox.client import KubeClient, Link
from sandbox.controllers import manager
from sandbox.installed import install
from sandbox.loadtester import LoadTester
from sandbox.mesh.mesh import Mesh
from sandbox.metrics.server import MetricsServer
from sandbox.node import kubelet

# A pod goes on serving for so long after its end began: Envoy hears of it in milliseconds, but on a busy
# machine those can be many, and among a thousand Services a push comes a second after the other.
DRAIN = 3.0


@dataclass(frozen=True)
class Place:
    """Where a cluster keeps its files and its pods, and how slow its mesh is (in seconds; None: it has none).

    `assets` is the folder with the programs of a real control plane, if it is to have one.
    """

    directory: Path
    subnet: int
    propagation: float | None = 0.0
    assets: Path | None = None


class ControlPlane(Protocol):
    """An API server, ours or another, that listens at `url`, and perhaps its controllers."""

    url: str
    has_controllers: bool

    def link(self) -> Link | None:
        """Give a shorter way to it than HTTP, if there is one."""

    async def wait(self) -> None:
        """Return when it has ended by itself."""

    async def stop(self) -> None:
        """End it."""


class Cluster:
    """The running parts of a cluster, and in `endpoints` where each is; made by `start`, ended by `stop`."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.endpoints: dict[str, Any] = {}
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

    async def stop(self) -> None:
        """End every part, the last started first."""
        await self._running.aclose()

    async def _start(self, place: Place) -> None:
        plane = await _control_plane(place)
        self._running.push_async_callback(plane.stop)
        self._run(plane.wait())
        client = await self._running.enter_async_context(KubeClient(plane.url, link=plane.link()))
        metrics = await MetricsServer.start(client)
        self._running.push_async_callback(metrics.stop)
        self.endpoints |= {"api": plane.url, "prometheus": metrics.url}
        await install(client, metrics.url)
        if not plane.has_controllers:
            self._run(manager.run(client))
        self._run(
            kubelet.run(
                client,
                subnet=place.subnet,
                mesh_proxy=lambda: self.endpoints.get("mesh"),
                drain=DRAIN + (place.propagation or 0.0),
            )
        )
        self.endpoints["faults"] = {"api": f"{plane.url}{switches.PATH}", "metrics": metrics.faults_url}
        if place.propagation is not None:
            await self._start_mesh(client, place.directory, place.propagation)
        load_tester = await LoadTester.start(proxy=self.endpoints.get("mesh"))
        self._running.push_async_callback(load_tester.stop)
        self.endpoints["loadTester"] = load_tester.url

    async def _start_mesh(self, client: KubeClient, directory: Path, propagation: float) -> None:
        mesh = await Mesh.start(client, directory, self.name, propagation)
        self._running.push_async_callback(mesh.stop)
        self._run(mesh.run())
        self.endpoints |= mesh.urls
        self.endpoints["faults"]["mesh"] = mesh.faults_url

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
