"""What has been brought where: one delivery for each policy of an Application in each cluster."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum

from canary.application import ApplicationSpec, ClusterRef, SyncPolicy
from canary.spec import AnalysisSpec, CanarySpec
from canary.stored import Stored

FIRST_BACK_OFF = timedelta(seconds=2)
LONGEST_BACK_OFF = timedelta(minutes=5)
GIVE_UP_AFTER = timedelta(minutes=5)
"""How long an unreachable cluster is waited for when a policy is taken back from it."""
FIRST_PRUNING_AGAIN = timedelta(minutes=1)
LONGEST_PRUNING_AGAIN = timedelta(minutes=10)
"""How long what could not be pruned is left alone: that may be for as long as a revision is not promoted."""
_MOST_DOUBLINGS = 16


class ApplicationPhase(StrEnum):
    """How an Application stands, in the words of Kurator's fleets."""

    PENDING = "Pending"
    RUNNING = "Running"
    READY = "Ready"
    FAILED = "Failed"
    TERMINATING = "Terminating"


class Delivery(Stored):
    """One policy in one cluster: what is wanted there, and what came of it."""

    policy: SyncPolicy
    """As it is wanted; of its clusters and canaries, those of this cluster."""
    cluster: ClusterRef
    canary: CanarySpec | None = None
    """The canary that has been handed to its own workflow."""
    retired_at: datetime | None = None
    """Since when it is no longer wanted."""
    is_stale: bool = True
    """What is wanted has changed since it was last applied."""
    applied_revision: str = ""
    attempted_revision: str = ""
    inventory: tuple[str, ...] = ()
    message: str = ""
    failures: int = 0
    waits: int = 0
    """How often in a row something was to be pruned of this revision that could not go yet."""
    unanswered_since: datetime | None = None
    """Since when its cluster has not answered to having it taken back."""
    due: datetime | None = None
    """When it is tried again or applied anew; at once if anything changed before."""

    @property
    def key(self) -> str:
        """What it is shown as: `<policy>-<cluster>`, which two of them may have alike."""
        return f"{self.policy.name}-{self.cluster.name}"

    @property
    def identity(self) -> tuple[str, str]:
        """What tells it from the others of its Application."""
        return (self.policy.name, self.cluster.name)

    @property
    def wanted_canary(self) -> CanarySpec | None:
        """The canary that is to be there."""
        return self.policy.canaries[0] if self.policy.canaries and self.retired_at is None else None

    @property
    def has_canary_too_many(self) -> bool:
        """Whether the canary that is there has to be deleted: it is gone from the policy, or another one."""
        wanted = self.wanted_canary
        return self.canary is not None and (wanted is None or wanted.tail != self.canary.tail)

    def is_current(self, revision: str) -> bool:
        """Whether the cluster holds this revision of what is wanted."""
        return not self.is_stale and self.applied_revision == revision and not self.failures

    def is_due(self, revision: str, now: datetime) -> bool:
        """Whether there is something to do."""
        if self.retired_at is None and not revision:
            return False
        if self.retired_at is None and self.attempted_revision != revision:
            return True
        return (self.is_stale and not self.failures) or (self.due is not None and self.due <= now)

    def brought(self, revision: str, *, is_waiting: bool) -> "Delivery":
        """The delivery after a build of it was applied; *is_waiting* if not all could be pruned yet."""
        before = self.waits if self.attempted_revision == revision else 0
        return self.model_copy(update={"waits": before + 1 if is_waiting else 0})

    def succeeded(self, revision: str, now: datetime) -> "Delivery":
        """The delivery after all of it worked."""
        pauses = [self.policy.interval] if self.policy.interval else []
        if self.waits:
            pauses.append(_pruning_again(self.waits))
        again = now + min(pauses) if pauses else None
        done = {"applied_revision": revision, "attempted_revision": revision, "due": again}
        return self.model_copy(update={**done, "is_stale": False, "failures": 0})

    def failed(self, revision: str, message: str, now: datetime) -> "Delivery":
        """The delivery after something did not work."""
        doublings: int = 2 ** min(self.failures, _MOST_DOUBLINGS)
        again = now + min(FIRST_BACK_OFF * doublings, LONGEST_BACK_OFF)
        told = {"attempted_revision": revision, "message": message, "due": again}
        return self.model_copy(update={**told, "failures": self.failures + 1})

    def kept(self, message: str, now: datetime) -> "Delivery":
        """The delivery that is to be taken back while users may still need what it brought."""
        waits = self.waits + 1
        told = {"message": message, "waits": waits, "due": now + _pruning_again(waits)}
        done = {"is_stale": False, "failures": 0, "unanswered_since": None}
        return self.model_copy(update=told | done)

    def tried_to_retire(self, now: datetime, *, is_answered: bool) -> "Delivery":
        """The delivery after it could not be taken back, whether or not its cluster said why."""
        since = None if is_answered else (self.unanswered_since or now)
        return self.model_copy(update={"unanswered_since": since})

    def is_given_up(self, now: datetime) -> bool:
        """Whether its cluster has been unreachable for so long that it is left as it is."""
        return self.unanswered_since is not None and now - self.unanswered_since >= GIVE_UP_AFTER


def _pruning_again(waits: int) -> timedelta:
    """How long to leave alone what could not be pruned so many times."""
    doublings: int = 2 ** min(waits - 1, _MOST_DOUBLINGS)
    return min(FIRST_PRUNING_AGAIN * doublings, LONGEST_PRUNING_AGAIN)


class Leftover(Stored):
    """What an Application could not take back from a cluster."""

    policy: str
    cluster: str
    message: str


def wanted_by(spec: ApplicationSpec) -> list[Delivery]:
    """List the deliveries of a spec, in its order."""
    return [
        Delivery(policy=_narrowed(policy, cluster), cluster=cluster)
        for policy in spec.policies
        for cluster in policy.clusters
    ]


def revised(known: Iterable[Delivery], spec: ApplicationSpec | None, now: datetime) -> tuple[Delivery, ...]:
    """Turn the deliveries to another spec: what stays keeps its state, what is gone is retired.

    Without a spec all are retired.
    """
    before = {delivery.identity: delivery for delivery in known}
    wanted = {delivery.identity: delivery for delivery in (wanted_by(spec) if spec else ())}
    stay = [_revised(before.get(identity), delivery) for identity, delivery in wanted.items()]
    gone = [_retired(delivery, now) for identity, delivery in before.items() if identity not in wanted]
    return tuple(_with_canaries_moved([*stay, *gone]))


def siblings_of(delivery: Delivery, deliveries: Iterable[Delivery]) -> tuple[SyncPolicy, ...]:
    """The other policies that are wanted in the cluster of a delivery, as far as it has to know them."""
    return tuple(
        _as_sibling(other.policy)
        for other in deliveries
        if other.cluster.name == delivery.cluster.name
        and other.policy.name != delivery.policy.name
        and other.retired_at is None
    )


def offered_again(known: Iterable[Delivery]) -> tuple[Delivery, ...]:
    """Have all brought again although nothing has changed: whom it went to may have been terminated."""
    return tuple(delivery.model_copy(update={"is_stale": True, "failures": 0}) for delivery in known)


def next_to_serve(deliveries: list[Delivery], revision: str, now: datetime) -> Delivery | None:
    """Choose what is to be done next of all that is wanted of one cluster.

    Canaries that are too many go first, so that no source takes a field from a rollout that still serves by
    it; what is no longer wanted goes last, so that another policy can take its objects over before they are
    pruned.
    """
    waiting = (delivery for delivery in _unblocked(deliveries, revision) if delivery.is_due(revision, now))
    return next(waiting, None)


def next_due(deliveries: list[Delivery], revision: str) -> datetime | None:
    """When one cluster is to be looked at again without any news."""
    times = (delivery.due for delivery in _unblocked(deliveries, revision))
    return min((due for due in times if due), default=None)


def concluded(
    deliveries: Iterable[Delivery], begun: Delivery, outcome: Delivery | None
) -> tuple[Delivery, ...]:
    """Put what came of a delivery in its place."""
    after = [
        _merged(begun, delivery, outcome) if delivery.identity == begun.identity else delivery
        for delivery in deliveries
    ]
    # It may have started a canary that another policy wants by now.
    return tuple(_with_canaries_moved([delivery for delivery in after if delivery is not None]))


def still_left(
    known: Iterable[Leftover], deliveries: Iterable[Delivery], more: Leftover | None = None
) -> tuple[Leftover, ...]:
    """What is left behind, but for what is wanted there again."""
    wanted = {delivery.identity for delivery in deliveries if delivery.retired_at is None}
    found = (*known, *([more] if more else ()))
    return tuple(dict.fromkeys(each for each in found if (each.policy, each.cluster) not in wanted))


def _merged(begun: Delivery, current: Delivery, outcome: Delivery | None) -> Delivery | None:
    """Bring together what came of a delivery and what has been wanted of it meanwhile."""
    is_same = (begun.policy, begun.cluster, begun.retired_at) == (
        current.policy,
        current.cluster,
        current.retired_at,
    )
    if is_same:
        return outcome
    if outcome is None:  # taken back, and wanted again meanwhile
        return Delivery(policy=current.policy, cluster=current.cluster)
    wanted = {"policy": current.policy, "cluster": current.cluster, "retired_at": current.retired_at}
    return outcome.model_copy(update={**wanted, "is_stale": True, "failures": 0, "due": current.due})


def phase_of(deliveries: Iterable[Delivery], revision: str, source_message: str) -> ApplicationPhase:
    """Sum up an Application."""
    all_of_them = list(deliveries)
    if source_message or any(delivery.failures for delivery in all_of_them):
        return ApplicationPhase.FAILED
    if not revision:
        return ApplicationPhase.PENDING
    if all(delivery.is_current(revision) for delivery in all_of_them):
        return ApplicationPhase.READY
    return ApplicationPhase.RUNNING


def summary_of(deliveries: Iterable[Delivery], revision: str, source_message: str) -> str:
    """Say in one sentence how an Application stands."""
    all_of_them = list(deliveries)
    current = sum(delivery.is_current(revision) for delivery in all_of_them)
    failed = [delivery for delivery in all_of_them if delivery.failures]
    if source_message:
        return source_message
    if failed:
        return f"{failed[0].key}: {failed[0].message}"
    return f"Applied to {current} of {len(all_of_them)}." if revision else "Looking for the source."


def _unblocked(deliveries: list[Delivery], revision: str) -> list[Delivery]:
    if too_many := [delivery for delivery in deliveries if delivery.has_canary_too_many]:
        return too_many
    wanted = [delivery for delivery in deliveries if delivery.retired_at is None]
    is_settled = all(delivery.is_current(revision) for delivery in wanted)
    return deliveries if is_settled else wanted


def _with_canaries_moved(deliveries: list[Delivery]) -> list[Delivery]:
    """Give a canary to the policy that wants it now, so that a renamed policy does not end its canary."""
    spare = {
        delivery.canary.tail: delivery.canary
        for delivery in deliveries
        if delivery.canary and delivery.has_canary_too_many
    }
    wanted = {delivery.wanted_canary.tail for delivery in deliveries if delivery.wanted_canary}
    return [_with_canary_moved(delivery, spare, wanted) for delivery in deliveries]


def _with_canary_moved(delivery: Delivery, spare: dict[str, CanarySpec], wanted: set[str]) -> Delivery:
    own = delivery.canary
    if own and delivery.has_canary_too_many and own.tail in wanted:
        own = None
    if own is None and delivery.wanted_canary:
        own = spare.get(delivery.wanted_canary.tail)
    return delivery.model_copy(update={"canary": own})


def _as_sibling(policy: SyncPolicy) -> SyncPolicy:
    # How its canaries are judged is most of it, and would stand in the history of every delivery.
    canaries = tuple(canary.model_copy(update={"analysis": AnalysisSpec()}) for canary in policy.canaries)
    return policy.model_copy(update={"canaries": canaries})


def _narrowed(policy: SyncPolicy, cluster: ClusterRef) -> SyncPolicy:
    own = tuple(canary for canary in policy.canaries if canary.cluster == cluster.name)
    return policy.model_copy(update={"clusters": (cluster,), "canaries": own})


def _retired(delivery: Delivery, now: datetime) -> Delivery:
    if delivery.retired_at is None:
        return delivery.model_copy(
            update={"retired_at": now, "is_stale": True, "failures": 0, "waits": 0, "due": now}
        )
    # Whom it waits for may be gone from the document as well.
    return delivery.model_copy(update={"due": now}) if delivery.waits else delivery


def _revised(known: Delivery | None, wanted: Delivery) -> Delivery:
    if known is None:
        return wanted
    if known.policy == wanted.policy and known.cluster == wanted.cluster and known.retired_at is None:
        return known
    changed = {
        "policy": wanted.policy,
        "cluster": wanted.cluster,
        "retired_at": None,
        "unanswered_since": None,
    }
    return known.model_copy(update={**changed, "is_stale": True, "failures": 0, "due": None})
