"""What Envoy's routes mean, in a form in which those of two control planes can be compared.

Names, statistics, traces and the order of conditions mean nothing; neither do routes behind one that takes
everything. That a reset connection is tried again is left out: Istio lets the sidecar of the asked pod do so.
"""

import base64
from typing import Any

Object = dict[str, Any]

USUAL = {
    "on": ["connect-failure", "refused-stream", "unavailable", "cancelled"],
    "times": 2,
    "elsewhere": True,
}
EVERYTHING = ("prefix /", "prefix ", "regex .*")
PARTS = {"HUNDRED": 10_000, "MILLION": 1}
KEPT = ("prefix_rewrite", "host_rewrite_literal")
CHANGES = (
    *("request_headers_to_add", "request_headers_to_remove"),
    *("response_headers_to_add", "response_headers_to_remove"),
)
ADDED = "APPEND_IF_EXISTS_OR_ADD"


def routes_of(host: Object) -> list[Object]:
    """What the routes of a virtual host mean, as far as they are reached."""
    found: list[Object] = []
    for route in host.get("routes", []):
        found.append(_route(route))
        if found[-1].keys().isdisjoint(("headers", "query")) and found[-1]["path"] in EVERYTHING:
            break
    return found


def shares(action: Object) -> list[list[Any]]:
    """Where requests or connections go, by weight; a single one has none."""
    parts = action.get("weighted_clusters", {}).get("clusters", [])
    if len(parts) == 1 or not parts:
        return [[parts[0]["name"] if parts else action["cluster"], None]]
    return [[part["name"], part["weight"]] for part in parts]


def _route(route: Object) -> Object:
    match = route["match"]
    found: Object = {
        "path": _path(match),
        "is_case_ignored": match.get("case_sensitive") is False,
        "headers": sorted(_header(one) for one in match.get("headers", [])),
        "query": sorted(f"{one['name']} {_asked(one)}" for one in match.get("query_parameters", [])),
        "redirect": _redirect(route.get("redirect", {})),
        "answer": _answer(route.get("direct_response", {})),
        "filters": {
            name.rpartition(".")[2]: _filter(one)
            for name, one in route.get("typed_per_filter_config", {}).items()
        },
    }
    found["changes"] = _changes(route)
    if "route" in route:
        parts = route["route"].get("weighted_clusters", {}).get("clusters", [])
        only = parts[0] if len(parts) == 1 else {}
        found |= _action(route["route"] | {key: only[key] for key in KEPT if key in only})
        found["changes"] = _changes({key: route.get(key, []) + only.get(key, []) for key in CHANGES})
        own = {part["name"]: _changes(part) for part in parts if not only}
        found["shares changes"] = _without_nothing(own)
    return _without_nothing(found)


def _action(action: Object) -> Object:
    rewrite = action.get("regex_rewrite", {})
    return {
        "to": shares(action),
        "timeout": _seconds(action.get("timeout", "15s")),
        "retry": _retry(action.get("retry_policy") or {}),
        "mirrors": [
            [one["cluster"], _share(one["runtime_fraction"]["default_value"])]
            for one in action.get("request_mirror_policies", [])
        ],
        "rewrite": [rewrite["pattern"]["regex"], rewrite["substitution"]] if rewrite else [],
        "hash": action.get("hash_policy", []),
        **{key: action.get(key, "") for key in KEPT},
    }


def _retry(retry: Object) -> Any:
    words = [one for one in retry.get("retry_on", "").split(",") if one not in ("", "reset-before-request")]
    if not retry.get("retriable_status_codes"):
        words = [one for one in words if one != "retriable-status-codes"]
    found = _without_nothing(
        {
            "on": words,
            "codes": retry.get("retriable_status_codes", []),
            "times": retry.get("num_retries"),
            "each": _seconds(retry.get("per_try_timeout", "0s")),
            "pause": _seconds(retry.get("retry_back_off", {}).get("base_interval", "0s")),
            "elsewhere": bool(retry.get("retry_host_predicate")),
        }
    )
    return "as usual" if found == USUAL else found


def _path(match: Object) -> str:
    if "safe_regex" in match:
        return f"regex {match['safe_regex']['regex']}"
    kind = next(key for key in ("path", "prefix", "connect_matcher") if key in match)
    return f"{kind} {match[kind] or ''}"


def _header(one: Object) -> str:
    inverse = "not " if one.get("invert_match") else ""
    empty = " or missing" if one.get("treat_missing_header_as_empty") else ""
    return f"{one['name'].lower()} {inverse}{_asked(one)}{empty}"


def _asked(one: Object) -> str:
    return "present" if one.get("present_match") else _text(one["string_match"])


def _text(match: Object) -> str:
    if "safe_regex" in match:
        return f"regex {match['safe_regex']['regex']}"
    kind = "exact" if "exact" in match else "prefix"
    return f"{kind} {match[kind]}"


def _changes(part: Object) -> Object:
    found: Object = {key: part.get(key, []) for key in CHANGES}
    for key in ("request_headers_to_add", "response_headers_to_add"):
        found[key] = sorted(
            [one["header"]["key"].lower(), one["header"].get("value", ""), one.get("append_action", ADDED)]
            for one in found[key]
        )
    return _without_nothing(found | {"host": [part[key] for key in KEPT[1:] if key in part]})


def _redirect(redirect: Object) -> Object:
    usual = {"response_code": "MOVED_PERMANENTLY"}
    return {key: value for key, value in redirect.items() if value and usual.get(key) != value}


def _answer(answer: Object) -> list[Any]:
    body = answer.get("body", {})
    text = body.get("inline_string") or base64.b64decode(body.get("inline_bytes", "")).decode()
    return [answer["status"], text] if answer else []


def _filter(config: Object) -> Object:
    if "allow_origin_string_match" in config or "forward_not_matching_preflights" in config:
        kept = {key: value for key, value in config.items() if key not in ("@type", "filter_enabled")}
        return kept | {
            "allow_origin_string_match": [_text(one) for one in kept.get("allow_origin_string_match", [])]
        }
    delay, abort = config.get("delay"), config.get("abort")
    found: Object = {}
    if delay:
        found["delay"] = [_seconds(delay["fixed_delay"]), _share(delay.get("percentage", {}))]
    if abort:
        found["abort"] = [
            abort.get("http_status"),
            abort.get("grpc_status"),
            _share(abort.get("percentage", {})),
        ]
    return found


def _share(part: Object) -> int:
    return int(part.get("numerator", 0)) * PARTS[part.get("denominator", "HUNDRED")]


def _seconds(text: str) -> float:
    return float(text.removesuffix("s"))


def _without_nothing(found: Object) -> Object:
    return {key: value for key, value in found.items() if value not in ([], {}, "", None, False)}
