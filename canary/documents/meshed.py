"""Hosts and ports as Istio takes them: what it would refuse, and what would have no effect."""

import re
from collections.abc import Iterator, Sequence

from canary.documents.flagger import Service
from canary.documents.mistake import Mistake, Path, show, warning

MESH = "mesh"
_LABEL = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_HOST = re.compile(rf"\*|(\*[-a-z0-9]*|{_LABEL})(\.{_LABEL})*\.?|[0-9a-f]*(:[0-9a-f]*){{2,7}}", re.IGNORECASE)
_NO_REQUESTS = frozenset({"tcp", "tls", "https", "kubernetes.io/wss", "mongo", "mysql", "redis", "udp"})
"""Protocols at whose ports a sidecar routes connections."""


def host_mistakes(path: Path, hosts: Sequence[str], gateways: Sequence[str]) -> Iterator[Mistake]:
    """Yield what Istio's webhook would refuse, once everything but the routes is made."""
    for index, host in enumerate(hosts):
        where = (*path, index)
        if not _HOST.fullmatch(host):
            yield Mistake(where, f"{show(host)} is no host: allowed is a DNS name, also with * first, or *")
        elif host == "*" and _is_in_mesh(gateways):
            yield Mistake(where, "* is not possible in the mesh: name the hosts, or gateways without mesh")
        elif known := next((one for one in hosts[:index] if _overlap(one, host)), None):
            yield Mistake(where, f"{show(host)} is among the hosts already, in {show(known)}")


def service_warnings(service: Service) -> Iterator[Mistake]:
    """Yield why sidecars would send the canary nothing, whatever its weight."""
    if not _is_in_mesh(service.gateways):
        return
    protocol = (service.app_protocol or service.port_name.partition("-")[0]).lower()
    if protocol in _NO_REQUESTS and not service.is_tcp:
        field = "appProtocol" if service.app_protocol else "portName"
        why = f"{show(protocol)} is no HTTP to Istio: in the mesh no request is routed at such a port"
        yield warning((field,), f"{why}; write appProtocol: http, or tcp to route connections")
    if service.headless:
        why = "in the mesh requests go to the pods that their client has looked up, whatever the routes say"
        yield warning(("headless",), f"{why}: a canary gets its share at gateways only")


def _is_in_mesh(gateways: Sequence[str]) -> bool:
    return not gateways or MESH in gateways


def _overlap(one: str, other: str) -> bool:
    """Whether there is a name that both are for; either may begin with a star."""
    if one == other:
        return True
    wide, narrow = sorted((one, other), key=lambda host: (not host.startswith("*"), len(host)))
    return wide.startswith("*") and narrow.endswith(wide[1:])
