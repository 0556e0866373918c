"""What a changed document may not ask for while routes of its canary carry traffic, without I/O.

Services and routes are written one after the other, and proxies hear of them as they come: a route to a port
that a Service does not have yet, or no more, answers 503. No order of writes is safe for every way in.
"""

from collections.abc import Iterator, Mapping

from activities.cluster import routes, virtualservice
from activities.cluster.api import Object
from canary.problem import Problem
from canary.spec import CanarySpec


def about_changeover(spec: CanarySpec, found: Mapping[str, list[Object]]) -> Iterator[Problem]:
    """Look at what *found* has of the canary, by kind; without routes that lead users it may say anything."""
    virtual_service = _named(spec, found.get("VirtualService", []), spec.service.name)
    if virtual_service is None or not routes.are_standing(virtual_service):
        return
    named = (
        _named(spec, found.get("Service", []), name) for name in (spec.service.primary, spec.service.canary)
    )
    sides = [side for side in named if side is not None]
    for field, text in _changes(spec, virtual_service, sides):
        yield Problem(path=f"spec.service.{field}", message=f"{text}: {spec.how_to_begin_anew}")


def _changes(spec: CanarySpec, virtual_service: Object, sides: list[Object]) -> Iterator[tuple[str, str]]:
    """The field of a change that would cost requests, and what is in its way."""
    own, port = virtualservice.protocol(spec), spec.service.port
    standing = routes.protocols(spec, virtual_service)
    if standing and own not in standing:
        yield "appProtocol", f"is for {own} routes now, and those that carry traffic are {standing[0]}"
    lacking = [side for side in sides if port not in _ports(side)]
    several = [side for side in sides if len(_ports(side)) > 1]
    if lacking:
        yield "port", f"is {port} now, and the routes lead to {_told(lacking[0])}"
    elif several and _is_left_to_choose(spec, virtual_service):
        text = f"is off now, and routes that name no port could not choose one of {_told(several[0])}"
        yield "portDiscovery", text


def _is_left_to_choose(spec: CanarySpec, virtual_service: Object) -> bool:
    """Whether gateways, which are told a side's port by now, would have to find its only one."""
    is_left_open = virtualservice.is_led_from_outside(spec) and not virtualservice.names_port(spec)
    return is_left_open and routes.name_ports(spec, virtual_service)


def _ports(service: Object) -> list[int]:
    return [port["port"] for port in service["spec"].get("ports") or []]


def _told(service: Object) -> str:
    return f"Service {service['metadata']['name']} ({', '.join(map(str, _ports(service))) or 'no port'})"


def _named(spec: CanarySpec, found: list[Object], name: str) -> Object | None:
    own = (one for one in found if one["metadata"]["name"] == name)
    here = (one for one in own if one["metadata"]["namespace"] == spec.namespace)
    return next(here, None)
