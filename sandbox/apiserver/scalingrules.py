"""The rules of autoscalers and of disruption budgets."""

from collections.abc import Iterator
from typing import Any

from sandbox.apiserver.causes import forbidden, not_supported, required, wrong
from sandbox.apiserver.errors import Cause
from sandbox.apiserver.podrules import share

Object = dict[str, Any]
_SOURCES = ("ContainerResource", "External", "Object", "Pods", "Resource")
_UNSCALED = ("External", "Object")


def autoscaler(obj: Object) -> Iterator[Cause]:
    """Check a HorizontalPodAutoscaler."""
    spec = obj["spec"]
    metrics = spec.get("metrics") or []
    yield from _target(spec["scaleTargetRef"], "spec.scaleTargetRef")
    yield from _size(spec, metrics)
    for i, metric in enumerate(metrics):
        yield from _metric(metric, f"spec.metrics[{i}]")


def _target(target: Object, path: str) -> Iterator[Cause]:
    for name in ("kind", "name"):
        if not target.get(name):
            yield required(f"{path}.{name}")
    if not target.get("apiVersion"):
        yield wrong(f"{path}.apiVersion", "", "apiVersion must specify API group")


def _size(spec: Object, metrics: list[Object]) -> Iterator[Cause]:
    low, high = spec.get("minReplicas", 1), spec.get("maxReplicas", 0)
    if low < 1:
        yield wrong("spec.minReplicas", low, "must be greater than or equal to 1")
    if low == 0 and not any(metric.get("type") in _UNSCALED for metric in metrics):
        text = "must specify at least one Object or External metric to support scaling to zero replicas"
        yield forbidden("spec.metrics", text)
    if high < 1:
        yield wrong("spec.maxReplicas", high, "must be greater than 0")
    elif high < low:
        yield wrong("spec.maxReplicas", high, "must be greater than or equal to `minReplicas`")


def _metric(metric: Object, path: str) -> Iterator[Cause]:
    kind = metric.get("type", "")
    if kind not in _SOURCES:
        yield not_supported(f"{path}.type", kind, _SOURCES)
        return
    key = kind[0].lower() + kind[1:]
    if key not in metric:
        yield required(f"{path}.{key}", "must populate information for the given metric source")
    elif kind in ("Resource", "ContainerResource"):
        target, place = metric[key].get("target") or {}, f"{path}.{key}.target.averageUtilization"
        percent = target.get("averageUtilization")
        if percent is None and "averageValue" not in target:
            yield required(place, "must set either a target raw value or a target utilization")
        elif percent is not None and percent < 1:
            yield wrong(place, percent, "must be greater than 0")


def disruption_budget(obj: Object) -> Iterator[Cause]:
    """Check a PodDisruptionBudget."""
    spec = obj["spec"]
    if "minAvailable" in spec and "maxUnavailable" in spec:
        yield wrong("spec", spec, "minAvailable and maxUnavailable cannot be both set")
    for name in ("minAvailable", "maxUnavailable"):
        if name in spec:
            yield from share(spec[name], f"spec.{name}", highest=100)
