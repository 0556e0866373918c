"""What an HTTP route of a VirtualService does with a request."""

from dataclasses import dataclass

from sandbox.mesh.snapshot import Snapshot, full_name, ports_of, qualified
from sandbox.mesh.values import duration, fraction, pattern
from sandbox.objects import Object

CORS = "envoy.filters.http.cors"
FAULT = "envoy.filters.http.fault"
PREVIOUS_HOSTS = {
    "name": "envoy.retry_host_predicates.previous_hosts",
    "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
    },
}
# Istio's own, what is safe to send again; the last is tried again by the sidecar of the pod that is asked,
# and this Envoy stands for that as well.
RETRY_ON = "connect-failure,refused-stream,unavailable,cancelled,reset-before-request"
RETRIES = 2
APPEND_ACTIONS = {"set": "OVERWRITE_IF_EXISTS_OR_ADD", "add": "APPEND_IF_EXISTS_OR_ADD"}
# Whoever sets these means the host that is asked: no header, to Envoy.
AUTHORITY = ("host", ":authority")
REDIRECTS = {
    301: "MOVED_PERMANENTLY",
    302: "FOUND",
    303: "SEE_OTHER",
    307: "TEMPORARY_REDIRECT",
    308: "PERMANENT_REDIRECT",
}
STANDARD_PORTS = {"http": 80, "https": 443}
GRPC = (
    *("OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS"),
    *("PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE"),
    *("UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED"),
)
ALL: Object = {"value": 100}


@dataclass(frozen=True)
class Scope:
    """From where destinations are named, and which port those without one of their own mean.

    A sidecar asks for the port that it was asked for; a gateway, and whoever routes connections, for the only
    one of the Service, if there is just one.
    """

    snapshot: Snapshot
    namespace: str
    port: int
    takes_only_port: bool = False

    def cluster(self, destination: Object) -> str:
        """Name the Envoy cluster of a destination; that of an unknown Service is nowhere defined."""
        host = destination["host"]
        key = self.snapshot.service_named(host, self.namespace)
        port = destination.get("port", {}).get("number") or self._port(key)
        name = qualified(key) if key else full_name(host, self.namespace)
        return cluster_name(name, port, destination.get("subset", ""))

    def _port(self, key: str | None) -> int:
        ports = ports_of(self.snapshot.services[key]) if key and self.takes_only_port else []
        return int(ports[0]["port"]) if len(ports) == 1 else self.port


def cluster_name(host: str, port: int, subset: str = "") -> str:
    """Name a cluster as Istio does."""
    return f"outbound|{port}|{subset}|{host}"


def route_action(rule: Object, scope: Scope) -> Object:
    """Turn one HTTPRoute, its conditions apart, into an Envoy route."""
    filters = _filters(rule)
    found = _answer(rule, scope) | ({"typed_per_filter_config": filters} if filters else {})
    return _with_headers(found, rule.get("headers", {}))


def connection_action(rule: Object, scope: Scope) -> Object:
    """Turn one TCPRoute into what is done with a connection: it goes to one destination, by weight."""
    return _destinations(rule["route"], scope)[0] | {"timeout": "0s"}


def retry_policy(retries: Object | None) -> Object | None:
    """Turn HTTPRetry into an Envoy policy; none said is Istio's default, no attempts is no policy."""
    if retries is None:
        retries = {"attempts": RETRIES}
    if not retries.get("attempts"):
        return None
    wanted = [word.strip() for word in str(retries.get("retryOn") or RETRY_ON).split(",")]
    codes = [int(word) for word in wanted if word.isdigit()]
    words = [word for word in wanted if not word.isdigit()] + (["retriable-status-codes"] if codes else [])
    policy: Object = {
        "retry_on": ",".join(dict.fromkeys(words)),
        "num_retries": retries["attempts"],
        "host_selection_retry_max_attempts": "5",
    }
    if retries.get("retryIgnorePreviousHosts", True):
        policy["retry_host_predicate"] = [PREVIOUS_HOSTS]
    if "backoff" in retries:
        policy["retry_back_off"] = {"base_interval": duration(retries["backoff"])}
    if codes:
        policy["retriable_status_codes"] = codes
    if "perTryTimeout" in retries:
        policy["per_try_timeout"] = duration(retries["perTryTimeout"])
    return policy


def _answer(rule: Object, scope: Scope) -> Object:
    if "redirect" in rule:
        return {"redirect": _redirect(rule["redirect"], scope.port)}
    if "directResponse" in rule:
        direct = rule["directResponse"]
        return {"direct_response": {"status": direct["status"], "body": _body(direct.get("body", {}))}}
    action, headers = _destinations(rule["route"], scope)
    action |= _rewrite(rule.get("rewrite", {})) | {"timeout": duration(rule.get("timeout", "0s"))}
    policy = retry_policy(rule.get("retries"))
    if policy:
        action["retry_policy"] = policy
    mirrors = _mirrors(rule, scope)
    if mirrors:
        action["request_mirror_policies"] = mirrors
    return {"route": action | _authority(rule.get("headers", {}))} | headers


def _destinations(routes: list[Object], scope: Scope) -> tuple[Object, Object]:
    """Give the action towards the destinations, and the route headers that a single one brings.

    Destinations without weight are left out, so that their sum is never zero; a single one has no weight.
    """
    weighed = [one for one in routes if one.get("weight")] if len(routes) > 1 else routes
    if len(weighed) == 1:
        headers = weighed[0].get("headers", {})
        action = {"cluster": scope.cluster(weighed[0]["destination"])} | _authority(headers)
        return action, _with_headers({}, headers)
    clusters = [_share(one, scope) for one in weighed]
    return {"weighted_clusters": {"clusters": clusters}}, {}


def _share(part: Object, scope: Scope) -> Object:
    headers = part.get("headers", {})
    found = {"name": scope.cluster(part["destination"]), "weight": part["weight"]} | _authority(headers)
    return _with_headers(found, headers)


def _body(body: Object) -> Object:
    if "bytes" in body:
        return {"inline_bytes": body["bytes"]}
    return {"inline_string": body.get("string", "")}


def _with_headers(found: Object, headers: Object) -> Object:
    for side in ("request", "response"):
        wanted = headers.get(side, {})
        added = [
            {"header": {"key": name, "value": value}, "append_action": action}
            for verb, action in APPEND_ACTIONS.items()
            for name, value in wanted.get(verb, {}).items()
            if name.lower() not in AUTHORITY
        ]
        for key, values in (("add", added), ("remove", wanted.get("remove", []))):
            if values:
                found[f"{side}_headers_to_{key}"] = found.get(f"{side}_headers_to_{key}", []) + values
    return found


def _authority(headers: Object) -> Object:
    """Give the host that a request gets, set or added: to Envoy it is no header like the others."""
    wanted = headers.get("request", {})
    named = [*wanted.get("set", {}).items(), *wanted.get("add", {}).items()]
    authority = next((value for name, value in named if name.lower() in AUTHORITY), None)
    return {"host_rewrite_literal": authority} if authority else {}


def _rewrite(rewrite: Object) -> Object:
    found: Object = {}
    if "uri" in rewrite:
        found["prefix_rewrite"] = rewrite["uri"]
    if "uriRegexRewrite" in rewrite:
        regex = rewrite["uriRegexRewrite"]
        found["regex_rewrite"] = {"pattern": {"regex": regex["match"]}, "substitution": regex["rewrite"]}
    if "authority" in rewrite:
        found["host_rewrite_literal"] = rewrite["authority"]
    return found


def _redirect(redirect: Object, port: int) -> Object:
    found: Object = {"response_code": REDIRECTS[redirect.get("redirectCode") or 301]}
    names = {"uri": "path_redirect", "authority": "host_redirect", "scheme": "scheme_redirect"}
    found |= {names[key]: redirect[key] for key in names if key in redirect}
    derived = port if redirect.get("derivePort") == "FROM_REQUEST_PORT" else 0
    number = redirect.get("port", derived)
    if number and number != STANDARD_PORTS[redirect.get("scheme", "http")]:
        found["port_redirect"] = number
    return found


def _mirrors(rule: Object, scope: Scope) -> list[Object]:
    wanted = list(rule.get("mirrors", []))
    if "mirror" in rule:
        older = {"value": rule["mirrorPercent"]} if "mirrorPercent" in rule else ALL
        percentage = rule.get("mirrorPercentage", older)
        wanted.append({"destination": rule["mirror"], "percentage": percentage})
    return [
        {
            "cluster": scope.cluster(one["destination"]),
            "runtime_fraction": {"default_value": fraction(one.get("percentage", ALL))},
        }
        for one in wanted
        if one.get("percentage", ALL).get("value")
    ]


def _filters(rule: Object) -> Object:
    found: Object = {}
    if "corsPolicy" in rule:
        found[CORS] = _cors(rule["corsPolicy"])
    if "fault" in rule:
        found[FAULT] = _fault(rule["fault"])
    return found


def _cors(policy: Object) -> Object:
    origins = [{"exact": origin} for origin in policy.get("allowOrigin", [])] + policy.get("allowOrigins", [])
    found: Object = {
        "@type": f"type.googleapis.com/{CORS.replace('envoy', 'envoy.extensions', 1)}.v3.CorsPolicy",
        "allow_origin_string_match": [pattern(origin) for origin in origins],
        "forward_not_matching_preflights": policy.get("unmatchedPreflights") != "IGNORE",
    }
    lists = {
        "allowMethods": "allow_methods",
        "allowHeaders": "allow_headers",
        "exposeHeaders": "expose_headers",
    }
    found |= {lists[key]: ",".join(policy[key]) for key in lists if key in policy}
    if "maxAge" in policy:
        found["max_age"] = duration(policy["maxAge"]).removesuffix("s")
    if "allowCredentials" in policy:
        found["allow_credentials"] = policy["allowCredentials"]
    return found


def _fault(fault: Object) -> Object:
    found: Object = {
        "@type": f"type.googleapis.com/{FAULT.replace('envoy', 'envoy.extensions', 1)}.v3.HTTPFault"
    }
    delay, abort = fault.get("delay", {}), fault.get("abort", {})
    if "fixedDelay" in delay:
        older = {"value": delay.get("percent", 0)}
        found["delay"] = {
            "fixed_delay": duration(delay["fixedDelay"]),
            "percentage": fraction(delay.get("percentage", older)),
        }
    if "httpStatus" in abort:
        found["abort"] = {"http_status": abort["httpStatus"]}
    elif "grpcStatus" in abort:
        found["abort"] = {"grpc_status": GRPC.index(abort["grpcStatus"])}
    if "abort" in found:
        found["abort"]["percentage"] = fraction(abort.get("percentage"))
    return found
