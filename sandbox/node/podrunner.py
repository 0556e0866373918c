"""One pod's life: bound, started, told about, drained, removed."""

import asyncio
import contextlib
import itertools
from collections.abc import Awaitable

from sandbox.client import FAILURES, NotFoundError
from sandbox.controllers.owners import controller_of
from sandbox.controllers.revisions import HASH
from sandbox.controllers.selectors import is_subset
from sandbox.node import podstatus, sidecar
from sandbox.node.containers import ContainerRunner, Node, Surroundings
from sandbox.node.environment import ConfigError, Environment, MountError
from sandbox.node.http11 import HttpServer
from sandbox.node.telemetry import SidecarMetrics
from sandbox.node.testers import rules_of
from sandbox.objects import Object, is_ending, labels_of, path_of

RETRY = 0.5
SETTLE = 0.01
DEFAULT_GRACE = 30.0


class PodRunner:
    """Runs one pod at one address."""

    def __init__(self, node: Node, pod: Object, address: str) -> None:
        self.address = address
        self._node = node
        self._pod = pod
        self._path = path_of(pod, "pods")
        self._deleted = asyncio.Event()
        self._dirty = asyncio.Event()
        self._notes: dict[str, str] = {}
        self._status: podstatus.PodStatus | None = None
        self._containers: list[ContainerRunner] = []
        self._sidecar: HttpServer | None = None
        self.update(pod)

    def update(self, pod: Object) -> None:
        """Take note of the pod's present state."""
        self._pod = pod
        if is_ending(pod):
            self._deleted.set()

    async def run(self) -> None:
        """Run the pod until it is deleted or this is cancelled."""
        living = asyncio.create_task(self._live())
        telling = asyncio.create_task(self._tell())
        try:
            await self._deleted.wait()
            rest = await self._drain()
            await _end(living)
            await self._stop(rest)
            await _end(telling)
            await self._remove()
        finally:
            await _end(living)
            await _end(telling)
            await self._stop(0)

    # Life

    async def _live(self) -> None:
        while True:
            try:
                if await self._bind():
                    await self._start()
            except NotFoundError:
                # Gone before it began; its DELETED event is under way.
                return
            except (*FAILURES, OSError) as error:
                text = f"Failed to start: {error}"
                self._node.recorder.record(self._pod, "FailedCreatePodSandBox", text, kind="Warning")
            else:
                return
            await self._stop(0)
            await asyncio.sleep(RETRY)

    async def _bind(self) -> bool:
        """Take the pod if its node selector allows; False, for good, if not."""
        if self._pod["spec"].get("nodeName"):
            return True
        if not is_subset(self._pod["spec"].get("nodeSelector", {}), self._node.labels):
            text = "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector."
            self._node.recorder.record(self._pod, "FailedScheduling", text, kind="Warning")
            await self._node.client.patch(f"{self._path}/status", {"status": podstatus.unschedulable(text)})
            return False
        meta = self._pod["metadata"]
        namespace = await self._node.client.get(f"/api/v1/namespaces/{meta['namespace']}")
        if sidecar.is_injected(namespace, self._pod):
            # Written with the status: the node writes nothing else to a pod.
            self._notes = sidecar.injection_note()
        binding = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": meta["name"], "namespace": meta["namespace"]},
            "target": {"apiVersion": "v1", "kind": "Node", "name": self._node.name},
        }
        await self._node.client.create(f"{self._path}/binding", binding)
        self._pod["spec"]["nodeName"] = self._node.name
        text = f"Successfully assigned {meta['namespace']}/{meta['name']} to {self._node.name}"
        self._node.recorder.record(self._pod, "Scheduled", text)
        return True

    async def _start(self) -> None:
        metrics = await self._start_sidecar()
        around = Surroundings(self._node, self._pod, self.address, metrics, self._dirty.set)
        self._containers = [ContainerRunner(spec, around) for spec in self._pod["spec"]["containers"]]
        shown = [runner.shown for runner in self._containers]
        self._status = podstatus.PodStatus(self.address, shown, self._pod.get("status", {}))
        async with asyncio.TaskGroup() as group:
            environment = await self._ready_volumes()
            for spec, runner in zip(self._pod["spec"]["containers"], self._containers, strict=True):
                group.create_task(self._run_container(environment, spec, runner))

    async def _start_sidecar(self) -> SidecarMetrics | None:
        if sidecar.STATUS not in self._pod["metadata"].get("annotations", {}) | self._notes:
            return None
        metrics = SidecarMetrics(sidecar.workload_of(self._pod, _workload_name(self._pod)))
        self._sidecar = await sidecar.serve_metrics(metrics, self.address)
        return metrics

    async def _ready_volumes(self) -> Environment:
        while True:
            environment = Environment(self._node.client, self._pod, self.address)
            try:
                await environment.check_volumes()
            except MountError as error:
                self._node.recorder.record(self._pod, "FailedMount", str(error), kind="Warning")
                self._dirty.set()
                await asyncio.sleep(RETRY)
            else:
                return environment

    async def _run_container(self, environment: Environment, spec: Object, runner: ContainerRunner) -> None:
        while True:
            try:
                env = await environment.of(spec)
                rules = await rules_of(environment, spec, env)
            except ConfigError as error:
                self._node.recorder.record(self._pod, "Failed", f"Error: {error}", kind="Warning")
                runner.wait_for("CreateContainerConfigError", str(error))
                await asyncio.sleep(RETRY)
                environment = Environment(self._node.client, self._pod, self.address)
            else:
                return await runner.run(env, rules)

    # Status

    async def _tell(self) -> None:
        """Write the status whenever it changed, however often, once."""
        while True:
            await self._dirty.wait()
            # A first probe that passes at once makes one write of "runs" and "is ready".
            await asyncio.sleep(SETTLE)
            self._dirty.clear()
            if self._status:
                await self._write_status(self._status.render())

    async def _write_status(self, status: Object) -> None:
        patch = {"metadata": {"annotations": self._notes}, "status": status}
        if not await _is_done(self._node.client.patch(f"{self._path}/status", patch)):
            await asyncio.sleep(RETRY)
            self._dirty.set()

    # End

    async def _drain(self) -> float:
        """Go on serving until nobody sends anything any more; return what is left of the grace period."""
        grace = float(self._pod["metadata"].get("deletionGracePeriodSeconds", DEFAULT_GRACE))
        if not any(runner.shown.is_running for runner in self._containers):
            return grace
        wait = min(grace, max(self._node.drain, *map(_pre_stop, self._pod["spec"]["containers"])))
        await asyncio.sleep(wait)
        return grace - wait

    async def _stop(self, limit: float) -> None:
        await asyncio.gather(*(runner.stop(limit) for runner in self._containers))
        if self._sidecar:
            await self._sidecar.stop(limit)
            self._sidecar = None

    async def _remove(self) -> None:
        options = {"gracePeriodSeconds": 0, "preconditions": {"uid": self._pod["metadata"]["uid"]}}
        while not await _is_done(self._node.client.delete(self._path, options)):  # noqa: ASYNC110 — no event
            await asyncio.sleep(RETRY)


async def _is_done(request: Awaitable[Object]) -> bool:
    """Make a request; False if it has to be made again: the server is away or was told to fail."""
    try:
        await request
    except NotFoundError:
        return True  # the pod is gone
    except FAILURES:
        return False
    return True


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def _workload_name(pod: Object) -> str:
    owner = controller_of(pod)
    if owner is None:
        return str(pod["metadata"]["name"])
    digest = labels_of(pod).get(HASH)
    return str(owner["name"]).removesuffix(f"-{digest}") if digest else str(owner["name"])


def _pre_stop(container: Object) -> float:
    """Return the seconds of a `sleep` before the stop, however it is written."""
    hook = container.get("lifecycle", {}).get("preStop", {})
    if "sleep" in hook:
        return float(hook["sleep"].get("seconds", 0))
    words = " ".join(hook.get("exec", {}).get("command", [])).split()
    after = dict(itertools.pairwise(words)).get("sleep", "")
    return float(after) if after.isdigit() else 0.0
