"""The objects, and the history of their changes that watches read. Objects are never changed in place."""

import asyncio
import itertools
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from sandbox.apiserver.errors import expired
from sandbox.apiserver.jsontext import as_json

Object = dict[str, Any]
StorageKey = tuple[str, str]
HISTORY = 4096
_ENCODED = 256


@dataclass(slots=True)
class Event:
    """One change; `before` is the object as it was, for selectors that it left."""

    version: int
    kind: Literal["ADDED", "MODIFIED", "DELETED"]
    object: Object
    before: Object | None


class Collection:
    """The objects of one kind."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], Object] = {}
        self.events: deque[Event] = deque(maxlen=HISTORY)
        self.watchers: set[asyncio.Queue[Event | None]] = set()
        self.forgotten = 0  # the newest version that is no longer in `events`
        self.lines: dict[tuple[int, str, str], bytes] = {}  # the newest changes as watches send them

    def since(self, version: int) -> list[Event]:
        """Give the changes after a version.

        Raises:
            StatusError: 410, if some of them are forgotten.
        """
        if version < self.forgotten:
            raise expired(f"too old resource version: {version} ({self.forgotten})")
        newer = itertools.takewhile(lambda event: event.version > version, reversed(self.events))
        return [*newer][::-1]

    def at(self, version: int) -> dict[tuple[str, str], Object]:
        """Give the objects as they were at a version.

        Raises:
            StatusError: 410, if that is too long ago.
        """
        found = dict(self.objects)
        for event in reversed(self.since(version)):
            meta = event.object["metadata"]
            if event.before:
                found[meta.get("namespace", ""), meta["name"]] = event.before
            else:
                del found[meta.get("namespace", ""), meta["name"]]
        return found

    def record(self, event: Event) -> None:
        """Remember a change and tell the watchers."""
        if len(self.events) == HISTORY:
            self.forgotten = self.events[0].version
        self.events.append(event)
        if len(self.lines) > _ENCODED:
            self.lines.clear()
        for queue in self.watchers:
            queue.put_nowait(event)


class Store:
    """Every object, under one counter of versions."""

    def __init__(self) -> None:
        self.version = 1
        self._collections: dict[StorageKey, Collection] = {}

    def collection(self, key: StorageKey) -> Collection:
        """Give the collection of a kind."""
        return self._collections.setdefault(key, Collection())

    def __iter__(self) -> Iterator[tuple[StorageKey, Collection]]:
        return iter(self._collections.items())

    def get(self, key: StorageKey, namespace: str, name: str) -> Object | None:
        """Read an object."""
        return self.collection(key).objects.get((namespace, name))

    def put(self, key: StorageKey, obj: Object) -> Object:
        """Write an object under a new resourceVersion and give it as stored."""
        self.version += 1
        meta = {**obj["metadata"], "resourceVersion": str(self.version)}
        stored = {**obj, "metadata": meta}
        collection = self.collection(key)
        place = (meta.get("namespace", ""), meta["name"])
        before = collection.objects.get(place)
        if before:
            stored = shared(stored, before)
        collection.objects[place] = stored
        collection.record(Event(self.version, "MODIFIED" if before else "ADDED", stored, before))
        return stored

    def remove(self, key: StorageKey, obj: Object) -> Object:
        """Remove an object and give it as watches see it go."""
        self.version += 1
        gone = {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(self.version)}}
        collection = self.collection(key)
        del collection.objects[gone["metadata"].get("namespace", ""), gone["metadata"]["name"]]
        collection.record(Event(self.version, "DELETED", gone, obj))
        return gone


def shared(new: Any, old: Any) -> Any:
    """Give `new` with those parts of `old` that are the same, so that versions share their memory."""
    if new == old:
        return old if as_json(new) == as_json(old) else new  # 1 is equal to 1.0 and to true
    if isinstance(new, dict) and isinstance(old, dict):
        return {key: shared(value, old[key]) if key in old else value for key, value in new.items()}
    if isinstance(new, list) and isinstance(old, list) and len(new) == len(old):
        return [shared(a, b) for a, b in zip(new, old, strict=True)]
    return new
