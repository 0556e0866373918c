"""What stands in a live VirtualService: whose routes, with which weights, and what is to be written there.

Our routes are told by their destinations, the two sides of the canary; all others are foreign, are left as
they are, and stay where they are around ours. Lists of a VirtualService are atomic: they are written whole.
"""

import hashlib
import json
from typing import Any

from activities.cluster import cookies, marks, virtualservice
from activities.cluster.api import ROLLOUT_MANAGER, Object
from canary.observation import Routes
from canary.routing import Routing
from canary.spec import CanarySpec, Weight
from canary.steps import FULL

_PROTOCOLS = ("http", "tcp")
_MOVING = frozenset({"mirror", "mirrorPercentage"})
"""What a rollout changes of a route, beside its weights and cookies."""


def read_routes(spec: CanarySpec, found: Object) -> Routes | None:
    """Read the weights of our route; None where there is no route of ours any more."""
    ours = [route for route in _standing(found, virtualservice.protocol(spec)) if is_ours(spec, route)]
    exposed = next((route for route in ours if not _is_by_cookie(spec, route)), None)
    if exposed is None:
        return None
    metadata = found["metadata"]
    primary, canary = shares = _weights(spec, exposed)
    others = _weights(spec, ours[-1])
    is_for_all = bool(spec.analysis.match) and others[1] > 0
    return Routes(
        primary=primary,
        canary=canary,
        is_mirrored=_is_mirrored(spec, exposed),
        is_for_all=is_for_all,
        is_intact=primary + canary == FULL
        and (others == shares or not is_for_all)
        and _is_addressed(spec, found)
        and _is_generated(spec, found, ours, Routing(is_for_all=is_for_all)),
        decided_at=marks.read_stamp(metadata),
        manager=_foreign_manager(metadata),
        version=metadata.get("resourceVersion", "") if _is_all_ours(spec, found) else "",
    )


def are_standing(found: Object) -> bool:
    """Whether routes that we have written lead users already, be they made by us or adopted."""
    return marks.GENERATED in marks.notes(found)


def protocols(spec: CanarySpec, found: Object) -> list[str]:
    """The fields of a VirtualService that routes of ours stand in."""
    return [name for name in _PROTOCOLS if any(is_ours(spec, route) for route in _standing(found, name))]


def name_ports(spec: CanarySpec, found: Object) -> bool:
    """Whether our routes say which port of a side is meant."""
    ours = (route for route in _all(found) if is_ours(spec, route))
    return any("port" in (part.get("destination") or {}) for route in ours for part in _parts(route))


def changes(spec: CanarySpec, routing: Routing, found: Object | None) -> Object:
    """A merge patch that makes a live VirtualService say *routing*; without one, one that holds only ours."""
    wanted = virtualservice.routes(spec, routing)
    own = virtualservice.protocol(spec)
    (other,) = (name for name in _PROTOCOLS if name != own)
    generated = {"gateways": None, **virtualservice.addresses(spec)}
    if found is None:
        return {**generated, own: wanted, other: None}
    foreign = [route for route in _standing(found, other) if not is_ours(spec, route)]
    return {**generated, own: _around(spec, _standing(found, own), wanted), other: foreign or None}


def fingerprint(spec: CanarySpec) -> str:
    """Tells what was generated from what is generated now, weights apart."""
    generated: list[Any] = [
        virtualservice.addresses(spec),
        _bare(spec, virtualservice.routes(spec, Routing())),
    ]
    if (affinity := spec.analysis.session_affinity) is not None:
        generated.append([affinity.cookie_name, affinity.primary_cookie_name])
    text = json.dumps(generated, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def foreign_spec(spec: CanarySpec, found: Object) -> Object | None:
    """The spec of a VirtualService that somebody else wrote; None for one that has routes of ours."""
    if any(is_ours(spec, route) for route in _all(found)):
        return None
    return found.get("spec") or {}


def is_ours(spec: CanarySpec, route: Any) -> bool:
    """Whether a route leads to the sides of this canary and to nobody else."""
    return _leads_to(spec, route, {spec.service.primary, spec.service.canary})


def released(spec: CanarySpec, found: Object) -> Object:
    """A merge patch after which a live VirtualService leads to the apex instead of the canary's sides."""
    apex = [{"route": [{"destination": {"host": spec.service.name}}]}]
    return {
        name: _around(spec, _standing(found, name), apex)
        for name in _PROTOCOLS
        if any(is_ours(spec, route) for route in _standing(found, name))
    }


def given_back(spec: CanarySpec, found: Object, before: Object) -> Object:
    """A merge patch that makes of an adopted VirtualService what it was *before*; others' changes since stay.

    Of its routes ours took the place of those to the apex, and all the others are theirs.
    """
    lists = {name: _given_back(spec, _standing(found, name), before.get(name)) for name in _PROTOCOLS}
    return {**{key: before.get(key) for key in ("hosts", "gateways")}, **lists}


def _given_back(spec: CanarySpec, present: list[Any], before: list[Any] | None) -> list[Any] | None:
    ours = [route for route in present if is_ours(spec, route)]
    is_untouched = present == (_around(spec, before or [], ours) if ours else before or [])
    if is_untouched or not ours:
        return before if is_untouched else present
    ousted = [route for route in before or [] if _leads_to(spec, route, {spec.service.name})]
    return _around(spec, present, ousted) if ousted else [route for route in present if route not in ours]


def _around(spec: CanarySpec, present: list[Any], wanted: list[Object]) -> list[Any]:
    """Put our routes where ours stand, the last in place of the last, and leave the foreign ones around them.

    Without any, they take the place of those to the apex, else the first.
    """
    ours = [place for place, route in enumerate(present) if is_ours(spec, route)]
    if not ours:
        ours = [place for place, route in enumerate(present) if _leads_to(spec, route, {spec.service.name})]
    if not ours:
        return [*wanted, *present]
    placed: list[Any] = []
    for place, route in enumerate(present):
        if place == ours[0]:
            placed += wanted[:-1]
        if place == ours[-1]:
            placed.append(wanted[-1])
        if place not in ours:
            placed.append(route)
    return placed


def _is_all_ours(spec: CanarySpec, found: Object) -> bool:
    """Whether a VirtualService holds routes of ours and none that could be lost."""
    present = _all(found)
    return bool(present) and all(is_ours(spec, route) for route in present)


def _is_addressed(spec: CanarySpec, found: Object) -> bool:
    """Whether hosts and gateways are those of the document."""
    live, wanted = found.get("spec") or {}, virtualservice.addresses(spec)
    return all(sorted(live.get(key) or []) == sorted(wanted.get(key, [])) for key in ("hosts", "gateways"))


def _is_generated(spec: CanarySpec, found: Object, ours: list[Object], routing: Routing) -> bool:
    """Whether everything but weights, mirroring and cookies stands as it is generated.

    What an API server prunes or a webhook adds while we write is no drift: it would come back for ever.
    """
    if _bare(spec, ours) == _bare(spec, virtualservice.routes(spec, routing)):
        return True
    written = marks.notes(found).get(marks.GENERATED)
    return written == fingerprint(spec) and not _foreign_manager(found["metadata"])


def _bare(spec: CanarySpec, ours: list[Object]) -> list[Object]:
    """Our routes without what moves in a rollout."""
    return [
        {
            **{key: value for key, value in route.items() if value and key not in _MOVING},
            "route": [part.get("destination") for part in _parts(route)],
        }
        for route in ours
        if not _is_by_named_cookie(spec, route)
    ]


def _all(found: Object) -> list[Any]:
    return [route for name in _PROTOCOLS for route in _standing(found, name)]


def _standing(found: Object, protocol: str) -> list[Any]:
    return list((found.get("spec") or {}).get(protocol) or [])


def _parts(route: Any) -> list[Object]:
    """The destinations of a route with their weights; a redirect or a delegate has none."""
    parts = route.get("route") if isinstance(route, dict) else None
    return [part for part in parts or [] if isinstance(part, dict)]


def _host(part: Object) -> str:
    return str((part.get("destination") or {}).get("host") or "")


def _leads_to(spec: CanarySpec, route: Any, services: set[str]) -> bool:
    names = {name for service in services for name in _written(spec, service)}
    hosts = {_host(part) for part in _parts(route)}
    return bool(hosts) and hosts <= names


def _written(spec: CanarySpec, service: str) -> tuple[str, ...]:
    """The ways to write the host of a Service."""
    full = f"{service}.{spec.namespace}"
    return service, full, f"{full}.svc", f"{full}.svc.cluster.local"


def _weights(spec: CanarySpec, route: Object) -> tuple[Weight, Weight]:
    """Primary's and canary's weight; a single destination gets everything, whatever its weight says."""
    parts = _parts(route)

    def share(service: str) -> Weight:
        found = [part for part in parts if _host(part) in _written(spec, service)]
        if found and len(parts) == 1:
            return FULL
        return sum(int(part.get("weight") or 0) for part in found)

    return share(spec.service.primary), share(spec.service.canary)


def _is_mirrored(spec: CanarySpec, route: Object) -> bool:
    return str((route.get("mirror") or {}).get("host") or "") in _written(spec, spec.service.canary)


def _is_by_cookie(spec: CanarySpec, route: Object) -> bool:
    """Whether a route is for browsers with a session cookie of ours, of this document or of one before it.

    A match of the document's own may ask for a cookie, too.
    """
    chosen = {cookies.regex_of(match) for match in (*spec.analysis.match, *spec.service.match)}
    asked = _cookies_asked_for(route)
    return bool(asked) and all(cookies.is_session(regex) and regex not in chosen for regex in asked)


def _is_by_named_cookie(spec: CanarySpec, route: Object) -> bool:
    """Whether such a route is one that the document has."""
    affinity = spec.analysis.session_affinity
    is_named = all(cookies.is_named(affinity, regex) for regex in _cookies_asked_for(route))
    return is_named and _is_by_cookie(spec, route)


def _cookies_asked_for(route: Object) -> list[str]:
    return [cookies.regex_of(match) for match in route.get("match") or []]


def _foreign_manager(metadata: Object) -> str:
    """Who else wrote the routes last: a list that is atomic belongs to its last writer."""
    for entry in metadata.get("managedFields") or []:
        held = (entry.get("fieldsV1") or {}).get("f:spec") or {}
        if entry.get("manager") != ROLLOUT_MANAGER and any(f"f:{name}" in held for name in _PROTOCOLS):
            return str(entry.get("manager") or "")
    return ""
