"""The route tables of the three listeners.

A connection that is no HTTP reaches a Service by `CONNECT name.namespace:port`; requests to a TCP port are
spread like connections.
"""

import fnmatch
from collections.abc import Callable, Iterator, Sequence

from sandbox.mesh.actions import Scope, cluster_name, connection_action, retry_policy, route_action
from sandbox.mesh.clusters import service_cluster
from sandbox.mesh.delegates import rules_of
from sandbox.mesh.matches import applies, route_match
from sandbox.mesh.snapshot import (
    CONNECTIONS,
    ENCRYPTED,
    REQUESTS,
    Snapshot,
    by_age,
    full_name,
    ports_of,
    protocol_of,
    qualified,
    spellings,
)
from sandbox.objects import Object

Report = Callable[[str], None]

MESH = "mesh"
HTTP = ("HTTP", "HTTP2", "GRPC")
# The retry that HTTP clients do themselves on a connection closed while idle; kube-proxy has none.
CLIENT_RETRY = {"retry_on": "reset-before-request", "num_retries": 1}
OUTSIDE = "outside"
# An address is nobody's name: it is gone to as it stands, as Istio lets pass what it does not know.
ADDRESS = r"(localhost|[0-9.]+)(:[0-9]+)?"
ELSEWHERE = {
    "name": "elsewhere",
    "domains": ["*"],
    "routes": [
        {
            "match": {
                "prefix": "/",
                "headers": [{"name": ":authority", "string_match": {"safe_regex": {"regex": ADDRESS}}}],
            },
            "route": {"cluster": OUTSIDE, "timeout": "0s"},
        },
        {
            "match": {"prefix": "/"},
            "direct_response": {"status": 502, "body": {"inline_string": "No such host in the cluster.\n"}},
        },
    ],
}


def gateway_table(snapshot: Snapshot) -> Object:
    """Build the table of what enters by a Gateway; several VirtualServices for one host are joined."""
    routes: dict[str, list[Object]] = {}
    for _, service in by_age(snapshot.virtual_services):
        for names, port, domains in _entries(service, snapshot):
            found = _routes(service, snapshot, names, port)
            for domain in domains:
                routes.setdefault(domain, []).extend(found)
    # A route that takes everything hides none of another VirtualService.
    hosts = [
        _virtual_host(domain, [domain], sorted(found, key=_takes_everything))
        for domain, found in sorted(routes.items())
    ]
    return _table("gateway", hosts) | {"ignore_port_in_host_matching": True}


def mesh_table(snapshot: Snapshot, report: Report) -> Object:
    """Build the table of a sidecar: VirtualServices for `mesh`, and below them plain Services."""
    chosen, others = _chosen(snapshot, report)
    hosts: list[Object] = []
    for key, service in sorted(snapshot.services.items()):
        for port in ports_of(service):
            number = port["port"]
            several = (_chosen_routes(one, snapshot, port) for one in chosen.get(key, []))
            routes = next(filter(None, several), None)
            if routes is None:
                routes = _straight(cluster_name(qualified(key), number), retry_policy(None), port)
            hosts.append(_virtual_host(f"{key}:{number}", _authorities(key, number), routes))
    for host, virtual_service in others.items():
        for number in sorted(_listened(virtual_service, chosen, snapshot)):
            found = _routes(virtual_service, snapshot, (MESH,), number)
            hosts.append(_virtual_host(f"{host}:{number}", _at_port([host], number), found))
    return _table(MESH, [*hosts, ELSEWHERE])


def services_table(snapshot: Snapshot) -> Object:
    """Build the table of a client without a sidecar."""
    hosts = [
        _virtual_host(
            f"{key}:{port['port']}",
            _authorities(key, port["port"]),
            _straight(service_cluster(key, port["port"]), CLIENT_RETRY, port),
        )
        for key, service in sorted(snapshot.services.items())
        for port in ports_of(service)
    ]
    return _table("services", [*hosts, ELSEWHERE])


def _entries(virtual_service: Object, snapshot: Snapshot) -> Iterator[tuple[tuple[str, str], int, list[str]]]:
    """Yield each Gateway a VirtualService is bound to: its names, its port and the domains it lets in."""
    namespace = virtual_service["metadata"]["namespace"]
    for name in virtual_service["spec"].get("gateways") or []:
        key = _gateway_key(name, namespace)
        for server in snapshot.gateways.get(key, {}).get("spec", {}).get("servers") or []:
            if server["port"].get("protocol", "HTTP").upper() in HTTP:
                admitted = [_admission(one, key) for one in server.get("hosts") or []]
                yield (name, key), server["port"]["number"], _admitted(virtual_service, admitted)


def _gateway_key(name: str, namespace: str) -> str:
    """Find a Gateway by `namespace/name`, by its name in the same namespace, or as a host, as it once was."""
    if "/" in name:
        return name
    first, _, rest = name.partition(".")
    return f"{rest.partition('.')[0] or namespace}/{first}"


def _takes_everything(route: Object) -> bool:
    return bool(route["match"] == {"prefix": "/"})


def _admission(host: str, gateway: str) -> tuple[str, str]:
    """Split a host of a Gateway into the namespace whose VirtualServices may use it, and the domain."""
    place, _, domain = host.rpartition("/")
    return {"": "*", ".": gateway.partition("/")[0]}.get(place, place), domain


def _admitted(virtual_service: Object, admissions: list[tuple[str, str]]) -> list[str]:
    namespace = virtual_service["metadata"]["namespace"]
    found: dict[str, None] = {}
    for host in virtual_service["spec"].get("hosts") or []:
        name = full_name(host, namespace).lower()
        for place, domain in admissions:
            if place in ("*", namespace):
                found |= dict.fromkeys(_common(name, domain))
    return list(found)


def _common(host: str, domain: str) -> list[str]:
    """Give the narrower of two names, either of which may begin with a star."""
    if fnmatch.fnmatchcase(host, domain):
        return [host]
    return [domain] if fnmatch.fnmatchcase(domain, host) else []


def _chosen(snapshot: Snapshot, report: Report) -> tuple[dict[str, list[Object]], dict[str, Object]]:
    """Find the VirtualServices of each Service in the mesh, and those of hosts that are no Service.

    Of several for one Service the oldest that says anything of a port has its way there.
    """
    named: dict[str, list[Object]] = {}
    for name, virtual_service in by_age(snapshot.virtual_services):
        if MESH not in (virtual_service["spec"].get("gateways") or [MESH]):
            continue
        for host in virtual_service["spec"].get("hosts") or []:
            found = named.setdefault(full_name(host, virtual_service["metadata"]["namespace"]).lower(), [])
            if found:
                older = f"{found[0]['metadata']['namespace']}/{found[0]['metadata']['name']}"
                report(f"VirtualService {name} has no effect on {host}: {older} is older.")
            found.append(virtual_service)
    services: dict[str, list[Object]] = {}
    taken = {"*"}
    patterns = [host for host in named if "*" in host]
    for key in snapshot.services:
        own = qualified(key)
        fitting = [host for host in patterns if fnmatch.fnmatchcase(own, host)]
        if own in named:
            fitting.append(own)
        if fitting:
            services[key] = named[max(fitting, key=len)]
            taken.update(fitting)
    return services, {host: found[0] for host, found in named.items() if host not in taken}


def _listened(virtual_service: Object, chosen: dict[str, list[Object]], snapshot: Snapshot) -> set[int]:
    """Give the ports at which a sidecar knows what is no Service: 80, and those of Services beside."""
    beside = [snapshot.services[key] for key, found in chosen.items() if virtual_service in found]
    ports = [port for service in beside for port in ports_of(service)]
    return {80, *(port["port"] for port in ports if protocol_of(port) not in CONNECTIONS)}


def _routes(virtual_service: Object, snapshot: Snapshot, gateways: Sequence[str], port: int) -> list[Object]:
    found: list[Object] = []
    for namespace, rule in rules_of(virtual_service, snapshot):
        action = route_action(rule, Scope(snapshot, namespace, port, takes_only_port=MESH not in gateways))
        found += [
            {"match": route_match(match)} | action
            for match in rule.get("match") or [{}]
            if applies(match, gateways, port)
        ]
    return found


def _chosen_routes(virtual_service: Object, snapshot: Snapshot, port: Object) -> list[Object] | None:
    """Give the routes of a port by its VirtualService; none if it says nothing of it."""
    spec, number, protocol = virtual_service["spec"], port["port"], protocol_of(port)
    if protocol not in CONNECTIONS and spec.get("http"):
        return _routes(virtual_service, snapshot, (MESH,), number)
    if protocol in REQUESTS or protocol in ENCRYPTED:
        return None
    scope = Scope(snapshot, virtual_service["metadata"]["namespace"], number, takes_only_port=True)
    for rule in spec.get("tcp") or []:
        if any(applies(match, (MESH,), number) for match in rule.get("match") or [{}]):
            return _connections(connection_action(rule, scope))
    return None


def _straight(cluster: str, retries: Object | None, port: Object) -> list[Object]:
    action = {"cluster": cluster, "timeout": "0s"}
    if protocol_of(port) in CONNECTIONS:
        return _connections(action)
    return [{"match": {"prefix": "/"}, "route": action | {"retry_policy": retries}}]


def _connections(action: Object) -> list[Object]:
    tunnel = {"upgrade_configs": [{"upgrade_type": "CONNECT", "connect_config": {}}]}
    return [
        {"match": {"connect_matcher": {}}, "route": action | tunnel},
        {"match": {"prefix": "/"}, "route": action},
    ]


def _authorities(key: str, port: int) -> list[str]:
    return _at_port(spellings(key), port)


def _at_port(names: list[str], port: int) -> list[str]:
    return [f"{name}:{port}" for name in names] + (names if port == 80 else [])  # noqa: PLR2004 — HTTP's own port


def _virtual_host(name: str, domains: list[str], routes: list[Object]) -> Object:
    return {"name": name, "domains": domains, "routes": routes}


def _table(name: str, hosts: list[Object]) -> Object:
    return {
        "@type": "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
        "name": name,
        "virtual_hosts": hosts,
    }
