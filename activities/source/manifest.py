"""One object as the source wants it, and the name an inventory knows it by."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from activities.cluster.paths import is_part
from activities.source.errors import SourceError

Object = dict[str, Any]

NAMESPACE = "Namespace"
CUSTOM_RESOURCE = "CustomResourceDefinition"
# What others build on comes first; webhooks last, so that they do not judge what was there before them.
_FIRST = (
    NAMESPACE,
    CUSTOM_RESOURCE,
    "StorageClass",
    "PriorityClass",
    "ResourceQuota",
    "LimitRange",
    "ServiceAccount",
    "Role",
    "ClusterRole",
    "RoleBinding",
    "ClusterRoleBinding",
    "ConfigMap",
    "Secret",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "Service",
)
_LAST = ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")


@dataclass(frozen=True)
class Key:
    """What tells one object of a cluster from all others, whatever its version."""

    namespace: str
    name: str
    group: str
    kind: str

    def __str__(self) -> str:
        return f"{self.namespace}_{self.name}_{self.group}_{self.kind}"

    @classmethod
    def parse(cls, text: str) -> "Key":
        """Read what `str` wrote; no part of a key can hold an underscore, but the name of an RBAC object."""
        namespace, _, rest = text.partition("_")
        name, group, kind = rest.rsplit("_", 2)
        return cls(namespace, name, group, kind)

    @property
    def shown(self) -> str:
        """The object in a sentence."""
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


@dataclass(frozen=True)
class Manifest:
    """One object of a build."""

    key: Key
    version: str
    body: Object

    @classmethod
    def of(cls, body: Object) -> "Manifest":
        """Take an object of a build, its namespace as it stands."""
        group, _, version = str(body["apiVersion"]).rpartition("/")
        meta = body["metadata"]
        name = meta.get("name") if isinstance(meta, dict) else None
        if not isinstance(name, str) or not name:
            raise SourceError(f"A {body['kind']} of the build has no name.")
        key = Key(str(meta.get("namespace") or ""), name, group, str(body["kind"]))
        if not is_part(name) or not is_part(key.namespace or "default"):
            raise SourceError(f"{key.shown} of the build can have no such name.")
        return cls(key, version, body)

    @property
    def api_version(self) -> str:
        """The group and version as a manifest writes them."""
        return f"{self.key.group}/{self.version}" if self.key.group else self.version

    def with_body(self, body: Object) -> "Manifest":
        """The same object with other content."""
        return Manifest(self.key, self.version, body)


def in_order(manifests: list[Manifest]) -> list[Manifest]:
    """Sort by what must be there first, keeping the build's order otherwise."""
    return sorted(manifests, key=lambda manifest: rank(manifest.key.kind))


def digest(manifests: list[Manifest]) -> str:
    """Hash a build: equal where the same objects are wanted."""
    text = json.dumps([manifest.body for manifest in manifests], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def rank(kind: str) -> int:
    """Place a kind in the order of applying."""
    if kind in _FIRST:
        return _FIRST.index(kind)
    return len(_FIRST) + (kind in _LAST)
