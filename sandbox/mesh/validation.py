"""What Istio's webhook would refuse in a VirtualService, and what this data plane cannot serve."""

import re
from collections.abc import Callable, Iterator
from typing import Any

from sandbox.durations import seconds
from sandbox.mesh.actions import Scope, route_action
from sandbox.mesh.clusters import Cluster
from sandbox.mesh.matches import route_match
from sandbox.mesh.snapshot import Snapshot
from sandbox.objects import Object

# RE2, the engine of Envoy, knows neither look-around nor back-references.
NOT_RE2 = re.compile(r"\(\?(?:=|!|<=|<!)|\\[1-9]")
DURATIONS = (
    *("timeout", "perTryTimeout", "fixedDelay", "maxAge"),
    *("connectTimeout", "idleTimeout", "interval", "baseEjectionTime"),
)
NOWHERE = Scope(Snapshot({}, {}, {}, {}, {}, {}), "", 80)
LEGAL_KINDS = ("route", "redirect", "directResponse", "delegate")


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
    if spec.get("tcp") and set(spec.get("gateways") or []) - {"mesh"}:
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
    found = list(_texts(spec, "", _duration, DURATIONS))
    yield from found
    for one in (spec, *(spec.get("subsets") or [])) if not found else ():
        Cluster(one.get("name", ""), one.get("trafficPolicy") or {}, [], http2=False).definition()


def _mistakes(spec: Object) -> Iterator[str]:
    for index, rule in enumerate(spec.get("tcp") or []):
        if not rule.get("route"):
            yield f"tcp[{index}]: route is needed."
        yield from (f"tcp[{index}].{text}" for text in _weights(rule.get("route") or []))
    for index, rule in enumerate(spec.get("http") or []):
        found = list(_mistakes_of_route(rule))
        yield from (f"http[{index}]{text}" for text in found)
        if not found:
            # What Istio's schema lets through and nobody could translate is met here, not in a push.
            route_action({"route": [{"destination": {"host": ""}}]} | rule, NOWHERE)
            for match in rule.get("match") or []:
                route_match(match)


def _mistakes_of_route(rule: Object) -> Iterator[str]:
    if sum(kind in rule for kind in LEGAL_KINDS) != 1:
        yield f": exactly one of {', '.join(LEGAL_KINDS)} is needed."
    yield from (f".{text}" for text in _weights(rule.get("route") or []))
    yield from (f".{text}" for text in _texts(rule, "", _duration, DURATIONS))
    yield from (f".{text}" for text in _texts(rule, "", _regex, ("regex",)))


def _weights(routes: list[Object]) -> Iterator[str]:
    weights = [one.get("weight", 0) for one in routes]
    for index, one in enumerate(routes):
        if not one["destination"].get("host"):
            yield f"route[{index}].destination.host: a destination needs a host."
        if weights[index] < 0:
            yield f"route[{index}].weight: {weights[index]} is below 0."
    if len(routes) > 1 and sum(weights) == 0:
        yield "route: total destination weight = 0."


def _texts(
    value: Any, path: str, check: Callable[[str], str | None], names: tuple[str, ...]
) -> Iterator[str]:
    """Check every text below `value` that stands under one of `names`."""
    if isinstance(value, list):
        for index, one in enumerate(value):
            yield from _texts(one, f"{path}[{index}]", check, names)
    elif isinstance(value, dict):
        for key, one in value.items():
            mistake = check(one) if key in names and isinstance(one, str) else None
            if mistake:
                yield f"{path}.{key}: {mistake}".lstrip(".")
            yield from _texts(one, f"{path}.{key}", check, names)


def _duration(text: str) -> str | None:
    try:
        seconds(text)
    except ValueError as error:
        return str(error)
    return None


def _regex(text: str) -> str | None:
    if NOT_RE2.search(text):
        return f"{text!r} uses what RE2 does not know."
    try:
        re.compile(text)
    except re.error as error:
        return f"{text!r} is no regular expression: {error}."
    return None
