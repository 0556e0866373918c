"""The world of a whole rollout: clusters, a worker, and Temporal, as processes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Self

import httpx
import pytest
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from sandbox.client import KubeClient
from sandbox.temporalserver import TemporalServer
from tests.conformance.faults import Faults
from tests.conformance.ground import MEMBERS, UP_WITHIN, Ground, Need, Sandbox
from tests.conformance.process import Process
from tests.conformance.trail import Trail
from tests.conformance.waiting import SLOWNESS, until

SCRAPE_INTERVAL = 0.5
ADDRESSES_DELAY = 0.3
"""Seconds in which a proxy has no addresses of a Service that it has just heard of."""
"""Seconds: the shortest window of a check must hold two scrapes."""
MARKER = "not-to-be-found"
"""What every secret holds that the worker reads."""


class Cluster:
    """One member: its API server, its addresses, its faults, and the weights that stood in it."""

    def __init__(self, name: str, endpoints: dict[str, Any], api: KubeClient) -> None:
        self.name = name
        self.api = api
        self.endpoints = endpoints
        self.faults = Faults(endpoints["faults"])
        self.trail = Trail(api)

    async def requests(self, since: int = 0) -> list[dict[str, Any]]:
        """The log of what was asked of the API server, beginning after number *since*."""
        found: list[dict[str, Any]] = (await self.api.get("/_sandbox/requests", since=str(since)))["requests"]
        return found

    async def is_held(self, path: str) -> bool:
        """Whether a fault holds a request for *path* right now."""
        held = (await self.api.get("/_sandbox/requests", since=str(1 << 60)))["held"]
        return any(path in entry["path"] for entry in held)

    async def asked_so_far(self) -> int:
        """The number of the newest entry of the log."""
        found = await self.requests()
        return int(found[-1]["n"]) if found else 0


class World:
    """Everything that runs; whoever ends it leaves nothing behind."""

    client: Client

    def __init__(
        self,
        folder: Path,
        *,
        members: int = len(MEMBERS),
        propagation: float = 0.0,
        ground: Ground | None = None,
        metrics: str = "",
    ) -> None:
        self.folder = folder
        self._members = MEMBERS[:members]
        self._ground = ground or Sandbox(members, propagation)
        self.endpoints: dict[str, Any] = {}
        self.clusters: dict[str, Cluster] = {}
        self.worker: Process | None = None
        self.surgery = asyncio.Lock()
        """Held by whoever kills the worker, until there is one again."""
        self._temporal: TemporalServer | None = None
        self._metrics = metrics
        self._open = AsyncExitStack()

    async def __aenter__(self) -> Self:
        try:
            async with asyncio.timeout(UP_WITHIN * SLOWNESS):
                await self._start()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """End the worker, then what it worked on."""
        await self._open.aclose()
        if self.worker is not None:
            await self.worker.kill()  # it would wait for its watches to end
        await self._ground.stop()
        if self._temporal is not None:
            await self._temporal.stop()

    def require(self, *needs: Need) -> None:
        """Skip a story that cannot be told here, with the reason."""
        for need in needs:
            if need in self._ground.lacks:
                pytest.skip(f"needs {need}: {self._ground.lacks[need]}")

    def lacks(self, need: Need) -> bool:
        """Whether something is not to be had here."""
        return need in self._ground.lacks

    async def start_worker(self) -> None:
        """Start a worker and wait until it serves; its log goes on where the last one's ended."""
        self.worker = await self._start_worker()

    @asynccontextmanager
    async def second_worker(self) -> AsyncIterator[None]:
        """Have a second worker beside the first, which is stopped as a rolling update does."""
        second = await self._start_worker()
        try:
            yield
        finally:
            await second.stop()

    async def _start_worker(self) -> Process:
        log = self.folder / f"worker-{len(list(self.folder.glob('worker-*.log'))) + 1}.log"
        environment = {
            "TEMPORAL_ADDRESS": self.temporal.address,
            "CANARY_CLUSTERS": str(self.folder / "clusters.yaml"),
            "CANARY_REPORTS": str(self.folder / "reports"),
            "CANARY_CACHE": str(self.folder / "cache"),
        }
        if self._metrics:
            environment["CANARY_METRICS"] = self._metrics
        worker = await Process.start("worker", log=log, environment=environment)
        await until(lambda: _is_serving(worker), UP_WITHIN, "the worker is ready")
        return worker

    async def kill_worker(self) -> None:
        """End the worker as a power cut does."""
        assert self.worker is not None
        await self.worker.kill()

    @property
    def temporal(self) -> TemporalServer:
        """The Temporal server."""
        assert self._temporal is not None
        return self._temporal

    async def restart_temporal(self) -> None:
        """Kill the Temporal server as a power cut does, and start it from its file."""
        ports = [int(url.rpartition(":")[2]) for url in (self.temporal.address, self.temporal.ui_url)]
        self.temporal._child.kill()
        await self.temporal.wait()
        self._temporal = await TemporalServer.start(self.folder, *ports)

    def worker_logs(self) -> str:
        """What all the workers have logged."""
        return "\n".join(log.read_text() for log in sorted(self.folder.glob("worker-*.log")))

    async def metrics(self) -> str:
        """What the worker tells at the address for metrics; nothing while it is dead."""
        try:
            async with httpx.AsyncClient(trust_env=False) as client:
                return (await client.get(f"http://{self._metrics}/metrics")).raise_for_status().text
        except httpx.TransportError:
            return ""

    async def _start(self) -> None:
        self._temporal = await TemporalServer.start(self.folder)
        self.endpoints = await self._ground.start(self.folder)
        for name, endpoints in self.endpoints["clusters"].items():
            api = await self._open.enter_async_context(KubeClient(endpoints["api"], user_agent="test"))
            self.clusters[name] = Cluster(name, endpoints, api)
            await self._open.enter_async_context(self.clusters[name].trail)
        # Where there are fewer, the first stands in for the others.
        self.clusters = {name: self.clusters.get(name, self.clusters[MEMBERS[0]]) for name in self._members}
        if not self.lacks(Need.METRICS_FAULTS):
            for cluster in self.clusters.values():
                await cluster.faults.scrape_every(SCRAPE_INTERVAL)
                if not self.lacks(Need.MESH):
                    await cluster.faults.give_addresses_after(ADDRESSES_DELAY)
        self.client = await Client.connect(self._temporal.address, data_converter=pydantic_data_converter)
        self._plant_token()
        await self.start_worker()

    def _plant_token(self) -> None:
        """Give the kubeconfig a token, which no part of the sandbox asks for."""
        kubeconfig = self.folder / "kubeconfig"
        before = kubeconfig.read_text()
        after = before.replace("user: {}", f"user: {{token: {MARKER}-kubeconfig}}")
        assert after != before
        kubeconfig.write_text(after)


async def _is_serving(worker: Process) -> bool:
    worker.require_alive()
    return "INFO worker ready" in await asyncio.to_thread(worker.log.read_text)
