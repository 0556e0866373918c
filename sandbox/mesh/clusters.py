"""Services, their Endpoints and DestinationRules as Envoy clusters with their hosts."""

from collections.abc import Iterator
from dataclasses import dataclass

from sandbox.mesh.actions import cluster_name
from sandbox.mesh.snapshot import Snapshot, by_age, ports_of, protocol_of, qualified
from sandbox.mesh.values import duration
from sandbox.objects import Object

# Istio sets no limits where a DestinationRule names none; Envoy's own would be 1024.
NO_LIMIT = 2**32 - 1
HTTP2 = ("grpc", "http2", "kubernetes.io/h2c")
ROOT = "istio-system"
OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


@dataclass(frozen=True)
class Cluster:
    """A name for hosts, and how they are spoken to.

    The hosts stand in the definition: followed in files of their own, each would take one of the 128 inotify
    instances that a user has.
    """

    name: str
    policy: Object
    hosts: list[tuple[str, int]]
    http2: bool

    def definition(self) -> Object:
        """Give the cluster as Envoy wants it."""
        hosts = [
            {"endpoint": {"address": {"socket_address": {"address": address, "port_value": port}}}}
            for address, port in self.hosts
        ]
        found: Object = {
            "@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster",
            "name": self.name,
            "type": "STATIC",
            "load_assignment": {"cluster_name": self.name, "endpoints": [{"lb_endpoints": hosts}]},
            "connect_timeout": "10s",
            "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
        }
        return found | _limits(self.policy, http2=self.http2) | _balancing(self.policy)


def mesh_clusters(snapshot: Snapshot) -> Iterator[Cluster]:
    """Yield the clusters of every Service as a sidecar or gateway knows them, subsets included."""
    rules = _rules(snapshot)
    for key, service in snapshot.services.items():
        rule = rules.get(key, {})
        for port in ports_of(service):
            number, http2 = port["port"], _is_http2(port)
            hosts = _hosts(snapshot, key, port)
            policy = _of_port(rule.get("trafficPolicy") or {}, number)
            addresses = [address for address, _ in hosts]
            yield Cluster(cluster_name(qualified(key), number), policy, addresses, http2)
            for subset in rule.get("subsets") or []:
                chosen = [address for address, labels in hosts if _fits(subset, labels)]
                own = policy | _of_port(subset.get("trafficPolicy") or {}, number)
                yield Cluster(cluster_name(qualified(key), number, subset["name"]), own, chosen, http2)


def service_clusters(snapshot: Snapshot) -> Iterator[Cluster]:
    """Yield the clusters of every Service as kube-proxy knows them."""
    for key, service in snapshot.services.items():
        for port in ports_of(service):
            hosts = [address for address, _ in _hosts(snapshot, key, port)]
            yield Cluster(service_cluster(key, port["port"]), {}, hosts, _is_http2(port))


def service_cluster(key: str, port: int) -> str:
    """Name the cluster of a Service's port as kube-proxy knows it."""
    return f"service|{port}|{qualified(key)}"


def _of_port(policy: Object, port: int) -> Object:
    """Give what a policy says of a port, or else of all: the one is not added to the other."""
    ports = policy.get("portLevelSettings") or []
    return next((one for one in ports if (one.get("port") or {}).get("number") == port), policy)


def _rules(snapshot: Snapshot) -> dict[str, Object]:
    """Find the DestinationRule of each Service: the oldest of its namespace, or else of Istio's own."""
    found: dict[str, Object] = {}
    for is_own in (True, False):
        for _, rule in by_age(snapshot.destination_rules):
            spec, namespace = rule.get("spec") or {}, rule["metadata"]["namespace"]
            key = snapshot.service_named(spec.get("host", ""), namespace)
            if key and namespace == (key.partition("/")[0] if is_own else ROOT):
                found.setdefault(key, spec)
    return found


def _hosts(snapshot: Snapshot, key: str, port: Object) -> list[tuple[tuple[str, int], Object]]:
    """List the ready addresses behind a port of a Service, with the labels of their pods."""
    namespace = key.partition("/")[0]
    found: list[tuple[tuple[str, int], Object]] = []
    for part in snapshot.endpoints.get(key, {}).get("subsets") or []:
        number = next((one["port"] for one in part["ports"] if one.get("name") == port.get("name")), None)
        if number is None:
            continue
        for address in part.get("addresses") or []:
            pod = snapshot.pods.get(f"{namespace}/{address.get('targetRef', {}).get('name')}", {})
            found.append(((address["ip"], number), pod.get("metadata", {}).get("labels") or {}))
    return sorted(found, key=lambda item: item[0])


def _fits(subset: Object, labels: Object) -> bool:
    return all(labels.get(name) == value for name, value in (subset.get("labels") or {}).items())


def _is_http2(port: Object) -> bool:
    return protocol_of(port) in HTTP2


def _limits(policy: Object, *, http2: bool) -> Object:
    pool = policy.get("connectionPool") or {}
    http, tcp = pool.get("http") or {}, pool.get("tcp") or {}
    thresholds = {
        "max_connections": tcp.get("maxConnections") or NO_LIMIT,
        "max_pending_requests": http.get("http1MaxPendingRequests") or NO_LIMIT,
        "max_requests": http.get("http2MaxRequests") or NO_LIMIT,
        "max_retries": http.get("maxRetries") or NO_LIMIT,
    }
    found: Object = {"circuit_breakers": {"thresholds": [thresholds]}}
    if "connectTimeout" in tcp:
        found["connect_timeout"] = duration(tcp["connectTimeout"])
    common: Object = {}
    if limit := http.get("maxRequestsPerConnection"):
        common["max_requests_per_connection"] = limit
    if "idleTimeout" in http:
        common["idle_timeout"] = duration(http["idleTimeout"])
    if not common and not http2:
        return found
    protocol = "http2_protocol_options" if http2 else "http_protocol_options"
    options = {
        "@type": f"type.googleapis.com/{OPTIONS}",
        "explicit_http_config": {protocol: {}},
        "common_http_protocol_options": common,
    }
    return found | {"typed_extension_protocol_options": {OPTIONS: options}}


def _balancing(policy: Object) -> Object:
    simple = (policy.get("loadBalancer") or {}).get("simple", "LEAST_REQUEST")
    found: Object = {"lb_policy": simple if simple in ("ROUND_ROBIN", "RANDOM") else "LEAST_REQUEST"}
    ejection = policy.get("outlierDetection")
    if ejection is None:
        return found
    wanted: Object = {
        "enforcing_success_rate": 0,
        "max_ejection_percent": ejection.get("maxEjectionPercent", 10),
    }
    for theirs, ours in (
        ("consecutive5xxErrors", "consecutive_5xx"),
        ("consecutiveGatewayErrors", "consecutive_gateway_failure"),
    ):
        if theirs in ejection:
            wanted[ours] = ejection[theirs]
            wanted[f"enforcing_{ours}"] = 100 if ejection[theirs] else 0
    for theirs, ours in (("interval", "interval"), ("baseEjectionTime", "base_ejection_time")):
        if theirs in ejection:
            wanted[ours] = duration(ejection[theirs])
    if "minHealthPercent" in ejection:
        found["common_lb_config"] = {"healthy_panic_threshold": {"value": ejection["minHealthPercent"]}}
    return found | {"outlier_detection": wanted}
