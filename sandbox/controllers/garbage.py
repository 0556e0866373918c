"""The garbage collector: dependents go with their last owner: before it, after it, or not at all."""

import contextlib

from sandbox.client import ConflictError, KubeClient, NotFoundError
from sandbox.controllers.catalogue import Catalogue, Entry, owners_of
from sandbox.controllers.workqueue import WorkQueue
from sandbox.objects import Object, is_ending

FOREGROUND, ORPHAN = "foregroundDeletion", "orphan"
# What the finalizer of an object asks for is handed down to its dependents.
POLICIES = {ORPHAN: "Orphan", FOREGROUND: "Foreground"}


class GarbageCollector:
    """Deletes what no owner needs any more."""

    def __init__(self, client: KubeClient, catalogue: Catalogue) -> None:
        self._client = client
        self._catalogue = catalogue
        self.queue = WorkQueue("garbage", self._sync)
        catalogue.subscribe(self._changed)

    def _changed(self, kind: str, entry: Entry) -> None:
        meta = entry.obj["metadata"]
        references = owners_of(entry.obj)
        if kind == "DELETED":
            for dependent in self._catalogue.dependents(meta["uid"]):
                self.queue.add(dependent.obj["metadata"]["uid"])
            for reference in references:
                self.queue.add(reference["uid"])
        elif references or is_ending(entry.obj):
            self.queue.add(meta["uid"])

    async def _sync(self, uid: str) -> None:
        entry = self._catalogue.entries.get(uid)
        if not entry:
            return
        finalizers = entry.obj["metadata"].get("finalizers", [])
        # Gone meanwhile, or changed: then another event is on its way.
        with contextlib.suppress(NotFoundError, ConflictError):
            if not is_ending(entry.obj):
                await self._judge(entry)
            elif ORPHAN in finalizers:
                await self._orphan_dependents(entry)
            elif FOREGROUND in finalizers:
                await self._end_dependents(entry)

    async def _judge(self, entry: Entry) -> None:
        """Delete an object when no owner is left, let go of the owners that are."""
        solid, waiting, gone = [], [], []
        for reference in owners_of(entry.obj):
            owner = await self._owner(entry, reference)
            if owner is None:
                gone.append(reference)
            elif _is_foreground(owner):
                waiting.append(reference)
            else:
                solid.append(reference)
        if solid and (gone or waiting):
            await self._keep_owners(entry, solid)
        elif solid or not (gone or waiting):
            return
        elif waiting and self._catalogue.dependents(entry.obj["metadata"]["uid"]):
            await self._delete(entry, "Foreground")
        else:
            await self._delete(entry, _policy(entry.obj))

    async def _owner(self, entry: Entry, reference: Object) -> Object | None:
        """Return the owner, None if it is not there; asked of the server if the catalogue does not know."""
        known = self._catalogue.entries.get(reference["uid"])
        if known and known.obj["metadata"]["name"] == reference["name"]:
            namespaces = (None, entry.obj["metadata"].get("namespace"))
            return known.obj if known.obj["metadata"].get("namespace") in namespaces else None
        resource = self._catalogue.resource_of(reference)
        if resource is None:
            # A kind that is not served says nothing about its objects.
            return reference | {"metadata": {}}
        namespace = entry.obj["metadata"].get("namespace", "")
        if resource.is_namespaced and not namespace:
            return reference | {"metadata": {}}
        try:
            found = await self._client.get(resource.address(namespace, reference["name"]))
        except NotFoundError:
            return None
        return found if found["metadata"]["uid"] == reference["uid"] else None

    async def _orphan_dependents(self, entry: Entry) -> None:
        uid = entry.obj["metadata"]["uid"]
        for dependent in self._catalogue.dependents(uid):
            kept = [reference for reference in owners_of(dependent.obj) if reference["uid"] != uid]
            await self._keep_owners(dependent, kept)
        await self._remove_finalizer(entry, ORPHAN)

    async def _end_dependents(self, entry: Entry) -> None:
        uid = entry.obj["metadata"]["uid"]
        blocking = [
            dependent
            for dependent in self._catalogue.dependents(uid)
            if any(item["uid"] == uid and item.get("blockOwnerDeletion") for item in owners_of(dependent.obj))
        ]
        if not blocking:
            await self._remove_finalizer(entry, FOREGROUND)
        for dependent in self._catalogue.dependents(uid):
            if not is_ending(dependent.obj):
                self.queue.add(dependent.obj["metadata"]["uid"])

    async def _keep_owners(self, entry: Entry, kept: list[Object]) -> None:
        meta = entry.obj["metadata"]
        patch = {"metadata": {"uid": meta["uid"], "resourceVersion": meta["resourceVersion"]}}
        patch["metadata"]["ownerReferences"] = kept
        await self._client.patch(entry.address, patch)

    async def _remove_finalizer(self, entry: Entry, name: str) -> None:
        meta = entry.obj["metadata"]
        kept = [item for item in meta["finalizers"] if item != name]
        precondition = {"uid": meta["uid"], "resourceVersion": meta["resourceVersion"]}
        await self._client.patch(entry.address, {"metadata": precondition | {"finalizers": kept}})

    async def _delete(self, entry: Entry, policy: str) -> None:
        options = {"propagationPolicy": policy, "preconditions": {"uid": entry.obj["metadata"]["uid"]}}
        await self._client.delete(entry.address, options)


def _is_foreground(obj: Object) -> bool:
    return is_ending(obj) and FOREGROUND in obj["metadata"].get("finalizers", [])


def _policy(obj: Object) -> str:
    finalizers = obj["metadata"].get("finalizers", [])
    return next((policy for name, policy in POLICIES.items() if name in finalizers), "Background")
