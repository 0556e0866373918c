"""Everything an API server holds, by uid: each object with its kind, its owners and its dependents."""

from collections.abc import Callable
from dataclasses import dataclass

from sandbox.client import KubeClient
from sandbox.controllers.discovery import Resource, discover
from sandbox.controllers.informers import Informers
from sandbox.objects import Object

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
# Events are many, own nothing and are owned by nobody.
IGNORED = "Event"


@dataclass(frozen=True)
class Entry:
    """One object and its kind."""

    resource: Resource
    obj: Object

    @property
    def address(self) -> str:
        """Return where it is found."""
        meta = self.obj["metadata"]
        return self.resource.address(meta.get("namespace", ""), meta["name"])


Listener = Callable[[str, Entry], None]


class Catalogue:
    """Follows all collections, those of custom kinds too as they come and go."""

    def __init__(self, client: KubeClient, informers: Informers) -> None:
        self.resources: dict[str, Resource] = {}
        self.entries: dict[str, Entry] = {}
        self._dependents: dict[str, set[str]] = {}
        self._listeners: list[Listener] = []
        self._client = client
        self._informers = informers

    def subscribe(self, listener: Listener) -> None:
        """Call `listener` with ADDED, MODIFIED or DELETED and what was changed."""
        self._listeners.append(listener)

    async def refresh(self) -> None:
        """Follow the kinds that are new, leave those that are gone."""
        found = {resource.path: resource for resource in await discover(self._client)}
        for path in self.resources.keys() - found.keys():
            self._informers.drop(path)
            gone = self.resources.pop(path)
            for entry in [item for item in self.entries.values() if item.resource == gone]:
                self._remove(entry.obj)
        for path in found.keys() - self.resources.keys():
            self.resources[path] = found[path]
            if found[path].kind != IGNORED:
                self._follow(found[path])

    def dependents(self, uid: str) -> list[Entry]:
        """Return the objects that name `uid` as an owner."""
        return [self.entries[item] for item in self._dependents.get(uid, ())]

    def resource_of(self, reference: Object) -> Resource | None:
        """Return the kind an owner reference names, whatever version of it."""
        group = reference["apiVersion"].rpartition("/")[0]
        kinds = (item for item in self.resources.values() if item.kind == reference["kind"])
        return next((item for item in kinds if item.version.rpartition("/")[0] == group), None)

    def _follow(self, resource: Resource) -> None:
        def changed(kind: str, obj: Object, old: Object | None) -> None:
            if old:
                self._remove(old)
            if kind != "DELETED":
                self._add(Entry(resource, obj))
            for listener in self._listeners:
                listener(kind, Entry(resource, obj))

        self._informers.of(resource.path).subscribe(changed)

    def _add(self, entry: Entry) -> None:
        uid = entry.obj["metadata"]["uid"]
        self.entries[uid] = entry
        for reference in owners_of(entry.obj):
            self._dependents.setdefault(reference["uid"], set()).add(uid)

    def _remove(self, obj: Object) -> None:
        uid = obj["metadata"]["uid"]
        self.entries.pop(uid, None)
        for reference in owners_of(obj):
            siblings = self._dependents.get(reference["uid"], set())
            siblings.discard(uid)
            if not siblings:
                self._dependents.pop(reference["uid"], None)


def owners_of(obj: Object) -> list[Object]:
    """Return the owner references."""
    found: list[Object] = obj["metadata"].get("ownerReferences", [])
    return found
