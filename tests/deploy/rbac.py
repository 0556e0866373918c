"""A ClusterRole as Kubernetes reads it, and which requests of an API server's log fall outside it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from ruamel.yaml import YAML

ROLE = Path(__file__).parents[2] / "deploy/rbac.yaml"
ENGINE = "durable-canary"
"""The engine's `User-Agent`."""
_OPEN = ("api", "apis", "version", "openapi", "healthz", "livez", "readyz")
"""Discovery, as far as it names no resource, is everybody's (`system:discovery`)."""
_REVIEWS = ("authorization.k8s.io", "selfsubjectaccessreviews")
"""What one may do oneself is everybody's to ask (`system:basic-user`)."""


@dataclass(frozen=True)
class Wanted:
    """What a request asks for, as an authorizer sees it."""

    verb: str
    group: str
    resource: str
    """With its subresource behind a slash."""

    def __str__(self) -> str:
        return f"{self.verb} {self.resource}{f'.{self.group}' if self.group else ''}"


class Role:
    """The rules of a ClusterRole."""

    def __init__(self, rules: Iterable[Mapping[str, Any]]) -> None:
        self.rules = list(rules)

    @classmethod
    def load(cls, path: Path = ROLE) -> "Role":
        return cls(YAML(typ="safe").load(path.read_text())["rules"])

    def allows(self, wanted: Wanted) -> bool:
        return any(
            _holds(rule["apiGroups"], wanted.group)
            and _holds(rule["resources"], wanted.resource)
            and _holds(rule["verbs"], wanted.verb)
            for rule in self.rules
        )

    def outside(self, log: Iterable[Mapping[str, Any]], beside: "Role | None" = None) -> dict[str, str]:
        """What the engine asked without a right to it: each verb and resource with an example.

        Args:
            log: entries of `GET /_sandbox/requests`.
            beside: a role that the engine has as well, as for what an Application's source holds.
        """
        found: dict[str, str] = {}
        roles = [self] if beside is None else [self, beside]
        for entry in log:
            if entry["userAgent"] != ENGINE:
                continue
            for wanted in read(entry["method"], entry["path"]):
                if not any(role.allows(wanted) for role in roles):
                    found.setdefault(str(wanted), f"{entry['method']} {entry['path']}")
        return found


SOURCE = Role(
    [
        {"apiGroups": ["*"], "resources": ["*"], "verbs": ["list"]},
        {
            "apiGroups": ["", "apps", "autoscaling", "networking.istio.io"],
            "resources": [
                "namespaces",
                "serviceaccounts",
                "services",
                "configmaps",
                "deployments",
                "horizontalpodautoscalers",
                "virtualservices",
            ],
            "verbs": ["get", "create", "patch", "delete"],
        },
    ]
)
"""What the Applications of the tests need besides: their source's kinds, and a look before a prune."""


def _holds(allowed: Sequence[str], wanted: str) -> bool:
    return "*" in allowed or wanted in allowed


def read(method: str, path: str) -> list[Wanted]:
    """What a request asks for; nothing where everybody may.

    Server-side apply is a `patch`, and a `create` as well where nothing is there yet: that cannot be read
    from a request, so a role that allows one without the other is told by its own test.
    """
    parts = urlsplit(path)
    words = parts.path.strip("/").split("/")
    if words[0] not in ("api", "apis"):
        return [] if words[0] in _OPEN else [Wanted(method.lower(), "", parts.path)]
    group = words[1] if words[0] == "apis" and len(words) > 1 else ""
    rest = words[2:] if words[0] == "api" else words[3:]
    if not rest:
        return []
    if rest[0] == "namespaces" and len(rest) > 2:
        rest = rest[2:]
    plural, name, subresource = rest[0], "/".join(rest[1:2]), "/".join(rest[2:3])
    if (group, plural) == _REVIEWS:
        return []
    resource = f"{plural}/{subresource}" if subresource else plural
    return [Wanted(_verb(method, name, parse_qs(parts.query)), group, resource)]


def _verb(method: str, name: str, query: Mapping[str, list[str]]) -> str:
    if method in ("GET", "HEAD"):
        if query.get("watch", ["0"])[0] in ("1", "true"):
            return "watch"
        return "get" if name else "list"
    if method == "DELETE" and not name:
        return "deletecollection"
    return {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}[method]
