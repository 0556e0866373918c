"""The DaemonSet controller: one pod on each node that the template may run on.

What is not done: taints and tolerations, ControllerRevisions.
"""

import json
import zlib
from collections.abc import Sequence
from datetime import datetime

from sandbox.client import KubeClient
from sandbox.controllers.informers import Informers
from sandbox.controllers.owners import claim
from sandbox.controllers.placements import HASH, Placement, Updating
from sandbox.controllers.podcontrol import PodControl, make_pod
from sandbox.controllers.pods import is_available, ready_since, utc_now
from sandbox.controllers.recorder import Recorder
from sandbox.controllers.selectors import is_subset, matches
from sandbox.controllers.workqueue import WorkQueue
from sandbox.objects import Object, is_ending, key_of, labels_of, path_of

DAEMON_SETS, PODS, NODES = "/apis/apps/v1/daemonsets", "/api/v1/pods", "/api/v1/nodes"
GENERATION = "pod-template-generation"
TEMPLATE_GENERATION = "deprecated.daemonset.template.generation"
NODE_NAME = "metadata.name"


class DaemonSetController:
    """Keeps a pod of every DaemonSet on every node that suits."""

    def __init__(self, client: KubeClient, informers: Informers, recorder: Recorder) -> None:
        self._client = client
        self._sets = informers.of(DAEMON_SETS)
        self._pods = informers.of(PODS)
        self._nodes = informers.of(NODES)
        self.queue = WorkQueue("daemonsets", self._sync)
        self._control = PodControl(client, recorder, "DaemonSet", self.queue)
        self._sets.subscribe(self.queue.add_object)
        self._pods.subscribe(self._control.pod_changed)
        self._nodes.subscribe(self._node_changed)

    def _node_changed(self, kind: str, node: Object, old: Object | None) -> None:
        if kind != "MODIFIED" or not old or _traits(node) != _traits(old):
            for key in self._sets.objects:
                self.queue.add(key)

    async def _sync(self, key: str) -> None:
        found = self._sets.objects.get(key)
        if not found:
            self._control.forget(key)
            return
        if is_ending(found):
            return
        digest = _template_hash(found)
        if self._control.is_settled(key):
            await self._place(found, digest, await self._placements(found))
            if self._control.is_settled(key):
                await self._update(found, digest, await self._placements(found))
        await self._write_status(found, digest, await self._placements(found))

    async def _placements(self, found: Object) -> dict[str, Placement]:
        """Return, by node, the pods there and whether they are wanted."""
        placements = {name: Placement(_suits(found, node), []) for name, node in self._nodes.objects.items()}
        for pod in await claim(self._client, found, "pods", self._pods.candidates(found)):
            placements.setdefault(_node_of(pod), Placement(is_wanted=False, pods=[])).pods.append(pod)
        return placements

    async def _place(self, found: Object, digest: str, placements: dict[str, Placement]) -> None:
        """Create what is missing, delete what is finished, doubled or on the wrong node."""
        updating = Updating(found, digest, utc_now())
        for node, placement in placements.items():
            if placement.is_wanted and not placement.pods:
                await self._create_pod(found, digest, node)
            for pod in updating.surplus(placement):
                await self._control.delete(found, pod)

    async def _update(self, found: Object, digest: str, placements: dict[str, Placement]) -> None:
        """Take one step towards pods of the present template alone; the next pass takes another."""
        update = Updating(found, digest, utc_now()).step(placements)
        for pod in update.leaving:
            await self._control.delete(found, pod)
        for node in update.nodes:
            await self._create_pod(found, digest, node)

    async def _create_pod(self, found: Object, digest: str, node: str) -> None:
        pod = make_pod(found)
        generation = found["metadata"].get("annotations", {}).get(TEMPLATE_GENERATION, "1")
        pod["metadata"].setdefault("labels", {}).update({HASH: digest, GENERATION: generation})
        field = {"key": NODE_NAME, "operator": "In", "values": [node]}
        terms = {"nodeSelectorTerms": [{"matchFields": [field]}]}
        affinity = pod["spec"].setdefault("affinity", {}).setdefault("nodeAffinity", {})
        affinity["requiredDuringSchedulingIgnoredDuringExecution"] = terms
        await self._control.create(found, pod)

    async def _write_status(self, found: Object, digest: str, placements: dict[str, Placement]) -> None:
        now = utc_now()
        status = _status_of(found, digest, list(placements.values()), now)
        if status != found.get("status"):
            await self._client.replace(path_of(found, "daemonsets") + "/status", found | {"status": status})
        elif status.get("numberReady", 0) != status.get("numberAvailable", 0):
            self.queue.add_after(key_of(found), found["spec"].get("minReadySeconds", 0) + 0.1)


def _status_of(found: Object, digest: str, placements: Sequence[Placement], now: datetime) -> Object:
    wait = found["spec"].get("minReadySeconds", 0)
    wanted = [placement for placement in placements if placement.is_wanted]
    # The oldest pod speaks for its node, even while it is on its way out.
    pods = [pod for pod in (placement.oldest for placement in wanted) if pod]
    ready = [pod for pod in pods if ready_since(pod) is not None]
    available = sum(is_available(pod, wait, now) for pod in ready)
    updated = sum(labels_of(pod).get(HASH) == digest for pod in pods)
    optional = {
        "updatedNumberScheduled": updated,
        "numberAvailable": available,
        "numberUnavailable": len(wanted) - available,
        "observedGeneration": found["metadata"]["generation"],
    }
    status: Object = {name: value for name, value in optional.items() if value}
    kept = {
        name: value for name, value in found["status"].items() if name in ("collisionCount", "conditions")
    }
    return (
        status
        | kept
        | {
            "currentNumberScheduled": len(pods),
            "numberMisscheduled": sum(bool(item.pods) for item in placements if not item.is_wanted),
            "desiredNumberScheduled": len(wanted),
            "numberReady": len(ready),
        }
    )


def _suits(found: Object, node: Object) -> bool:
    """Tell whether the template may run on the node: by node name, node selector and required affinity."""
    spec = found["spec"]["template"]["spec"]
    labels = labels_of(node)
    if spec.get("nodeName") not in (None, node["metadata"]["name"]):
        return False
    affinity = spec.get("affinity", {}).get("nodeAffinity", {})
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    terms = required["nodeSelectorTerms"] if required else [{}]
    is_attracted = any(
        matches({"matchExpressions": term.get("matchExpressions", [])}, labels) for term in terms
    )
    return is_attracted and is_subset(spec.get("nodeSelector", {}), labels)


def _node_of(pod: Object) -> str:
    """Return the node a pod is on, or is meant for by the affinity it was made with."""
    if pod["spec"].get("nodeName"):
        return str(pod["spec"]["nodeName"])
    affinity = pod["spec"].get("affinity", {}).get("nodeAffinity", {})
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution", {})
    for term in required.get("nodeSelectorTerms", []):
        for field in term.get("matchFields", []):
            if field["key"] == NODE_NAME:
                return str(field["values"][0])
    return ""


def _traits(node: Object) -> Object:
    return {"labels": labels_of(node), "spec": node["spec"]}


def _template_hash(found: Object) -> str:
    text = json.dumps(found["spec"]["template"], sort_keys=True)
    return f"{zlib.crc32(text.encode()):08x}"
