"""Watches: the changes of a collection as a stream of lines."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

from sandbox.apiserver import conversion, listing
from sandbox.apiserver.errors import StatusError
from sandbox.apiserver.jsontext import as_json
from sandbox.apiserver.listing import Selection
from sandbox.apiserver.store import Event, Store

Object = dict[str, Any]
Render = Callable[[Object, bool], Object]  # the object, and whether it is the first of the stream
BOOKMARK_SECONDS = 60.0
_LAST_BOOKMARK = 2.0  # before the stream ends
_LOOK_SECONDS = 10.0  # a client that has gone is noticed by looking, or by writing to it
_INITIAL_END = "k8s.io/initial-events-end"


@dataclass(frozen=True)
class WatchOptions:
    """How a collection is watched; `shape` names the representation that `render` gives."""

    version: str = ""
    seconds: float = 1800
    bookmarks: bool = False
    initial: bool = False
    shape: str = ""


class Watch:
    """One stream of one client."""

    def __init__(
        self,
        store: Store,
        selection: Selection,
        options: WatchOptions,
        render: Render,
    ) -> None:
        self._store = store
        self._selection = selection
        self._options = options
        self._render = render
        self._matches = selection.predicate()
        self._is_first = True
        self._queue: asyncio.Queue[Event | None] = asyncio.Queue()
        self._collection = store.collection(selection.resource.storage)

    def close(self) -> None:
        """End the stream."""
        self._queue.put_nowait(None)

    async def lines(self, is_open: Callable[[], bool] = lambda: True) -> AsyncGenerator[bytes, None]:
        """Yield the lines until the time is over, `close` is called, or the client has gone."""
        self._collection.watchers.add(self._queue)
        try:
            for event in self._beginning():
                yield event
            async for event in self._changes(is_open):
                yield event
        except StatusError as error:
            yield line("ERROR", error.body)
        finally:
            self._collection.watchers.discard(self._queue)

    def _beginning(self) -> list[bytes]:
        """Give what comes before the first change: the present objects, or the changes since a version."""
        options = self._options
        if options.version not in ("", "0") and not options.initial:
            events = self._collection.since(int(options.version))
            return [written for event in events if (written := self._change(event))]
        found = [line("ADDED", self._rendered(obj)) for obj in listing.select(self._store, self._selection)]
        if options.initial and options.bookmarks:
            found.append(self._bookmark({"annotations": {_INITIAL_END: "true"}}))
        return found

    async def _changes(self, is_open: Callable[[], bool]) -> AsyncIterator[bytes]:
        clock = asyncio.get_running_loop().time
        end = clock() + self._options.seconds
        bookmark = min(clock() + BOOKMARK_SECONDS, end - _LAST_BOOKMARK)
        bookmark = end if bookmark < clock() else bookmark
        while (now := clock()) < end and is_open():
            if self._options.bookmarks and bookmark <= now:
                yield self._bookmark({})
                is_last = bookmark >= end - _LAST_BOOKMARK
                bookmark = end if is_last else min(bookmark + BOOKMARK_SECONDS, end - _LAST_BOOKMARK)
            try:
                async with asyncio.timeout_at(min(bookmark, end, now + _LOOK_SECONDS)):
                    event = await self._queue.get()
            except TimeoutError:
                continue
            if event is None:
                return
            if found := self._change(event):
                yield found

    def _change(self, event: Event) -> bytes | None:
        resource = self._selection.resource
        now = conversion.present(event.object, resource)
        was = conversion.present(event.before, resource) if event.before else None
        is_in = event.kind != "DELETED" and self._matches(now)
        was_in = was is not None and self._matches(was)
        if not is_in and not was_in:
            return None
        kind = "DELETED" if not is_in else "MODIFIED" if was_in else "ADDED"
        if was is not None and kind == "DELETED" and event.kind != "DELETED":
            meta = {**was["metadata"], "resourceVersion": now["metadata"]["resourceVersion"]}
            now = {**was, "metadata": meta}
        if self._options.shape:
            return line(kind, self._rendered(now))
        key, lines = (event.version, kind, resource.api_version), self._collection.lines
        if key not in lines:
            lines[key] = line(kind, now)
        return lines[key]

    def _rendered(self, obj: Object) -> Object:
        found = self._render(obj, self._is_first)
        self._is_first = False
        return found

    def _bookmark(self, more: Object) -> bytes:
        resource = self._selection.resource
        meta = {"resourceVersion": str(self._store.version), **more}
        obj = {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": meta}
        if self._options.shape:
            obj = self._rendered(obj)
        return line("BOOKMARK", obj)


def line(kind: str, obj: Object) -> bytes:
    """Write one event."""
    return as_json({"type": kind, "object": obj}) + b"\n"
