"""Kubernetes' objects: what they are called, and where an API server has them."""

from typing import Any

Object = dict[str, Any]


def key_of(obj: Object) -> str:
    """Name an object as `namespace/name`, or `name` if it has no namespace."""
    meta = obj["metadata"]
    namespace = meta.get("namespace")
    return f"{namespace}/{meta['name']}" if namespace else str(meta["name"])


def labels_of(obj: Object) -> dict[str, str]:
    """Return the labels, none if there are none."""
    return obj["metadata"].get("labels") or {}


def is_ending(obj: Object) -> bool:
    """Tell whether the object is being deleted."""
    return "deletionTimestamp" in obj["metadata"]


def root_of(version: str) -> str:
    """Return where a version of an API group is served."""
    return f"/apis/{version}" if "/" in version else f"/api/{version}"


def collection_of(obj: Object, plural: str) -> str:
    """Return the address of the collection that a namespaced object is in, or is to be."""
    return f"{root_of(obj['apiVersion'])}/namespaces/{obj['metadata']['namespace']}/{plural}"


def path_of(obj: Object, plural: str) -> str:
    """Return the address of a namespaced object."""
    return f"{collection_of(obj, plural)}/{obj['metadata']['name']}"
