"""Whose a field is: what the source leaves to a rollout, and what it may remove.

A rollout owns its target's `spec.replicas`, the selector and ports of its apex Service and the whole of its
apex VirtualService, from the moment its field manager stands at them; until then the source applies them like
everything else, so that a new workload serves. Dropping a field before another manager holds it would set it
back to its default.
"""

import copy
from typing import Any

from activities.cluster import marks
from activities.cluster.api import ROLLOUT_MANAGER, SOURCE_MANAGER, Object
from activities.source.manifest import Key, Manifest
from canary.spec import CanarySpec, WorkloadKind

OWNER = "durable-canary.dev/source"
"""The annotation that says which policy of which Application brought an object."""
SCALE_TO_ZERO = "flagger.app/scale-to-zero"

_SHARED = ("Deployment", "DaemonSet", "Service", "VirtualService")
ISTIO_GROUP = "networking.istio.io"
_FILLED_IN_BY_SERVER = ("managedFields", "resourceVersion", "uid", "creationTimestamp", "generation")


def is_claimed(key: Key, canaries: tuple[CanarySpec, ...]) -> bool:
    """Whether a canary has this object as its target, apex Service or apex VirtualService."""
    return any(_is_target(key, canary) or _is_apex(key, canary) for canary in canaries)


def is_shared(key: Key, live: Object, canaries: tuple[CanarySpec, ...]) -> bool:
    """Whether an object in a cluster is one that a canary works on, be it a canary of this source or not."""
    return is_claimed(key, canaries) or is_marked(key, live)


def is_marked(key: Key, live: Object) -> bool:
    """Whether a canary has left its mark on a target, apex Service or apex VirtualService."""
    meta = live["metadata"]
    notes = meta.get("annotations") or {}
    is_noted = marks.DECIDED_AT in notes or marks.ORIGINAL in notes
    return key.kind in _SHARED and (is_noted or marks.CANARY in (meta.get("labels") or {}))


def is_same(live: Object, tried: Object) -> bool:
    """Whether a dry run would leave an object, and who owns what of it, as they are."""
    return _comparable(live) == _comparable(tried)


def wanted(manifest: Manifest, owner: str) -> Manifest:
    """Put our mark on an object and take off what only a server writes."""
    body = copy.deepcopy(manifest.body)
    body.pop("status", None)
    meta = body["metadata"]
    for field in _FILLED_IN_BY_SERVER:
        meta.pop(field, None)
    meta["annotations"] = {**(meta.get("annotations") or {}), OWNER: owner}
    return manifest.with_body(body)


def left_to_source(manifest: Manifest, live: Object) -> Manifest | None:
    """Take out of a shared object what the rollout owns in the cluster; nothing if that is all of it.

    The rest names the version that was looked at, so that it is refused if a rollout takes over meanwhile.
    """
    key = manifest.key
    if key.kind == "VirtualService" and owns(live, ROLLOUT_MANAGER, "spec"):
        return None
    body = copy.deepcopy(manifest.body)
    body["metadata"]["resourceVersion"] = live["metadata"]["resourceVersion"]
    spec = body.get("spec") or {}
    for field in ("selector", "replicas"):
        if owns(live, ROLLOUT_MANAGER, "spec", field):
            spec.pop(field, None)
    if owns(live, ROLLOUT_MANAGER, "spec", "ports"):
        # Of a list a rollout may own a part; dropping the rest would remove it.
        spec["ports"] = live["spec"]["ports"]
    if key.kind == WorkloadKind.DAEMON_SET:
        _keep_scaled_to_zero(spec, live)
    return manifest.with_body(body)


def owns(live: Object, manager: str, *path: str) -> bool:
    """Whether *manager* is written down as an owner of a field, or of anything below it."""
    for entry in live["metadata"].get("managedFields") or ():
        fields: Any = entry.get("fieldsV1") or {}
        for name in path:
            fields = fields.get(f"f:{name}") if fields else None
        if entry.get("manager") == manager and fields is not None:
            return True
    return False


def is_ours(live: Object, owner: str) -> bool:
    """Whether an object still carries our manager and the mark of this policy."""
    return owns(live, SOURCE_MANAGER) and (live["metadata"].get("annotations") or {}).get(OWNER) == owner


def _comparable(found: Object) -> Object:
    meta = {name: value for name, value in found["metadata"].items() if name not in _FILLED_IN_BY_SERVER}
    owners = [
        {name: value for name, value in entry.items() if name != "time"}
        for entry in found["metadata"].get("managedFields") or ()
    ]
    return {**found, "metadata": {**meta, "owners": owners}}


def _is_target(key: Key, canary: CanarySpec) -> bool:
    return key == Key(canary.namespace, canary.target.name, "apps", canary.target.kind)


def _is_apex(key: Key, canary: CanarySpec) -> bool:
    name, namespace = canary.service.name, canary.namespace
    return key in (
        Key(namespace, name, "", "Service"),
        Key(namespace, name, ISTIO_GROUP, "VirtualService"),
    )


def _keep_scaled_to_zero(spec: Object, live: Object) -> None:
    # A nodeSelector is one value to server-side apply: who applies any of it applies all of it.
    there = live["spec"]["template"]["spec"].get("nodeSelector") or {}
    pod = spec.get("template", {}).get("spec", {})
    if SCALE_TO_ZERO in there and pod.get("nodeSelector"):
        pod["nodeSelector"] = {**pod["nodeSelector"], SCALE_TO_ZERO: there[SCALE_TO_ZERO]}
