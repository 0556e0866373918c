"""Where an API server keeps the objects of a kind, as it says itself."""

from dataclasses import dataclass
from http import HTTPStatus

from activities.cluster.api import ApiError, ClusterApi, Object
from activities.source.manifest import Key


@dataclass(frozen=True)
class Resource:
    """One kind that an API server serves."""

    prefix: str
    """`/api/v1` or `/apis/<group>/<version>`."""
    plural: str
    kind: str
    is_namespaced: bool
    verbs: tuple[str, ...]

    def collection(self, namespace: str) -> str:
        """The path of the objects of a namespace, or of all if the kind has none."""
        return (
            f"{self.prefix}/namespaces/{namespace}/{self.plural}"
            if namespace
            else f"{self.prefix}/{self.plural}"
        )

    def path(self, namespace: str, name: str) -> str:
        """The path of one object."""
        return f"{self.collection(namespace)}/{name}"


class Discovery:
    """What one API server serves, each group and version asked for once."""

    def __init__(self, api: ClusterApi) -> None:
        self._api = api
        self._served: dict[str, dict[str, Resource]] = {}

    async def find(self, api_version: str, kind: str) -> Resource | None:
        """Find a kind in a group and version; nothing where it is not served."""
        if api_version not in self._served:
            self._served[api_version] = await self._read(api_version)
        return self._served[api_version].get(kind)

    async def find_any_version(self, key: Key) -> Resource | None:
        """Find a kind in the version of its group that the server prefers."""
        if not key.group:
            return await self.find("v1", key.kind)
        group = await self._group(key.group)
        return await self.find(group["preferredVersion"]["groupVersion"], key.kind) if group else None

    async def namespaced(self) -> list[Resource]:
        """Every kind whose objects live in a namespace and can be listed and deleted."""
        groups = await self._api.get("/apis")
        versions = ["v1", *(group["preferredVersion"]["groupVersion"] for group in groups.get("groups", ()))]
        for version in versions:
            await self.find(version, "")
        return [
            resource
            for version in versions
            for resource in self._served[version].values()
            if resource.is_namespaced and {"list", "delete"} <= set(resource.verbs)
        ]

    def forget(self, api_version: str) -> None:
        """Ask again for a group and version, since a definition of it has just been applied."""
        self._served.pop(api_version, None)

    async def _group(self, name: str) -> Object | None:
        return await self._api.find(f"/apis/{name}")

    async def _read(self, api_version: str) -> dict[str, Resource]:
        prefix = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
        try:
            found = await self._api.get(prefix)
        except ApiError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return {}
            raise
        return {
            entry["kind"]: Resource(
                prefix, entry["name"], entry["kind"], entry["namespaced"], tuple(entry.get("verbs", ()))
            )
            for entry in found.get("resources", ())
            if "/" not in entry["name"]
        }
