"""The activities of an Application's source: finding its revision and bringing it to a cluster."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from itertools import chain
from pathlib import Path

from pydantic import Field
from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from activities.cluster import testers
from activities.cluster.clusters import Clusters, served_here
from activities.cluster.errors import (
    ApiError,
    ClusterUnreachableError,
    ServedElsewhereError,
    UnknownClusterError,
)
from activities.heartbeat import heartbeating
from activities.source.builds import Builds, Origin
from activities.source.errors import SourceError
from activities.source.manifest import Manifest, digest
from activities.source.pruning import Siblings
from activities.source.sync import ClusterSync, Synced
from canary.application import ClusterRef, GitSource, SyncPolicy
from canary.problem import Problem
from canary.stored import Stored

SHORTEST_INTERVAL = timedelta(seconds=1)
# A failing source is looked at again after 1, 2, 4 … seconds, up to this or its interval if that is longer.
LONGEST_BACK_OFF = timedelta(seconds=30)
MOST_DOUBLINGS = 16

NO_NEWS = "NoNews"
"""The type of the error with which a look at the source ends that found nothing new."""


class FetchRevision(Stored):
    """Wait for news of a source."""

    source: GitSource
    namespace: str
    """Where its Secret is."""
    known_revision: str = ""
    known_message: str = ""


class FetchedRevision(Stored):
    """News of a source: another revision, or another message."""

    revision: str
    message: str = ""
    """Why it could not be read, empty if it could."""


class SyncInput(Stored):
    """Bring one revision of a policy to one cluster."""

    application: str
    """`<namespace>/<name>`."""
    namespace: str
    source: GitSource
    revision: str
    policy: SyncPolicy
    cluster: str
    siblings: tuple[SyncPolicy, ...] = ()
    """The other policies that the Application brings to this cluster: what they want is not pruned."""


class RetireInput(Stored):
    """Take a policy back from one cluster."""

    application: str
    policy: str
    cluster: str
    prune: bool
    siblings: tuple[SyncPolicy, ...] = ()
    """The policies that the Application goes on bringing to this cluster: what their users need stays."""


class Members(Stored):
    """The clusters of an Application."""

    clusters: tuple[ClusterRef, ...]


class Reachability(Stored):
    """What speaks against delivering to them, by cluster."""

    problems: dict[str, Problem] = Field(default_factory=dict)
    task_queues: dict[str, str] = Field(default_factory=dict)
    """Of each cluster that only others reach: whose workers do, and are to be asked instead."""


class SyncResult(Stored):
    """What came of it: names and hashes, never a manifest."""

    is_done: bool
    is_unreachable: bool = False
    message: str = ""
    inventory: tuple[str, ...] = ()
    digest: str = ""
    is_waiting: bool = False
    """Whether something is to be pruned that could not go yet."""
    is_needed: bool = False
    """Whether all that a policy brought that is taken back stays for now."""


class SourceActivities:
    """Git, kustomize, and the way of a build into a cluster.

    Args:
        clusters: The member clusters.
        cache: A directory for clones, shared with the other workers of this machine.
        kubectl: The program that holds kustomize.
    """

    def __init__(self, clusters: Clusters, cache: Path, kubectl: Path) -> None:
        self._clusters = clusters
        self._builds = Builds(clusters, cache, kubectl)

    @activity.defn
    async def fetch_revision(self, wanted: FetchRevision) -> FetchedRevision:
        """Look at the source once; without news it fails, so that the server lets it look again later."""
        async with heartbeating():
            found = await self._look(wanted)
        if found != FetchedRevision(revision=wanted.known_revision, message=wanted.known_message):
            return found
        raise ApplicationError(
            found.message or "No new revision.",
            type=NO_NEWS,
            next_retry_delay=_next_look(wanted.source.interval, is_failing=bool(found.message)),
            category=ApplicationErrorCategory.BENIGN,
        )

    @activity.defn
    async def sync_policy(self, wanted: SyncInput) -> SyncResult:
        """Build a policy's folder and bring it to a cluster, or change nothing and say why."""
        async with heartbeating():
            return await _told(lambda: self._sync(wanted))

    @activity.defn
    async def retire_policy(self, wanted: RetireInput) -> SyncResult:
        """Forget a policy in a cluster, and remove what it brought if it said `prune`."""

        async def retire() -> SyncResult:
            api = await self._clusters.get(wanted.cluster)
            sync = ClusterSync(api, f"{wanted.application}/{wanted.policy}", ())
            others = tuple(chain.from_iterable(each.canaries for each in wanted.siblings))
            return _done(await sync.retire(prune=wanted.prune, others=others))

        async with heartbeating():
            return await _told(retire)

    @activity.defn
    async def check_clusters(self, wanted: Members) -> Reachability:
        """Make every cluster known to the workers, and look whether it answers."""
        found = await asyncio.gather(*(self._check(cluster) for cluster in wanted.clusters))
        named = list(zip(wanted.clusters, found, strict=True))
        return Reachability(
            problems={cluster.name: one for cluster, one in named if isinstance(one, Problem)},
            task_queues={cluster.name: one for cluster, one in named if isinstance(one, str)},
        )

    async def _check(self, cluster: ClusterRef) -> Problem | str | None:
        """What is wrong with a cluster, or the task queue whose workers are to be asked."""
        try:
            await self._clusters.attach(cluster)
            await served_here(await self._clusters.get(cluster.name)).get("/version")
        except ServedElsewhereError as error:
            return error.task_queue
        except (UnknownClusterError, ApiError) as error:
            return Problem(path="cluster", message=str(error))
        except ClusterUnreachableError as error:
            return Problem(path="cluster", message=str(error), is_unreachable=True)
        return None

    async def _look(self, wanted: FetchRevision) -> FetchedRevision:
        try:
            async with asyncio.timeout(wanted.source.timeout.total_seconds()):
                origin = Origin(wanted.source, wanted.namespace)
                return FetchedRevision(revision=await self._builds.resolve(origin))
        except (SourceError, ApiError, ClusterUnreachableError, UnknownClusterError) as error:
            return FetchedRevision(revision=wanted.known_revision, message=str(error))
        except TimeoutError:
            seconds = wanted.source.timeout.total_seconds()
            message = f"The git repository did not answer within {seconds:g} s."
            return FetchedRevision(revision=wanted.known_revision, message=message)

    async def _sync(self, wanted: SyncInput) -> SyncResult:
        api = await self._clusters.get(wanted.cluster)
        policy = wanted.policy
        origin = Origin(wanted.source, wanted.namespace, wanted.revision)
        manifests = await self._builds.build(origin, policy)

        async def build_siblings() -> list[Manifest]:
            built = await asyncio.gather(*(self._builds.build(origin, each) for each in wanted.siblings))
            return list(chain.from_iterable(built))

        canaries = tuple(canary for canary in policy.canaries if canary.cluster == wanted.cluster)
        others = tuple(chain.from_iterable(each.canaries for each in wanted.siblings))
        siblings = Siblings(others, build_siblings)
        sync = ClusterSync(api, f"{wanted.application}/{policy.name}", canaries)
        synced = await sync.apply(wanted.revision, manifests, siblings, prune=policy.prune)
        if policy.public_test_loader and (note := await testers.deploy_public(api)):
            synced.notes.append(note)
        return _done(synced, digest(manifests))


async def _told(work: Callable[[], Awaitable[SyncResult]]) -> SyncResult:
    """Turn what a person must hear of into a result."""
    try:
        return await work()
    except (SourceError, UnknownClusterError, ApiError) as error:
        return SyncResult(is_done=False, message=str(error))
    except ClusterUnreachableError as error:
        return SyncResult(is_done=False, is_unreachable=True, message=str(error))
    except TimeoutError:
        return SyncResult(is_done=False, message="The build took longer than the policy's timeout.")


def _done(synced: Synced, build: str = "") -> SyncResult:
    return SyncResult(
        is_done=True,
        message=" ".join(synced.notes),
        inventory=synced.inventory.ids,
        digest=build,
        is_waiting=synced.is_waiting,
        is_needed=synced.is_needed,
    )


def _next_look(interval: timedelta, *, is_failing: bool) -> timedelta:
    if not is_failing:
        return max(interval, SHORTEST_INTERVAL)
    doubled = SHORTEST_INTERVAL * int(2 ** min(activity.info().attempt - 1, MOST_DOUBLINGS))
    return min(doubled, max(interval, LONGEST_BACK_OFF))
