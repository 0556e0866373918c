"""What Istio's webhook would refuse in the policies of a DestinationRule."""

from collections.abc import Iterator

from sandbox.mesh import texts
from sandbox.mesh.clusters import Cluster
from sandbox.objects import Object

BALANCERS = ("UNSPECIFIED", "LEAST_CONN", "RANDOM", "PASSTHROUGH", "ROUND_ROBIN", "LEAST_REQUEST")
MODES = ("DISABLE", "SIMPLE", "MUTUAL", "ISTIO_MUTUAL")
UPGRADES = ("DEFAULT", "DO_NOT_UPGRADE", "UPGRADE")
LIMITS = (
    *("http1MaxPendingRequests", "http2MaxRequests", "maxRequestsPerConnection", "maxRetries"),
    *("maxConcurrentStreams", "maxConnections"),
)


def mistakes_of_policies(spec: Object) -> Iterator[str]:
    """List what makes the policies and subsets of a DestinationRule invalid."""
    yield from _of_subsets(spec.get("subsets") or [])
    for where, policy in texts.below(spec, "", ("trafficPolicy",)):
        found = list(_of_policy(policy))
        yield from (f"{where}.{text}" for text in found)
        for one in policy.get("portLevelSettings") or []:
            yield from (f"{where}.portLevelSettings: {text}" for text in _of_port(one))
        if not found:
            # What Istio's schema lets through and nobody could translate is met here, not in a push.
            Cluster("", policy, [], http2=False).definition()


def _of_subsets(subsets: list[Object]) -> Iterator[str]:
    names = [subset.get("name", "") for subset in subsets]
    for subset, name in zip(subsets, names, strict=True):
        if not texts.LABEL.fullmatch(name):
            yield f"subsets: {name!r} is no name."
        if names.count(name) > 1:
            yield f"subsets: {name} is named twice."
        if mistake := texts.labels(subset.get("labels")):
            yield f"subsets: {mistake}"


def _of_port(policy: Object) -> Iterator[str]:
    if mistake := texts.port((policy.get("port") or {}).get("number", 0)):
        yield mistake
    yield from _of_policy({key: value for key, value in policy.items() if key != "port"})


def _of_policy(policy: Object) -> Iterator[str]:
    if not policy:
        yield "a policy says something."
    if policy.get("connectionPool") == {}:
        yield "connectionPool says nothing."
    for path, limit in texts.below(policy.get("connectionPool"), "connectionPool", LIMITS):
        if limit < 0:
            yield f"{path}: {limit} is below 0."
    http = (policy.get("connectionPool") or {}).get("http") or {}
    upgrade = http.get("h2UpgradePolicy", "DEFAULT")
    if upgrade not in UPGRADES or (upgrade == "UPGRADE" and http.get("useClientProtocol")):
        yield f"connectionPool.http.h2UpgradePolicy: {upgrade} is not possible."
    yield from _of_ejection(policy.get("outlierDetection") or {})
    yield from _of_tls(policy.get("tls") or {})
    yield from _of_balancer(policy.get("loadBalancer") or {})


def _of_ejection(ejection: Object) -> Iterator[str]:
    yield from texts.checked(ejection, texts.percentage, "maxEjectionPercent", "minHealthPercent")
    if ejection.get("consecutiveLocalOriginFailures") and not ejection.get("splitExternalLocalOriginErrors"):
        yield "outlierDetection: consecutiveLocalOriginFailures needs splitExternalLocalOriginErrors."


def _of_tls(tls: Object) -> Iterator[str]:
    mode = tls.get("mode", "DISABLE")
    if mode not in MODES:
        yield f"tls.mode: {mode} is unknown."
    if mode == "MUTUAL" and not tls.get("credentialName"):
        for key in ("clientCertificate", "privateKey"):
            if not tls.get(key):
                yield f"tls.{key} is needed."


def _of_balancer(balancer: Object) -> Iterator[str]:
    if balancer.get("simple", "RANDOM") not in BALANCERS:
        yield f"loadBalancer.simple: {balancer['simple']} is unknown."
    if {"simple", "consistentHash"} <= balancer.keys():
        yield "loadBalancer: simple and consistentHash contradict."
    hashed = balancer.get("consistentHash") or {}
    keys = hashed.keys() & {"httpHeaderName", "httpCookie", "useSourceIp", "httpQueryParameterName"}
    if len(keys) > 1:
        yield "loadBalancer.consistentHash says two things."
    if "httpCookie" in hashed and not hashed["httpCookie"].get("name"):
        yield "loadBalancer.consistentHash.httpCookie needs a name."
