"""What Istio's webhook would refuse in a VirtualService, and what this data plane cannot serve."""

import fnmatch
from collections.abc import Callable, Iterator
from typing import Any

from sandbox.mesh import texts
from sandbox.mesh.actions import Scope, route_action
from sandbox.mesh.matches import route_match
from sandbox.mesh.policies import mistakes_of_policies
from sandbox.mesh.routechecks import mistakes_of_route, mistakes_of_shares
from sandbox.mesh.snapshot import Snapshot
from sandbox.objects import Object

DURATIONS = (
    *("timeout", "perTryTimeout", "backoff", "fixedDelay", "maxAge"),
    *("connectTimeout", "idleTimeout", "interval", "baseEjectionTime", "maxConnectionDuration"),
)
NOWHERE = Scope(Snapshot({}, {}, {}, {}, {}, {}), "", 80)
MESH = "mesh"


def mistakes(virtual_service: Object) -> list[str]:
    """List what makes a VirtualService invalid."""
    return _read(_mistakes, virtual_service)


def mistakes_of_rule(destination_rule: Object) -> list[str]:
    """List what makes a DestinationRule invalid."""
    return _read(_mistakes_of_rule, destination_rule)


def omissions(virtual_service: Object) -> list[str]:
    """List what is valid but not served here."""
    spec = virtual_service.get("spec") or {}
    found = ["tls routes are not served"] if spec.get("tls") else []
    if spec.get("exportTo", ["*"]) != ["*"]:
        found.append(
            "exportTo holds for delegates only: clients of every namespace are taken to see the rest"
        )
    if spec.get("tcp") and set(spec.get("gateways") or []) - {MESH}:
        found.append("tcp routes are served in the mesh only")
    conditions = [match for rule in spec.get("http") or [] for match in rule.get("match") or []]
    if any("sourceLabels" in match or "sourceNamespace" in match for match in conditions):
        found.append("sourceLabels and sourceNamespace are taken to fit every client")
    return found


def _read(check: Callable[[Object], Iterator[str]], obj: Object) -> list[str]:
    try:
        return list(check(obj.get("spec") or {}))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        return [f"The specification cannot be read: {type(error).__name__} {error}."]


def _mistakes_of_rule(spec: Object) -> Iterator[str]:
    found = list(_durations(spec))
    yield from found
    if mistake := texts.host(spec.get("host", "")):
        yield f"host: {mistake}"
    if not found:
        yield from mistakes_of_policies(spec)


def _mistakes(spec: Object) -> Iterator[str]:
    yield from _addressed(spec)
    if not any(spec.get(kind) for kind in ("http", "tcp", "tls")):
        yield "http, tcp or tls is needed."
    for index, rule in enumerate(spec.get("tcp") or []):
        if not rule.get("route"):
            yield f"tcp[{index}]: route is needed."
        yield from (f"tcp[{index}].{text}" for text in mistakes_of_shares(rule.get("route") or []))
        yield from (f"tcp[{index}].{text}" for text in texts.checked(rule, _maybe_port, "port"))
    for index, rule in enumerate(spec.get("http") or []):
        found = [*mistakes_of_route(rule, is_delegate=not spec.get("hosts")), *_served(rule)]
        yield from (f"http[{index}]{text}" for text in found)
        if not found:
            # What Istio's schema lets through and nobody could translate is met here, not in a push.
            route_action({"route": [{"destination": {"host": ""}}]} | rule, NOWHERE)
            for match in rule.get("match") or []:
                route_match(match)
    if _is_in_mesh(spec) and any(
        name.startswith(texts.CLAIM)
        for _, part in texts.below(spec.get("http") or [], "", ("headers", "withoutHeaders"))
        for name in part or {}
    ):
        yield "claims of a token choose a route at gateways only."


def _served(rule: Object) -> Iterator[str]:
    yield from (f".{text}" for text in _durations(rule))
    for path, expression in texts.below(rule, "", ("regex",)):
        # A lone star asks whether a header is there.
        if not ("withoutHeaders" in path and expression == "*") and (mistake := texts.regex(expression)):
            yield f".{path}: {mistake}"
    rewritten = ((rule.get("rewrite") or {}).get("uriRegexRewrite") or {}).get("match", "/")
    if mistake := texts.regex(rewritten):
        yield f".rewrite.uriRegexRewrite.match: {mistake}"
    named = (name for match in rule.get("match") or [] for name in match.get("gateways") or [])
    yield from (f".match: {text}" for text in filter(None, map(_gateway, named)))


def _durations(part: Object) -> Iterator[str]:
    for path, text in texts.below(part, "", DURATIONS):
        # Of this one Istio asks no more than that it is one.
        check = texts.length if path.endswith("tcp.idleTimeout") else texts.duration
        if mistake := check(text):
            yield f"{path}: {mistake}"


def _addressed(spec: Object) -> Iterator[str]:
    hosts, gateways = spec.get("hosts") or [], spec.get("gateways") or []
    if not hosts and (gateways or spec.get("tls") or spec.get("tcp")):
        yield "a delegate has no gateways and none but http routes."
    for index, host in enumerate(hosts):
        if mistake := texts.host(host):
            yield f"hosts[{index}]: {mistake}"
        if host == "*" and _is_in_mesh(spec):
            yield f"hosts[{index}]: * is not possible in the mesh."
        for other in hosts[:index]:
            if fnmatch.fnmatchcase(host, other) or fnmatch.fnmatchcase(other, host):
                yield f"hosts[{index}]: {host} is meant by {other} as well."
    yield from (f"gateways: {text}" for text in filter(None, map(_gateway, gateways)))
    exported = spec.get("exportTo") or []
    if "~" in exported or ("*" in exported and len(exported) > 1):
        yield f"exportTo: {exported} is not possible."


def _is_in_mesh(spec: Object) -> bool:
    gateways = spec.get("gateways") or [MESH]
    return MESH in gateways


def _gateway(name: str) -> str | None:
    parts = name.split("/", 1)
    if len(parts) == 1:
        return texts.host(name)
    return None if all(map(texts.LABEL.fullmatch, parts)) else f"{name!r} is no gateway."


def _maybe_port(number: Any) -> str | None:
    """Say why there is no such port; none at all is any."""
    return texts.port(number) if number else None
