"""The namespace controller: empties a namespace that is being deleted, then lets it go."""

import contextlib

from sandbox.client import KubeClient, NotFoundError
from sandbox.controllers.catalogue import Catalogue, Entry
from sandbox.controllers.informers import Informers
from sandbox.controllers.workqueue import WorkQueue
from sandbox.objects import is_ending

NAMESPACES = "/api/v1/namespaces"
# Should the last DELETED event be lost, look again.
LOOK_AGAIN = 1.0


class NamespaceController:
    """Finalizes namespaces."""

    def __init__(self, client: KubeClient, informers: Informers, catalogue: Catalogue) -> None:
        self._client = client
        self._namespaces = informers.of(NAMESPACES)
        self._catalogue = catalogue
        self.queue = WorkQueue("namespaces", self._sync)
        self._namespaces.subscribe(self.queue.add_object)
        catalogue.subscribe(self._changed)

    def _changed(self, kind: str, entry: Entry) -> None:
        namespace = entry.obj["metadata"].get("namespace")
        if kind == "DELETED" and self._is_ending(namespace):
            self.queue.add(namespace)

    def _is_ending(self, name: str | None) -> bool:
        found = self._namespaces.objects.get(name or "")
        return found is not None and is_ending(found)

    async def _sync(self, name: str) -> None:
        if not self._is_ending(name):
            return
        await self._catalogue.refresh()
        if await self._empty(name):
            await self._finalize(name)
        else:
            self.queue.add_after(name, LOOK_AGAIN)

    async def _empty(self, name: str) -> bool:
        """Delete everything; tell whether nothing is left."""
        left = 0
        for resource in list(self._catalogue.resources.values()):
            if not resource.is_namespaced:
                continue
            path = resource.collection(name)
            found = await self._client.list(path)
            if found["items"]:
                await self._client.delete(path)
                left += len((await self._client.list(path))["items"])
        return not left

    async def _finalize(self, name: str) -> None:
        namespace = self._namespaces.objects.get(name)
        if not namespace:
            return
        kept = [item for item in namespace["spec"].get("finalizers", []) if item != "kubernetes"]
        body = namespace | {"spec": {"finalizers": kept}}
        with contextlib.suppress(NotFoundError):
            await self._client.replace(f"{NAMESPACES}/{name}/finalize", body)
