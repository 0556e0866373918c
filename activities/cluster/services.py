"""The Services and DestinationRules of a canary, as Flagger's `pkg/router` makes them, without I/O."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from activities.cluster import marks, virtualservice, workloads
from activities.cluster.api import ROLLOUT_MANAGER, Object
from canary.spec import CanarySpec, ObjectMetadata, WorkloadKind

PROXIES = frozenset({"istio-proxy", "envoy"})
"""Containers whose ports are the mesh's."""
NAME_LIMIT = 63
_UNNAMED = "http"
"""The name of a port that the document does not name."""


@dataclass(frozen=True)
class Front:
    """What one of the three Services is: its name, the pods behind it, and metadata of its own."""

    name: str
    selector: dict[str, str]
    labels: dict[str, str]
    annotations: dict[str, str]


@dataclass(frozen=True)
class Fronts:
    """The three Services of a canary."""

    apex: Front
    primary: Front
    canary: Front


def fronts(spec: CanarySpec, target: Object, primary: Object) -> Fronts:
    """Tell the Services from the two workloads that they lead to."""
    service = spec.service
    key, _ = _selected(spec, target)
    return Fronts(
        apex=_front(key, service.name, _selected(spec, primary), service.apex_metadata),
        primary=_front(key, service.primary, _selected(spec, primary), service.primary_metadata),
        canary=_front(key, service.canary, _selected(spec, target), service.canary_metadata),
    )


def own_labels(spec: CanarySpec, target: Object) -> dict[str, str]:
    """The label that Flagger puts on the apex, in the target's own key."""
    key, _ = _selected(spec, target)
    return {key: spec.service.name} if key else {}


def _front(key: str, name: str, selected: tuple[str, dict[str, str]], own: ObjectMetadata) -> Front:
    labels = {**own.labels, **({key: name} if key else {})}
    return Front(name, selected[1], labels, {**own.annotations, **marks.TOOLKIT})


def _selected(spec: CanarySpec, workload: Object) -> tuple[str, dict[str, str]]:
    """The key of the label that tells the pods apart, and the selector of a Service in front of them."""
    if spec.target.kind is WorkloadKind.SERVICE:
        return "", dict(workload["spec"].get("selector") or {})
    label, value = workloads.selector_label(workload)
    return label, {label: value}


def service(spec: CanarySpec, front: Front, ports: list[Object], live: Object | None) -> Object:
    """A Service of ours; what cannot be changed any more stays as it is in the *live* one."""
    body = marks.metadata(spec, front.name, front.labels)
    body["metadata"]["annotations"] = dict(front.annotations)
    if live is not None:
        _leave_unmanaged(spec, body["metadata"], live["metadata"])
    wanted: Object = {"type": "ClusterIP", "selector": front.selector, "ports": ports}
    if spec.service.headless if live is None else live["spec"].get("clusterIP") == "None":
        wanted["clusterIP"] = "None"
    if spec.service.traffic_distribution:
        wanted["trafficDistribution"] = spec.service.traffic_distribution
    return {"apiVersion": "v1", "kind": "Service", **body, "spec": wanted}


def _leave_unmanaged(spec: CanarySpec, metadata: Object, live: Object) -> None:
    """Keep the present value of keys that are others' to write; those we do not write stay anyway."""
    unmanaged = spec.service.unmanaged
    for part, keys in (("labels", unmanaged.labels), ("annotations", unmanaged.annotations)):
        present = live.get(part) or {}
        metadata[part] |= {key: present[key] for key in keys if key in metadata[part] and key in present}


def last_led_by(service: Object) -> str:
    """Who else wrote the selector of a Service last: as it is atomic, it belongs to its last writer."""
    for entry in service["metadata"].get("managedFields") or []:
        held = (entry.get("fieldsV1") or {}).get("f:spec") or {}
        if "f:selector" in held and entry.get("manager") != ROLLOUT_MANAGER:
            return str(entry.get("manager") or "")
    return ""


def is_led_by_us(service: Object | None) -> bool:
    """Whether a Service is there, and nobody has written its selector since we did."""
    owners = [
        entry.get("manager")
        for entry in (service or {"metadata": {}})["metadata"].get("managedFields") or []
        if "f:selector" in ((entry.get("fieldsV1") or {}).get("f:spec") or {})
    ]
    return owners == [ROLLOUT_MANAGER]


def with_target_port(spec: CanarySpec, apex: Object | None) -> CanarySpec:
    """Where the document names no target port it is the live Service's, as Kurator reads it."""
    live = _port_of(spec, apex)
    if spec.service.target_port is not None or live is None:
        return spec
    found = spec.service.model_copy(update={"target_port": live.get("targetPort")})
    return spec.model_copy(update={"service": found})


def ports(spec: CanarySpec, target: Object) -> list[Object]:
    """The ports of the Services: the document's, and with port discovery those of the pods."""
    own = [_main_port(spec)]
    if spec.service.port_discovery:
        own += _discovered(spec, target)
    return _distinct(own)


def side_ports(spec: CanarySpec, target: Object, apex: Object | None) -> list[Object]:
    """The ports of a side: a sidecar routes a request for a port of the apex to the same port of a side.

    Without one there nobody would answer on the other ports of an apex that was there before.
    """
    own = ports(spec, target)
    if apex is None or marks.is_ours(spec, apex["metadata"]) or not keeps_other_ports(spec):
        return own
    return _distinct([*own, *(_portable(port) for port in apex["spec"].get("ports") or [])])


def keeps_other_ports(spec: CanarySpec) -> bool:
    """Whether the sides have the apex's other ports, too.

    Not where a route finds a side by its only port, or leads to one port of it anyway.
    """
    is_ours = spec.target.kind is not WorkloadKind.SERVICE
    return is_ours and not virtualservice.is_led_from_outside(spec) and not virtualservice.names_port(spec)


def adopted_ports(spec: CanarySpec, target: Object, apex: Object) -> list[Object]:
    """The ports of an apex Service that was there before: what the document leaves open stays as it is.

    A port that is called by its name would not be found any more, were it renamed.
    """
    live = {_number(port): port for port in apex["spec"].get("ports") or []}
    wanted = []
    others = [_portable(port) for port in apex["spec"].get("ports") or []]
    for port in _distinct([*ports(spec, target), *others]):
        known = live.get(_number(port), {})
        kept = {key: known[key] for key in ("nodePort", "appProtocol") if key in known}
        is_named = port["port"] == spec.service.port and spec.service.port_name != _UNNAMED
        name = port["name"] if is_named else known.get("name")
        wanted.append({**kept, **port, "name": name or port["name"]})
    return wanted


def ports_given_back(spec: CanarySpec, target: Object | None, live: Object, before: Object) -> Any:
    """The ports of an apex as they were *before*, and those that others have added since."""
    original = before["spec"].get("ports") or []
    ours = [_main_port(spec)] if target is None else ports(spec, target)
    known = {_number(port) for port in (*original, *ours)}
    added = [port for port in live["spec"].get("ports") or [] if _number(port) not in known]
    if not added:
        return before["spec"].get("ports")
    names = {_number(port): port["name"] for port in live["spec"]["ports"] if "name" in port}
    # One alone needs no name, several do.
    return [*({"name": names.get(_number(port)), **port} for port in original), *added]


def destination_rule(spec: CanarySpec, host: str) -> Object:
    """A DestinationRule for one side."""
    rule: Object = {"host": host}
    if spec.service.traffic_policy:
        rule["trafficPolicy"] = spec.service.traffic_policy
    api = {"apiVersion": "networking.istio.io/v1beta1", "kind": "DestinationRule"}
    return {**api, **marks.metadata(spec, host), "spec": rule}


def _main_port(spec: CanarySpec) -> Object:
    port: Object = {
        "name": spec.service.port_name,
        "protocol": "TCP",
        "port": spec.service.port,
        "targetPort": spec.service.target_port or spec.service.port,
    }
    if spec.service.app_protocol:
        port["appProtocol"] = spec.service.app_protocol
    return port


def _discovered(spec: CanarySpec, target: Object) -> Iterable[Object]:
    """Every port of the target's containers but the document's own (Flagger's portDiscovery)."""
    main = spec.service.target_port or spec.service.port
    for container in _containers(target):
        for index, port in enumerate(container.get("ports") or []):
            number, protocol = port["containerPort"], port.get("protocol") or "TCP"
            if main in (number, port.get("name")):
                continue
            suffix = f"-{index}"
            made = f"{protocol.lower()}-{container['name']}"[: NAME_LIMIT - len(suffix)] + suffix
            yield {
                "name": port.get("name") or made,
                "protocol": protocol,
                "port": number,
                "targetPort": number,
            }


def _containers(target: Object) -> list[Object]:
    pod = (target["spec"].get("template") or {}).get("spec") or {}
    return [one for one in pod.get("containers") or [] if one.get("name") not in PROXIES]


def _distinct(found: Iterable[Object]) -> list[Object]:
    """No number and no name twice: an API server refuses such a Service."""
    kept: dict[Any, Object] = {}
    for port in found:
        key = _number(port)
        name = port["name"]
        if any(name == other["name"] for other in kept.values()):
            name = f"{port['protocol'].lower()}-{port['port']}"
        kept.setdefault(key, {**port, "name": name})
    return list(kept.values())


def _number(port: Object) -> tuple[int, str]:
    """What tells the ports of a Service apart."""
    return port["port"], port.get("protocol") or "TCP"


def _portable(port: Object) -> Object:
    """A port of a live Service as another one can have it."""
    protocol = port.get("protocol") or "TCP"
    name = port.get("name") or f"{protocol.lower()}-{port['port']}"
    kept = {key: value for key, value in port.items() if key != "nodePort"}
    return {**kept, "name": name, "protocol": protocol}


def _port_of(spec: CanarySpec, service: Object | None) -> Object | None:
    """The document's port in a live Service."""
    found = service["spec"].get("ports") or [] if service else []
    return next((port for port in found if port.get("port") == spec.service.port), None)
