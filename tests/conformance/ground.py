"""Where rollouts happen: on the sandbox that the tests start, or on clusters that somebody names."""

import json
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from tests.conformance.process import Process
from tests.conformance.waiting import until

UP_WITHIN = 60.0
MEMBERS = ("kurator-member1", "kurator-member2", "kurator-member3")
"""The third is for stories that disturb a whole cluster."""


class Need(StrEnum):
    """What some stories need beside a cluster with Istio."""

    MEMBERS = "two clusters"
    SCRAPES = "a Prometheus that scrapes every second"
    METRICS_FAULTS = "a Prometheus that fails when it is told to"
    CONNECT = "connections of TCP into the mesh"
    QUOTA = "a quota that refuses pods"
    IMAGES = "images that only the sandbox has"
    MESH = "a mesh that leads users"


class Ground(Protocol):
    """The clusters, and what was started for them."""

    lacks: dict[Need, str]
    """What is not to be had here, and why."""

    async def start(self, folder: Path) -> dict[str, Any]:
        """Write kubeconfig and clusters.yaml into a folder and tell, as endpoints.json does, where all is."""

    async def stop(self) -> None:
        """Leave nothing behind."""


class Sandbox:
    """The sandbox as a process of its own; around a real API server where KUBEBUILDER_ASSETS names one."""

    def __init__(self, members: int, propagation: float, *, has_mesh: bool = True) -> None:
        self.lacks: dict[Need, str] = {} if has_mesh else {Need.MESH: "it was started without"}
        self._members = members
        self._propagation = propagation
        self._process: Process | None = None

    async def start(self, folder: Path) -> dict[str, Any]:
        """Start it and wait until it is up."""
        arguments = ["sandbox", "up", "--dir", str(folder), "--clusters", str(self._members)]
        arguments += ["--propagation", str(self._propagation), "--no-temporal"]
        arguments += ["--no-mesh"] if Need.MESH in self.lacks else []
        self._process = process = await Process.start(*arguments, log=folder / "sandbox.log")
        path = folder / "endpoints.json"

        async def is_up() -> bool:
            process.require_alive()
            return path.exists()

        await until(is_up, UP_WITHIN, "the sandbox is up")
        endpoints: dict[str, Any] = json.loads(path.read_text())
        clusters = endpoints["clusters"]
        return endpoints | {"clusters": {name: clusters[name] for name in MEMBERS if name in clusters}}

    async def stop(self) -> None:
        """End it."""
        if self._process is not None:
            await self._process.stop()
