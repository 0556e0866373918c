"""What objects and alerts say, without what API servers, controllers and chance put into them."""

import base64
import re
from collections.abc import Callable
from typing import Any

Object = dict[str, Any]

_ASSIGNED = {
    "Service": (
        "clusterIP",
        "clusterIPs",
        "ipFamilies",
        "ipFamilyPolicy",
        "internalTrafficPolicy",
        "sessionAffinity",
    ),
}
"""What an API server fills in by itself, as the recordings leave it out."""
_BOOKKEEPING = (
    "kubectl.kubernetes.io/last-applied-configuration",
    "deployment.kubernetes.io/revision",
    "deprecated.daemonset.template.generation",
)
"""What kubectl and the controllers note down, as the recordings leave it out."""
_RESTART_MARKS = ("flagger-id", "durable-canary.dev/revision")
"""What makes the primary's pods new at a promotion: there a random id, here a hash of the revision."""
_COOKIE = re.compile(r"([\w-]+)(=|\.\*)[A-Za-z]{10}(?=; Max-Age|\.\*$|\(\\s\*;)")
"""A session cookie, whose value is drawn, as it is given and as it is matched."""
_STUB = re.compile(rb"(http://127\.0\.0\.1):\d+")


def unnamed(text: str) -> str:
    """The same text with cookies' values left out."""
    return _COOKIE.sub(r"\1\2<cookie>", text)


def each_text(found: Any, change: Callable[[str], str]) -> Any:
    """The same with every text in it changed."""
    match found:
        case dict():
            return {key: each_text(value, change) for key, value in found.items()}
        case list():
            return [each_text(value, change) for value in found]
        case str():
            return change(found)
        case _:
            return found


def unsigned(alert: Object) -> Object:
    """An alert without who sent it, and without the cluster, whose name the recorder did not give."""
    return {key: _unsigned(value) for key, value in alert.items() if value not in _SENDERS}


def _unsigned(found: Any) -> Any:
    if isinstance(found, list):
        return [_unsigned(item) for item in found if not _names_the_cluster(item)]
    if not isinstance(found, dict):
        return found
    if found.get("title") in ("Flagger", "Durable Canary"):
        return {key: value for key, value in found.items() if key not in ("title", "imageUrl")}
    return {key: _unsigned(value) for key, value in found.items()}


_SENDERS = ("flagger", "durable-canary")
"""Who alerts when a provider names nobody."""


def _names_the_cluster(item: Any) -> bool:
    match item:
        case {"title": "Cluster"} | {"name": "Cluster"}:
            return True
        case {"widgets": [{"textParagraph": {"text": str(text)}}]}:
            return text.startswith("Cluster<br>")
        case _:
            return False


def essence(kind: str, found: Object) -> Object:
    """What an object says, without what the API server, controllers and chance put into it."""
    found = each_text(found, unnamed)
    said = {key: value for key, value in found.items() if key not in ("apiVersion", "kind", "status")}
    said["metadata"] = _metadata(found["metadata"])
    if kind == "Secret":
        said["data"] = {key: _without_port(text) for key, text in found.get("data", {}).items()}
    if "spec" in said:
        said["spec"] = {
            key: value for key, value in said["spec"].items() if key not in _ASSIGNED.get(kind, ())
        }
        if kind == "Service" and "ports" in said["spec"]:
            said["spec"]["ports"] = _sorted(said["spec"]["ports"])
        if "template" in said["spec"]:
            template = said["spec"]["template"]
            said["spec"]["template"] = {**template, "metadata": _metadata(template["metadata"])}
    return said


def _without_port(text: str) -> str:
    """A value of a Secret, without the port of the stub that it may lead to."""
    said = base64.b64decode(text)
    bare = _STUB.sub(rb"\1", said)
    return text if bare == said else base64.b64encode(bare).decode()


def weights(virtual_service: Object) -> str:
    """The weights of every rule of a VirtualService, and whether it mirrors: `90/10`, `0/100 | 0`."""
    rules = virtual_service["spec"].get("http") or virtual_service["spec"].get("tcp") or []
    return " | ".join(
        "/".join(str(part.get("weight", "-")) for part in rule["route"])
        + (" mirrored" if "mirror" in rule else "")
        for rule in rules
    )


def _sorted(ports: list[Object]) -> list[Object]:
    """The ports, those after the first by their names: Flagger finds them in no order."""
    return [*ports[:1], *sorted(ports[1:], key=lambda port: str(port["name"]))]


def _metadata(found: Object) -> Object:
    said: Object = {}
    for key in ("labels", "annotations"):
        kept = {
            "restart-mark" if name in _RESTART_MARKS else name: "<id>" if name in _RESTART_MARKS else value
            for name, value in (found.get(key) or {}).items()
            if name not in _BOOKKEEPING
        }
        if kept:
            said[key] = kept
    return said
