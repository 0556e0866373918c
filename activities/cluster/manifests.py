"""The objects a canary consists of, as Flagger generates them (dossier §3), without I/O."""

import copy
from typing import Any

from activities.cluster import marks
from activities.cluster.api import Object
from canary.spec import CanarySpec, Weight
from canary.steps import FULL

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
    body = _metadata(spec, spec.primary, {label: f"{value}-primary"})
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


def service(spec: CanarySpec, name: str, selector: dict[str, str], own_label: dict[str, str]) -> Object:
    """A Service in front of the primary or the canary."""
    body = _metadata(spec, name, own_label)
    body["metadata"]["annotations"] = dict(marks.TOOLKIT)
    body["spec"] = {"type": "ClusterIP", "selector": selector, "ports": [service_port(spec)]}
    return {"apiVersion": "v1", "kind": "Service", **body}


def service_port(spec: CanarySpec) -> Object:
    """The port of every Service of a canary."""
    port: Object = {
        "name": spec.service.port_name,
        "protocol": "TCP",
        "port": spec.service.port,
        "targetPort": spec.service.target_port or spec.service.port,
    }
    if spec.service.app_protocol:
        port["appProtocol"] = spec.service.app_protocol
    return port


def destination_rule(spec: CanarySpec, host: str) -> Object:
    """A DestinationRule for one side."""
    rule: Object = {"host": host}
    if spec.service.traffic_policy:
        rule["trafficPolicy"] = spec.service.traffic_policy
    api = {"apiVersion": "networking.istio.io/v1beta1", "kind": "DestinationRule"}
    return {**api, **_metadata(spec, host), "spec": rule}


def virtual_service(spec: CanarySpec, weight: Weight) -> Object:
    """The VirtualService of a canary, with *weight* for the canary."""
    body = _metadata(spec, spec.service.name)
    body["metadata"]["annotations"] = dict(marks.TOOLKIT)
    body["spec"] = virtual_service_spec(spec, weight)
    return {"apiVersion": "networking.istio.io/v1beta1", "kind": "VirtualService", **body}


def virtual_service_spec(spec: CanarySpec, weight: Weight) -> Object:
    """The spec of the VirtualService: hosts with the apex, gateways or the mesh, and our route."""
    hosts = list(spec.service.hosts)
    if spec.service.name not in hosts and "*" not in hosts:
        hosts.append(spec.service.name)
    return {
        "hosts": hosts,
        "gateways": list(spec.service.gateways) or ["mesh"],
        "http": [_route(spec, weight)],
    }


def _route(spec: CanarySpec, weight: Weight) -> Object:
    options = {
        "match": list(spec.service.match),
        "rewrite": spec.service.rewrite,
        "timeout": spec.service.timeout,
        "retries": spec.service.retries,
        "headers": spec.service.headers,
        "corsPolicy": spec.service.cors_policy,
    }
    return {
        **{key: value for key, value in options.items() if value},
        "route": [
            {"destination": {"host": spec.service.primary}, "weight": FULL - weight},
            {"destination": {"host": spec.service.canary}, "weight": weight},
        ],
    }


def weights(spec: CanarySpec, found: Object) -> tuple[Weight, Weight] | None:
    """Primary's and canary's weight in the first route that is ours; None if none is."""
    for route in found.get("spec", {}).get("http") or []:
        if _is_ours(spec, route):
            parts = {part["destination"]["host"]: part.get("weight", FULL) for part in route["route"]}
            return parts.get(spec.service.primary, 0), parts.get(spec.service.canary, 0)
    return None


def our_routes(spec: CanarySpec, weight: Weight) -> list[Object]:
    """The routes of a VirtualService that holds nothing but ours."""
    return [_route(spec, weight)]


def with_weight(spec: CanarySpec, found: Object, weight: Weight) -> list[Object]:
    """The routes of a live VirtualService with ours set to *weight*; foreign ones stay where they are."""
    routes = found["spec"].get("http") or []
    ours = [index for index, route in enumerate(routes) if _is_ours(spec, route)]
    if not ours:
        return [_route(spec, weight), *routes]
    return [_route(spec, weight) if index == ours[0] else route for index, route in enumerate(routes)]


def is_all_ours(spec: CanarySpec, found: Object) -> bool:
    """Whether a VirtualService holds our one route and nothing else that could be lost."""
    routes = found["spec"].get("http") or []
    return len(routes) == 1 and _is_ours(spec, routes[0])


def _is_ours(spec: CanarySpec, route: dict[str, Any]) -> bool:
    hosts = {part.get("destination", {}).get("host") for part in route.get("route") or []}
    return bool(hosts) and hosts <= {spec.service.primary, spec.service.canary}


def autoscaler(spec: CanarySpec, found: Object) -> Object:
    """The primary's HorizontalPodAutoscaler: the target's, aimed at the primary."""
    body = _metadata(spec, f"{found['metadata']['name']}-primary")
    reference = {**found["spec"]["scaleTargetRef"], "name": spec.primary}
    body["spec"] = {**found["spec"], "scaleTargetRef": reference}
    return {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", **body}


def record_name(spec: CanarySpec, template: str) -> str:
    """The name of the ControllerRevision that keeps the promoted template with this hash."""
    return f"{spec.primary}-{template}"


def revision_record(spec: CanarySpec, name: str, template: Object) -> Object:
    """A ControllerRevision that keeps a promoted pod template."""
    body = _metadata(spec, name)
    record = {"apiVersion": "apps/v1", "kind": "ControllerRevision", **body}
    return {**record, "revision": 1, "data": {"template": template}}


def _metadata(spec: CanarySpec, name: str, labels: dict[str, str] | None = None) -> Object:
    own = {**(labels or {}), marks.CANARY: spec.target.name}
    return {"metadata": {"name": name, "namespace": spec.namespace, "labels": own}}


def _without_toolkit(entries: dict[str, str]) -> dict[str, str]:
    skipped = ("toolkit.fluxcd.io", "kubectl.kubernetes.io/last-applied", "deployment.kubernetes.io/")
    return {key: value for key, value in entries.items() if not any(part in key for part in skipped)}
