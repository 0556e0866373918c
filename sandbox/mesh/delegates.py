"""VirtualServices that hand a part of their routes to others."""

from collections.abc import Iterator

from sandbox.mesh.snapshot import Snapshot
from sandbox.objects import Object


def rules_of(virtual_service: Object, snapshot: Snapshot) -> Iterator[tuple[str, Object]]:
    """Yield the HTTP routes with the namespace their destinations are named in, delegates resolved."""
    namespace = virtual_service["metadata"]["namespace"]
    for rule in virtual_service["spec"].get("http") or []:
        if "delegate" not in rule:
            yield namespace, rule
            continue
        delegate = rule["delegate"]
        place = delegate.get("namespace") or namespace
        target = snapshot.virtual_services.get(f"{place}/{delegate['name']}")
        for inner in (target["spec"].get("http") or []) if target else []:
            merged = _merged(rule, inner)
            if merged:
                yield place, merged


def _merged(root: Object, inner: Object) -> Object | None:
    """Lay a delegate's route over the root's; none if no request could meet both conditions."""
    if "delegate" in inner:
        return None  # Istio follows one level only
    matches = [
        both
        for outer in root.get("match") or [{}]
        for own in inner.get("match") or [{}]
        if (both := _both(outer, own)) is not None
    ]
    if not matches:
        return None
    merged = {key: value for key, value in root.items() if key != "delegate"} | inner
    return merged | {"match": matches}


def _both(outer: Object, own: Object) -> Object | None:
    merged = outer | own
    if "uri" in outer and "uri" in own and not _narrows(outer["uri"], own["uri"]):
        return None
    for key in ("headers", "withoutHeaders", "queryParams"):
        if key in outer and key in own:
            if any(name in outer[key] and outer[key][name] != own[key][name] for name in own[key]):
                return None
            merged[key] = outer[key] | own[key]
    return merged


def _narrows(outer: Object, own: Object) -> bool:
    """Tell whether a delegate's path lies below the prefix of its root."""
    if outer == own:
        return True
    path = own.get("exact") or own.get("prefix")
    return "prefix" in outer and path is not None and path.startswith(outer["prefix"])
