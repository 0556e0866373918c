"""A fleet of clusters and a source, as fake activities of an Application."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from activities.cluster.preflight import Preflight
from activities.entities import EntityAnswer, EntityStart, EntityUpdate
from activities.source.delivery import (
    FetchedRevision,
    FetchRevision,
    Members,
    Reachability,
    RetireInput,
    SyncInput,
    SyncResult,
)
from canary.application import ApplicationSpec, ClusterRef, GitSource, SyncPolicy
from canary.problem import Problem
from canary.spec import AnalysisSpec, CanarySpec, ServiceSpec, TargetRef
from workflows.contract import DELETE, Answer, ApplyResult

ONE, TWO = ClusterRef(name="one"), ClusterRef(name="two")


def canary_in(cluster: ClusterRef, name: str = "backend") -> CanarySpec:
    """A canary of the Application."""
    return CanarySpec(
        cluster=cluster.name,
        namespace="webapp",
        name=name,
        target=TargetRef(name=name),
        service=ServiceSpec(name=name, port=80),
        analysis=AnalysisSpec(),
        application="team/shop",
    )


def policy_of(name: str, *clusters: ClusterRef, rollout: bool = False, **fields: Any) -> SyncPolicy:
    """A policy for some clusters, with or without a rollout."""
    canaries = tuple(canary_in(cluster) for cluster in clusters) if rollout else ()
    return SyncPolicy(name=name, path=f"./{name}", clusters=clusters, prune=True, canaries=canaries, **fields)


def shop(*policies: SyncPolicy, name: str = "shop", **source: Any) -> ApplicationSpec:
    """An Application."""
    return ApplicationSpec(
        namespace="team",
        name=name,
        source=GitSource(url="http://git/shop.git", branch="master", **source),
        policies=policies,
    )


@dataclass
class Fleet:
    """What the world looks like to an Application, and what was done to it."""

    revision: str = "master@sha1:1"
    source_message: str = ""
    pause: timedelta = timedelta(milliseconds=20)
    """How long a source without news is left alone."""
    looks: int = 0
    log: list[str] = field(default_factory=list)
    named: set[str] = field(default_factory=set)
    """Whose canaries were to be deleted."""
    siblings: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Beside which other policies one was brought to a cluster."""
    results: dict[str, SyncResult] = field(default_factory=dict)
    """What a sync or retirement in a cluster comes to, if not to success."""
    lost: set[str] = field(default_factory=set)
    """The clusters where nobody ever hears how a retirement went."""
    held: dict[str, asyncio.Event] = field(default_factory=dict)
    """What a sync or retirement in a cluster waits for."""
    canary_answer: ApplyResult = field(default_factory=lambda: ApplyResult(accepted=True))
    is_canary_silent: bool = False
    """Whether nobody knows what became of a canary that was to be started."""
    has_canaries: bool = True
    """Whether the workflows of canaries are there; somebody may have terminated them."""
    left_behind: str = ""
    """What a canary says that cannot take its way out."""
    histories: int = 0
    """So often a way out goes on in a new history."""
    judged: asyncio.Event | None = None
    """What a look at the clusters waits for."""
    is_blind: bool = False
    """Whether the worker cannot even look at the clusters."""
    unreachable: dict[str, Problem] = field(default_factory=dict)
    found: Preflight = field(default_factory=lambda: Preflight(scale_down_delay=timedelta(seconds=1)))

    def activities(self) -> list[Callable[..., Awaitable[Any]]]:
        """The fakes, under the names of the real ones."""
        return [
            self.fetch_revision,
            self.sync_policy,
            self.retire_policy,
            self.check_clusters,
            self.preflight,
            self.start_and_update,
            self.update_entity,
        ]

    @activity.defn
    async def fetch_revision(self, wanted: FetchRevision) -> FetchedRevision:
        self.looks += 1
        if (self.revision, self.source_message) == (wanted.known_revision, wanted.known_message):
            raise ApplicationError(
                "No news.", next_retry_delay=self.pause, category=ApplicationErrorCategory.BENIGN
            )
        return FetchedRevision(revision=self.revision, message=self.source_message)

    @activity.defn
    async def sync_policy(self, wanted: SyncInput) -> SyncResult:
        await self._hold(wanted.cluster)
        named = f"{wanted.policy.name} {wanted.cluster}"
        self.siblings[named] = tuple(policy.name for policy in wanted.siblings)
        self.log.append(f"sync {wanted.policy.name} {wanted.cluster} {wanted.revision[-1]}")
        done = SyncResult(is_done=True, inventory=("default_a__ConfigMap",))
        return self.results.get(wanted.cluster, done)

    @activity.defn
    async def retire_policy(self, wanted: RetireInput) -> SyncResult:
        await self._hold(wanted.cluster)
        named = f"retired {wanted.policy} {wanted.cluster}"
        self.siblings[named] = tuple(policy.name for policy in wanted.siblings)
        self.log.append(f"retire {wanted.policy} {wanted.cluster}{' prune' * wanted.prune}")
        if wanted.cluster in self.lost:
            raise ApplicationError("activity StartToClose timeout", non_retryable=True)
        return self.results.get(wanted.cluster, SyncResult(is_done=True))

    @activity.defn
    async def check_clusters(self, wanted: Members) -> Reachability:
        if self.judged:
            await self.judged.wait()
        if self.is_blind:
            raise ApplicationError("out of files", non_retryable=True)
        names = [cluster.name for cluster in wanted.clusters]
        problems = {name: problem for name, problem in self.unreachable.items() if name in names}
        return Reachability(problems=problems)

    @activity.defn
    async def preflight(self, _spec: CanarySpec) -> Preflight:
        return self.found

    @activity.defn
    async def start_and_update(self, wanted: EntityStart) -> EntityAnswer:
        started = "start and " if wanted.update == DELETE else ""
        self.log.append(f"{started}{wanted.update} {wanted.workflow}")
        if self.is_canary_silent:
            raise ApplicationError("connection lost", non_retryable=True)
        if wanted.update == DELETE:
            return EntityAnswer(is_there=True, answer=self._way_out())
        return EntityAnswer(is_there=True, answer=self.canary_answer.model_dump(mode="json"))

    @activity.defn
    async def update_entity(self, wanted: EntityUpdate) -> EntityAnswer:
        self.named.add(str(wanted.argument["document"]))
        self.log.append(f"{wanted.update} {wanted.workflow}")
        if not self.has_canaries:
            return EntityAnswer(is_there=False)
        return EntityAnswer(is_there=True, answer=self._way_out())

    def _way_out(self) -> dict[str, Any]:
        if self.histories:
            self.histories -= 1
            return Answer(message="it waits", is_done=False, goes_on=True).model_dump(mode="json")
        return Answer(message=self.left_behind, is_done=not self.left_behind).model_dump(mode="json")

    async def _hold(self, cluster: str) -> None:
        if cluster in self.held:
            while not self.held[cluster].is_set():
                activity.heartbeat()
                await asyncio.sleep(0.01)
