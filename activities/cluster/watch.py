"""The watch of a cluster: one stream per kind, which rings the workflows that a change concerns."""

import asyncio

from temporalio import activity
from temporalio.client import Client

from activities.cluster.api import Clusters
from activities.cluster.memory import Memory
from activities.heartbeat import heartbeating
from canary.stored import Stored

RESYNC = 600.0
"""Seconds after which each canary is rung although nothing was seen, while there are few of them."""
SHORTEST_RESYNC_PAUSE = 12.0
"""Seconds between two such rings at least: a resync never comes as a burst, with many canaries it is slower."""


class Interest(Stored):
    """What a canary is to be rung for."""

    canary: str
    """What its workflow ids end with."""
    namespace: str
    objects: tuple[str, ...] = ()
    """`<Kind>/<name>` each."""


class WatchRequest(Stored):
    """A cluster to watch, and for whom."""

    cluster: str
    interests: tuple[Interest, ...]
    bells: tuple[str, ...]
    """What the ids of the workflows to ring begin with; the first of them is rung by the resync."""
    signal: str


class WatchActivities:
    """Watches clusters; what was seen last is remembered from one run to the next in the same worker."""

    def __init__(self, clusters: Clusters, client: Client) -> None:
        self._clusters = clusters
        self._client = client
        self._memories: dict[str, Memory] = {}
        self._running: dict[str, asyncio.Task[None]] = {}

    @activity.defn
    async def watch_cluster(self, request: WatchRequest) -> None:
        """Watch a cluster until cancelled, or until a later run with other interests takes over here."""
        async with heartbeating():
            watching = await self._take_over(request)
            try:
                await asyncio.wait({watching})
            finally:
                watching.cancel()
            if not watching.cancelled():
                watching.result()

    async def _take_over(self, request: WatchRequest) -> asyncio.Task[None]:
        before = self._running.get(request.cluster)
        watching = asyncio.create_task(self._watch(request, before))
        self._running[request.cluster] = watching
        return watching

    async def _watch(self, request: WatchRequest, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            before.cancel()
            await asyncio.wait({before})
