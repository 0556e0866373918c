"""The node: registered as `sandbox-node`, it runs every pod that is nobody else's.

What is not done: liveness and startup probes, init containers, resources, files in volumes, exec.
"""

import asyncio
import contextlib
import ipaddress
import logging
from collections.abc import Callable

from sandbox.client import ConflictError, KubeClient, Reflector
from sandbox.controllers.pods import format_time, is_finished, utc_now
from sandbox.controllers.recorder import Recorder
from sandbox.node.containers import Node
from sandbox.node.podrunner import PodRunner
from sandbox.objects import Object, key_of

NAME = "sandbox-node"
LABELS = {
    "kubernetes.io/hostname": NAME,
    "kubernetes.io/os": "linux",
    "kubernetes.io/arch": "amd64",
    "node.kubernetes.io/instance-type": "sandbox",
}

logger = logging.getLogger(__name__)


async def run(
    client: KubeClient,
    *,
    subnet: int,
    mesh_proxy: Callable[[], str | None] = lambda: None,
    drain: float = 0.5,
) -> None:
    """Be the node of a cluster until cancelled; pods get addresses in 127.`subnet`.0.0/16.

    `drain` is how long a deleted pod goes on serving: longer than the mesh takes to hear of it. A `preStop`
    sleep makes it longer, the grace period limits both.
    """
    await _register(client)
    recorder = Recorder(client, "sandbox-node")
    node = Node(client, recorder, NAME, LABELS, mesh_proxy, drain)
    kubelet = Kubelet(node, subnet)
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(recorder.run())
            group.create_task(Reflector(client, "/api/v1/pods", kubelet.pod_changed).run())
    finally:
        await kubelet.stop()


class Kubelet:
    """One runner a pod."""

    def __init__(self, node: Node, subnet: int) -> None:
        self._node = node
        self._addresses = Addresses(subnet)
        self._runners: dict[str, tuple[PodRunner, asyncio.Task[None]]] = {}

    async def pod_changed(self, kind: str, pod: Object) -> None:
        """Start, inform or end the pod's runner."""
        uid = pod["metadata"]["uid"]
        if kind == "DELETED":
            _, task = self._runners.get(uid, (None, None))
            if task:
                task.cancel()
        elif uid in self._runners:
            self._runners[uid][0].update(pod)
        elif pod["spec"].get("nodeName", NAME) == NAME and not is_finished(pod):
            self._start(uid, pod)

    async def stop(self) -> None:
        """End all pods at once; they stay in the API server."""
        tasks = [task for _, task in self._runners.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _start(self, uid: str, pod: Object) -> None:
        address = self._addresses.take(pod.get("status", {}).get("podIP"))
        runner = PodRunner(self._node, pod, address)
        task = asyncio.create_task(runner.run(), name=key_of(pod))
        self._runners[uid] = (runner, task)
        task.add_done_callback(lambda ended: self._ended(uid, ended))

    def _ended(self, uid: str, task: asyncio.Task[None]) -> None:
        runner, _ = self._runners.pop(uid)
        self._addresses.release(runner.address)
        if not task.cancelled() and task.exception():
            logger.error("pod runner failed", exc_info=task.exception(), extra={"pod": task.get_name()})


class Addresses:
    """Loopback addresses, each for one pod at a time; a free one is not taken again soon."""

    def __init__(self, subnet: int) -> None:
        self._first = int(ipaddress.ip_address(f"127.{subnet}.0.0"))
        self._taken: set[int] = set()
        self._last = 0

    def take(self, wished: str | None = None) -> str:
        """Take an address, the one wished for if it is ours and free."""
        offset = int(ipaddress.ip_address(wished)) - self._first if wished else 0
        if not 0 < offset < 2**16 or offset in self._taken:
            offset = self._next()
        self._taken.add(offset)
        return str(ipaddress.ip_address(self._first + offset))

    def release(self, address: str) -> None:
        """Give an address back."""
        self._taken.discard(int(ipaddress.ip_address(address)) - self._first)

    def _next(self) -> int:
        while True:
            # 0 and 255 at the end look like a network and a broadcast to some clients.
            self._last = self._last % (2**16 - 2) + 1
            if self._last not in self._taken and self._last % 256 not in (0, 255):
                return self._last


async def _register(client: KubeClient) -> None:
    body = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": NAME, "labels": LABELS}, "spec": {}}
    with contextlib.suppress(ConflictError):
        # Already there after a restart: the status is written again below.
        await client.create("/api/v1/nodes", body)
    now = format_time(utc_now())
    ready = {
        "type": "Ready",
        "status": "True",
        "reason": "KubeletReady",
        "message": "kubelet is posting ready status",
        "lastHeartbeatTime": now,
        "lastTransitionTime": now,
    }
    room = {"cpu": "64", "memory": "256Gi", "pods": "1000"}
    status = {
        "conditions": [ready],
        "capacity": room,
        "allocatable": room,
        "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}, {"type": "Hostname", "address": NAME}],
        "nodeInfo": {"kubeletVersion": "v1.35.4", "operatingSystem": "linux", "architecture": "amd64"},
    }
    await client.patch(f"/api/v1/nodes/{NAME}/status", {"status": status})
