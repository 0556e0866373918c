"""The promotion: traffic back to a primary that is ready and large enough, and what if it is not."""

from canary.decision import (
    Decision,
    Finalise,
    Finish,
    HandOver,
    Hold,
    Reinforce,
    RestorePrimary,
    Retreat,
    Rollback,
    ShiftBack,
    Wait,
)
from canary.retreat import ask, by
from canary.situation import Situation
from canary.status import Outcome
from canary.steps import FULL, weight_back


def abort_promotion(case: Situation) -> Decision | None:
    """An abort in mid-promotion: the promoted template goes back into the primary first."""
    person = case.wishes.abort
    if person is None or case.status.is_restoring:
        return None
    return RestorePrimary(message=by("Aborted", person), by=person)


def unjudged(case: Situation) -> Decision | None:
    """In promotion a newer revision must not get the traffic of the one that was judged.

    While the target is paused a newer one has no pods: the judged ones serve until the primary is big enough.
    """
    status, target = case.status, case.seen.target
    if status.traffic_weight == 0 or not case.primary_serves or target is None:
        return None
    if target.revision == status.revision or (target.is_observed and target.updated == 0):
        return None
    text = f"{case.name} has a newer revision: it waits for its own analysis without traffic"
    return Retreat(message=text, is_next_revision=True)


def rescue(case: Situation) -> Decision | None:
    """The new primary does not get ready: the judged canary takes over, at the primary's former size."""
    if not case.primary.has_failed:
        return None
    text = f"Promotion of {case.name} failed, primary not ready: {case.primary.message}"
    target = case.seen.target
    if (
        case.status.is_restoring
        or target is None
        or target.revision != case.status.revision
        or not target.is_serving
    ):
        return ask(case, text)
    size = case.size_for_all(target)
    if target.desired < size:
        return Reinforce(replicas=size, message=text)
    if target.available < size:
        return ask(case, text)
    return HandOver(message=text)


def restoring(case: Situation) -> Decision | None:
    """The rest of an abort in mid-promotion: 100/0 once the restored primary is ready."""
    if not case.status.is_restoring:
        return None
    if weak := case.weak_primary:  # its autoscaler has its size, and a person wants the traffic back
        return Wait(until=case.next_tick, message=weak)
    return Rollback(outcome=Outcome.ABORTED, message=case.status.message, by=case.status.by)


def shift_back(case: Situation) -> Decision:
    """One tick of the promotion: the traffic goes back to the promoted primary, once it is big enough."""
    if small := case.small_primary:
        is_long = case.now - case.status.last_transition_time >= case.spec.progress_deadline
        if is_long or case.status.needs_person:  # as where an autoscaler has made it smaller meanwhile
            return ask(case, f"{small}: give it more, or abort")
        return Hold(message=small)
    plan = case.spec.analysis.steps
    weight = weight_back(plan, case.status.traffic_weight)
    stepwise = f"Advance {case.name} primary weight {FULL - weight}"
    if weight:
        return ShiftBack(weight=weight, message=stepwise)
    return Finalise(message=stepwise if plan.is_stepwise_back else "Routing all traffic to primary")


def finish(case: Situation) -> Decision:
    """The last tick: the canary's pods go, but only while the primary can do without them."""
    if weak := case.weak_primary:  # it serves everybody already, at whatever size
        return Hold(message=weak)
    how = "Canary analysis was skipped for" if case.spec.skip_analysis else "Scaling down"
    return Finish(message=f"Promotion completed! {how} {case.name}")
