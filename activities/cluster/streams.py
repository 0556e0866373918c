"""The streams of a cluster: one for each kind, kept open, and what was seen on them last."""

import asyncio
import zlib
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import NamedTuple

from temporalio import activity

from activities.cluster.api import ClusterApi, Object
from activities.cluster.digest import METADATA_ONLY, Digest, carried, concerns, digest, is_own_work
from activities.cluster.errors import ApiError, ClusterUnreachableError
from activities.cluster.paths import collection

NAMESPACED_STREAMS = 5
"""Up to so many namespaces each have streams of their own; above, one stream sees the whole cluster."""

UNASKED = "Service"
"""A kind that nobody looks at unasked: whoever is rung for it, or is new, is told to."""

_PAGE = "500"
_SHORTEST_STREAM, _STREAM_SPREAD = 300, 301
"""Seconds; each stream ends at another moment, so that they are not all opened again at once."""
_FIRST_PAUSE, _LONGEST_PAUSE, _REFUSED_PAUSE = 0.1, 2.0, 30.0
_LOST = (HTTPStatus.GONE, HTTPStatus.GATEWAY_TIMEOUT)
"""The version is too old for the server, or too new, as after a restore: only a list tells what is there."""
_SELECTORS: Mapping[str, Mapping[str, str]] = {"Secret": {"fieldSelector": "type!=helm.sh/release.v1"}}


class Key(NamedTuple):
    """One object of a cluster."""

    kind: str
    namespace: str
    name: str


class Stream(NamedTuple):
    """The objects of one kind, in one namespace or in all."""

    kind: str
    namespace: str | None

    def holds(self, key: Key) -> bool:
        """Whether an object's changes are told on this stream."""
        return key.kind == self.kind and self.namespace in (None, key.namespace)

    @property
    def is_remembered_whole(self) -> bool:
        """Whether all of its objects are remembered: configs, which may be very many, are not."""
        return self.kind not in METADATA_ONLY


@dataclass
class Memory:
    """What was seen of a cluster last: a run that goes on from it lists nothing and misses nothing.

    Of most kinds everything on a stream is remembered, not what is watched alone: canaries that come later
    are then rung for what changes of theirs, not once for each object that is seen for the first time.
    """

    digests: dict[Key, Digest | None] = field(default_factory=dict)
    versions: dict[Stream, str] = field(default_factory=dict)

    def keep(self, keys: Container[Key], streams: Iterable[Stream]) -> None:
        """Forget all but these *keys*, and what else is remembered of these *streams*."""
        whole = {stream for stream in streams if stream.is_remembered_whole}
        self.digests = {
            key: found
            for key, found in self.digests.items()
            if key in keys or not whole.isdisjoint((Stream(key.kind, None), Stream(key.kind, key.namespace)))
        }
        self.versions = {stream: self.versions[stream] for stream in streams if stream in self.versions}


def streams_for(keys: Iterable[Key]) -> list[Stream]:
    """Return the streams that tell of all *keys*."""
    wanted = {(key.kind, key.namespace) for key in keys}
    if len({namespace for _, namespace in wanted}) > NAMESPACED_STREAMS:
        return sorted({Stream(kind, None) for kind, _ in wanted})
    return sorted(Stream(kind, namespace) for kind, namespace in wanted)


class Streams:
    """Follows the objects that concern canaries and rings these for what changes."""

    def __init__(
        self,
        api: ClusterApi,
        memory: Memory,
        canaries: Mapping[Key, set[str]],
        newcomers: Iterable[str],
        ring: Callable[[Iterable[str], str], None],
    ) -> None:
        self._api = api
        self._memory = memory
        self._canaries = canaries
        self._newcomers = set(newcomers)
        self._ring = ring
        self._unopened = set(streams_for(canaries))
        self._all_open = asyncio.Event()
        memory.keep(canaries, self._unopened)

    async def run(self) -> None:
        """Follow all streams until cancelled."""
        async with asyncio.TaskGroup() as group:
            for stream in sorted(self._unopened):
                group.create_task(self._follow(stream))

    async def newcomers(self) -> set[str]:
        """Who is to be greeted, once nothing can be missed that happens from now on: they are rung for it."""
        await self._all_open.wait()
        newcomers, self._newcomers = self._newcomers, set()
        return newcomers

    async def _follow(self, stream: Stream) -> None:
        """Keep one stream open, from where it was last, through ends, refusals and gaps."""
        pause = _FIRST_PAUSE
        clock = asyncio.get_running_loop().time
        while True:
            opened = clock()
            try:
                await self._open(stream)
            except ApiError as error:
                pause = self._refused(stream, error, pause)
            except ClusterUnreachableError:
                activity.logger.warning("cluster not watched", extra={"cluster": self._api.name})
            except ValueError:  # an event that cannot be read, or is too large: go round it
                self._memory.versions.pop(stream, None)
            if clock() - opened > _LONGEST_PAUSE:
                pause = _FIRST_PAUSE
            await asyncio.sleep(pause)
            pause = min(pause * 2, max(pause, _LONGEST_PAUSE))

    async def _open(self, stream: Stream) -> None:
        """Open a stream, after a list where it is not known how far it was followed; return at its end."""
        if stream not in self._memory.versions:
            await self._list(stream)
        self._opened(stream)
        events = self._api.watch(
            collection(stream.kind, stream.namespace),
            resource_version=self._memory.versions[stream],
            seconds=_SHORTEST_STREAM + zlib.crc32(f"{self._api.name} {stream}".encode()) % _STREAM_SPREAD,
            metadata_only=stream.kind in METADATA_ONLY,
            **_SELECTORS.get(stream.kind, {}),
        )
        async for event in events:
            self._take(stream, event)

    async def _list(self, stream: Stream) -> None:
        """Compare all there is with what was seen last."""
        read = self._api.list_metadata if stream.kind in METADATA_ONLY else self._api.list
        query = {"limit": _PAGE, **_SELECTORS.get(stream.kind, {})}
        known = (*self._canaries, *self._memory.digests)
        found: dict[Key, Digest | None] = {key: None for key in known if stream.holds(key)}
        while True:
            page = await read(collection(stream.kind, stream.namespace), **query)
            for item in page["items"] or []:
                key = _key(stream, item)
                if self._is_to_be_noted(stream, key):
                    found[key] = digest(stream.kind, item)
            if not page["metadata"].get("continue"):
                break
            query["continue"] = page["metadata"]["continue"]
        for key, after in found.items():
            self._note(key, after, is_gap=True)
        self._memory.versions[stream] = page["metadata"]["resourceVersion"]

    def _take(self, stream: Stream, event: Object) -> None:
        item = event["object"]
        key = _key(stream, item)
        if event["type"] != "BOOKMARK" and self._is_to_be_noted(stream, key):
            self._note(key, None if event["type"] == "DELETED" else digest(stream.kind, item))
        self._memory.versions[stream] = item["metadata"]["resourceVersion"]

    def _is_to_be_noted(self, stream: Stream, key: Key) -> bool:
        return stream.is_remembered_whole or key in self._canaries

    def _note(self, key: Key, after: Digest | None, *, is_gap: bool = False) -> None:
        """Remember an object as it is now; what cannot be compared counts as changed."""
        is_new = key not in self._memory.digests
        before = self._memory.digests.get(key)
        after = carried(before, after)
        self._memory.digests[key] = after
        if (canaries := self._canaries.get(key)) is None:
            if after is None:
                del self._memory.digests[key]
        elif (is_new and not is_own_work(after)) or concerns(before, after, is_gap=is_gap):
            self._ring(canaries - self._newcomers, key.kind)

    def _opened(self, stream: Stream) -> None:
        self._unopened.discard(stream)
        if not self._unopened:
            self._all_open.set()

    def _refused(self, stream: Stream, error: ApiError, pause: float) -> float:
        """Decide how to go on after a refusal; a kind that cannot be had holds up nothing else."""
        facts = {"cluster": self._api.name, "kind": stream.kind, "error": str(error)}
        if error.status in _LOST:
            self._memory.versions.pop(stream, None)
            activity.logger.info("watch has a gap", extra=facts)
            return _FIRST_PAUSE
        activity.logger.warning("watch refused", extra=facts)
        if not error.is_permanent:
            return pause
        # As long as it is refused its changes are missed: the next list compares.
        self._memory.versions.pop(stream, None)
        self._opened(stream)
        return _REFUSED_PAUSE


def _key(stream: Stream, item: Object) -> Key:
    return Key(stream.kind, item["metadata"].get("namespace", ""), item["metadata"].get("name", ""))
