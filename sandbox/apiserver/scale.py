"""The scale sub-resource: how many replicas, said without knowing the kind."""

from typing import Any

from sandbox.apiserver import errors, selectors, table
from sandbox.apiserver.builtin import TYPES
from sandbox.apiserver.causes import negative, wrong
from sandbox.apiserver.registry import Resource

Object = dict[str, Any]
RESOURCE = Resource("autoscaling", "v1", "scales", "Scale", TYPES["Scale"], storage=("autoscaling", "scales"))
_BUILT_IN = {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"}


def _paths(resource: Resource) -> Object:
    return (resource.custom.get("subresources") or {}).get("scale") or _BUILT_IN


def path(resource: Resource) -> list[str]:
    """Name the field that holds the wanted replicas."""
    found: str = _paths(resource)["specReplicasPath"]
    return found.strip(".").split(".")


def read(obj: Object, resource: Resource) -> Object:
    """Give the Scale of an object."""
    paths = _paths(resource)
    meta = {
        key: obj["metadata"][key]
        for key in ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
        if key in obj["metadata"]
    }
    replicas = table.at_path(obj, paths["specReplicasPath"])
    if resource.is_custom:
        selector = table.at_path(obj, paths.get("labelSelectorPath") or ".status.selector")
    else:
        selector = selectors.in_words(obj["spec"].get("selector"))
    status = {"replicas": table.at_path(obj, paths["statusReplicasPath"]) or 0}
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": meta,
        "spec": {"replicas": replicas} if replicas else {},
        "status": {**status, "selector": selector} if selector else status,
    }


def write(obj: Object, scale: Object, resource: Resource) -> Object:
    """Give an object with the replicas that a Scale wants."""
    replicas = (scale.get("spec") or {}).get("replicas", 0)
    if resource.is_custom and isinstance(replicas, int) and replicas < 0:
        cause = wrong("." + ".".join(path(resource)), replicas, "should be a non-negative integer")
        raise errors.invalid(resource, obj["metadata"]["name"], [cause])
    if causes := negative({"replicas": replicas}, "replicas", "spec"):
        raise errors.invalid(RESOURCE, obj["metadata"]["name"], causes)
    meta = dict(obj["metadata"])
    if version := (scale.get("metadata") or {}).get("resourceVersion"):
        meta["resourceVersion"] = version
    return {**_set(obj, path(resource), replicas), "metadata": meta}


def _set(obj: Object, names: list[str], value: Any) -> Object:
    if len(names) == 1:
        return {**obj, names[0]: value}
    return {**obj, names[0]: _set(obj.get(names[0]) or {}, names[1:], value)}


def applied(scale: Object, resource: Resource) -> Object:
    """Give the applied configuration of the object that an applied Scale stands for."""
    meta = scale.get("metadata") or {}
    kept = {key: meta[key] for key in ("name", "namespace", "resourceVersion") if key in meta}
    root: Object = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": kept}
    replicas = (scale.get("spec") or {}).get("replicas")
    return root if replicas is None else _set(root, path(resource), replicas)
