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
from sandbox.mesh.snapshot import Snapshot, by_age, ports_of, protocol_of, qualified, spellings
from sandbox.objects import Object

Report = Callable[[str], None]

MESH = "mesh"
HTTP = ("HTTP", "HTTP2", "GRPC")
TCP = "tcp"
SPEAKS_HTTP = ("http", "http2", "grpc", "kubernetes.io/h2c")
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
    hosts = [_virtual_host(domain, [domain], found) for domain, found in sorted(routes.items())]
    return _table("gateway", hosts) | {"ignore_port_in_host_matching": True}


def mesh_table(snapshot: Snapshot, report: Report) -> Object:
    """Build the table of a sidecar: VirtualServices for `mesh`, and below them plain Services."""
    chosen, others = _chosen(snapshot, report)
    hosts: list[Object] = []
    for key, service in sorted(snapshot.services.items()):
        for port in ports_of(service):
            number = port["port"]
            routes = _chosen_routes(chosen[key], snapshot, port) if key in chosen else None
            if routes is None:
                routes = _straight(cluster_name(qualified(key), number), retry_policy(None), port)
            hosts.append(_virtual_host(f"{key}:{number}", _authorities(key, number), routes))
    for host, virtual_service in others.items():
        found = _routes(virtual_service, snapshot, (MESH,), 80)
        hosts.append(_virtual_host(host, [host, f"{host}:80"], found))
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
        key = name if "/" in name else f"{namespace}/{name}"
        for server in snapshot.gateways.get(key, {}).get("spec", {}).get("servers") or []:
            if server["port"].get("protocol", "HTTP").upper() in HTTP:
                admitted = [_admission(one, key) for one in server.get("hosts") or []]
                yield (name, key), server["port"]["number"], _admitted(virtual_service, admitted, snapshot)


def _admission(host: str, gateway: str) -> tuple[str, str]:
    """Split a host of a Gateway into the namespace whose VirtualServices may use it, and the domain."""
    place, _, domain = host.rpartition("/")
    return {"": "*", ".": gateway.partition("/")[0]}.get(place, place), domain


def _admitted(virtual_service: Object, admissions: list[tuple[str, str]], snapshot: Snapshot) -> list[str]:
    namespace = virtual_service["metadata"]["namespace"]
    found: dict[str, None] = {}
    for host in virtual_service["spec"].get("hosts") or []:
        key = snapshot.service_named(host, namespace)
        for name in [host, *spellings(key)] if key else [host]:
            for place, domain in admissions:
                if place in ("*", namespace):
                    found |= dict.fromkeys(_common(name, domain))
    return list(found)


def _common(host: str, domain: str) -> list[str]:
    """Give the narrower of two names, either of which may begin with a star."""
    if fnmatch.fnmatchcase(host, domain):
        return [host]
    return [domain] if fnmatch.fnmatchcase(domain, host) else []


def _chosen(snapshot: Snapshot, report: Report) -> tuple[dict[str, Object], dict[str, Object]]:
    """Find the VirtualService of each Service in the mesh, and those of hosts that are no Service."""
    services: dict[str, Object] = {}
    others: dict[str, Object] = {}
    for name, virtual_service in by_age(snapshot.virtual_services):
        if MESH not in (virtual_service["spec"].get("gateways") or [MESH]):
            continue
        if not virtual_service["spec"].get("http") and not virtual_service["spec"].get("tcp"):
            continue
        for host in virtual_service["spec"].get("hosts") or []:
            key = snapshot.service_named(host, virtual_service["metadata"]["namespace"])
            taken, place = (services, key) if key else (others, host)
            winner = taken.setdefault(place, virtual_service)
            if winner is not virtual_service:
                older = f"{winner['metadata']['namespace']}/{winner['metadata']['name']}"
                report(f"VirtualService {name} has no effect on {host}: {older} is older.")
    for key in snapshot.services:
        wild = [host for host in others if "*" in host and fnmatch.fnmatchcase(qualified(key), host)]
        if key not in services and wild:
            services[key] = others[max(wild, key=len)]
    return services, {host: found for host, found in others.items() if host != "*"}


def _routes(virtual_service: Object, snapshot: Snapshot, gateways: Sequence[str], port: int) -> list[Object]:
    found: list[Object] = []
    for namespace, rule in rules_of(virtual_service, snapshot):
        action = route_action(rule, Scope(snapshot, namespace, port))
        found += [
            {"match": route_match(match)} | action
            for match in rule.get("match") or [{}]
            if applies(match, gateways, port)
        ]
    return found


def _chosen_routes(virtual_service: Object, snapshot: Snapshot, port: Object) -> list[Object] | None:
    """Give the routes of a port by its VirtualService; None if it says nothing of a port that speaks TCP."""
    spec, number, protocol = virtual_service["spec"], port["port"], protocol_of(port)
    if protocol != TCP and spec.get("http"):
        return _routes(virtual_service, snapshot, (MESH,), number)
    if protocol in SPEAKS_HTTP:
        return None
    scope = Scope(snapshot, virtual_service["metadata"]["namespace"], number)
    for rule in spec.get("tcp") or []:
        if any(applies(match, (MESH,), number) for match in rule.get("match") or [{}]):
            return _connections(connection_action(rule, scope))
    return None


def _straight(cluster: str, retries: Object | None, port: Object) -> list[Object]:
    action = {"cluster": cluster, "timeout": "0s"}
    if protocol_of(port) == TCP:
        return _connections(action)
    return [{"match": {"prefix": "/"}, "route": action | {"retry_policy": retries}}]


def _connections(action: Object) -> list[Object]:
    tunnel = {"upgrade_configs": [{"upgrade_type": "CONNECT", "connect_config": {}}]}
    return [
        {"match": {"connect_matcher": {}}, "route": action | tunnel},
        {"match": {"prefix": "/"}, "route": action},
    ]


def _authorities(key: str, port: int) -> list[str]:
    names = spellings(key)
    return [f"{name}:{port}" for name in names] + (names if port == 80 else [])  # noqa: PLR2004 — HTTP's own port


def _virtual_host(name: str, domains: list[str], routes: list[Object]) -> Object:
    return {"name": name, "domains": domains, "routes": routes}


def _table(name: str, hosts: list[Object]) -> Object:
    return {
        "@type": "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
        "name": name,
        "virtual_hosts": hosts,
    }
