"""The workloads a canary consists of, as Flagger's `pkg/canary` makes them, without I/O."""

import copy
from typing import Any

from activities.cluster import marks
from activities.cluster.api import Object
from canary.revision import SCALE_TO_ZERO
from canary.spec import CanarySpec, WorkloadKind

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


def unlike(target: Object, primary: Object) -> str:
    """Say that a target was made anew with another selector than its primary was made by; empty if not.

    The canary's Service and the primary's own selector go by the one before: neither would find its pods.
    """
    try:
        label, value = selector_label(target)
    except SelectorError as error:
        return str(error)
    known = primary["spec"]["selector"].get("matchLabels") or {}
    if known == {label: f"{value}-primary"}:
        return ""
    before = ", ".join(f"{key}={text}" for key, text in known.items())
    return (
        f"it selects its pods by {label}={value}, and its primary was made by {before}: bring the selector "
        "back that it had, or take the canary out and apply it anew"
    )


COPIED = ("minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds", "strategy", "updateStrategy")
"""What a primary takes over from its target's spec beside the template."""


def primary_workload(spec: CanarySpec, target: Object, template: Object) -> Object:
    """The primary: the target's spec with *template* and a selector of its own."""
    label, value = selector_label(target)
    own = {label: f"{value}-primary"}
    body = marks.metadata(spec, spec.primary, own)
    body["metadata"]["annotations"] = without_toolkit(target["metadata"].get("annotations"))
    body["spec"] = {key: target["spec"][key] for key in COPIED if key in target["spec"]}
    body["spec"] |= {
        "selector": {"matchLabels": own},
        "template": _primary_template(spec, template, (label, value)),
    }
    return {"apiVersion": spec.target.api_version, "kind": str(spec.target.kind), **body}


def renewed(live: Object, wanted: Object) -> Object:
    """A live primary as *wanted*; labels and annotations of others stay, those of the target go."""
    metadata = live["metadata"]
    copied = wanted["metadata"]["annotations"]
    kept = {key: text for key, text in (metadata.get("annotations") or {}).items() if key not in copied}
    labels = (metadata.get("labels") or {}) | wanted["metadata"]["labels"]
    # The selector of a workload cannot be changed; a template that does not fit it is the server's to refuse.
    rest = {key: value for key, value in live["spec"].items() if key not in COPIED}
    spec = {**rest, **wanted["spec"]}
    if wanted["kind"] != WorkloadKind.SERVICE:
        spec["selector"] = live["spec"]["selector"]
    return {**live, "metadata": {**metadata, "labels": labels, "annotations": kept}, "spec": spec}


def _primary_template(spec: CanarySpec, template: Object, selected: tuple[str, str]) -> Object:
    made = copy.deepcopy(template)
    metadata = made.setdefault("metadata", {})
    metadata.pop("creationTimestamp", None)
    label, value = selected
    metadata["labels"] = without_toolkit(metadata.get("labels")) | {label: f"{value}-primary"}
    metadata["annotations"] = without_toolkit(metadata.get("annotations"))
    if spec.target.kind is WorkloadKind.DAEMON_SET:
        # One pod a node: Flagger leaves its neighbours alone.
        (made["spec"].get("nodeSelector") or {}).pop(SCALE_TO_ZERO, None)
        return made
    pod = made["spec"]
    terms = [
        *(pod.get("topologySpreadConstraints") or []),
        *_anti_affinity_terms((pod.get("affinity") or {}).get("podAntiAffinity") or {}),
    ]
    for term in terms:
        renamed = {value: f"{value}-primary", spec.target.name: spec.primary}
        _rename_selector(term.get("labelSelector") or {}, renamed)
    return made


def _anti_affinity_terms(anti: dict[str, Any]) -> list[dict[str, Any]]:
    preferred = anti.get("preferredDuringSchedulingIgnoredDuringExecution") or []
    required = anti.get("requiredDuringSchedulingIgnoredDuringExecution") or []
    return [term.get("podAffinityTerm") or {} for term in preferred] + list(required)


def _rename_selector(selector: dict[str, Any], renamed: dict[str, str]) -> None:
    """Make a selector that keeps the target's pods apart do so for the primary's."""
    labels = selector.get("matchLabels") or {}
    for label in LABELS:
        if labels.get(label) in renamed:
            labels[label] = renamed[labels[label]]
    for expression in selector.get("matchExpressions") or []:
        if expression.get("key") in LABELS and expression.get("values"):
            expression["values"] = [renamed.get(value, value) for value in expression["values"]]


def autoscaler(spec: CanarySpec, found: Object) -> Object:
    """The primary's HorizontalPodAutoscaler: the target's, aimed at the primary, with bounds of its own."""
    metadata = found["metadata"]
    body = marks.metadata(spec, f"{metadata['name']}-primary", without_toolkit(metadata.get("labels")))
    if annotations := without_toolkit(metadata.get("annotations")):
        body["metadata"]["annotations"] = annotations
    bounds = {"minReplicas": spec.primary_min_replicas, "maxReplicas": spec.primary_max_replicas}
    body["spec"] = {
        **found["spec"],
        "scaleTargetRef": {**found["spec"]["scaleTargetRef"], "name": spec.primary},
        **{key: bound for key, bound in bounds.items() if bound is not None},
    }
    return {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", **body}


def without_toolkit(entries: dict[str, str] | None) -> dict[str, str]:
    """Labels or annotations without those that tell what became of the object they stand on."""
    skipped = (
        "toolkit.fluxcd.io",
        "kubectl.kubernetes.io/last-applied",
        "deployment.kubernetes.io/",
        "deprecated.daemonset.template.generation",
        "durable-canary.dev/",
    )
    return {key: value for key, value in (entries or {}).items() if not any(part in key for part in skipped)}
