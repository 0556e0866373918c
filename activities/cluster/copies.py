"""The primary's copies of ConfigMaps and Secrets: written, kept, brought back.

Every write is bound to the version that was read and carries its fence: one that arrives late changes
nothing. What counts as the promoted copy is told by its hash, never by its name alone.
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from temporalio.exceptions import ApplicationError

from activities.cluster import configs, marks, paths
from activities.cluster.api import ClusterApi, Object
from canary.spec import CanarySpec


@dataclass(frozen=True)
class Copy:
    """The primary's copy of one config: its name, and what is there under it."""

    kind: str
    name: str
    live: Object | None

    @property
    def hash(self) -> str:
        """The hash of what is there; empty where there is nothing."""
        return "" if self.live is None else configs.hash_of(self.live)


Copies = Mapping[str, Copy]
"""By the key of the config."""


async def find_copies(api: ClusterApi, spec: CanarySpec, keys: Iterable[str]) -> dict[str, Copy]:
    """Look up the copies of these configs."""
    wanted = list(keys)
    found = await asyncio.gather(*(_find(api, spec, *configs.kind_and_name(key)) for key in wanted))
    return dict(zip(wanted, found, strict=True))


async def _find(api: ClusterApi, spec: CanarySpec, kind: str, config: str) -> Copy:
    """The copy under Flagger's name; where another canary uses the same config, under one of its own."""
    name = f"{config}-primary"
    live = await api.find(paths.one(kind, spec.namespace, name))
    if live is not None and marks.canary_of(live) not in ("", marks.owner(spec.target.name)):
        name = f"{config}-{spec.target.name}-primary"
        live = await api.find(paths.one(kind, spec.namespace, name))
    return Copy(kind, name, live)


def names(copies: Copies) -> dict[str, str]:
    """What a primary's references are rewritten to."""
    return {key: copy.name for key, copy in copies.items()}


def is_superseded(copies: Copies, decided_at: datetime) -> bool:
    """Whether a later decision has written one of the copies."""
    live = (copy.live for copy in copies.values())
    return any(found is not None and marks.is_superseded(found["metadata"], decided_at) for found in live)


class CopyWriter:
    """Writes the copies of one primary, all by one decision; without a moment they carry no fence."""

    def __init__(self, api: ClusterApi, spec: CanarySpec, decided_at: datetime | None = None) -> None:
        self._api = api
        self._spec = spec
        self._decided_at = decided_at

    async def write(
        self, copies: Copies, sources: Mapping[str, Object | None], promoted: Mapping[str, str]
    ) -> None:
        """Make the copies hold what *sources* do; one that holds what was *promoted* is kept beside."""
        for key, copy in copies.items():
            source = sources[key]
            if source is None or _is_same(copy.live, source):
                continue
            if copy.live is not None and copy.hash == promoted.get(key):
                await self._put(Copy(copy.kind, last_of(copy), await self._find_last(copy)), copy.live)
            await self._put(copy, source)

    async def bring_back(self, copies: Copies, promoted: Mapping[str, str]) -> None:
        """Make the copies hold what was promoted, from wherever that still is.

        A copy that holds it already is fenced nevertheless: a write of an earlier decision may be on its way.
        """
        for key, copy in copies.items():
            source = copy.live
            if source is None or copy.hash != promoted[key]:
                source = await self._promoted(key, copy, promoted[key])
            if self._decided_at is not None or source is not copy.live:
                await self._put(copy, source)

    async def forget_kept(self, copies: Copies) -> None:
        """Delete what was kept of these copies."""
        paths_of_kept = (paths.one(c.kind, self._spec.namespace, last_of(c)) for c in copies.values())
        await asyncio.gather(*(self._api.delete(path) for path in paths_of_kept))

    async def _promoted(self, key: str, copy: Copy, wanted: str) -> Object:
        kind, name = configs.kind_and_name(key)
        namespace = self._spec.namespace
        for found in (await self._find_last(copy), await self._api.find(paths.one(kind, namespace, name))):
            if found is not None and configs.hash_of(found) == wanted:
                return found
        text = f"{kind} {copy.name} in namespace {namespace} is no longer as it was promoted"
        raise ApplicationError(f"{text}: bring it back by hand.", type="NotFound", non_retryable=True)

    async def _find_last(self, copy: Copy) -> Object | None:
        return await self._api.find(paths.one(copy.kind, self._spec.namespace, last_of(copy)))

    async def _put(self, copy: Copy, source: Object) -> None:
        spec, live = self._spec, copy.live
        body = configs.primary_copy(source, marks.metadata(spec, copy.name))
        path = paths.one(copy.kind, spec.namespace, copy.name)
        if live is not None:
            marks.refuse_foreign(spec, copy.kind, live)
            body["metadata"] = _merged(live["metadata"], body["metadata"])
        if self._decided_at is not None:
            body["metadata"].setdefault("annotations", {})[marks.DECIDED_AT] = marks.stamp(self._decided_at)
        if live is not None and not _is_fixed(live, body):
            await self._api.replace(path, body)
            return
        if live is not None:
            await self._api.delete(path, uid=body["metadata"].pop("uid"))
            body["metadata"].pop("resourceVersion")
        await self._api.create(paths.collection(copy.kind, spec.namespace), body)


def last_of(copy: Copy) -> str:
    """Name what keeps the content that a copy had before a promotion that is still under way."""
    return f"{copy.name}-last"


def _merged(live: Object, wanted: Object) -> Object:
    kept = {key: live[key] for key in ("annotations", "resourceVersion", "uid") if key in live}
    return kept | wanted | {"labels": (live.get("labels") or {}) | wanted["labels"]}


def _is_fixed(live: Object, body: Object) -> bool:
    """Whether a config can only be made anew: it is immutable and differs, or its type does."""
    differs = live.get("immutable") and not _is_same(live, body)
    return bool(differs or live.get("type") != body.get("type"))


def _is_same(live: Object | None, wanted: Object) -> bool:
    fields: tuple[tuple[str, Any], ...] = (
        ("data", {}),
        ("binaryData", {}),
        ("immutable", False),
        ("type", ""),
    )
    return live is not None and all((live.get(key) or no) == (wanted.get(key) or no) for key, no in fields)
