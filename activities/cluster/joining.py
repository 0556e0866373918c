"""Whether Istio can join a match of a VirtualService with one of that to which it delegates."""

from collections.abc import Iterator
from typing import NamedTuple

from activities.cluster.api import Object

IGNORE_CASE, NAMESPACE = "ignoreUriCase", "sourceNamespace"
_TEXTS = ("uri", "scheme", "method", "authority")
_MAPS = ("headers", "withoutHeaders", "queryParams")


class Conflict(NamedTuple):
    """Why two matches cannot be joined."""

    key: str
    is_apart: bool
    """No request meets both, so that none is lost."""


def conflicts(outer: Object, own: Object) -> Iterator[Conflict]:
    """What keeps a delegate's match from being joined with that of the VirtualService that delegates."""
    for key, one, other in _texts(outer, own):
        if not _is_below(other, one):
            is_plain = not (one.get("regex") or other.get("regex"))
            yield Conflict(key, is_apart=is_plain and not _is_below(one, other))
    if bool(outer.get(IGNORE_CASE)) != bool(own.get(IGNORE_CASE)):
        yield Conflict(IGNORE_CASE, is_apart=False)
    wanted, said = outer.get(NAMESPACE), own.get(NAMESPACE)
    if wanted and wanted != said:
        yield Conflict(NAMESPACE, is_apart=bool(said))
    yield from _of_ways(outer, own)


def _of_ways(outer: Object, own: Object) -> Iterator[Conflict]:
    """Ports, gateways and labels of clients."""
    ports = {match["port"] for match in (outer, own) if match.get("port")}
    if len(ports) > 1:
        yield Conflict("port", is_apart=True)
    labels = outer.get("sourceLabels") or {}
    for name, value in (own.get("sourceLabels") or {}).items():
        if labels.get(name, value) != value:
            yield Conflict(f"sourceLabels.{name}", is_apart=True)
    gateways, asked = set(outer.get("gateways") or []), set(own.get("gateways") or [])
    if gateways and not asked <= gateways:
        yield Conflict("gateways", is_apart=not gateways & asked)


def _texts(outer: Object, own: Object) -> Iterator[tuple[str, Object, Object]]:
    """The conditions on a text that both matches have."""
    for key in _TEXTS:
        if key in outer and key in own:
            yield key, outer[key], own[key]
    for field in _MAPS:
        known = outer.get(field) or {}
        for name, condition in (own.get(field) or {}).items():
            if name in known:
                yield f"{field}.{name}", known[name], condition


def _is_below(own: Object, outer: Object) -> bool:
    """Whether a condition narrows another one as Istio sees it; a regular expression never does."""
    if own.get("regex") or outer.get("regex"):
        return False
    if exact := outer.get("exact"):
        return bool(own.get("exact") == exact)
    text = own.get("prefix") or own.get("exact")
    return bool(outer.get("prefix") and text and text.startswith(outer["prefix"]))
