"""What a request names and says, and what a write answers."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sandbox.apiserver.errors import bad_request
from sandbox.apiserver.registry import Resource

Object = dict[str, Any]
MANAGER_LENGTH = 128


@dataclass(frozen=True)
class Options:
    """What a request says beside its body."""

    manager: str = ""
    user_agent: str = ""
    dry_run: bool = False
    validation: str = "Warn"
    force: bool = False
    subresource: str = ""
    repeated: tuple[str, ...] = ()  # fields that the body has twice

    @property
    def owner(self) -> str:
        """Who owns what the request writes."""
        return self.manager or self.user_agent.partition("/")[0][:MANAGER_LENGTH] or "unknown"


@dataclass(frozen=True)
class Place:
    """Where an object is."""

    resource: Resource
    namespace: str
    name: str = ""


@dataclass(frozen=True)
class Answer:
    """What a write gives back."""

    object: Object
    warnings: tuple[str, ...] = ()
    is_new: bool = False


def timestamp() -> str:
    """Give the time as objects carry it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def check_kind(resource: Resource, body: Any) -> None:
    """Refuse a body of another kind or version."""
    if not isinstance(body, dict):
        raise bad_request(f"the object provided is unrecognized (must be of type {resource.kind})")
    if resource.is_custom and not body.get("kind"):
        raise bad_request("Object 'Kind' is missing")
    if resource.is_custom and not body.get("apiVersion"):
        raise bad_request(
            f"the API version in the data () does not match the expected API version ({resource.api_version})"
        )
    kind, version = body.get("kind") or resource.kind, body.get("apiVersion") or resource.api_version
    if (kind, version) != (resource.kind, resource.api_version):
        outer, inner = version.rpartition("/")[2], resource.group.partition(".")[0] or "core"
        raise bad_request(
            f'{kind} in version "{outer}" cannot be handled as a {resource.kind}: '
            f"converting ({outer}.{kind}) to ({inner}.{resource.kind}): unknown conversion"
        )
    meta = body.get("metadata")
    if meta is not None and not isinstance(meta, dict):
        raise bad_request(
            f"{resource.kind} cannot be handled: json: cannot unmarshal metadata into ObjectMeta"
        )


def check_applied_kind(resource: Resource, applied: Object) -> None:
    """Refuse an applied configuration of another kind, or one that does not say its kind and version."""
    version, kind = applied.get("apiVersion") or "", applied.get("kind") or ""
    if not resource.is_custom and not (version and kind):
        group, _, version = version.rpartition("/")
        raise bad_request(f"invalid object type: {group}/{version}, Kind={kind}")
    check_kind(resource, applied)
