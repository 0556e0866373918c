"""The conditions of an HTTP route."""

from collections.abc import Sequence

from sandbox.mesh.values import pattern
from sandbox.objects import Object

PSEUDO_HEADERS = ("method", "authority", "scheme")


def applies(match: Object, gateways: Sequence[str], port: int) -> bool:
    """Tell whether a match is meant for this gateway and port.

    `sourceLabels` and `sourceNamespace` are taken to fit: the proxy does not know its clients.
    """
    named = match.get("gateways")
    return (not named or any(name in gateways for name in named)) and match.get("port", port) == port


def route_match(match: Object) -> Object:
    """Turn one HTTPMatchRequest into an Envoy route match."""
    headers = [_condition(f":{name}", match[name]) for name in PSEUDO_HEADERS if name in match]
    headers += [_condition(name.lower(), value) for name, value in match.get("headers", {}).items()]
    headers += [
        _condition(name.lower(), value) | {"invert_match": True}
        for name, value in match.get("withoutHeaders", {}).items()
    ]
    parameters = [_condition(name, value) for name, value in match.get("queryParams", {}).items()]
    found = _path(match.get("uri", {}))
    if match.get("ignoreUriCase"):
        found["case_sensitive"] = False
    if headers:
        found["headers"] = headers
    if parameters:
        found["query_parameters"] = parameters
    return found


def _path(uri: Object) -> Object:
    if "exact" in uri:
        return {"path": uri["exact"]}
    if "regex" in uri:
        return {"safe_regex": {"regex": uri["regex"]}}
    return {"prefix": uri.get("prefix", "/")}


def _condition(name: str, value: Object) -> Object:
    """Ask of a header or a query parameter what a match says; nothing said is that it is there."""
    if not value:
        return {"name": name, "present_match": True}
    return {"name": name, "string_match": pattern(value)}
