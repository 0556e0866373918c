"""From client-side to server-side apply: what kubectl once applied by itself is no conflict for it."""

import json
from typing import Any

from sandbox.apiserver import fields as f
from sandbox.apiserver.fields import FieldSet
from sandbox.apiserver.registry import Resource

Object = dict[str, Any]
MANAGER = "kubectl"
_ANNOTATION = "kubectl.kubernetes.io/last-applied-configuration"


def _written(obj: Object) -> str:
    return str((obj.get("metadata", {}).get("annotations") or {}).get(_ANNOTATION, ""))


def owned(live: Object, resource: Resource) -> FieldSet:
    """Give the fields that a live object has as the annotation says they were applied."""
    try:
        last = json.loads(_written(live))
    except ValueError:
        return {}  # nothing was applied from the client's side
    if not isinstance(last, dict) or last.get("apiVersion") != resource.api_version:
        return {}
    changed, removed = f.changes(last, live, resource.schema)
    return f.difference(f.fields_of(last, resource.schema), f.union(changed, removed))


def renewed(obj: Object, applied: Object) -> Object:
    """Give an object with the annotation, where it has one, telling of what is applied now."""
    if not _written(obj):
        return obj
    meta = obj["metadata"]
    text = json.dumps(applied, sort_keys=True, separators=(",", ":"), ensure_ascii=False) + "\n"
    return {**obj, "metadata": {**meta, "annotations": {**meta["annotations"], _ANNOTATION: text}}}
