"""Which collections an API server has."""

from dataclasses import dataclass

from sandbox.client import KubeClient, Object

NEEDED = {"list", "watch", "delete"}


@dataclass(frozen=True)
class Resource:
    """One kind of object and where it is found."""

    version: str
    kind: str
    plural: str
    is_namespaced: bool

    @property
    def path(self) -> str:
        """Return the address of the whole collection."""
        return f"{self._root}/{self.plural}"

    def collection(self, namespace: str) -> str:
        """Return the address of the collection in a namespace."""
        return f"{self._root}/namespaces/{namespace}/{self.plural}" if self.is_namespaced else self.path

    def address(self, namespace: str, name: str) -> str:
        """Return the address of one object."""
        return f"{self.collection(namespace)}/{name}"

    @property
    def _root(self) -> str:
        return f"/apis/{self.version}" if "/" in self.version else f"/api/{self.version}"


async def discover(client: KubeClient) -> list[Resource]:
    """Return every kind that can be listed, watched and deleted, in its group's preferred version."""
    groups: list[Object] = (await client.get("/apis"))["groups"]
    versions = ["v1", *(group["preferredVersion"]["groupVersion"] for group in groups)]
    found: list[Resource] = []
    for version in versions:
        root = f"/apis/{version}" if "/" in version else f"/api/{version}"
        found += [
            Resource(version, item["kind"], item["name"], item["namespaced"])
            for item in (await client.get(root))["resources"]
            if "/" not in item["name"] and set(item["verbs"]) >= NEEDED
        ]
    return found
