"""What a write may touch, and what the server itself writes beside it: status, generation, addresses."""

import itertools
from collections.abc import Callable
from typing import Any

from sandbox.apiserver.decode import zero_of
from sandbox.apiserver.registry import Resource

Object = dict[str, Any]
_TEMPLATE_GENERATION = "deprecated.daemonset.template.generation"
_addresses = itertools.count(1)
_node_ports = itertools.count(30000)


def prepare_create(resource: Resource, obj: Object) -> None:
    """Finish a new object in place: no status of the client's, generation 1, what its kind needs."""
    if "status" in resource.subresources and resource.kind != "Node":
        if resource.is_custom:
            obj.pop("status", None)
        else:
            obj["status"] = zero_of(resource.schema.child("status"))
    obj["metadata"].pop("generation", None)
    if resource.grows:
        obj["metadata"]["generation"] = 1
    if not resource.is_custom and (function := _CREATE.get(resource.kind)):
        function(obj)


def prepare_update(resource: Resource, obj: Object, old: Object, subresource: str) -> None:
    """Undo in place what this request may not change, and count the generation."""
    meta, before = obj["metadata"], old["metadata"]
    if subresource == "status":
        _keep_all_but_status(resource, obj, old)
    elif subresource not in ("finalize", "binding"):
        _keep(obj, old, *_SERVER_OWNED.get(resource.kind, ()))
        if "status" in resource.subresources:
            _keep(obj, old, "status")
    for name in ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation"):
        _keep(meta, before, name)
    if resource.kind == "Service" and not resource.is_custom:
        _keep_addresses(obj, old)
    if resource.kind == "DaemonSet" and not resource.is_custom:
        _count_template(obj, old)
    if resource.grows and subresource != "status" and _is_new_generation(resource, obj, old):
        meta["generation"] = before.get("generation", 0) + 1


def reset_fields(resource: Resource, subresource: str) -> Object:
    """Give the fields that a request cannot own, since it cannot change them."""
    if resource.is_custom and "status" not in resource.subresources:
        return {}
    if subresource != "status":
        return {"f:status": {".": {}}} if "status" in resource.subresources else {}
    if resource.is_custom:
        return {key: {".": {}} for key in ("f:spec", "f:metadata")}
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
    obj["status"] = {"phase": "Pending", "qosClass": _quality(obj["spec"])}
    spec = obj["spec"]
    spec.setdefault("priority", 0)
    spec.setdefault("preemptionPolicy", "PreemptLowerPriority")
    tolerations = spec.setdefault("tolerations", [])
    for key in ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"):
        if not any(_tolerates(toleration, key) for toleration in tolerations):
            toleration = {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}
            tolerations.append(toleration)


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
    obj["spec"] = {"finalizers": ["kubernetes"]}


def _service(obj: Object) -> None:
    spec = obj["spec"]
    if spec["type"] == "ExternalName":
        return
    if not spec.get("clusterIP"):
        number = next(_addresses)
        spec["clusterIP"] = f"10.96.{number // 254}.{number % 254 + 1}"
    spec["clusterIPs"] = [spec["clusterIP"]]
    spec.setdefault("ipFamilies", ["IPv4"])
    spec.setdefault("ipFamilyPolicy", "SingleStack")
    _node_port(spec)


def _node_port(spec: Object) -> None:
    if spec["type"] in ("NodePort", "LoadBalancer"):
        for port in spec.get("ports") or []:
            port.setdefault("nodePort", next(_node_ports))


def _keep_addresses(obj: Object, old: Object) -> None:
    spec, before = obj["spec"], old["spec"]
    if spec["type"] == "ExternalName":
        return
    if before.get("clusterIP"):
        for name in ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"):
            if name in before:
                spec.setdefault(name, before[name])
        known = {
            (p["port"], p["protocol"]): p["nodePort"] for p in before.get("ports") or [] if "nodePort" in p
        }
        for port in spec.get("ports") or []:
            if spec["type"] != "ClusterIP" and (port.get("port"), port.get("protocol")) in known:
                port.setdefault("nodePort", known[port["port"], port["protocol"]])
        _node_port(spec)
    else:
        _service(obj)


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
    "Service": _service,
}
