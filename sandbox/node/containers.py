"""One container's life: image, start, crashes, readiness, and the servers it listens with."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sandbox.client import KubeClient
from sandbox.controllers.pods import utc_now
from sandbox.controllers.recorder import Recorder
from sandbox.loadtester import LoadTester, Rules
from sandbox.node.behaviour import Behaviour, Kind, behaviour_of
from sandbox.node.http11 import HttpServer
from sandbox.node.podinfo import Podinfo
from sandbox.node.podstatus import Container, crashed, running, waiting
from sandbox.node.probes import DEFAULT_PORT, probe_of
from sandbox.node.telemetry import SidecarMetrics
from sandbox.objects import Object

FIRST_BACK_OFF, LONGEST_BACK_OFF = 1.0, 60.0
# How soon a container that is not ready is asked again: a person waits for it.
UNREADY_PERIOD = 0.25
LONGEST_PROBE_DELAY = 0.2


@dataclass(frozen=True)
class Node:
    """The node that pods run on."""

    client: KubeClient
    recorder: Recorder
    name: str
    labels: dict[str, str]
    proxy: Callable[[], str | None]
    drain: float


@dataclass(frozen=True)
class Surroundings:
    """What a container shares with its pod."""

    node: Node
    pod: Object
    address: str
    sidecar: SidecarMetrics | None
    changed: Callable[[], None]


class ContainerRunner:
    """Runs one container and keeps what is to be said of it."""

    def __init__(self, spec: Object, surroundings: Surroundings) -> None:
        self.shown = Container(spec["name"], spec["image"])
        self._spec = spec
        self._around = surroundings
        self._servers: list[HttpServer] = []
        self._load_testers: list[LoadTester] = []

    def wait_for(self, reason: str, message: str) -> None:
        """Show why it cannot be started."""
        self.shown.state = waiting(reason, message)
        self._around.changed()

    async def run(self, env: Mapping[str, str], rules: Rules) -> None:
        """Live until cancelled; the rules are those of a load tester."""
        behaviour = behaviour_of(self.shown.image, env)
        if behaviour.is_missing:
            self._fail_pull()
            return
        while True:
            began = utc_now()
            self.shown.state = running(began)
            self._say("Started", f"Started container {self.shown.name}")
            try:
                if not behaviour.is_crashing:
                    await self._serve(behaviour, env, rules)
                    self._around.changed()
                    await self._watch_readiness(behaviour)
                    return
            except OSError as error:
                self._say("Failed", f"Error: {error}", kind="Warning")
            self.shown.last = crashed(began)
            await self._back_off()

    async def stop(self, limit: float) -> None:
        """End the servers, in-flight requests first."""
        await asyncio.gather(
            *(server.stop(limit) for server in self._servers), *(item.stop() for item in self._load_testers)
        )
        self._servers, self._load_testers = [], []

    def _fail_pull(self) -> None:
        text = f'Back-off pulling image "{self.shown.image}"'
        self._say("Failed", f'Failed to pull image "{self.shown.image}": not found', kind="Warning")
        self._say("BackOff", text, kind="Warning")
        self.wait_for("ImagePullBackOff", text)

    async def _back_off(self) -> None:
        await self.stop(0)
        seconds = min(FIRST_BACK_OFF * 2**self.shown.restarts, LONGEST_BACK_OFF)
        meta = self._around.pod["metadata"]
        place = f"container={self.shown.name} pod={meta['name']}_{meta['namespace']}({meta['uid']})"
        self._say("BackOff", f"Back-off restarting failed container {self.shown.name}", kind="Warning")
        self.wait_for("CrashLoopBackOff", f"back-off {seconds:g}s restarting failed {place}")
        await asyncio.sleep(seconds)
        self.shown.restarts += 1

    async def _serve(self, behaviour: Behaviour, env: Mapping[str, str], rules: Rules) -> None:
        ports = [
            int(port["containerPort"])
            for port in self._spec.get("ports", [])
            if port.get("protocol", "TCP") == "TCP"
        ]
        if behaviour.kind is Kind.LOAD_TESTER:
            for port in ports:
                started = await LoadTester.start(self._around.address, port, self._around.node.proxy(), rules)
                self._load_testers.append(started)
        if behaviour.kind is Kind.PODINFO:
            await self._serve_podinfo(behaviour, env, ports or [DEFAULT_PORT])

    async def _serve_podinfo(self, behaviour: Behaviour, env: Mapping[str, str], ports: list[int]) -> None:
        hostname = self._around.pod["metadata"]["name"]
        app = Podinfo(hostname, behaviour, env, self._around.sidecar, is_ready=not behaviour.ready_delay)
        for port in ports:
            server = HttpServer(app.answer, app.observe)
            self._servers.append(server)
            await server.start(self._around.address, port)
        if behaviour.ready_delay:
            asyncio.get_running_loop().call_later(behaviour.ready_delay, app.become_ready)

    async def _watch_readiness(self, behaviour: Behaviour) -> None:
        await asyncio.sleep(behaviour.ready_delay)
        probe = probe_of(self._spec, self._around.address)
        if probe is None or behaviour.kind is Kind.OTHER:
            self._show_ready(is_ready=True)
            return
        rules = self._spec["readinessProbe"]
        await asyncio.sleep(min(rules.get("initialDelaySeconds", 0), LONGEST_PROBE_DELAY))
        period, streak = rules.get("periodSeconds", 10), 0
        needed = {True: rules.get("successThreshold", 1), False: rules.get("failureThreshold", 3)}
        while True:
            passes = await probe.passes()
            streak = 0 if passes is self.shown.is_ready else streak + 1
            if streak >= needed[passes]:
                self._show_ready(is_ready=passes)
                streak = 0
            await asyncio.sleep(period if self.shown.is_ready else min(period, UNREADY_PERIOD))

    def _show_ready(self, *, is_ready: bool) -> None:
        self.shown.is_ready = is_ready
        if not is_ready:
            self._say("Unhealthy", "Readiness probe failed", kind="Warning")
        self._around.changed()

    def _say(self, reason: str, message: str, *, kind: str = "Normal") -> None:
        self._around.node.recorder.record(self._around.pod, reason, message, kind=kind)
