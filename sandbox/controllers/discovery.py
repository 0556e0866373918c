"""Which collections an API server has."""

from dataclasses import dataclass

from sandbox.client import KubeClient
from sandbox.objects import Object, root_of

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
        return f"{root_of(self.version)}/{self.plural}"

    def collection(self, namespace: str) -> str:
        """Return the address of the collection in a namespace."""
        if not self.is_namespaced:
            return self.path
        return f"{root_of(self.version)}/namespaces/{namespace}/{self.plural}"

    def address(self, namespace: str, name: str) -> str:
        """Return the address of one object."""
        return f"{self.collection(namespace)}/{name}"


async def discover(client: KubeClient) -> list[Resource]:
    """Return every kind that can be listed, watched and deleted, in its group's preferred version."""
    groups: list[Object] = (await client.get("/apis"))["groups"]
    versions = ["v1", *(group["preferredVersion"]["groupVersion"] for group in groups)]
    found: list[Resource] = []
    for version in versions:
        found += [
            Resource(version, item["kind"], item["name"], item["namespaced"])
            for item in (await client.get(root_of(version)))["resources"]
            if "/" not in item["name"] and set(item["verbs"]) >= NEEDED
        ]
    return found
