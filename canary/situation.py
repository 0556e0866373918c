"""Everything a decision stands on, in one place."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from canary.analysis import Check, GateCheck, HookAnswer
from canary.observation import Observation, Workload
from canary.readiness import Readiness, ReadinessVerdict, judge_readiness
from canary.spec import CanarySpec, WorkloadKind
from canary.status import RolloutStatus, Wishes
from canary.steps import FULL

RESYNC = timedelta(minutes=10)
"""So long nobody rests without a look: a doorbell may be lost, and an interval may be a day."""


@dataclass(frozen=True)
class Situation:
    """A rollout as it stands at one moment."""

    spec: CanarySpec
    status: RolloutStatus
    seen: Observation
    now: datetime
    check: Check | None = None
    """The check of this tick, once it has been carried out."""
    wishes: Wishes = field(default_factory=Wishes)
    gates: GateCheck | None = None
    """What the gates of the next step answered in this tick, once they have been asked."""

    @property
    def name(self) -> str:
        """The target as messages name it."""
        return f"{self.spec.target.name}.{self.spec.namespace}"

    @property
    def canary_name(self) -> str:
        """The canary as messages about its readiness name it."""
        return f"canary {str(self.spec.target.kind).lower()} {self.name}"

    @property
    def primary_name(self) -> str:
        """The primary as messages name it."""
        return f"{self.spec.primary}.{self.spec.namespace}"

    @property
    def rollback_answers(self) -> list[HookAnswer]:
        """What rollback hooks answered in this tick, beside the check and beside the gates."""
        asked = (each for each in (self.check, self.gates) if each is not None)
        return [answer for each in asked for answer in each.rollback]

    @property
    def next_tick(self) -> datetime:
        """When to look again where nothing can be done now: an interval on, if that is not long."""
        return self.now + min(self.spec.analysis.interval, RESYNC)

    @property
    def is_due(self) -> bool:
        """Whether the interval since the last tick is over."""
        return self.now >= self.status.due

    @property
    def target_serves(self) -> bool:
        """Whether traffic may stay on the target."""
        return _serves(self.seen.target)

    @property
    def primary_serves(self) -> bool:
        """Whether traffic may retreat to the primary."""
        return _serves(self.seen.primary)

    @property
    def is_all_gone(self) -> bool:
        """Whether there is neither a canary nor a primary any more."""
        return self.seen.target is None and self.seen.primary is None

    @property
    def is_half_promoted(self) -> bool:
        """Whether a promotion was cut off and left the primary with a template nobody vouches for."""
        return self.seen.primary is not None and bool(self.seen.primary.promoting)

    @property
    def primary_has_traffic(self) -> bool:
        """Whether the primary's readiness matters: not while the canary serves everybody."""
        is_limited = bool(self.spec.analysis.match) and not self.status.is_for_all
        return self.status.traffic_weight < FULL or is_limited

    @property
    def canary_has_traffic(self) -> bool:
        """Whether the canary gets traffic, by our account or in the routes."""
        routes = self.seen.routes
        return self.status.traffic_weight > 0 or (routes is not None and routes.canary > 0)

    @property
    def is_wanted_back(self) -> bool:
        """Whether a rollback hook has answered with a success (T6)."""
        return any(answer.passed for answer in self.rollback_answers)

    @property
    def are_routes_as_wanted(self) -> bool:
        """Whether routes say what the rollout wants; whom they are for matters only where there are some."""
        routes, status = self.seen.routes, self.status
        if routes is None:
            return False
        is_for_all = routes.is_for_all if routes.canary else status.is_for_all
        wanted = (status.traffic_weight, status.is_mirrored, status.is_for_all)
        return (routes.canary, routes.is_mirrored, is_for_all) == wanted

    @property
    def are_routes_ours(self) -> bool:
        """Whether we wrote them last, and as wanted: where they differ all the same, the document does."""
        routes = self.seen.routes
        return routes is not None and not routes.manager and self.are_routes_as_wanted

    @property
    def canary(self) -> ReadinessVerdict:
        """The readiness of the workload under analysis; one that somebody scaled to zero is not ready."""
        since, deadline = self.status.canary_unready_since, self.spec.progress_deadline
        threshold = self.spec.analysis.canary_ready_threshold
        verdict = judge_readiness(self.seen.target, threshold, deadline, since, self.now)
        if not verdict.is_ready or self.target_serves:
            return verdict
        is_late = since is not None and self.now - since >= deadline
        readiness = Readiness.FAILED if is_late else Readiness.WAITING
        return ReadinessVerdict(readiness=readiness, message="it has no serving pod")

    @property
    def primary(self) -> ReadinessVerdict:
        """The readiness of the primary."""
        return judge_readiness(
            self.seen.primary,
            self.spec.analysis.primary_ready_threshold,
            self.spec.progress_deadline,
            self.status.primary_unready_since,
            self.now,
        )

    @property
    def weak_primary(self) -> str:
        """Why the primary must not get all the traffic at any size; empty when it may."""
        if self.seen.primary is None or not self.primary.is_ready:
            return f"{self.primary_name} not ready: {self.primary.message}"
        return "" if self.primary_serves else f"{self.primary_name} has no serving pod"

    @property
    def small_primary(self) -> str:
        """Why the primary must not get all the traffic yet; empty when it may."""
        primary, weak = self.seen.primary, self.weak_primary
        if primary is None or weak:
            return weak
        size = self.size_for_all(primary)
        if primary.available >= size:
            return ""
        return f"{self.primary_name} has {primary.available} of the {size} pods it began with"

    def size_for_all(self, side: Workload) -> int:
        """How many pods a side needs to serve everybody: the primary's when the rollout began.

        Only of a Deployment is its size ours to say; any other has as many as there are nodes or endpoints.
        """
        size = self.status.primary_size
        return size if self.spec.target.kind is WorkloadKind.DEPLOYMENT else min(size, side.desired)


def _serves(workload: Workload | None) -> bool:
    return workload is not None and workload.is_serving
