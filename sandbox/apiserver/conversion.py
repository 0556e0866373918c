"""Between the version an object is stored in and the one it is asked for in."""

from collections.abc import Callable
from typing import Any

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
    converted = function(obj) if function else dict(obj)
    return {**converted, "apiVersion": resource.api_version}


def _to_new_event(obj: Object) -> Object:
    found = {_EVENT_NAMES.get(key, key): value for key, value in obj.items()}
    return {key: value for key, value in found.items() if value or key not in _OFTEN_EMPTY}


def _to_core_event(obj: Object) -> Object:
    found = {_CORE_NAMES.get(key, key): value for key, value in obj.items()}
    return {"reportingComponent": "", "reportingInstance": "", **found}


def _to_old_autoscaler(obj: Object) -> Object:
    spec, status = dict(obj["spec"]), dict(obj["status"])
    for metric in spec.pop("metrics", None) or []:
        if metric.get("type") == "Resource" and metric["resource"].get("name") == "cpu":
            target = metric["resource"].get("target") or {}
            if "averageUtilization" in target:
                spec["targetCPUUtilizationPercentage"] = target["averageUtilization"]
    for name in ("behavior",):
        spec.pop(name, None)
    for name in ("currentMetrics", "conditions"):
        status.pop(name, None)
    status.setdefault("currentReplicas", 0)
    return {**obj, "spec": spec, "status": status}


def _to_new_autoscaler(obj: Object) -> Object:
    spec, status = dict(obj["spec"]), dict(obj["status"])
    percentage = spec.pop("targetCPUUtilizationPercentage", None)
    if percentage is not None:
        target = {"type": "Utilization", "averageUtilization": percentage}
        spec["metrics"] = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]
    status.pop("currentCPUUtilizationPercentage", None)
    status.setdefault("currentMetrics", None)
    return {**obj, "spec": spec, "status": status}


_AUTOSCALER = "HorizontalPodAutoscaler"
_CONVERSIONS: dict[tuple[str, str, str], Callable[[Object], Object]] = {
    ("v1", "events.k8s.io/v1", "Event"): _to_new_event,
    ("events.k8s.io/v1", "v1", "Event"): _to_core_event,
    ("autoscaling/v2", "autoscaling/v1", _AUTOSCALER): _to_old_autoscaler,
    ("autoscaling/v1", "autoscaling/v2", _AUTOSCALER): _to_new_autoscaler,
}
