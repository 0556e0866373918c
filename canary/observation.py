"""What was seen of a canary's workloads and routes at one moment: facts, no judgements."""

from datetime import datetime, timedelta

from canary.spec import Weight
from canary.status import Revision
from canary.stored import Stored

OUTDATED = timedelta(seconds=10)
"""What was found out longer ago is found out anew: nobody was there to act on it, and it may not hold."""


def is_outdated(found_at: datetime | None, now: datetime) -> bool:
    """Whether something was found out too long ago to be acted on; not if it does not tell when."""
    return found_at is not None and now - found_at > OUTDATED


class Workload(Stored):
    """A Deployment or DaemonSet as its status tells it; absent counters are zero."""

    name: str
    uid: str = ""
    generation: int = 0
    is_observed: bool = True
    """Whether its controller has seen the newest generation."""
    revision: Revision = Revision(template="")
    """What the target runs; of a primary, what it was last promoted to."""
    desired: int = 0
    updated: int = 0
    replicas: int = 0
    available: int = 0
    ready: int = 0
    has_exceeded_deadline: bool = False
    """Its own `progressDeadlineSeconds` has passed."""
    trouble: str = ""
    """What keeps pods from being ready that should be, as they say it."""
    unfit: str = ""
    """Of a target: why no traffic may go to its pods, however ready they are."""
    promoting: str = ""
    """Of a primary: the template hash that is being promoted, if that has not ended."""
    outcome: str = ""
    """Of a primary: how its last rollout ended."""
    is_paused: bool = False
    """Somebody else has set `spec.paused`: what is written into its template is not run."""
    last_applied: str = ""
    """Of a primary: the checksum of the revision that was rolled out last."""

    def is_still(self, revision: Revision, generation: int, uid: str = "") -> bool:
        """Whether it runs *revision*, last seen at that *generation* and *uid*, if one is known.

        A template that hashes otherwise although nobody wrote the object is the same revision: the API
        server was upgraded and fills in another default.
        """
        if self.revision.configs != revision.configs:
            return False
        is_unwritten = self.generation == generation != 0 and uid in ("", self.uid)
        return self.revision == revision or is_unwritten

    @property
    def is_serving(self) -> bool:
        """Whether at least one pod answers: what traffic may retreat to."""
        return self.ready > 0


class Routes(Stored):
    """The weights that stand in the VirtualService, of the requests that the canary may get."""

    primary: Weight
    canary: Weight
    is_mirrored: bool = False
    """Whether requests are mirrored to the canary."""
    is_for_all: bool = False
    """Whether the canary also gets requests that the analysis' `match` leaves out."""
    is_intact: bool = True
    """Whether what was generated stands as it was generated, weights and mirroring apart."""
    decided_at: datetime | None = None
    """The moment of the decision that wrote them, from the fence annotation."""
    manager: str = ""
    """Who wrote the routes last, where that was not us."""
    version: str = ""
    """The VirtualService's `resourceVersion`, if every route in it is ours: it can be written unread."""


class Observation(Stored):
    """One look at a canary in its cluster."""

    at: datetime
    target: Workload | None = None
    primary: Workload | None = None
    routes: Routes | None = None
    has_routes: bool = True
    """Whether the routes were looked at."""
    is_misled: bool = False
    """Whether a Service of the canary is gone, or somebody has led it elsewhere, as far as was looked."""
    found_at: datetime | None = None
    """When, by Temporal's clock and at the latest; None where it does not tell."""

    @property
    def full_size(self) -> int:
        """How many pods everybody had before a promotion that was cut off in the middle, as far as it shows.

        The primary's own are on their way from one template to another: what it is to have counts as well.
        Where the canary had taken over it was brought to the primary's size, and the primary's may be gone.
        """
        sides = [side for side in (self.target, self.primary) if side is not None]
        primary = self.primary.desired if self.primary is not None else 0
        return max([1, primary, *(side.available for side in sides)])
