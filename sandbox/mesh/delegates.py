"""VirtualServices that hand a part of their routes to others."""

from collections.abc import Iterator

from sandbox.mesh.snapshot import Snapshot
from sandbox.objects import Object

TEXTS = ("uri", "scheme", "method", "authority")
MAPS = ("headers", "withoutHeaders", "queryParams")
LABELS = "sourceLabels"


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
        if target is None or target["spec"].get("hosts") or not _is_told(target, namespace):
            continue
        for inner in target["spec"].get("http") or []:
            merged = _merged(rule, inner)
            if merged:
                yield place, merged


def _is_told(delegate: Object, namespace: str) -> bool:
    """Tell whether a VirtualService is exported to a namespace."""
    exported = delegate["spec"].get("exportTo") or ["*"]
    own = delegate["metadata"]["namespace"]
    return "*" in exported or namespace in [own if one == "." else one for one in exported]


def _merged(root: Object, inner: Object) -> Object | None:
    """Lay a delegate's route over the root's; none if one of its conditions lies below none of the root's."""
    if "delegate" in inner:
        return None  # Istio follows one level only
    outer, own = root.get("match") or [], inner.get("match") or []
    matches = outer or own
    if outer and own:
        below = [[_both(one, other) for one in outer if _narrows(one, other)] for other in own]
        if not all(below):
            return None
        matches = [match for some in below for match in some]
    merged = {key: value for key, value in root.items() if key != "delegate"} | inner
    return merged | ({"match": matches} if matches else {})


def _both(outer: Object, own: Object) -> Object:
    maps = {key: (outer.get(key) or {}) | (own.get(key) or {}) for key in (*MAPS, LABELS)}
    return outer | own | {key: value for key, value in maps.items() if value}


def _narrows(outer: Object, own: Object) -> bool:
    """Tell whether a delegate's condition lies below one of the root's, as Istio sees it."""
    texts = [(outer.get(key), own.get(key)) for key in TEXTS]
    for key in MAPS:
        texts += [((outer.get(key) or {}).get(name), value) for name, value in (own.get(key) or {}).items()]
    labels = outer.get(LABELS) or {}
    return (
        all(one is None or other is None or _lies_below(other, one) for one, other in texts)
        and all(labels.get(name, value) == value for name, value in (own.get(LABELS) or {}).items())
        and bool(outer.get("ignoreUriCase")) == bool(own.get("ignoreUriCase"))
        and (outer.get("port") or own.get("port")) == (own.get("port") or outer.get("port"))
        and outer.get("sourceNamespace") in ("", None, own.get("sourceNamespace"))
        and (not outer.get("gateways") or set(own.get("gateways") or []) <= set(outer["gateways"]))
    )


def _lies_below(own: Object, outer: Object) -> bool:
    """Tell whether a delegate's text narrows the root's; two regular expressions never do."""
    if "regex" in own or "regex" in outer:
        return False
    if exact := outer.get("exact"):
        return bool(own.get("exact") == exact)
    text = own.get("prefix") or own.get("exact")
    return bool(outer.get("prefix") and text and text.startswith(outer["prefix"]))
