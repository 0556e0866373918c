"""The watch of a cluster: it rings the workflows that a change concerns, and tells them nothing else."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import cycle

from temporalio import activity
from temporalio.client import Client
from temporalio.exceptions import ApplicationError

from activities.cluster.bells import Bells, Ring
from activities.cluster.clusters import Clusters
from activities.cluster.interests import Interest, Interests
from activities.cluster.progress import Progress
from activities.cluster.streams import UNASKED, Key, Memory, Streams
from activities.heartbeat import heartbeating
from canary.stored import Stored

HANDED_ON = timedelta(milliseconds=100)
"""How long after a worker has stopped another one takes its watch over."""
GREETED_AFTER = 0.5
"""Seconds until a newcomer is rung, unless something has rung it: most have a primary that gets ready."""
GREETING_PAUSE = 0.05
"""Seconds between two greetings: beside the looks of hundreds of canaries there is room for changes."""
RESYNC = 600.0
"""Seconds after which each canary is rung although nothing was seen."""
RESYNC_PAUSE = 12.0
"""Seconds between two such rings at least: it never comes as a burst, and many canaries wait longer."""


class WatchRequest(Stored):
    """A cluster to watch, and for whom."""

    cluster: str
    interests: tuple[Interest, ...] = ()
    """Those that are given one by one, as they all were once."""
    packed: Interests = Interests()
    bells: tuple[str, ...]
    """What the ids of the workflows to ring begin with; the resync and hints are for the first of them.

    While one of the others runs the first is left alone but for hints: a rollout may last for weeks, and
    every bell stays in the history of its canary, which begins no new one meanwhile.
    """
    signal: str

    @property
    def wanted(self) -> tuple[Interest, ...]:
        """What all canaries are to be rung for."""
        return (*self.interests, *self.packed.unpacked())


@dataclass
class _Cluster:
    """What outlives a run of the watch in the same worker."""

    memory: Memory = field(default_factory=Memory)
    unrung: set[Ring] = field(default_factory=set)
    greeted: dict[str, Interest] = field(default_factory=dict)
    watching: asyncio.Task[None] | None = None


class WatchActivities:
    """Watches clusters."""

    def __init__(self, clusters: Clusters, client: Client) -> None:
        self._clusters = clusters
        self._client = client
        self._known: defaultdict[str, _Cluster] = defaultdict(_Cluster)

    @activity.defn
    async def watch_cluster(self, request: WatchRequest) -> None:
        """Watch a cluster until cancelled, or until a later run with other interests takes over here."""
        known = self._known[request.cluster]
        progress = Progress(known.memory, activity.info().heartbeat_details)
        async with heartbeating(progress.details):
            watching = asyncio.create_task(self._watch(request, known, known.watching, progress))
            known.watching = watching
            stopping = asyncio.create_task(activity.wait_for_worker_shutdown())
            try:
                await asyncio.wait({watching, stopping}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                stopping.cancel()
                await _end(watching)
        if activity.is_worker_shutdown():
            activity.heartbeat(*progress.details())
            text = "This worker stops; another goes on watching."
            raise ApplicationError(text, type="Stopping", next_retry_delay=HANDED_ON)
        with suppress(asyncio.CancelledError):  # a later run has taken over
            watching.result()

    async def _watch(
        self, request: WatchRequest, known: _Cluster, before: asyncio.Task[None] | None, progress: Progress
    ) -> None:
        await _end(before)
        api = await self._clusters.get(request.cluster)
        bells = Bells(self._client, request.signal, known.unrung)
        wanted = request.wanted
        interests = {interest.canary: interest for interest in wanted}
        if progress.is_handed_on:  # another worker has greeted all of them
            known.greeted = interests
        ringer = _Ringer(bells, request.bells, interests, known.greeted)
        streams = Streams(api, known.memory, _canaries(wanted), ringer.newcomers, ringer.ring)
        async with asyncio.TaskGroup() as group:
            group.create_task(bells.run())
            group.create_task(streams.run())
            group.create_task(_resync(bells, [f"{request.bells[0]}{name}" for name in sorted(interests)]))
            await ringer.greet(await streams.newcomers())
            known.greeted = interests
            progress.begin(bells)


class _Ringer:
    """Rings canaries for what concerns them, and each that is new once although nothing was seen."""

    def __init__(
        self,
        bells: Bells,
        prefixes: Sequence[str],
        interests: Mapping[str, Interest],
        greeted: dict[str, Interest],
    ) -> None:
        self.newcomers = [name for name, interest in interests.items() if greeted.get(name) != interest]
        self._bells = bells
        self._prefixes = prefixes
        self._interests = interests
        self._greeted = greeted
        self._ungreeted: set[str] = set()

    def ring(self, canaries: Iterable[str], kind: str) -> None:
        """Ring these for a change of a *kind*; whoever was still to be greeted has been by that."""
        for canary in canaries:
            first, *others = (f"{prefix}{canary}" for prefix in self._prefixes)
            if canary in self._ungreeted or kind == UNASKED:
                self._bells.ring([Ring(first, UNASKED), *map(Ring, others)])
                self._ungreeted.discard(canary)
                self._greeted[canary] = self._interests[canary]
            elif others:
                self._bells.ring(Ring(other, instead=first) for other in others)
            else:
                self._bells.ring([Ring(first)])

    async def greet(self, canaries: Iterable[str]) -> None:
        """Ring these one after the other, unless something else does."""
        self._ungreeted.update(canaries)
        await asyncio.sleep(GREETED_AFTER)
        while self._ungreeted:
            self.ring([min(self._ungreeted)], UNASKED)
            await asyncio.sleep(GREETING_PAUSE)


async def _resync(bells: Bells, workflows: list[str]) -> None:
    """Ring one workflow after the other, for whatever no watch can tell."""
    for workflow in cycle(workflows):
        await asyncio.sleep(max(RESYNC / len(workflows), RESYNC_PAUSE))
        bells.ring([Ring(workflow)])


def _canaries(interests: Iterable[Interest]) -> dict[Key, set[str]]:
    """Return who is rung for each object."""
    canaries: defaultdict[Key, set[str]] = defaultdict(set)
    for interest in interests:
        for one in interest.objects:
            kind, _, name = one.partition("/")
            canaries[Key(kind, interest.namespace, name)].add(interest.canary)
    return dict(canaries)


async def _end(task: asyncio.Task[None] | None) -> None:
    if task is not None:
        task.cancel()
        await asyncio.wait({task})
