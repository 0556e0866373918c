"""The ReplicaSet controller: as many pods as wanted, and their count in the status."""

import asyncio
from collections.abc import Sequence
from datetime import datetime

from sandbox.client import ApiError, KubeClient
from sandbox.controllers import progress, rollout
from sandbox.controllers.conditions import remove_condition, set_condition
from sandbox.controllers.informers import Informers
from sandbox.controllers.owners import claim, controller_of
from sandbox.controllers.podcontrol import PodControl, make_pod
from sandbox.controllers.pods import (
    format_time,
    is_active,
    is_available,
    is_terminating,
    ready_since,
    utc_now,
)
from sandbox.controllers.recorder import Recorder
from sandbox.controllers.selectors import is_subset
from sandbox.controllers.workqueue import WorkQueue
from sandbox.objects import Object, is_ending, key_of, labels_of, path_of

REPLICA_SETS, PODS = "/apis/apps/v1/replicasets", "/api/v1/pods"
PHASES = ("Pending", "Unknown", "Running")


class ReplicaSetController:
    """Keeps every ReplicaSet at its size."""

    def __init__(self, client: KubeClient, informers: Informers, recorder: Recorder) -> None:
        self._client = client
        self._sets = informers.of(REPLICA_SETS)
        self._pods = informers.of(PODS)
        self.queue = WorkQueue("replicasets", self._sync)
        self._control = PodControl(client, recorder, "ReplicaSet", self.queue)
        self._sets.subscribe(self.queue.add_object)
        self._pods.subscribe(self._control.pod_changed)
        self._pods.subscribe(self._orphan_changed)

    def _orphan_changed(self, kind: str, pod: Object, _old: Object | None) -> None:
        if not controller_of(pod) and kind != "DELETED":
            for item in self._sets.selecting(pod):
                self.queue.add(key_of(item))

    async def _sync(self, key: str) -> None:
        found = self._sets.objects.get(key)
        if not found:
            self._control.forget(key)
            return
        pods = await claim(self._client, found, "pods", self._pods.candidates(found))
        running = [pod for pod in pods if is_active(pod)]
        failure = None
        if not is_ending(found) and self._control.is_settled(key):
            failure = await self._reach_size(found, running)
        await self._write_status(found, running, [pod for pod in pods if is_terminating(pod)], failure)
        if failure:
            raise failure

    async def _reach_size(self, found: Object, running: Sequence[Object]) -> ApiError | None:
        excess = len(running) - rollout.replicas_of(found)
        try:
            if excess < 0:
                await self._create_pods(found, -excess)
            for pod in sorted(running, key=_worth)[: max(0, excess)]:
                await self._control.delete(found, pod)
        except ApiError as error:
            return error
        return None

    async def _create_pods(self, found: Object, count: int) -> None:
        """Create the first alone: what refuses one would refuse all."""
        await self._control.create(found, make_pod(found))
        results = await asyncio.gather(
            *(self._control.create(found, make_pod(found)) for _ in range(count - 1)), return_exceptions=True
        )
        for result in results:
            if isinstance(result, BaseException):
                raise result

    async def _write_status(
        self, found: Object, running: list[Object], ending: list[Object], failure: ApiError | None
    ) -> None:
        now = utc_now()
        status = _status_of(found, running, ending, now)
        if failure:
            _note_failure(status, failure, now)
        else:
            remove_condition(status, progress.FAILURE)
        if not status["conditions"]:
            del status["conditions"]
        if status != found.get("status"):
            changed = found | {"status": status}
            await self._client.replace(path_of(found, "replicasets") + "/status", changed)
        elif status.get("readyReplicas", 0) != status.get("availableReplicas", 0):
            self.queue.add_after(key_of(found), found["spec"].get("minReadySeconds", 0) + 0.1)


def _worth(pod: Object) -> tuple[object, ...]:
    """Sort pods, the one to miss least first."""
    meta, status = pod["metadata"], pod.get("status", {})
    since = ready_since(pod)
    age = datetime.fromisoformat(meta["creationTimestamp"])
    return (
        bool(pod["spec"].get("nodeName")),
        PHASES.index(status.get("phase", "Pending")),
        since is not None,
        int(meta.get("annotations", {}).get("controller.kubernetes.io/pod-deletion-cost", 0)),
        -since.timestamp() if since is not None else 0.0,
        -age.timestamp(),
    )


def _status_of(found: Object, running: list[Object], ending: list[Object], now: datetime) -> Object:
    wait = found["spec"].get("minReadySeconds", 0)
    labels = labels_of(found["spec"]["template"])
    counters = {
        "fullyLabeledReplicas": sum(is_subset(labels, labels_of(pod)) for pod in running),
        "readyReplicas": sum(ready_since(pod) is not None for pod in running),
        "availableReplicas": sum(is_available(pod, wait, now) for pod in running),
        "observedGeneration": found["metadata"]["generation"],
    }
    status: Object = {name: value for name, value in counters.items() if value}
    status |= {"replicas": len(running), "terminatingReplicas": len(ending)}
    known = found.get("status", {}).get("conditions", [])
    return status | {"conditions": [dict(item) for item in known]}


def _note_failure(status: Object, failure: ApiError, now: datetime) -> None:
    fresh = {"type": progress.FAILURE, "status": "True", "lastTransitionTime": format_time(now)}
    set_condition(status, fresh | {"reason": "FailedCreate", "message": failure.message})
