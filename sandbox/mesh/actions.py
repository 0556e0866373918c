"""What an HTTP route of a VirtualService does with a request."""

from dataclasses import dataclass

from sandbox.mesh.snapshot import Snapshot, ports_of, qualified
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
# Istio's own since 1.24: what is safe to send again, so no answers of the application.
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


@dataclass(frozen=True)
class Scope:
    """From where destinations are named, and which port those without one of their own mean."""

    snapshot: Snapshot
    namespace: str
    port: int

    def cluster(self, destination: Object) -> str:
        """Name the Envoy cluster of a destination; that of an unknown Service is nowhere defined."""
        host = destination["host"]
        key = self.snapshot.service_named(host, self.namespace)
        port = destination.get("port", {}).get("number") or self._port(key)
        return cluster_name(qualified(key) if key else host, port, destination.get("subset", ""))

    def _port(self, key: str | None) -> int:
        ports = ports_of(self.snapshot.services[key]) if key else []
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
    retries = retries or {}
    attempts = retries.get("attempts", RETRIES)
    if not attempts:
        return None
    wanted = str(retries.get("retryOn") or RETRY_ON).split(",")
    codes = [int(word) for word in wanted if word.isdigit()]
    words = [word for word in wanted if not word.isdigit()] + (["retriable-status-codes"] if codes else [])
    policy: Object = {
        "retry_on": ",".join(words),
        "num_retries": attempts,
        "retry_host_predicate": [PREVIOUS_HOSTS],
        "host_selection_retry_max_attempts": "5",
    }
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
        body = direct.get("body", {}).get("string", "")
        return {"direct_response": {"status": direct["status"], "body": {"inline_string": body}}}
    action, headers = _destinations(rule["route"], scope)
    action |= _rewrite(rule.get("rewrite", {})) | {"timeout": duration(rule.get("timeout", "0s"))}
    policy = retry_policy(rule.get("retries"))
    if policy:
        action["retry_policy"] = policy
    mirrors = _mirrors(rule, scope)
    if mirrors:
        action["request_mirror_policies"] = mirrors
    authority = _authority(rule.get("headers", {}))
    if authority:
        action["host_rewrite_literal"] = authority
    return {"route": action} | headers


def _destinations(routes: list[Object], scope: Scope) -> tuple[Object, Object]:
    """Give the action towards the destinations, and the route headers that a single one brings.

    Destinations without weight are left out, so that their sum is never zero; a single one has no weight.
    """
    weighed = [one for one in routes if one.get("weight")] if len(routes) > 1 else routes
    if len(weighed) == 1:
        only = weighed[0]
        return {"cluster": scope.cluster(only["destination"])}, _with_headers({}, only.get("headers", {}))
    clusters = [
        _with_headers(
            {"name": scope.cluster(one["destination"]), "weight": one["weight"]}, one.get("headers", {})
        )
        for one in weighed
    ]
    return {"weighted_clusters": {"clusters": clusters}}, {}


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


def _authority(headers: Object) -> str | None:
    wanted: dict[str, str] = headers.get("request", {}).get("set", {})
    return next((value for name, value in wanted.items() if name.lower() in AUTHORITY), None)


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
    found: Object = {"response_code": REDIRECTS[redirect.get("redirectCode", 301)]}
    names = {"uri": "path_redirect", "authority": "host_redirect", "scheme": "scheme_redirect"}
    found |= {names[key]: redirect[key] for key in names if key in redirect}
    if "port" in redirect:
        found["port_redirect"] = redirect["port"]
    elif redirect.get("derivePort") == "FROM_REQUEST_PORT":
        found["port_redirect"] = port
    return found


def _mirrors(rule: Object, scope: Scope) -> list[Object]:
    wanted = list(rule.get("mirrors", []))
    if "mirror" in rule:
        percentage = rule.get("mirrorPercentage")
        wanted.append({"destination": rule["mirror"], "percentage": percentage})
    return [
        {
            "cluster": scope.cluster(one["destination"]),
            "runtime_fraction": {"default_value": fraction(one.get("percentage"))},
        }
        for one in wanted
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
    if "delay" in fault:
        delay = fault["delay"]
        found["delay"] = {
            "fixed_delay": duration(delay["fixedDelay"]),
            "percentage": fraction(delay.get("percentage")),
        }
    if "abort" in fault:
        abort = fault["abort"]
        found["abort"] = {
            "http_status": abort["httpStatus"],
            "percentage": fraction(abort.get("percentage")),
        }
    return found
