"""Caches of collections, each followed by one watch however many controllers look at it."""

import asyncio
from collections.abc import Callable

from sandbox.client import KubeClient, Reflector
from sandbox.controllers.owners import controller_of
from sandbox.controllers.selectors import matches
from sandbox.objects import Object, key_of, labels_of

Handler = Callable[[str, Object, Object | None], None]


class Informer(Reflector):
    """The objects of one collection, also by the uid of their controller, and by namespace."""

    def __init__(self, client: KubeClient, path: str) -> None:
        super().__init__(client, path)
        self._owned: dict[str, dict[str, Object]] = {}
        self._placed: dict[str, dict[str, Object]] = {}
        self._handlers: list[Handler] = []

    def subscribe(self, handler: Handler) -> None:
        """Call `handler` with ADDED, MODIFIED or DELETED, the object, and what it was before."""
        self._handlers.append(handler)
        for obj in list(self.objects.values()):
            handler("ADDED", obj, None)

    def controlled_by(self, uid: str) -> list[Object]:
        """Return the objects whose controller has this uid."""
        return list(self._owned.get(uid, {}).values())

    def candidates(self, owner: Object) -> list[Object]:
        """Return the objects that the owner controls, and those of its namespace that nobody does."""
        return self.controlled_by(owner["metadata"]["uid"]) + self.controlled_by(_orphanage(_place(owner)))

    def selecting(self, obj: Object) -> list[Object]:
        """Return the objects whose selector names an object of their namespace."""
        labels = labels_of(obj)
        return [one for one in self.in_namespace(_place(obj)) if matches(one["spec"]["selector"], labels)]

    def in_namespace(self, namespace: str) -> list[Object]:
        """Return the objects of a namespace."""
        return list(self._placed.get(namespace, {}).values())

    async def _change(self, kind: str, obj: Object) -> None:
        key = key_of(obj)
        old = self.objects.get(key)
        await super()._change(kind, obj)
        if old:
            self._leave(key, old)
        if kind != "DELETED":
            self._owned.setdefault(_home(obj), {})[key] = obj
            self._placed.setdefault(_place(obj), {})[key] = obj
        for handler in self._handlers:
            handler(kind, obj, old)

    def _leave(self, key: str, old: Object) -> None:
        for known, where in ((self._owned, _home(old)), (self._placed, _place(old))):
            siblings = known[where]
            del siblings[key]
            if not siblings:
                del known[where]


class Informers:
    """One informer a collection, started when first asked for."""

    def __init__(self, client: KubeClient, group: asyncio.TaskGroup) -> None:
        self._client = client
        self._group = group
        self._informers: dict[str, Informer] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def of(self, path: str) -> Informer:
        """Return the informer of the collection at `path`."""
        if path not in self._informers:
            informer = self._informers[path] = Informer(self._client, path)
            self._tasks[path] = self._group.create_task(informer.run())
        return self._informers[path]

    def drop(self, path: str) -> None:
        """Stop following a collection that is no more."""
        self._tasks.pop(path).cancel()
        del self._informers[path]

    async def synced(self) -> None:
        """Wait until every collection asked for so far has been listed."""
        for informer in list(self._informers.values()):
            await informer.synced.wait()


def _home(obj: Object) -> str:
    controller = controller_of(obj)
    return str(controller["uid"]) if controller else _orphanage(_place(obj))


def _place(obj: Object) -> str:
    return str(obj["metadata"].get("namespace", ""))


def _orphanage(namespace: str) -> str:
    return f"orphans of {namespace}"
