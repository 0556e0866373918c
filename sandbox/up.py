"""All of the sandbox: a host cluster, its members, a git server and Temporal."""

import asyncio
import contextlib
import json
import os
from pathlib import Path
from typing import Self

from sandbox import handover
from sandbox.client import KubeClient
from sandbox.cluster import Cluster, Place
from sandbox.gitserver import GitServer
from sandbox.installed import install_kubeconfig
from sandbox.occupancy import claimed, locked
from sandbox.temporalserver import TemporalServer

HOST = "host"
MEMBER = "kurator-member"


class Sandbox:
    """Everything in one process but Envoy and Temporal, its children; an asynchronous context.

    `clusters` is the number of members; the attribute holds the host and the members by name.
    `temporal` are the ports of Temporal and its UI, 0 for a free one; None for no Temporal.
    `propagation` is the seconds until the mesh hears of a change: pods serve, and the engine waits before it
    scales down, for as much longer; None for no mesh, so that no user is led anywhere. `assets` is a folder
    with etcd, kube-apiserver and perhaps kube-controller-manager, to be used instead of ours.
    """

    def __init__(
        self,
        directory: Path,
        *,
        clusters: int = 2,
        temporal: tuple[int, int] | None = (0, 0),
        propagation: float | None = 0.0,
        assets: Path | None = None,
    ) -> None:
        self.directory = directory.absolute()
        self.clusters: dict[str, Cluster] = {}
        self.temporal: TemporalServer | None = None
        self.git_url = ""
        self._names = [HOST, *(f"{MEMBER}{number}" for number in range(1, clusters + 1))]
        self._ports = temporal
        self._propagation = propagation
        self._assets = assets
        self._running = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self._running.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._running.aclose()

    async def wait(self) -> None:
        """Return, or raise, when a part has ended by itself."""
        waits = [one.wait() for one in self.clusters.values()]
        if self.temporal:
            waits.append(self.temporal.wait())
        parts = [asyncio.ensure_future(one) for one in waits]
        try:
            done, _ = await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
            for part in done:
                part.result()
        finally:
            for part in parts:
                part.cancel()

    async def _start(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        self._running.enter_context(locked(self.directory))
        (self.directory / "endpoints.json").unlink(missing_ok=True)
        subnets = self._running.enter_context(claimed(len(self._names)))
        try:
            await self._start_parts(subnets)
        except ExceptionGroup as failed:  # the first to fail ended the others
            raise failed.exceptions[0] from failed
        self.clusters = {name: self.clusters[name] for name in self._names}
        await self._hand_over()

    async def _start_parts(self, subnets: list[int]) -> None:
        async with asyncio.TaskGroup() as group:
            for name, subnet in zip(self._names, subnets, strict=True):
                group.create_task(self._start_cluster(name, subnet))
            group.create_task(self._start_git())
            if self._ports:
                group.create_task(self._start_temporal(*self._ports))

    async def _start_cluster(self, name: str, subnet: int) -> None:
        place = Place(self.directory / name, subnet, self._propagation, self._assets)
        cluster = await Cluster.start(name, place)
        self._running.push_async_callback(cluster.stop)
        self.clusters[name] = cluster

    async def _start_git(self) -> None:
        server = await GitServer.start(self.directory / "git")
        self._running.push_async_callback(server.stop)
        self.git_url = server.url

    async def _start_temporal(self, port: int, ui_port: int) -> None:
        self.temporal = await TemporalServer.start(self.directory, port, ui_port)
        self._running.push_async_callback(self.temporal.stop)

    async def _hand_over(self) -> None:
        """Write the files; endpoints.json is the last, and gone when the sandbox is."""
        members = [one for one in self.clusters.values() if one.name != HOST]
        servers = {one.name: one.endpoints["api"] for one in self.clusters.values()}
        current = members[0].name if members else HOST
        async with KubeClient(self.clusters[HOST].endpoints["api"]) as client:
            for one in members:
                alone = handover.kubeconfig({one.name: one.endpoints["api"]}, one.name)
                await install_kubeconfig(client, one.name, alone)
        handover.write(self.directory / "kubeconfig", handover.kubeconfig(servers, current))
        prometheus = {one.name: one.endpoints["prometheus"] for one in self.clusters.values()}
        known = handover.clusters_document(prometheus, self._propagation or 0.0)
        handover.write(self.directory / "clusters.yaml", known)
        endpoints = {
            "pid": os.getpid(),
            "git": self.git_url,
            "temporal": self.temporal.address if self.temporal else None,
            "ui": self.temporal.ui_url if self.temporal else None,
            "clusters": {one.name: one.endpoints for one in self.clusters.values()},
        }
        path = self.directory / "endpoints.json"
        self._running.callback(path.unlink, missing_ok=True)
        handover.write(path, json.dumps(endpoints, indent=2) + "\n")
