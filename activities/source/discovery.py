"""Where an API server keeps the objects of a kind, as it says itself."""

from dataclasses import dataclass
from http import HTTPStatus

from activities.cluster.api import ClusterApi, Object
from activities.cluster.errors import ApiError
from activities.cluster.paths import part
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
            f"{self.prefix}/namespaces/{part(namespace)}/{self.plural}"
            if namespace
            else f"{self.prefix}/{self.plural}"
        )

    def path(self, namespace: str, name: str) -> str:
        """The path of one object."""
        return f"{self.collection(namespace)}/{part(name)}"


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
        """Find a kind of a group in whichever version has it, the one that the server prefers first."""
        if not key.group:
            return await self.find("v1", key.kind)
        group = await self._group(key.group)
        for version in _versions(group or {}):
            if found := await self.find(version, key.kind):
                return found
        return None

    async def namespaced(self) -> list[Resource]:
        """Every kind whose objects live in a namespace and can be listed and deleted, each in one version.

        Not every version of a group has all of its kinds.
        """
        groups = (await self._api.get("/apis")).get("groups", ())
        kinds = await self._kinds(["v1"])
        for group in groups:
            kinds += await self._kinds(_versions(group))
        return [kind for kind in kinds if kind.is_namespaced and {"list", "delete"} <= set(kind.verbs)]

    async def _kinds(self, versions: list[str]) -> list[Resource]:
        """The kinds of a group, by its versions."""
        kinds: dict[str, Resource] = {}
        for version in versions:
            await self.find(version, "")
            kinds = self._served[version] | kinds
        return list(kinds.values())

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


def _versions(group: Object) -> list[str]:
    """The versions of a group, the preferred one first."""
    preferred = group.get("preferredVersion", {}).get("groupVersion")
    versions = [version["groupVersion"] for version in group.get("versions", ())]
    return sorted(versions, key=lambda version: version != preferred)
