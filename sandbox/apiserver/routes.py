"""From a path to what it names."""

from dataclasses import dataclass

from sandbox.apiserver import errors
from sandbox.apiserver.registry import Registry, Resource

_OF_NAMESPACE = ("status", "finalize")


@dataclass(frozen=True)
class Target:
    """A kind, and of it all objects, those of a namespace, or one, or a part of one."""

    resource: Resource
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    rest: str = ""
    is_watch: bool = False


class NoSuchPath(Exception):  # noqa: N818 — an outcome rather than an error of ours
    """A path that the server has nothing at, not even a Status."""


def is_served(registry: Registry, group: str, version: str) -> bool:
    """Tell whether something answers for a group, and if it is not built in for that version of it."""
    known = [resource for resource in registry if resource.group == group]
    return any(not resource.is_custom or resource.version == version for resource in known)


def find(registry: Registry, path: str) -> Target:
    """Say what a path below /api/VERSION or /apis/GROUP/VERSION names.

    Raises:
        NoSuchPath: there is no such group.
        StatusError: there is no such kind in it.
    """
    parts = path.strip("/").split("/")
    group, version, parts = (
        ("", parts[1], parts[2:]) if parts[0] == "api" else (parts[1], parts[2], parts[3:])
    )
    if group and not is_served(registry, group, version):
        raise NoSuchPath(path)
    is_watch = parts[0] == "watch"
    if is_watch:
        parts = parts[1:]
    namespace = ""
    if parts[0] == "namespaces" and len(parts) > 2 and parts[2] not in _OF_NAMESPACE:  # noqa: PLR2004 — namespaces/NAME/KIND
        namespace, parts = parts[1], parts[2:]
    resource = registry.find(group, version, parts[0]) if parts else None
    if resource is None or (namespace and not resource.namespaced):
        raise errors.unknown_path()
    name, subresource = [*parts[1:3], "", ""][:2]
    if name and resource.namespaced and not namespace:
        raise errors.unknown_path()
    rest = "/" + "/".join(parts[3:]) if len(parts) > 3 else ""  # noqa: PLR2004 — KIND/NAME/PART/…
    if subresource and subresource not in resource.subresources:
        raise (
            errors.not_found(resource, name)
            if resource.is_custom
            else errors.missing_part(resource, subresource)
        )
    return Target(resource, namespace, name, subresource, rest, is_watch)
