"""Bringing one build to one cluster: all of it, or nothing.

Everything is first applied as a server-side dry run. What the same revision must create before (the objects
of a new Namespace, the custom resources of a new definition) cannot be tried in its place: objects of a new
Namespace are tried under another name in `default`, custom resources of a new definition once that definition
is there. So a revision that is refused leaves at most definitions behind that passed themselves.
"""

import asyncio
import copy
import hashlib
from dataclasses import dataclass, field
from http import HTTPStatus

from activities.cluster import paths
from activities.cluster.api import SOURCE_MANAGER, ClusterApi, Object
from activities.cluster.errors import ApiError
from activities.source.discovery import Discovery, Resource
from activities.source.errors import SourceError
from activities.source.injection import ask_for_sidecars
from activities.source.inventory import Inventory, InventoryStore
from activities.source.manifest import CUSTOM_RESOURCE, NAMESPACE, Key, Manifest, in_order
from activities.source.ownership import is_same, is_shared, left_to_source, wanted
from activities.source.placing import DEFAULT_NAMESPACE, place
from activities.source.pruning import ALONE, Pruning, Siblings
from canary.spec import CanarySpec

AT_ONCE = 8
ESTABLISHED_POLL = 0.1
LONGEST_COMPLAINT = 300
SHOWN_COMPLAINTS = 3
# A claimed object is written with its version: a rollout that writes in between makes us look again.
LOOKS = 5
_EARLY = (NAMESPACE, CUSTOM_RESOURCE)


@dataclass
class Synced:
    """What a cluster holds of a policy after a sync."""

    inventory: Inventory
    notes: list[str] = field(default_factory=list)
    """What a person should know although it worked."""
    is_waiting: bool = False
    """Whether something is to be pruned that could not go yet."""
    is_needed: bool = False
    """Whether users may still need what a policy brought that is taken back: it is left for now."""


class ClusterSync:
    """One policy in one cluster.

    Args:
        api: The cluster.
        owner: `<namespace>/<application>/<policy>`.
        canaries: The policy's canaries in this cluster; their objects are shared with rollouts.
    """

    def __init__(self, api: ClusterApi, owner: str, canaries: tuple[CanarySpec, ...]) -> None:
        self._api = api
        self._owner = owner
        self._canaries = canaries
        self._discovery = Discovery(api)
        self._store = InventoryStore(api, owner)
        self._settled: set[Key] = set()
        """What a dry run would not change."""

    async def apply(
        self, revision: str, manifests: list[Manifest], siblings: Siblings = ALONE, *, prune: bool
    ) -> Synced:
        """Bring the cluster to a build; what *siblings* of the policy need there is not pruned.

        Raises:
            SourceError: An object was refused; none was applied.
        """
        placed = in_order(
            [await place(self._discovery, wanted(manifest, self._owner)) for manifest in manifests]
        )
        early = [manifest for manifest in placed if manifest.key.kind in _EARLY]
        later = [manifest for manifest in placed if manifest.key.kind not in _EARLY]
        defined = {_defined_by(manifest) for manifest in early}
        deferred = [
            manifest
            for manifest in later
            if (manifest.key.group, manifest.key.kind) in defined and await self._find(manifest) is None
        ]
        deferred_keys = {manifest.key for manifest in deferred}
        await self._try([manifest for manifest in placed if manifest.key not in deferred_keys])

        before = await self._store.load()
        if prune and not placed and before.keys:
            raise SourceError(_emptied(len(before.keys)))
        after = Inventory(revision, tuple(manifest.key for manifest in placed))
        await self._save(before, Inventory(before.revision, _union(before.keys, after.keys)))
        notes = await self._begin(early, deferred)
        for manifest in later:
            await self._apply(manifest)
        gone = [key for key in before.keys if key not in after.keys]
        pruning = self._pruning()
        kept = await pruning.remove_unneeded(gone, siblings) if prune and gone else []
        synced = Inventory(revision, _union(after.keys, kept))
        await self._save(before, synced)
        return Synced(synced, [*notes, *pruning.notes], is_waiting=bool(kept))

    async def retire(self, *, prune: bool, others: tuple[CanarySpec, ...] = ()) -> Synced:
        """Forget the policy, and remove what it brought if it said `prune`; *others* may still need it."""
        before = await self._store.load()
        pruning = self._pruning()
        if prune and await pruning.are_needed(list(before.keys), others):
            return Synced(before, pruning.notes, is_waiting=True, is_needed=True)
        kept = await pruning.remove(list(before.keys)) if prune else []
        rest = Inventory(before.revision, tuple(kept))
        if kept:
            await self._store.save(rest)
        else:
            await self._store.remove()
        return Synced(rest, pruning.notes, is_waiting=bool(kept))

    async def _begin(self, early: list[Manifest], deferred: list[Manifest]) -> list[str]:
        for manifest in early:
            await self._apply(manifest)
        for manifest in early:
            if manifest.key.kind == CUSTOM_RESOURCE:
                await self._await_established(manifest.key.name)
        for manifest in deferred:
            self._discovery.forget(manifest.api_version)
        await self._try(deferred)
        notes = [await self._prepare(namespace) for namespace in self._workload_namespaces]
        return [note for note in notes if note]

    async def _prepare(self, name: str) -> str:
        path = paths.namespace_path(name)
        namespace = await self._api.find(path)
        if namespace is None:
            body = {"apiVersion": "v1", "kind": NAMESPACE, "metadata": {"name": name}}
            namespace = await self._api.apply(path, body, manager=SOURCE_MANAGER)
        return await ask_for_sidecars(self._api, namespace)

    @property
    def _workload_namespaces(self) -> list[str]:
        return sorted({canary.namespace for canary in self._canaries})

    async def _try(self, manifests: list[Manifest]) -> None:
        new = {manifest.key.name for manifest in manifests if manifest.key.kind == NAMESPACE}
        new.update(self._workload_namespaces)
        used = sorted({manifest.key.namespace for manifest in manifests} - {""})
        missing = {namespace for namespace in used if await self._is_missing(namespace)}
        if lost := sorted(missing - new):
            raise SourceError(f"Namespace {lost[0]} is neither in the cluster nor in the source.")
        gate = asyncio.Semaphore(AT_ONCE)

        async def attempt(manifest: Manifest) -> None:
            async with gate:
                if manifest.key.namespace in missing:
                    await self._try_elsewhere(manifest)
                else:
                    await self._try_in_place(manifest)

        refusals = await asyncio.gather(*map(attempt, manifests), return_exceptions=True)
        _raise(refusals)

    async def _try_elsewhere(self, manifest: Manifest) -> None:
        stand_in = _stand_in(manifest)
        try:
            await self._send(stand_in, dry_run=True)
        except SourceError as error:
            said = str(error).replace(stand_in.key.shown, manifest.key.shown)
            raise SourceError(said.replace(stand_in.key.name, manifest.key.name)) from error

    async def _try_in_place(self, manifest: Manifest) -> None:
        live, tried = await self._send(manifest, dry_run=True)
        if live is not None and (tried is None or is_same(live, tried)):
            self._settled.add(manifest.key)

    async def _apply(self, manifest: Manifest) -> None:
        if manifest.key not in self._settled:
            await self._send(manifest)

    async def _send(
        self, manifest: Manifest, *, dry_run: bool = False, looks: int = LOOKS
    ) -> tuple[Object | None, Object | None]:
        """Apply what is the source's of an object, and return it as it was before and as it is."""
        path = await self._path(manifest)
        live = await self._api.find(path)
        if live is not None and live["metadata"].get("deletionTimestamp"):
            raise SourceError(f"{manifest.key.shown} is being deleted: it is brought again once it is gone.")
        own: Manifest | None = manifest
        if live is not None and is_shared(manifest.key, live, self._canaries):
            own = left_to_source(manifest, live)
        if own is None:
            return live, None
        try:
            return live, await self._api.apply(
                path, own.body, manager=SOURCE_MANAGER, force=True, dry_run=dry_run
            )
        except ApiError as error:
            if error.status == HTTPStatus.CONFLICT and own is not manifest and looks > 1:
                return await self._send(manifest, dry_run=dry_run, looks=looks - 1)
            if error.is_permanent:
                raise SourceError(_refusal(manifest.key, error)) from error
            raise

    async def _path(self, manifest: Manifest) -> str:
        resource = await self._find(manifest)
        if resource is None:
            raise SourceError(
                f"{manifest.key.shown} cannot be applied: the cluster serves no {manifest.api_version}"
                f" {manifest.key.kind}."
            )
        return resource.path(manifest.key.namespace, manifest.key.name)

    async def _find(self, manifest: Manifest) -> Resource | None:
        return await self._discovery.find(manifest.api_version, manifest.key.kind)

    async def _is_missing(self, namespace: str) -> bool:
        return await self._api.find(paths.namespace_path(namespace)) is None

    async def _await_established(self, name: str) -> None:
        path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}"
        while True:  # the activity's timeout ends it
            conditions = (await self._api.get(path)).get("status", {}).get("conditions", ())
            if any(entry["type"] == "Established" and entry["status"] == "True" for entry in conditions):
                return
            await asyncio.sleep(ESTABLISHED_POLL)

    def _pruning(self) -> Pruning:
        return Pruning(self._api, self._discovery, self._owner, self._canaries)

    async def _save(self, before: Inventory, wanted_now: Inventory) -> None:
        if wanted_now != before:
            await self._store.save(wanted_now)


def _stand_in(manifest: Manifest) -> Manifest:
    """The same object under a name and in a Namespace where it can be tried."""
    key = manifest.key
    suffix = hashlib.sha256(str(key).encode()).hexdigest()[:8]
    name = f"{key.name[:50].rstrip('-.')}-{suffix}"
    body = copy.deepcopy(manifest.body)
    body["metadata"] |= {"name": name, "namespace": DEFAULT_NAMESPACE}
    return Manifest(Key(DEFAULT_NAMESPACE, name, key.group, key.kind), manifest.version, body)


def _emptied(number: int) -> str:
    objects = f"all {number} objects" if number > 1 else "its one object"
    return f"The build is empty and would prune {objects}: take the policy out instead."


def _defined_by(manifest: Manifest) -> tuple[str, str]:
    """The group and kind that a definition defines; of another object, none."""
    if manifest.key.kind != CUSTOM_RESOURCE:
        return ("", "")
    spec = manifest.body.get("spec") or {}
    return (str(spec.get("group")), str((spec.get("names") or {}).get("kind")))


def _union(first: tuple[Key, ...], second: tuple[Key, ...] | list[Key]) -> tuple[Key, ...]:
    return tuple(dict.fromkeys((*first, *second)))


def _refusal(key: Key, error: ApiError) -> str:
    # What a server says of a Secret may quote it.
    said = error.reason if key.kind == "Secret" else error.message
    said = said if len(said) <= LONGEST_COMPLAINT else f"{said[:LONGEST_COMPLAINT]}…"
    return f"{key.shown} was refused: {said}"


def _raise(results: list[BaseException | None]) -> None:
    """Raise what is worse than a refusal, else all refusals as one."""
    failures = [result for result in results if result is not None]
    refusals = [str(failure) for failure in failures if isinstance(failure, SourceError)]
    for failure in failures:
        if not isinstance(failure, SourceError):
            raise failure
    if refusals:
        more = len(refusals) - SHOWN_COMPLAINTS
        raise SourceError(" ".join(refusals[:SHOWN_COMPLAINTS]) + (f" And {more} more." if more > 0 else ""))
