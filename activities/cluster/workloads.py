"""The workloads a canary consists of, as Flagger generates them (dossier §1.6), without I/O."""

import copy
from typing import Any

from activities.cluster import marks
from activities.cluster.api import Object
from canary.spec import CanarySpec

LABELS = ("app", "name", "app.kubernetes.io/name")
"""The label that tells a workload's pods apart: the first of these in its selector."""


class SelectorError(Exception):
    """A workload whose selector has none of the labels that can be told apart."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name}: spec.selector.matchLabels must contain one of {', '.join(LABELS)}; "
            "the primary's pods could not be told apart otherwise."
        )


def selector_label(workload: Object) -> tuple[str, str]:
    """Return the label and its value that a workload selects its pods by.

    Raises:
        SelectorError: it has none of the known ones.
    """
    labels = workload["spec"]["selector"].get("matchLabels") or {}
    for label in LABELS:
        if label in labels:
            return label, labels[label]
    raise SelectorError(workload["metadata"]["name"])


def primary_workload(spec: CanarySpec, target: Object, template: Object, replicas: int | None) -> Object:
    """The primary as a server-side apply: the target's spec with *template* and labels of its own."""
    label, value = selector_label(target)
    body = marks.metadata(spec, spec.primary, {label: f"{value}-primary"})
    body["metadata"]["annotations"] = _without_toolkit(target["metadata"].get("annotations") or {})
    copied = {
        key: target["spec"][key]
        for key in (
            "minReadySeconds",
            "revisionHistoryLimit",
            "progressDeadlineSeconds",
            "strategy",
            "updateStrategy",
        )
        if key in target["spec"]
    }
    body["spec"] = {
        **copied,
        "selector": {"matchLabels": {label: f"{value}-primary"}},
        "template": _primary_template(spec, template, (label, f"{value}-primary")),
    }
    if replicas is not None:
        body["spec"]["replicas"] = replicas
    return {"apiVersion": spec.target.api_version, "kind": str(spec.target.kind), **body}


def _primary_template(spec: CanarySpec, template: Object, own: tuple[str, str]) -> Object:
    made = copy.deepcopy(template)
    metadata = made.setdefault("metadata", {})
    metadata.pop("creationTimestamp", None)
    label, value = own
    metadata["labels"] = {**_without_toolkit(metadata.get("labels") or {}), label: value}
    metadata["annotations"] = _without_toolkit(metadata.get("annotations") or {})
    pod = made["spec"]
    terms = [
        *(pod.get("topologySpreadConstraints") or []),
        *_anti_affinity_terms((pod.get("affinity") or {}).get("podAntiAffinity") or {}),
    ]
    for term in terms:
        _rename_selector(term.get("labelSelector") or {}, spec)
    return made


def _anti_affinity_terms(anti: dict[str, Any]) -> list[dict[str, Any]]:
    preferred = anti.get("preferredDuringSchedulingIgnoredDuringExecution") or []
    required = anti.get("requiredDuringSchedulingIgnoredDuringExecution") or []
    return [term.get("podAffinityTerm") or {} for term in preferred] + list(required)


def _rename_selector(selector: dict[str, Any], spec: CanarySpec) -> None:
    """Make a selector that keeps the target's pods apart do so for the primary's."""
    labels = selector.get("matchLabels") or {}
    for label in LABELS:
        if labels.get(label) == spec.target.name:
            labels[label] = spec.primary
    for expression in selector.get("matchExpressions") or []:
        values = expression.get("values") or []
        if expression.get("key") in LABELS and spec.target.name in values:
            values[values.index(spec.target.name)] = spec.primary


def autoscaler(spec: CanarySpec, found: Object) -> Object:
    """The primary's HorizontalPodAutoscaler: the target's, aimed at the primary."""
    body = marks.metadata(spec, f"{found['metadata']['name']}-primary")
    reference = {**found["spec"]["scaleTargetRef"], "name": spec.primary}
    body["spec"] = {**found["spec"], "scaleTargetRef": reference}
    return {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", **body}


def record_name(spec: CanarySpec, template: str) -> str:
    """The name of the ControllerRevision that keeps the promoted template with this hash."""
    return f"{spec.primary}-{template}"


def revision_record(spec: CanarySpec, name: str, template: Object) -> Object:
    """A ControllerRevision that keeps a promoted pod template."""
    body = marks.metadata(spec, name)
    record = {"apiVersion": "apps/v1", "kind": "ControllerRevision", **body}
    return {**record, "revision": 1, "data": {"template": template}}


def _without_toolkit(entries: dict[str, str]) -> dict[str, str]:
    skipped = ("toolkit.fluxcd.io", "kubectl.kubernetes.io/last-applied", "deployment.kubernetes.io/")
    return {key: value for key, value in entries.items() if not any(part in key for part in skipped)}
