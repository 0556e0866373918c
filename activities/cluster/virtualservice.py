"""The VirtualService of a canary, as Flagger's `router/istio.go` makes it, from its spec alone."""

import copy
from collections.abc import Sequence
from itertools import product

from activities.cluster import cookies, marks
from activities.cluster.api import Object
from canary.routing import Routing
from canary.spec import CanarySpec, ObjectMetadata, SessionAffinity, Weight
from canary.steps import FULL

MESH = "mesh"
_MAPS = ("headers", "withoutHeaders", "queryParams", "sourceLabels")
"""The parts of a match that can be joined with those of another."""


def virtual_service(spec: CanarySpec, routing: Routing, labels: dict[str, str]) -> Object:
    """The whole VirtualService; it has *labels* where the document gives the apex metadata of its own."""
    own = own_metadata(spec, labels)
    body = marks.metadata(spec, spec.service.name, own.labels)
    body["metadata"]["annotations"] = own.annotations
    api = {"apiVersion": "networking.istio.io/v1beta1", "kind": "VirtualService"}
    return {**api, **body, "spec": addresses(spec) | {protocol(spec): routes(spec, routing)}}


def own_metadata(spec: CanarySpec, labels: dict[str, str]) -> ObjectMetadata:
    """The labels and annotations of the VirtualService: those of the apex, and Flux's to leave it alone."""
    apex = spec.service.apex_metadata
    return ObjectMetadata(
        labels={**apex.labels, **labels} if apex != ObjectMetadata() else {},
        annotations={**apex.annotations, **marks.TOOLKIT},
    )


def addresses(spec: CanarySpec) -> Object:
    """Whose requests are routed: hosts with the apex, and gateways or the mesh.

    A delegate has neither: they are those of the VirtualService that delegates to it.
    """
    if spec.service.delegation:
        return {"hosts": []}
    hosts = list(spec.service.hosts)
    if spec.service.name not in hosts and "*" not in hosts:
        hosts.append(spec.service.name)
    return {"hosts": hosts, "gateways": list(spec.service.gateways) or [MESH]}


def protocol(spec: CanarySpec) -> str:
    """The field of a VirtualService that our routes stand in."""
    return "tcp" if spec.service.is_tcp else "http"


def routes(spec: CanarySpec, routing: Routing) -> list[Object]:
    """Our routes, in the order in which they are tried; the last one takes what the others leave."""
    if spec.service.is_tcp:
        return [_tcp_route(spec, routing.weight)]
    matches = _joined(spec.analysis.match, spec.service.match)
    found = [*_cookie_routes(spec, routing, matches), _exposed_route(spec, routing, matches)]
    if spec.analysis.match:
        found.append(_route(spec, spec.service.match, _others(spec, routing)))
    return found


def _exposed_route(spec: CanarySpec, routing: Routing, matches: Sequence[Object]) -> Object:
    """The route by which the canary gets its share, of all requests or of those of the analysis' match.

    Flagger drops mirroring and session affinity where there is a match; both hold within it here.
    """
    route = _route(spec, matches, _sides(spec, routing.weight))
    affinity = _affinity(spec, routing)
    if affinity is not None:
        primary, canary = route["route"]
        canary["headers"] = cookies.canary_cookie(affinity, routing.cookie)
        if _keeps_primary(affinity, routing):
            primary["headers"] = cookies.primary_cookie(spec.analysis, affinity, routing.primary_cookie)
    if routing.is_mirrored:
        route["mirror"] = _destination(spec, spec.service.canary)
        if spec.analysis.mirror_weight:
            route["mirrorPercentage"] = {"value": spec.analysis.mirror_weight}
    return route


def _others(spec: CanarySpec, routing: Routing) -> list[Object]:
    """Who serves those that the analysis' match leaves out: the primary, as long as it can."""
    if routing.is_for_all:
        return _sides(spec, routing.weight)
    # The weight says nothing where there is one destination; it is Flagger's.
    return _sides(spec, routing.weight)[:1]


def _cookie_routes(spec: CanarySpec, routing: Routing, matches: Sequence[Object]) -> list[Object]:
    """The routes of browsers with a cookie; with no weight there are none to a canary that may be gone."""
    affinity = spec.analysis.session_affinity
    if affinity is None:
        return []
    if routing.weight == 0:
        return [_forgetting_route(spec, affinity, routing)] if routing.expired_cookie else []
    found = []
    if routing.cookie:
        known = _with_cookie(matches, affinity.cookie_name, routing.cookie)
        found.append(_route(spec, known, _sides(spec, FULL)))
    if _keeps_primary(affinity, routing):
        known = _with_cookie(matches, affinity.primary_cookie_name, routing.primary_cookie)
        found.append(_route(spec, known, _sides(spec, 0)))
    return found


def _forgetting_route(spec: CanarySpec, affinity: SessionAffinity, routing: Routing) -> Object:
    known = _with_cookie(spec.service.match, affinity.cookie_name, routing.expired_cookie)
    route = _route(spec, known, _sides(spec, 0))
    told = cookies.forgotten_cookie(affinity, routing.expired_cookie)
    # A copy, not Flagger's shared pointer: the header must not reach the other routes.
    headers = copy.deepcopy(spec.service.headers or {})
    response = headers.setdefault("response", {})
    response["add"] = {**(response.get("add") or {}), **told["response"]["add"]}
    return {**route, "headers": headers}


def _affinity(spec: CanarySpec, routing: Routing) -> SessionAffinity | None:
    """The session affinity, if it holds at this moment."""
    return spec.analysis.session_affinity if routing.weight and routing.cookie else None


def _keeps_primary(affinity: SessionAffinity, routing: Routing) -> bool:
    """Whether browsers are kept with the primary: not if it cannot serve them."""
    return bool(affinity.primary_cookie_name and routing.primary_cookie) and not routing.is_for_all


def _route(spec: CanarySpec, matches: Sequence[Object], sides: list[Object]) -> Object:
    service = spec.service
    options = {
        "match": [dict(match) for match in matches],
        "rewrite": service.rewrite,
        "timeout": service.timeout,
        "retries": service.retries,
        "headers": service.headers,
        "corsPolicy": service.cors_policy,
    }
    return {**{key: value for key, value in options.items() if value}, "route": sides}


def _tcp_route(spec: CanarySpec, weight: Weight) -> Object:
    """Connections have a port to be told by, and nothing else of an HTTP route's."""
    ports = [{"port": match["port"]} for match in spec.service.match if match.get("port")]
    return {**({"match": ports} if ports else {}), "route": _sides(spec, weight)}


def _sides(spec: CanarySpec, weight: Weight) -> list[Object]:
    return [
        {"destination": _destination(spec, spec.service.primary), "weight": FULL - weight},
        {"destination": _destination(spec, spec.service.canary), "weight": weight},
    ]


def _destination(spec: CanarySpec, host: str) -> Object:
    """A side of the canary; it needs a port where the listener does not tell which one is meant."""
    return {"host": host, "port": {"number": spec.service.port}} if names_port(spec) else {"host": host}


def names_port(spec: CanarySpec) -> bool:
    """Whether our routes say the port of a side, which is then the document's whatever port was asked for.

    A gateway finds a side by its only port. A sidecar looks for the port that was asked for, 80 for a
    host that is no Service: Flagger's route from there leads nowhere.
    """
    return is_led_from_outside(spec) if spec.service.port_discovery else _has_hosts_in_mesh(spec)


def is_led_from_outside(spec: CanarySpec) -> bool:
    """Whether requests come by a gateway, or may: those of a delegate are the delegating one's."""
    return spec.service.delegation or any(gateway != MESH for gateway in spec.service.gateways)


def is_in_mesh(spec: CanarySpec) -> bool:
    """Whether sidecars route by it, or may: those of a delegate are the delegating one's."""
    return not spec.service.gateways or MESH in spec.service.gateways


def _has_hosts_in_mesh(spec: CanarySpec) -> bool:
    """Whether sidecars route requests for hosts that are not the apex."""
    service = spec.service
    if service.is_tcp or not is_in_mesh(spec):
        return False
    apex = (service.name, f"{service.name}.{spec.namespace}.svc.cluster.local")
    return any(host not in apex for host in service.hosts)


def _joined(narrow: Sequence[Object], wide: Sequence[Object]) -> Sequence[Object]:
    """Each of the analysis' matches together with each of the Service's; no request may miss either."""
    if not narrow or not wide:
        return narrow or wide
    return [_join(one, other) for one, other in product(narrow, wide)]


def _join(narrow: Object, wide: Object) -> Object:
    maps = {key: {**(wide.get(key) or {}), **(narrow.get(key) or {})} for key in _MAPS}
    return {**wide, **narrow, **{key: value for key, value in maps.items() if value}}


def _with_cookie(matches: Sequence[Object], name: str, value: str) -> Sequence[Object]:
    return _joined([{"headers": {cookies.HEADER: {"regex": cookies.pattern(name, value)}}}], matches)
