"""Follows the cluster's objects and keeps an Envoy in step with them."""

import asyncio
import contextlib
import functools
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import pydantic

from sandbox.client import KubeClient, Reflector
from sandbox.mesh import tables
from sandbox.mesh.admission import Admitted
from sandbox.mesh.clusters import mesh_clusters, service_clusters
from sandbox.mesh.envoy import Envoy
from sandbox.mesh.files import Files
from sandbox.mesh.introductions import Introductions
from sandbox.mesh.snapshot import Snapshot
from sandbox.mesh.validation import mistakes, mistakes_of_rule
from sandbox.objects import Object
from sandbox.switches import Faults, Switches

ISTIO = "/apis/networking.istio.io/v1beta1"
PATHS = {
    "services": "/api/v1/services",
    "endpoints": "/api/v1/endpoints",
    "pods": "/api/v1/pods",
    "virtual_services": f"{ISTIO}/virtualservices",
    "destination_rules": f"{ISTIO}/destinationrules",
    "gateways": f"{ISTIO}/gateways",
}
GATHER = 0.003
"""Seconds in which changes of one group come."""
REST = 0.0007
"""Seconds after a push for each Service: Envoy reads all of them anew, and one push takes a third of that."""
LONGEST = 1.0
"""No rest is longer: a pod that goes away serves until the next push has told of it."""

logger = logging.getLogger(__name__)


class MeshFaults(Faults):
    """What can be wrong, in seconds."""

    propagation_delay: float = pydantic.Field(default=0.0, ge=0, le=60)
    """So long the control plane takes to push a change."""
    addresses_delay: float = pydantic.Field(default=0.0, ge=0, le=60)
    """So long Envoy has no addresses of a cluster that it hears of for the first time."""


class Mesh:
    """An Envoy in front of one cluster, and what keeps its files current; made by `start`.

    Of its `urls`, `gateway` is where requests enter the cluster (the Host header says what they want), `mesh`
    the forward proxy of a pod with a sidecar, `services` that of a pod without one.
    """

    def __init__(self, client: KubeClient, directory: Path, delay: float) -> None:
        self.urls: dict[str, str] = {}
        self._changed = asyncio.Event()
        self._admitted = {
            "virtual_services": Admitted(mistakes),
            "destination_rules": Admitted(mistakes_of_rule),
        }
        self._reflectors = {
            name: Reflector(client, path, functools.partial(self._on_change, name))
            for name, path in PATHS.items()
        }
        self._files = Files(directory)
        self._introductions = Introductions()
        self._switches = Switches(MeshFaults(propagation_delay=delay), self._faults_changed)
        self._pushes: list[tuple[float, Snapshot]] = []
        self._pushed: Snapshot | None = None
        self._reported: set[str] = set()
        self._tasks: list[asyncio.Task[None]] = []
        self._envoy: Envoy | None = None

    @classmethod
    async def start(cls, client: KubeClient, directory: Path, name: str = "mesh", delay: float = 0.0) -> Self:
        """List the cluster's objects, write the first files and start an Envoy on them.

        `delay` is how long the control plane takes to push a change.
        """
        mesh = cls(client, directory, delay)
        try:
            await mesh._switches.start()
            mesh._tasks = [asyncio.create_task(one.run()) for one in mesh._reflectors.values()]
            await asyncio.gather(*(one.synced.wait() for one in mesh._reflectors.values()))
            mesh._pushed = mesh._take()
            await mesh._publish()
            mesh._envoy = await Envoy.start(directory, name)
            mesh.urls = mesh._envoy.urls
            mesh._tasks.append(asyncio.create_task(mesh._follow()))
        except BaseException:
            await mesh.stop()
            raise
        return mesh

    async def run(self) -> None:
        """Return, or raise, when a part of the mesh has ended by itself."""
        if self._envoy is None:
            raise RuntimeError("The mesh is not started.")
        ended = asyncio.create_task(self._envoy.wait())
        try:
            await asyncio.wait([*self._tasks, ended], return_when=asyncio.FIRST_COMPLETED)
        finally:
            ended.cancel()
        for task in self._tasks:
            if task.done():
                task.result()

    async def stop(self) -> None:
        """End Envoy and the watches."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._switches.stop()
        if self._envoy:
            await self._envoy.stop()

    @property
    def faults_url(self) -> str:
        """Where its faults are switched."""
        return self._switches.url

    async def _on_change(self, name: str, kind: str, obj: Object) -> None:
        if name in self._admitted:
            self._admitted[name].take(kind, obj)
        self._changed.set()

    async def _faults_changed(self, _: MeshFaults) -> None:
        self._changed.set()

    async def _follow(self) -> None:
        while True:
            await self._next_push()
            await asyncio.sleep(GATHER)
            await self._publish()
            await asyncio.sleep(min(REST * len(self._reflectors["services"].objects), LONGEST))

    async def _next_push(self) -> None:
        """Wait for a change, or for the moment what is held back is due."""
        now = asyncio.get_running_loop().time()
        moments = [self._pushes[0][0] if self._pushes else None, self._introductions.due]
        wait = min((max(0.0, one - now) for one in moments if one is not None), default=None)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait):
                await self._changed.wait()

    async def _publish(self) -> None:
        """Write what is due."""
        now = asyncio.get_running_loop().time()
        current = self._take()
        if self._changed.is_set():
            self._changed.clear()
            self._pushes.append((now + self._switches.faults.propagation_delay, current))
        due = [index for index, (at, _) in enumerate(self._pushes) if at <= now]
        if due:
            self._pushed = self._pushes[due[-1]][1]
            del self._pushes[: due[-1] + 1]
        await asyncio.to_thread(self._write, current, self._pushed or current, now)

    def _take(self) -> Snapshot:
        found: dict[str, Mapping[str, Object]] = {
            name: dict(one.objects) for name, one in self._reflectors.items()
        }
        valid = {name: dict(one.objects) for name, one in self._admitted.items()}
        return Snapshot(**found | valid)

    def _write(self, current: Snapshot, pushed: Snapshot, now: float) -> None:
        """Write what kube-proxy knows at once, and what the control plane has pushed so far."""
        delay = self._switches.faults.addresses_delay
        clusters = [
            *self._introductions.introduce(mesh_clusters(pushed), now, delay),
            *service_clusters(current),
        ]
        routes = [
            tables.gateway_table(pushed),
            tables.mesh_table(pushed, self._report),
            tables.services_table(current),
        ]
        self._files.publish(clusters, routes)

    def _report(self, text: str) -> None:
        if text not in self._reported:
            self._reported.add(text)
            logger.warning("virtual service without effect", extra={"what": text})
