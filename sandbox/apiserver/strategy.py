"""What a write may touch, and what the server itself writes beside it: status, generation, addresses."""

from collections.abc import Callable
from typing import Any

from sandbox.apiserver import services
from sandbox.apiserver.decode import zero_of
from sandbox.apiserver.defaults import NAME_LABEL
from sandbox.apiserver.registry import Resource
from sandbox.apiserver.request import timestamp

Object = dict[str, Any]
_TEMPLATE_GENERATION = "deprecated.daemonset.template.generation"


def prepare_create(resource: Resource, obj: Object) -> None:
    """Finish a new object in place: no status of the client's, generation 1, what its kind needs."""
    if "status" in resource.subresources and resource.kind != "Node":
        if resource.is_custom:
            obj.pop("status", None)
        else:
            obj["status"] = zero_of(resource.schema.child("status"))
    if resource.grows:
        obj["metadata"]["generation"] = 1
    if not resource.is_custom and (function := _CREATE.get(resource.kind)):
        function(obj)


def prepare_update(resource: Resource, obj: Object, old: Object, subresource: str) -> None:
    """Undo in place what this request may not change, and count the generation."""
    meta, before = obj["metadata"], old["metadata"]
    _keep_parts(resource, obj, old, subresource)
    for name in ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation"):
        _keep(meta, before, name)
    if resource.kind == "Service" and not resource.is_custom:
        services.follow_type(obj, old)
    if resource.kind == "DaemonSet" and not resource.is_custom:
        _count_template(obj, old)
    counts = resource.grows and subresource not in ("status", "binding")
    if counts and _is_new_generation(resource, obj, old):
        meta["generation"] = before.get("generation", 0) + 1


def _keep_parts(resource: Resource, obj: Object, old: Object, subresource: str) -> None:
    if subresource == "status":
        _keep_all_but_status(resource, obj, old)
    elif subresource == "finalize":
        _keep(obj, old, "status")
    elif subresource != "binding":
        _keep(obj, old, *_SERVER_OWNED.get(resource.kind, ()))
        if "status" in resource.subresources:
            _keep(obj, old, "status")


def reset_fields(resource: Resource, subresource: str) -> Object:
    """Give the fields that a request cannot own, since it cannot change them."""
    if resource.is_custom and "status" not in resource.subresources:
        return {}
    if subresource != "status":
        return {"f:status": {".": {}}} if "status" in resource.subresources else {}
    if resource.is_custom:
        return {"f:spec": {".": {}}}
    found: Object = {"f:spec": {".": {}}}
    if resource.kind in _LABELS_STAY:
        found["f:metadata"] = {"f:labels": {".": {}}}
    return found


_LABELS_STAY = {"Deployment", "CustomResourceDefinition"}
_SERVER_OWNED = {"Namespace": ("spec",)}


def _keep(target: Object, source: Object, *names: str) -> None:
    for name in names:
        if name in source:
            target[name] = source[name]
        else:
            target.pop(name, None)


def _keep_all_but_status(resource: Resource, obj: Object, old: Object) -> None:
    for key in (obj.keys() | old.keys()) - {"status", "metadata", "apiVersion", "kind"}:
        _keep(obj, old, key)
    if resource.is_custom:
        obj["metadata"] = {**old["metadata"], "managedFields": obj["metadata"].get("managedFields")}
    elif resource.kind in _LABELS_STAY:
        _keep(obj["metadata"], old["metadata"], "labels")


def _is_new_generation(resource: Resource, obj: Object, old: Object) -> bool:
    if resource.is_custom or resource.kind == "EndpointSlice":
        skipped = {"metadata", "apiVersion", "kind"}
        if "status" in resource.subresources:
            skipped.add("status")
        return any(obj.get(key) != old.get(key) for key in (obj.keys() | old.keys()) - skipped)
    before, after = (o["metadata"].get("annotations") or {} for o in (old, obj))
    is_annotated = resource.kind == "Deployment" and bool(before != after)
    return is_annotated or bool(obj.get("spec") != old.get("spec"))


def _pod(obj: Object) -> None:
    spec = obj["spec"]
    obj["status"] = {"phase": "Pending", "qosClass": _quality(spec)}
    if spec.get("schedulingGates"):
        obj["status"]["conditions"] = [{**_GATED, "lastTransitionTime": timestamp()}]
    spec.setdefault("priority", 0)
    spec.setdefault("preemptionPolicy", "PreemptLowerPriority")
    tolerations = spec.setdefault("tolerations", [])
    for key in ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"):
        if not any(_tolerates(toleration, key) for toleration in tolerations):
            toleration = {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}
            tolerations.append(toleration)


_GATED = {
    "type": "PodScheduled",
    "status": "False",
    "lastProbeTime": None,
    "reason": "SchedulingGated",
    "message": "Scheduling is blocked due to non-empty scheduling gates",
}


def _tolerates(toleration: Object, key: str) -> bool:
    return bool(toleration.get("key", key) == key and toleration.get("effect", "NoExecute") == "NoExecute")


def _quality(spec: Object) -> str:
    resources = [
        c["resources"] for c in [*(spec.get("initContainers") or []), *(spec.get("containers") or [])]
    ]
    if not any(r.get("limits") or r.get("requests") for r in resources):
        return "BestEffort"
    exact = all(
        r.get("limits") and r.get("limits") == r.get("requests") and {"cpu", "memory"} <= r["limits"].keys()
        for r in resources
    )
    return "Guaranteed" if exact else "Burstable"


def _namespace(obj: Object) -> None:
    obj["status"] = {"phase": "Active"}
    finalizers = obj["spec"].get("finalizers") or []
    obj["spec"] = {"finalizers": list(dict.fromkeys([*finalizers, "kubernetes"]))}
    obj["metadata"].setdefault("labels", {})[NAME_LABEL] = obj["metadata"]["name"]


def _daemon_set(obj: Object) -> None:
    obj["metadata"]["annotations"][_TEMPLATE_GENERATION] = "1"


def _count_template(obj: Object, old: Object) -> None:
    count = int((old["metadata"].get("annotations") or {}).get(_TEMPLATE_GENERATION, "0"))
    if obj["spec"]["template"] != old["spec"]["template"]:
        count += 1
    obj["metadata"].setdefault("annotations", {})[_TEMPLATE_GENERATION] = str(count)


def _definition(obj: Object) -> None:
    stored = [version["name"] for version in obj["spec"]["versions"] or [] if version.get("storage")]
    obj["status"]["storedVersions"] = stored


_CREATE: dict[str, Callable[[Object], None]] = {
    "CustomResourceDefinition": _definition,
    "DaemonSet": _daemon_set,
    "Namespace": _namespace,
    "Pod": _pod,
}
