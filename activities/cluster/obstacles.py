"""What in a cluster speaks against a canary, from what was seen there, without I/O."""

from collections.abc import Iterator
from dataclasses import dataclass

from activities.cluster import changeover, delegation, foreign, marks, services, virtualservice, workloads
from activities.cluster.api import Object
from canary.problem import Problem
from canary.spec import CanarySpec, WorkloadKind

TARGET = "spec.targetRef.name"
LONGEST_VALUE = 63 - len("-primary")
"""A label's value has no more than 63 characters."""


@dataclass(frozen=True)
class Seen:
    """The objects that a canary would stand on or meet."""

    target: Object | None
    primary: Object | None
    service: Object | None
    testers: dict[str, Object | None]
    """By kind, what has the name of the workload's own load tester."""
    listed: dict[str, list[Object]]
    """The objects of a kind: VirtualServices and NetworkPolicies of all namespaces, others of the canary's or
    the mesh's root."""
    hidden: list[str]
    """The kinds that may not be looked at, all or somewhere."""
    namespace: dict[str, str]
    """The labels of the canary's namespace, where some NetworkPolicy goes by them."""


def about_what_is_needed(spec: CanarySpec, seen: Seen) -> Iterator[Problem]:
    """What is not there, or not as it has to be."""
    yield from _about_target(spec, seen.target)
    yield from list(changeover.about_changeover(spec, seen.listed)) or _about_service(spec, seen.service)
    yield from _about_autoscaler(spec, seen.listed.get("HorizontalPodAutoscaler"))


def about_others(spec: CanarySpec, seen: Seen) -> Iterator[Problem]:
    """Who else is there already."""
    yield from _about_primary(spec, seen.primary)
    yield from _about_places(spec, seen)
    yield from _about_flagger(spec, seen.listed.get("Canary", []))
    yield from _about_routes(spec, seen.listed.get("VirtualService", []))
    yield from delegation.about_roots(spec, seen.listed.get("VirtualService", []))
    yield from _about_other_ports(spec, seen)
    yield from _about_hidden(spec, seen.hidden)


def _about_target(spec: CanarySpec, target: Object | None) -> Iterator[Problem]:
    name = f"{spec.target.kind} {spec.target.name} in namespace {spec.namespace} of {spec.cluster}"
    if target is None:
        yield Problem(path=TARGET, message=f"{name} not found", is_missing=True)
        return
    if spec.target.kind is WorkloadKind.SERVICE:
        return
    yield from _about_selector(spec, target)
    for text, is_warning in _about_updates(spec, target):
        yield Problem(path=TARGET, message=f"{name} {text}", is_warning=is_warning)


def _about_selector(spec: CanarySpec, target: Object) -> Iterator[Problem]:
    try:
        label, value = workloads.selector_label(target)
    except workloads.SelectorError as error:
        yield Problem(path=TARGET, message=str(error))
        return
    if len(value) > LONGEST_VALUE:
        text = (
            f"{spec.target.name} selects its pods by {label}={value}: the primary's value, with -primary at "
            f"its end, would be too long; it may have {LONGEST_VALUE} characters"
        )
        yield Problem(path=TARGET, message=text)


def _about_updates(spec: CanarySpec, target: Object) -> Iterator[tuple[str, bool]]:
    """What keeps a workload from running its template; whether that is but a warning."""
    workload = target["spec"]
    if (workload.get("strategy") or {}).get("type") == "Recreate":
        yield "has the strategy Recreate: its primary stands still while it is promoted", True
    if (workload.get("updateStrategy") or {}).get("type") == "OnDelete":
        yield "has the updateStrategy OnDelete: its primary would never be promoted; use RollingUpdate", False
    is_ours = marks.PAUSED in marks.notes(target)
    if workload.get("paused") and not is_ours:
        remedy = f"kubectl rollout resume deployment/{spec.target.name} -n {spec.namespace}"
        yield f"is paused: what is written into it is not run ({remedy})", True


def _about_autoscaler(spec: CanarySpec, found: list[Object] | None) -> list[Problem]:
    if not spec.autoscaler or found is None:
        return []
    if spec.autoscaler in [item["metadata"]["name"] for item in found]:
        return []
    text = (
        f"HorizontalPodAutoscaler {spec.autoscaler} in namespace {spec.namespace} of {spec.cluster} not found"
    )
    return [Problem(path="spec.autoscalerRef.name", message=text, is_missing=True)]


def _about_primary(spec: CanarySpec, primary: Object | None) -> list[Problem]:
    """What stands where the primary is to be made is not written over."""
    if primary is None:
        return []
    try:
        marks.refuse_foreign(spec, str(spec.target.kind), primary)
    except marks.ForeignError as error:
        return [Problem(path=TARGET, message=str(error))]
    return []


def _about_places(spec: CanarySpec, seen: Seen) -> Iterator[Problem]:
    """Neither is what stands where the load tester or the rules of the two sides are to be made."""
    for kind, found in seen.testers.items():
        if text := foreign.about_load_tester(spec, kind, found):
            yield Problem(path=TARGET, message=text)
    rules = {rule["metadata"]["name"]: rule for rule in seen.listed.get("DestinationRule", [])}
    for side in (spec.service.primary, spec.service.canary):
        wanted = services.destination_rule(spec, side)
        if text := foreign.about_rule(spec, rules.get(side), wanted):
            yield Problem(path="spec.service.name", message=text)


def _about_service(spec: CanarySpec, service: Object | None) -> list[Problem]:
    if service is None:
        if not spec.application:
            return []  # a Service that is not there is made, as Flagger makes it
        text = f"Service {spec.service.name} in namespace {spec.namespace} of {spec.cluster} not found"
        return [Problem(path="spec.service.name", message=text, is_missing=True)]
    ports = [port["port"] for port in service["spec"].get("ports") or []]
    if spec.service.port not in ports and not marks.is_ours(spec, service["metadata"]):
        known = ", ".join(map(str, ports)) or "none"
        text = f"Service {spec.service.name} has no port {spec.service.port}; it has {known}"
        return [Problem(path="spec.service.port", message=text)]
    return []


def _about_other_ports(spec: CanarySpec, seen: Seen) -> Iterator[Problem]:
    """Ports of the Service that the sides do not have: in the mesh they do not answer as before."""
    if services.keeps_other_ports(spec) or not virtualservice.is_in_mesh(spec):
        return
    found = (seen.service or {"spec": {}})["spec"].get("ports") or []
    known = _routed_ports(spec, seen.target)
    others = [port for port in found if port["port"] not in known and port.get("protocol", "TCP") == "TCP"]
    if not others or len(others) == len(found):  # of one without the document's port that is told instead
        return
    name, own = spec.service.name, spec.service.port
    listed = ", ".join(" ".join(filter(None, (port.get("name"), str(port["port"])))) for port in others)
    where = (
        f"lead to port {own} in the mesh" if virtualservice.names_port(spec) else "lead nowhere in the mesh"
    )
    text = f"Requests for other ports of Service {name} ({listed}) {where}: give them a Service of their own"
    yield Problem(path="spec.service.port", message=text, is_warning=True)


def _routed_ports(spec: CanarySpec, target: Object | None) -> set[int]:
    if target is None or not spec.service.port_discovery or virtualservice.names_port(spec):
        return {spec.service.port}
    return {port["port"] for port in services.ports(spec, target)}


def _about_flagger(spec: CanarySpec, canaries: list[Object]) -> list[Problem]:
    for canary in canaries:
        reference = canary.get("spec", {}).get("targetRef") or {}
        if (reference.get("kind"), reference.get("name")) == (str(spec.target.kind), spec.target.name):
            text = (
                f"{spec.target.kind} {spec.target.name} is managed by Flagger's Canary "
                f"{canary['metadata']['name']}: delete that Canary first "
                f"(kubectl delete canary {canary['metadata']['name']} -n {spec.namespace})"
            )
            return [Problem(path=TARGET, message=text)]
    return []


def _about_routes(spec: CanarySpec, found: list[Object]) -> list[Problem]:
    """Another VirtualService for one of our hosts on one of our gateways would take the traffic."""
    ours = virtualservice.addresses(spec)
    problems = []
    for other in found:
        metadata = other["metadata"]
        if (metadata["namespace"], metadata["name"]) == (spec.namespace, spec.service.name):
            continue
        if marks.is_ours(spec, metadata):
            continue
        gateways = set(other.get("spec", {}).get("gateways") or ["mesh"]) & set(ours.get("gateways", []))
        hosts = set(other.get("spec", {}).get("hosts") or []) & _qualified(ours["hosts"], spec, metadata)
        if gateways and hosts:
            text = (
                f"VirtualService {metadata['name']} in namespace {metadata['namespace']} already routes "
                f"{', '.join(sorted(hosts))} on {', '.join(sorted(gateways))}: remove one of the two"
            )
            problems.append(Problem(path="spec.service.hosts", message=text))
    return problems


def _qualified(hosts: list[str], spec: CanarySpec, metadata: Object) -> set[str]:
    """Our hosts as another VirtualService may write them: short names mean its own namespace."""
    names = set()
    for host in hosts:
        full = host if "." in host or host == "*" else f"{host}.{spec.namespace}"
        names |= {full, f"{full}.svc", f"{full}.svc.cluster.local"}
        if metadata["namespace"] == spec.namespace:
            names.add(host)
    return names


def _about_hidden(spec: CanarySpec, kinds: list[str]) -> list[Problem]:
    if not kinds:
        return []
    text = (
        f"The worker may not look at {', '.join(kinds)} in {spec.cluster}: whether one of them speaks "
        "against this canary is not known; allow it (deploy/rbac.yaml)"
    )
    return [Problem(path="cluster", message=text, is_warning=True)]
