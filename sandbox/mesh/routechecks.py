"""What Istio's webhook would refuse in one HTTP route."""

from collections.abc import Iterator
from http import HTTPStatus
from itertools import chain

from sandbox.durations import seconds
from sandbox.mesh import texts
from sandbox.objects import Object

RETRY_ON = frozenset(
    (
        *("5xx", "gateway-error", "reset", "reset-before-request", "connect-failure", "retriable-4xx"),
        *("refused-stream", "retriable-status-codes", "retriable-headers", "envoy-ratelimited"),
        *("http3-post-connect-failure", "cancelled", "deadline-exceeded", "internal"),
        *("resource-exhausted", "unavailable"),
    )
)
STATUSES = frozenset(str(int(one)) for one in HTTPStatus)
METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "OPTIONS", "TRACE", "*"))
AUTHORITY = ("host", ":authority")
VERBS = ("set", "add", "remove")
PERCENTAGES = ("percentage", "mirrorPercentage", "mirrorPercent")
# To Istio a root route may answer directly, although nobody hears it.
KINDS = (["route"], ["redirect"], ["directResponse"], ["delegate"], ["directResponse", "delegate"])
NEEDED = "exactly one of route, redirect, directResponse, delegate is needed."


def mistakes_of_route(rule: Object, *, is_delegate: bool) -> Iterator[str]:
    """List what makes an HTTP route invalid, each beginning with its place in the route."""
    yield from (f": {text}" for text in _contradictions(rule, is_delegate=is_delegate))
    yield from (f": {text}" for text in (*_of_rewrite(rule.get("rewrite")), *_of_answers(rule)))
    yield from (f".{text}" for text in mistakes_of_shares(rule.get("route") or []))
    for index, match in enumerate(rule.get("match") or []):
        yield from (f".match[{index}]: {text}" for text in _of_match(match))
    yield from (f".headers: {text}" for text in _of_headers(rule))
    yield from (f".corsPolicy: {text}" for text in _of_origins(rule.get("corsPolicy") or {}))
    if "fault" in rule:
        yield from (f".fault: {text}" for text in _of_faults(rule["fault"]))
    if "retries" in rule:
        yield from (f".retries: {text}" for text in _of_retries(rule["retries"]))
    yield from (f".{text}" for text in texts.checked(rule, texts.percentage, *PERCENTAGES))
    yield from (f".{text}" for text in _of_destinations(rule))


def mistakes_of_shares(routes: list[Object]) -> Iterator[str]:
    """List what makes weighted destinations invalid."""
    weights = [one.get("weight", 0) for one in routes]
    for index, one in enumerate(routes):
        host = one["destination"].get("host")
        if not host:
            yield f"route[{index}].destination.host: a destination needs a host."
        elif host == "*" or texts.host(host):
            yield f"route[{index}].destination.host: {host!r} is no destination."
        if weights[index] < 0:
            yield f"route[{index}].weight: {weights[index]} is below 0."
    if len(routes) > 1 and sum(weights) == 0:
        yield "route: total destination weight = 0."


def _contradictions(rule: Object, *, is_delegate: bool) -> Iterator[str]:
    kinds = [
        kind for kind in ("route", "redirect", "directResponse", "delegate") if rule.get(kind) is not None
    ]
    if kinds not in KINDS or (kinds == ["route"] and not rule["route"]):
        yield NEEDED
    if is_delegate and "delegate" in kinds:
        yield "a delegate does not delegate."
    if kinds in (["redirect"], ["directResponse"]) and rule.keys() & {"fault", "rewrite"}:
        yield "neither fault nor rewrite is possible without route."
    if "mirror" in rule and rule.get("mirrors"):
        yield "mirror and mirrors contradict."


def _of_rewrite(rewrite: Object | None) -> Iterator[str]:
    if rewrite is not None and not any(rewrite.values()):
        yield "rewrite says nothing."
    if rewrite and "uri" in rewrite and "uriRegexRewrite" in rewrite:
        yield "rewrite says two things."


def _of_answers(rule: Object) -> Iterator[str]:
    yield from _of_redirect(rule.get("redirect"))
    answer = rule.get("directResponse") or {"status": 200}
    if not _is_status(answer["status"]):
        yield f"directResponse: {answer['status']} is no status."
    if len(answer.get("body") or {}) > 1:
        yield "directResponse.body says two things."


def _of_redirect(redirect: Object | None) -> Iterator[str]:
    if redirect is None:
        return
    if not redirect.keys() & {"uri", "authority", "scheme", "port", "derivePort", "prefixRewrite"}:
        yield "redirect says nothing."
    if redirect.get("scheme", "http") not in ("http", "https"):
        yield "redirect.scheme must be http or https."
    if redirect.get("derivePort", "FROM_REQUEST_PORT") not in ("FROM_REQUEST_PORT", "FROM_PROTOCOL_DEFAULT"):
        yield "redirect.derivePort is unknown."
    if {"port", "derivePort"} <= redirect.keys():
        yield "redirect says two ports."


def _of_match(match: Object) -> Iterator[str]:
    for key in ("uri", "scheme", "method", "authority"):
        yield from _of_text(key, match.get(key), may_be_empty=key == "uri")
    for key in ("headers", "withoutHeaders", "queryParams"):
        for name, value in (match.get(key) or {}).items():
            if key != "queryParams" and not name.startswith(texts.CLAIM) and not texts.HEADER.fullmatch(name):
                yield f"{name!r} is no header."
            yield from _of_text(f"{key}.{name}", value, may_be_empty=False)
    if mistake := texts.labels(match.get("sourceLabels")):
        yield f"sourceLabels: {mistake}"
    if match.get("port") and (mistake := texts.port(match["port"])):
        yield f"port: {mistake}"


def _of_text(where: str, text: Object | None, *, may_be_empty: bool) -> Iterator[str]:
    if text and len(text) > 1:
        yield f"{where}: exact, prefix and regex contradict."
    if text and text.get("prefix") == "" and not may_be_empty:
        yield f"{where}: a prefix is needed."


def _of_headers(rule: Object) -> Iterator[str]:
    for part in (rule, *(rule.get("route") or [])):
        headers = part.get("headers") or {}
        request, response = headers.get("request") or {}, headers.get("response") or {}
        yield from (f"{name!r} is not changed." for name in _untouchable(request, response))
        for side in (request, response):
            for value in chain((side.get("set") or {}).values(), (side.get("add") or {}).values()):
                if not texts.HEADER_VALUE.fullmatch(value):
                    yield f"{value!r} is no value."
    yield from _of_authority(rule)


def _untouchable(request: Object, response: Object) -> Iterator[str]:
    for name in chain(request.get("set") or {}, request.get("add") or {}):
        if not name or (name.startswith(":") and name != ":authority"):
            yield name
    for name in chain(request.get("remove") or [], *(response.get(verb) or {} for verb in VERBS)):
        if not name or name.startswith(":") or name.lower() == "host":
            yield name


def _of_authority(rule: Object) -> Iterator[str]:
    request = (rule.get("headers") or {}).get("request") or {}
    named = [name for verb in ("set", "add") for name in request.get(verb) or {} if name.lower() in AUTHORITY]
    if len(named) + bool((rule.get("rewrite") or {}).get("authority")) > 1:
        yield "the authority is set twice."


def _of_origins(policy: Object) -> Iterator[str]:
    if not all(any(origin.values()) for origin in policy.get("allowOrigins") or []):
        yield "an origin is needed."
    if not METHODS.issuperset(policy.get("allowMethods") or []):
        yield "a method is unknown."
    for name in [*(policy.get("allowHeaders") or []), *(policy.get("exposeHeaders") or [])]:
        if not texts.HEADER.fullmatch(name):
            yield f"{name!r} is no header."
    if "maxAge" in policy and not texts.duration(policy["maxAge"]) and seconds(policy["maxAge"]) % 1:
        yield "maxAge must be whole seconds."
    if policy.get("unmatchedPreflights", "FORWARD") not in ("UNSPECIFIED", "FORWARD", "IGNORE"):
        yield "unmatchedPreflights is unknown."


def _of_faults(fault: Object) -> Iterator[str]:
    if "abort" not in fault and "delay" not in fault:
        yield "abort or delay is needed."
    abort, delay = fault.get("abort") or {}, fault.get("delay") or {}
    if not _is_status(abort.get("httpStatus", 200)):
        yield f"{abort['httpStatus']} is no status."
    if "http2Error" in abort or "exponentialDelay" in delay:
        yield "http2Error and exponentialDelay are not supported."
    if {"httpStatus", "grpcStatus"} <= abort.keys():
        yield "abort says two things."
    for part in (abort, delay):
        if 0 < (part.get("percentage") or {}).get("value", 0) < 0.0001:  # noqa: PLR2004 — Envoy's finest
            yield "a share is too small."


def _of_retries(retries: Object) -> Iterator[str]:
    attempts = retries.get("attempts", 0)
    if attempts < 0:
        yield f"attempts: {attempts} is below 0."
    if not attempts and (
        "perTryTimeout" in retries or retries.get("retryOn") or "retryRemoteLocalities" in retries
    ):
        yield "something is said of retries of which there are none."
    for word in retries["retryOn"].split(",") if retries.get("retryOn") else []:
        if word not in RETRY_ON and word not in STATUSES:
            yield f"retryOn: {word!r} is unknown."


def _of_destinations(rule: Object) -> Iterator[str]:
    for path, subset in texts.below(rule, "", ("subset",)):
        if subset and not texts.LABEL.fullmatch(subset):
            yield f"{path}: {subset!r} is no subset."
    for path, port in texts.below(rule, "", ("port",)):
        number = port.get("number", 0) if isinstance(port, dict) else port
        if not path.startswith("match") and (mistake := texts.port(number)):
            yield f"{path}: {mistake}"


def _is_status(status: int) -> bool:
    return 200 <= status <= 600  # noqa: PLR2004 — Istio's bounds
