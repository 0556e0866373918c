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
    return (not named or any(name in gateways for name in named)) and (match.get("port") or port) == port


def route_match(match: Object) -> Object:
    """Turn one HTTPMatchRequest into an Envoy route match."""
    headers = [_condition(f":{name}", match[name]) for name in PSEUDO_HEADERS if name in match]
    headers += [_condition(name.lower(), value) for name, value in match.get("headers", {}).items()]
    headers += [_inverse(name.lower(), value) for name, value in match.get("withoutHeaders", {}).items()]
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
    text = {"present_match": True} if _is_presence(value) else {"string_match": pattern(value)}
    return {"name": name} | text


def _inverse(name: str, value: Object) -> Object:
    """Ask for another header; to Envoy one that is missing is not even that, unless it is taken for empty."""
    empty = {} if _is_presence(value) else {"treat_missing_header_as_empty": True}
    return _condition(name, value) | {"invert_match": True} | empty


def _is_presence(value: Object) -> bool:
    """Tell whether any value will do; Istio takes a lone star for that, which is no regular expression."""
    return not value or value.get("regex") == "*"
