"""Removing what a revision no longer brings."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from activities.cluster.api import ClusterApi, Object
from activities.cluster.promotion import is_promoted
from activities.source.discovery import Discovery, Resource
from activities.source.errors import SourceError
from activities.source.manifest import CUSTOM_RESOURCE, NAMESPACE, Key, Manifest, rank
from activities.source.ownership import is_ours, is_shared
from activities.source.placing import place
from canary.spec import CanarySpec

# What Kubernetes and Istio put into every namespace, and what follows its owner by itself.
_OF_EVERY_NAMESPACE = ("kube-root-ca.crt", "istio-ca-root-cert")
_FOLLOWERS = ("Event", "Endpoints", "EndpointSlice", "Lease", "ControllerRevision")


SHOWN = 3


async def _nothing() -> list[Manifest]:
    return []


@dataclass(frozen=True)
class Siblings:
    """What an Application brings to a cluster beside one policy."""

    canaries: tuple[CanarySpec, ...] = ()
    build: Callable[[], Awaitable[list[Manifest]]] = _nothing
    """Builds it, once it is needed."""


ALONE = Siblings()


class Pruning:
    """Deletes objects of one policy from one cluster, each only if it is still the policy's own."""

    def __init__(
        self, api: ClusterApi, discovery: Discovery, owner: str, canaries: tuple[CanarySpec, ...]
    ) -> None:
        self._api = api
        self._discovery = discovery
        self._owner = owner
        self._canaries = canaries
        self.notes: list[str] = []
        """Why something was left, a sentence each."""

    async def remove(self, keys: list[Key], going_over: frozenset[Key] = frozenset()) -> list[Key]:
        """Delete what can go, last applied first, and return what has to wait or goes over to others."""
        backwards = sorted(keys, key=lambda key: rank(key.kind), reverse=True)
        return [key for key in backwards if not await self._try(key, going_over)]

    async def remove_unneeded(self, keys: list[Key], siblings: Siblings) -> list[Key]:
        """Delete what a new revision lacks, and return what has to wait.

        Nothing goes as long as users get the revision before, which may need it: a pull secret, a
        ServiceAccount, a ConfigMap of a name of its own. What goes over to a sibling is left for it to take.
        """
        if unpromoted := await self._unpromoted(siblings.canaries):
            lacking = f"What the revision lacks stays until it is promoted in {unpromoted}"
            self.notes.append(f"{lacking}: {_shown(keys)}.")
            return keys
        try:
            built = await siblings.build()
        except (SourceError, TimeoutError):
            self.notes.append("Nothing is pruned while another policy of the Application cannot be built.")
            return keys
        theirs = [(await place(self._discovery, manifest)).key for manifest in built]
        return await self.remove(keys, frozenset(theirs))

    async def are_needed(self, keys: list[Key], others: tuple[CanarySpec, ...]) -> bool:
        """Whether users still get what needs these, by a canary of another policy that has yet to promote."""
        unpromoted = await self._unpromoted(others) if keys else ""
        if unpromoted:
            self.notes.append(f"It stays until {unpromoted} is promoted: {_shown(keys)}.")
        return bool(unpromoted)

    async def _unpromoted(self, others: tuple[CanarySpec, ...]) -> str:
        for canary in (*self._canaries, *others):
            if not await is_promoted(self._api, canary):
                return f"{canary.namespace}/{canary.target.name}"
        return ""

    async def _try(self, key: Key, going_over: frozenset[Key]) -> bool:
        resource = await self._discovery.find_any_version(key)
        if resource is None:
            return True
        path = resource.path(key.namespace, key.name)
        live = await self._api.find(path)
        if live is None or not is_ours(live, self._owner):
            return True
        if key in going_over:
            return False
        if is_shared(key, live, self._canaries):
            self.notes.append(f"{key.shown} stays until its canary is deleted.")
            return False
        if left := await self._what_others_keep_in(key, live):
            self.notes.append(f"{key.shown} stays: it holds {left}.")
            return False
        await self._api.delete(path, uid=live["metadata"]["uid"])
        return True

    async def _what_others_keep_in(self, key: Key, live: Object) -> str:
        if key.kind == NAMESPACE and not key.group:
            return await self._content(key.name)
        if key.kind == CUSTOM_RESOURCE:
            return await self._instances(live["spec"])
        return ""

    async def _content(self, namespace: str) -> str:
        for resource in await self._discovery.namespaced():
            if resource.kind in _FOLLOWERS:
                continue
            items = (await self._api.list_metadata(resource.collection(namespace)))["items"]
            if found := next((item for item in items if _is_foreign(resource, item)), None):
                return f"{resource.kind} {found['metadata']['name']}"
        return ""

    async def _instances(self, definition: Object) -> str:
        for version in definition["versions"]:
            api_version = f"{definition['group']}/{version['name']}"
            resource = await self._discovery.find(api_version, definition["names"]["kind"])
            if resource is None:
                continue
            items = (await self._api.list_metadata(resource.collection("")))["items"]
            return f"{resource.kind} {items[0]['metadata']['name']}" if items else ""
        return ""


def _shown(keys: list[Key]) -> str:
    return ", ".join(key.shown for key in keys[:SHOWN]) + ("" if len(keys) <= SHOWN else ", …")


def _is_foreign(resource: Resource, item: Object) -> bool:
    meta = item["metadata"]
    if meta.get("deletionTimestamp") or meta.get("ownerReferences"):
        return False
    if resource.kind == "ServiceAccount":
        return bool(meta["name"] != "default")
    return not (resource.kind == "ConfigMap" and meta["name"] in _OF_EVERY_NAMESPACE)
