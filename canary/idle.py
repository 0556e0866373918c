"""What to do while no rollout runs: one look at a canary in, one decision out."""

from canary.observation import Observation
from canary.spec import CanarySpec
from canary.status import CanaryStatus, Outcome, Person, Revision, Wishes
from canary.stored import Stored


class Rest(Stored):
    """Nothing to do until something changes."""

    message: str = ""
    needs_person: bool = False


class Roll(Stored):
    """Start a rollout of the target's revision."""

    revision: Revision


class Resume(Stored):
    """Go on with a promotion that was halted: promote again, or give it up."""

    revision: Revision
    abort: Person | None = None


class Recreate(Stored):
    """Make the primary anew from what was promoted last: somebody deleted it (T14)."""

    message: str


class Mend(Stored):
    """Put Services and routes back as they are generated; the weights stay (T2)."""

    message: str


IdleDecision = Rest | Roll | Resume | Recreate | Mend

SUSPENDED = "Suspended: a new revision starts nothing"
MENDINGS = 3
"""So often routes are put right between two rollouts; after that we stand back and name the writer."""


def noticed_idle(status: CanaryStatus, seen: Observation) -> CanaryStatus:
    """The status after a look: what the applied revision hashes to, and at which generation."""
    target, applied = seen.target, status.last_applied
    if target is None or applied is None or not target.is_still(applied, status.generation, status.uid):
        return status
    changes = {"last_applied": target.revision, "generation": target.generation, "uid": target.uid}
    if status.last_promoted == applied:
        changes["last_promoted"] = target.revision
    return status.model_copy(update=changes)


def decide_idle(spec: CanarySpec, status: CanaryStatus, seen: Observation, wishes: Wishes) -> IdleDecision:
    """Say whether a rollout begins; a revision that has failed is not tried again unasked."""
    target = seen.target
    if target is None:
        return Rest(message=f"{spec.target.kind} {spec.target.name} is not there")
    if status.outcome is Outcome.HALTED:
        return _halted(status, target.revision, wishes)
    return _repair(spec, status, seen) or _next(spec, status, seen, target.revision, wishes)


def _next(
    spec: CanarySpec, status: CanaryStatus, seen: Observation, revision: Revision, wishes: Wishes
) -> Rest | Roll:
    """What a canary that stands as it should does with its target's revision."""
    if spec.suspend:
        return _exposed(seen) or Rest(message=SUSPENDED)
    if revision == status.last_promoted or (revision == status.last_applied and wishes.restart is None):
        return _exposed(seen) or _at_rest(status, seen)
    return Roll(revision=revision)


def _repair(spec: CanarySpec, status: CanaryStatus, seen: Observation) -> Recreate | Mend | Rest | None:
    """What a canary needs before anything else can be done with it."""
    name = f"{spec.primary}.{spec.namespace}"
    if seen.primary is None:
        return Recreate(message=f"{name} is gone: it is made anew from what was promoted last")
    routes = seen.routes
    if routes is not None and routes.is_intact:
        return None
    who = routes.manager if routes is not None and routes.manager else "someone"
    text = f"{who} {'took the routes away' if routes is None else 'changed the routes'}"
    if status.mendings >= MENDINGS:
        text = f"Standing back, for the routes were undone {MENDINGS} times: {text}"
        return Rest(message=text, needs_person=True)
    return Mend(message=f"{text} while no rollout runs: they are put back")


def _halted(status: CanaryStatus, revision: Revision, wishes: Wishes) -> Rest | Resume:
    """The canary serves everybody; only a person says how it goes on."""
    judged = status.last_applied or revision
    if wishes.restart is not None and revision != judged:  # nobody has judged it: first of all back
        return Resume(revision=judged, abort=wishes.abort or wishes.restart)
    if wishes.abort is not None or wishes.restart is not None:
        return Resume(revision=judged, abort=wishes.abort)
    return Rest(message=status.ending, needs_person=True)


def _exposed(seen: Observation) -> Rest | None:
    """A person's edit of the weights while nothing runs is reported, not undone."""
    if seen.routes is None or not seen.routes.canary:
        return None
    who = seen.routes.manager or "someone"
    text = f"{who} gave the canary weight {seen.routes.canary} while no rollout runs"
    return Rest(message=text, needs_person=True)


def _at_rest(status: CanaryStatus, seen: Observation) -> Rest:
    """Say how the last rollout ended; pods that it has left to a person are asked for until they are gone."""
    is_asked = status.are_pods_kept and seen.target is not None and seen.target.desired > 0
    return Rest(message=status.ending, needs_person=is_asked)
