"""Objects that select the target's pods by a label which the primary's pods do not carry.

Once a canary is initialised, it is the primary's pods that serve: what selected them before finds none.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from activities.cluster import workloads
from activities.cluster.api import Object
from canary.problem import Problem
from canary.spec import CanarySpec, WorkloadKind

REFUSED = ("AuthorizationPolicy", "PeerAuthentication", "RequestAuthentication", "NetworkPolicy")
"""What guards the workload: without it, users would be refused or strangers let in."""
MESH_WIDE = ("AuthorizationPolicy", "PeerAuthentication", "RequestAuthentication", "EnvoyFilter")
"""In the mesh's root namespace they select pods of every namespace."""
TOLD = ("PodDisruptionBudget", "PodMonitor", "Sidecar", "EnvoyFilter", "Service")
APEX_RULES = "DestinationRule"

Labels = Mapping[str, str]


def about_policies(
    spec: CanarySpec, target: Object, found: Mapping[str, list[Object]], namespace: Labels
) -> Iterator[Problem]:
    """The objects, by their kind, that would stop matching; *namespace* are the labels of the canary's."""
    if spec.target.kind is WorkloadKind.SERVICE:
        return
    try:
        label, value = workloads.selector_label(target)
    except workloads.SelectorError:
        return  # it is refused for that
    metadata = target["spec"]["template"].get("metadata") or {}
    before: Labels = metadata.get("labels") or {}
    after = {**before, label: f"{value}-primary"}
    for kind, item in _others(spec, found):
        selectors = _selectors(spec, kind, item, namespace)
        if any(_selects(one, before) and not _selects(one, after) for one in selectors):
            yield _problem(spec, kind, item["metadata"], f"{label}={value}-primary")
    for item in found.get(APEX_RULES, []):
        if _is_apex_rule(spec, item):
            yield _apex_rule(spec, item["metadata"]["name"])


def _others(spec: CanarySpec, found: Mapping[str, list[Object]]) -> Iterator[tuple[str, Object]]:
    """What may select pods, but for the three Services that the canary leads itself."""
    own = {spec.service.name, spec.service.primary, spec.service.canary}
    for kind in (*REFUSED, *TOLD):
        for item in found.get(kind, []):
            if kind != "Service" or item["metadata"]["name"] not in own:
                yield kind, item


def _problem(spec: CanarySpec, kind: str, metadata: Object, label: str) -> Problem:
    name, namespace = metadata["name"], metadata["namespace"]
    text = (
        f"{kind} {name} in namespace {namespace} selects the pods of {spec.target.name}, "
        f"but will not select those of {spec.primary}, which carry {label} and serve the users"
    )
    if kind == "Service":
        text += f": it would lead to nobody, and in a rollout to the canary alone; let it select {label}"
        return Problem(path="spec.targetRef.name", message=text, is_warning=True)
    if kind in TOLD:
        return Problem(path="spec.targetRef.name", message=f"{text}: add one for them", is_warning=True)
    known = f"{kind}/{name}" if namespace == spec.namespace else f"{kind}/{namespace}/{name}"
    is_accepted = known in spec.accepted_policies
    remedy = f"select by another label, or accept it: acceptedPolicies: [{known}]"
    return Problem(path="spec.targetRef.name", message=f"{text}: {remedy}", is_warning=is_accepted)


def _is_apex_rule(spec: CanarySpec, rule: Object) -> bool:
    name, namespace = spec.service.name, spec.namespace
    hosts = {name, *(f"{name}.{namespace}{suffix}" for suffix in ("", ".svc", ".svc.cluster.local"))}
    content = rule.get("spec") or {}
    return content.get("host") in hosts and bool(content.get("trafficPolicy"))


def _apex_rule(spec: CanarySpec, name: str) -> Problem:
    text = (
        f"DestinationRule {name} gives {spec.service.name} a trafficPolicy, which holds neither for "
        f"{spec.service.primary} nor for {spec.service.canary}: write it into service.trafficPolicy"
    )
    return Problem(path="spec.service.trafficPolicy", message=text, is_warning=True)


def names_namespaces(policy: Object) -> bool:
    """Whether a NetworkPolicy tells its peers by the labels of their namespace."""
    return any(peer.get("namespaceSelector") for peer in _peers(policy))


def _selectors(canary: CanarySpec, kind: str, item: Object, namespace: Labels) -> Iterator[dict[str, Any]]:
    """Every selector in an object that the canary's pods may be meant by, as Kubernetes writes them."""
    spec = item.get("spec") or {}
    if kind == "NetworkPolicy":
        is_own = item["metadata"]["namespace"] == canary.namespace
        if is_own:
            yield spec.get("podSelector") or {}
        for peer in _peers(item):
            places = peer.get("namespaceSelector")
            if is_own if places is None else _selects(places, namespace):
                yield peer.get("podSelector") or {}
    elif kind == "Service":
        if labels := spec.get("selector"):  # one without a selector has endpoints of its own
            yield {"matchLabels": labels}
    elif kind in ("Sidecar", "EnvoyFilter"):
        yield {"matchLabels": (spec.get("workloadSelector") or {}).get("labels") or {}}
    else:
        yield spec.get("selector") or {}


def _peers(policy: Object) -> Iterator[dict[str, Any]]:
    """Whom a NetworkPolicy lets in, and where it lets its own pods go."""
    spec = policy.get("spec") or {}
    for rule in [*(spec.get("ingress") or []), *(spec.get("egress") or [])]:
        yield from [*(rule.get("from") or []), *(rule.get("to") or [])]


def _selects(selector: dict[str, Any], labels: Labels) -> bool:
    wanted = selector.get("matchLabels") or {}
    expressions = selector.get("matchExpressions") or []
    return all(labels.get(key) == value for key, value in wanted.items()) and all(
        _holds(expression, labels) for expression in expressions
    )


def _holds(expression: dict[str, Any], labels: Labels) -> bool:
    value, values = labels.get(expression.get("key", "")), expression.get("values") or []
    match expression.get("operator"):
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
        case _:
            return value is None
