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
    side = _named(spec, found.get("Service", []), spec.service.primary)
    if virtual_service is not None and side is not None and routes.are_standing(virtual_service):
        for field, text in _changes(spec, virtual_service, side):
            message = f"{text}: {spec.how_to_begin_anew}"
            yield Problem(path=f"spec.service.{field}", message=message)


def _changes(spec: CanarySpec, virtual_service: Object, side: Object) -> Iterator[tuple[str, str]]:
    """The field of a change that would cost requests, and what is in its way."""
    own, port = virtualservice.protocol(spec), spec.service.port
    standing = routes.protocols(spec, virtual_service)
    ports = [one["port"] for one in side["spec"].get("ports") or []]
    known = f"Service {spec.service.primary} ({', '.join(map(str, ports)) or 'no port'})"
    if standing and own not in standing:
        yield (
            "appProtocol",
            f"is for {own} routes now, and those that carry traffic are {', '.join(standing)}",
        )
    if port not in ports:
        yield "port", f"is {port} now, and the routes lead to {known}"
    elif _cannot_choose(spec, virtual_service, ports):
        yield "portDiscovery", f"is off now, and routes that name no port could not choose one of {known}"


def _cannot_choose(spec: CanarySpec, virtual_service: Object, ports: list[int]) -> bool:
    """Whether gateways, which are told a side's port by now, would have to find its only one."""
    is_left_open = virtualservice.is_led_from_outside(spec) and not virtualservice.names_port(spec)
    return is_left_open and len(ports) > 1 and routes.name_ports(spec, virtual_service)


def _named(spec: CanarySpec, found: list[Object], name: str) -> Object | None:
    own = (one for one in found if one["metadata"]["name"] == name)
    here = (one for one in own if one["metadata"]["namespace"] == spec.namespace)
    return next(here, None)
