"""Between the version an object is stored in and the one it is asked for in."""

from collections.abc import Callable
from typing import Any

from sandbox.apiserver import structural
from sandbox.apiserver.registry import Resource

Object = dict[str, Any]

# core/v1 Event -> events.k8s.io/v1 Event
_EVENT_NAMES = {
    "involvedObject": "regarding",
    "message": "note",
    "source": "deprecatedSource",
    "firstTimestamp": "deprecatedFirstTimestamp",
    "lastTimestamp": "deprecatedLastTimestamp",
    "count": "deprecatedCount",
    "reportingComponent": "reportingController",
}
_CORE_NAMES = {new: old for old, new in _EVENT_NAMES.items()}
_OFTEN_EMPTY = ("reportingController", "reportingInstance")


def present(obj: Object, resource: Resource) -> Object:
    """Give an object in the version of `resource`."""
    if obj["apiVersion"] == resource.api_version:
        return obj
    function = _CONVERSIONS.get((obj["apiVersion"], resource.api_version, resource.kind))
    if resource.is_custom:  # a version shows the fields that it has
        converted = structural.prune(obj, resource, [])
    else:
        converted = function(obj) if function else dict(obj)
    return {**converted, "apiVersion": resource.api_version}


def _to_new_event(obj: Object) -> Object:
    found = {_EVENT_NAMES.get(key, key): value for key, value in obj.items()}
    return {key: value for key, value in found.items() if value or key not in _OFTEN_EMPTY}


def _to_core_event(obj: Object) -> Object:
    found = {_CORE_NAMES.get(key, key): value for key, value in obj.items()}
    return {"reportingComponent": "", "reportingInstance": "", **found}


_CONVERSIONS: dict[tuple[str, str, str], Callable[[Object], Object]] = {
    ("v1", "events.k8s.io/v1", "Event"): _to_new_event,
    ("events.k8s.io/v1", "v1", "Event"): _to_core_event,
}
