"""What to do next: one look at a rollout in, one decision out.

`decide` is a ladder of early returns, safest case first. It knows no clock and no cluster: the moment and
everything seen are arguments, so equal arguments give equal decisions. When in doubt, it holds.
"""

from collections.abc import Callable
from datetime import datetime

from canary.analysis import AnalysisResult, closed_gate, judge_check
from canary.checks import next_check, next_gates
from canary.decision import (
    Advance,
    Approve,
    Begin,
    Correct,
    Decision,
    Finalise,
    Finish,
    HandOver,
    Hold,
    Measure,
    Promote,
    Reinforce,
    Restart,
    RestorePrimary,
    Retreat,
    Rollback,
    ShiftBack,
    Wait,
)
from canary.situation import Situation
from canary.spec import CanarySpec, HookType
from canary.status import Outcome, Person, Phase, RolloutStatus
from canary.steps import FULL, Step, next_step, weight_back

FOREIGN_WRITES = 3
"""So often foreign weights are put right in one rollout; after that we stand back and name the writer."""
WAITING_FOR = {
    HookType.CONFIRM_ROLLOUT: "approval",
    HookType.CONFIRM_TRAFFIC_INCREASE: "traffic increase approval",
    HookType.CONFIRM_PROMOTION: "promotion approval",
}

Rung = Callable[[Situation], Decision | None]


def decide(case: Situation) -> Decision:
    """Say what to do next in a rollout that has not ended."""
    match case.status.phase:
        case Phase.WAITING:
            rungs, tick = _WAITING, _confirm
        case Phase.PROMOTING:
            rungs, tick = _PROMOTING, _shift_back
        case Phase.FINALISING:
            rungs, tick = _FINALISING, _finish
        case _:
            rungs, tick = _ANALYSING, _analyse
    for rung in rungs:
        if (decision := rung(case)) is not None:
            return decision
    return tick(case)


def next_look(spec: CanarySpec, status: RolloutStatus, now: datetime) -> datetime:
    """When to look again where nothing rings before: at the next tick, or when a deadline passes."""
    deadlines = [
        since + spec.progress_deadline
        for since in (status.canary_unready_since, status.primary_unready_since)
        if since is not None and since + spec.progress_deadline > now
    ]
    return min([status.due, *deadlines])


def _abort(case: Situation) -> Decision | None:
    person = case.wishes.abort
    if person is None:
        return None
    wanted = Rollback(outcome=Outcome.ABORTED, message=_by("Aborted", person), by=person)
    return _onto_the_primary(case, wanted)


def _lost_target(case: Situation) -> Decision | None:
    if case.seen.target is not None:
        return None
    text = f"{case.spec.target.kind} {case.name} is gone"
    return _onto_the_primary(case, Rollback(outcome=Outcome.ROLLED_BACK, message=text))


def _reverted(case: Situation) -> Decision | None:
    """A target that is back at what was promoted needs no analysis (D6)."""
    status, target = case.status, case.seen.target
    if target is None or target.revision != status.promoted or status.revision == status.promoted:
        return None
    text = f"{case.name} is back at the promoted revision"
    return _onto_the_primary(case, Rollback(outcome=Outcome.REVERTED, message=text))


def _too_many_failures(case: Situation) -> Decision | None:
    """Also for a threshold reached while the primary was not serving, or lowered in mid-run."""
    if case.status.failed_checks < case.spec.analysis.threshold:
        return None
    text = _threshold(case, case.status.failed_checks)
    return _onto_the_primary(case, Rollback(outcome=Outcome.ROLLED_BACK, message=text))


def _new_revision(case: Situation) -> Decision | None:
    """No revision that was not analysed keeps a weight, and what a gate approved was another one (D5)."""
    target = case.seen.target
    if target is None or target.revision == case.status.revision:
        return None
    text = f"New revision detected! Restarting analysis for {case.name}"
    return _onto_the_primary(case, Restart(revision=target.revision, message=text))


def _restart(case: Situation) -> Decision | None:
    person = case.wishes.restart
    if person is None:
        return None
    wanted = Restart(revision=case.status.revision, message=_by("Restarted", person), by=person)
    return _onto_the_primary(case, wanted)


def _hooked_back(case: Situation) -> Decision | None:
    """A rollback hook that answers with a success wants the rollout back, also while it waits (T6)."""
    answers = [answer for asked in (case.check, case.gates) if asked is not None for answer in asked.rollback]
    if not any(answer.passed for answer in answers):
        return None
    text = f"Rolling back {case.name} manual webhook invoked"
    return _onto_the_primary(case, Rollback(outcome=Outcome.ROLLED_BACK, message=text))


def _approved(case: Situation) -> Approve | None:
    person, gate = case.wishes.approve, case.status.waiting_for
    if person is None or gate is None:
        return None
    return Approve(gate=gate, message=_by(f"{str(gate).capitalize()} approved", person), by=person)


def _drift(case: Situation) -> Decision | None:
    """Someone else's routes: put right, but not for ever, and never onto a side that does not serve (T2)."""
    routes, status = case.seen.routes, case.status
    wanted = status.traffic_weight
    if (
        routes is not None
        and routes.is_intact
        and (routes.canary, routes.is_mirrored)
        == (
            wanted,
            status.is_mirrored,
        )
    ):
        return None
    who = routes.manager if routes is not None and routes.manager else "someone"
    seen = "no routes" if routes is None else f"weight {routes.canary}"
    text = f"{who} left {seen} where {wanted} was set"
    if routes is not None and routes.canary == wanted:
        text = f"{who} changed the routes"
    if status.foreign_writes >= FOREIGN_WRITES:
        return _ask(case, f"Standing back, for the routes were undone {FOREIGN_WRITES} times: {text}")
    grows = routes is None or routes.canary < wanted
    if not (case.target_serves if grows and wanted else case.primary_serves):
        return _ask(case, f"{text}, and the side to put it back to is not serving")
    return Correct(weight=wanted, message=text)


def _past_the_deadline(case: Situation) -> Decision | None:
    for verdict in (case.canary, *((case.primary,) if case.primary_has_traffic else ())):
        if verdict.has_failed:
            wanted = Rollback(outcome=Outcome.ROLLED_BACK, message=verdict.message)
            return _onto_the_primary(case, wanted)
    return None


def _lost_canary(case: Situation) -> Decision | None:
    """A canary without a serving pod loses its traffic at once, and no timer is waited for (D10)."""
    if case.status.traffic_weight == 0 or case.target_serves:
        return None
    if not case.primary_serves:
        return _ask(case, "Neither the canary nor the primary is serving")
    return Retreat(message=f"{case.name} has no serving pod: its traffic goes to the primary")


def _too_early(case: Situation) -> Decision | None:
    """No step early; but a deadline that passes before the next tick is looked at in time."""
    if case.is_due:
        return None
    until = next_look(case.spec, case.status, case.now)
    return Wait(until=until, message=case.status.message)


def _confirm(case: Situation) -> Decision:
    """Nothing begins before the gates in front of the rollout are open."""
    if case.spec.suspend:
        return Wait(until=case.next_tick, message=f"{case.name} is suspended: no rollout begins")
    if (held := _held_by_a_gate(case)) is not None:
        return held
    return Begin(message=f"New revision detected! Scaling up {case.name}")


def _held_by_a_gate(case: Situation) -> Decision | None:
    """Ask the gates of the next step, hold where one is closed; None when all are open."""
    asked = next_gates(case.spec, case.status)
    if asked is None:
        return None
    if case.gates is None:
        return asked
    if (closed := closed_gate(case.gates)) is None:
        return None
    text = f"Halt {case.name} advancement waiting for {WAITING_FOR[closed.type]} {closed.hook}"
    return Hold(message=text, waiting_for=closed.type)


def _analyse(case: Situation) -> Decision:
    """One tick of the analysis, its interval being over."""
    if case.check is None and (check := next_check(case.spec, case.status, case.now)) is not None:
        return check
    if case.check is not None and (failed := _failed_check(case)) is not None:
        return failed
    if unready := _unready(case):
        return Hold(message=unready)
    if _has_to_be_opened(case):
        return Measure(hooks=(HookType.PRE_ROLLOUT,), has_metrics=False)
    if case.spec.suspend:
        return Hold(message=f"{case.name} is suspended: it keeps its weight and goes on being checked")
    return _grow(case)


def _has_to_be_opened(case: Situation) -> bool:
    """Whether the canary has just become ready, and its `pre-rollout` hooks have not been called."""
    if case.status.has_begun or not case.spec.analysis.hooks(HookType.PRE_ROLLOUT) or case.spec.skip_analysis:
        return False
    return case.check is None or HookType.PRE_ROLLOUT not in case.check.types


def _failed_check(case: Situation) -> Hold | Rollback | None:
    """A failed check counts, and the last one allowed ends the rollout at that very check (D1)."""
    assert case.check is not None  # noqa: S101 — narrows for the type checker; the caller has looked
    verdict = judge_check(case.spec, case.check, case.status.exposed_at)
    if verdict.result is AnalysisResult.SUCCESSFUL:
        return None
    text = f"Halt {case.name} advancement {verdict.message}"
    if not verdict.is_counted:
        return Hold(message=text)
    failed = case.status.failed_checks + 1
    if failed < case.spec.analysis.threshold or not case.primary_serves or case.is_half_promoted:
        return Hold(message=text, is_failed_check=True)
    text = f"{_threshold(case, failed)}: {verdict.message}"
    return Rollback(outcome=Outcome.ROLLED_BACK, message=text, is_failed_check=True)


def _unready(case: Situation) -> str:
    """Why exposure must not grow; empty when it may."""
    if case.primary_has_traffic and not case.primary.is_ready:
        return f"{case.primary_name} not ready: {case.primary.message}"
    if not case.canary.is_ready:
        return f"canary deployment {case.name} not ready: {case.canary.message}"
    return "" if case.target_serves else f"{case.name} has no serving pod"


def _grow(case: Situation) -> Decision:
    """The step that a passing check earns, once its gates are open."""
    spec, status = case.spec, case.status
    if status.is_retreated:
        text = f"{case.name} is ready again and gets its weight {status.exposure} back"
        return Advance(
            weight=status.exposure,
            iterations=status.iterations,
            is_mirrored=status.is_mirrored,
            message=text,
        )
    if spec.skip_analysis:
        return Promote(message=f"Copying {case.name} template spec to {case.primary_name}")
    step = next_step(spec.analysis, status)
    if step is not None and (small := _too_small(case, step)) is not None:
        return small
    if (held := _held_by_a_gate(case)) is not None:
        return held
    if step is None:
        return Promote(message=f"Copying {case.name} template spec to {case.primary_name}")
    return Advance(**step._asdict(), message=_advance(case, step))


def _too_small(case: Situation, step: Step) -> Decision | None:
    """Everybody goes to a canary only if it has as many pods as the primary began with."""
    target, size = case.seen.target, case.status.primary_size
    if step.weight < FULL or case.spec.analysis.match or target is None or target.available >= size:
        return None
    if target.desired < size:
        text = f"{case.name} is brought to the {size} pods of the primary before it serves everybody"
        return Reinforce(replicas=size, message=text)
    return Hold(message=f"{case.name} has {target.available} of the {size} pods that everybody needs")


def _advance(case: Situation, step: Step) -> str:
    total = case.spec.analysis.iterations
    if not total:
        return f"Advance {case.name} canary weight {step.weight}"
    if step.iterations <= total:
        return f"Advance {case.name} canary iteration {step.iterations}/{total}"
    if case.spec.analysis.mirror:
        return "Stop traffic mirroring and route all traffic to canary"
    return "Routing all traffic to canary"


def _abort_promotion(case: Situation) -> Decision | None:
    person = case.wishes.abort
    if person is None or case.status.is_restoring:
        return None
    return RestorePrimary(message=_by("Aborted", person), by=person)


def _unjudged(case: Situation) -> Decision | None:
    """In promotion a newer revision must not get the traffic of the one that was judged."""
    status, target = case.status, case.seen.target
    if status.traffic_weight == 0 or not case.primary_serves or target is None:
        return None
    if target.revision == status.revision:
        return None
    text = f"{case.name} has a newer revision: it waits for its own analysis without traffic"
    return Retreat(message=text, is_next_revision=True)


def _rescue(case: Situation) -> Decision | None:
    """The new primary does not get ready: the judged canary takes over, at the primary's former size."""
    if not case.primary.has_failed:
        return None
    text = f"Promotion of {case.name} failed, primary not ready: {case.primary.message}"
    target, size = case.seen.target, case.status.primary_size
    if (
        case.status.is_restoring
        or target is None
        or target.revision != case.status.revision
        or not target.is_serving
    ):
        return _ask(case, text)
    if target.desired < size:
        return Reinforce(replicas=size, message=text)
    if target.available < size:
        return _ask(case, text)
    return HandOver(message=text)


def _restoring(case: Situation) -> Decision | None:
    """The rest of an abort in mid-promotion: 100/0 once the restored primary is ready."""
    if not case.status.is_restoring:
        return None
    if small := case.small_primary:
        return Wait(until=case.next_tick, message=small)
    return Rollback(outcome=Outcome.ABORTED, message=case.status.message, by=case.status.by)


def _shift_back(case: Situation) -> Decision:
    """One tick of the promotion: the traffic goes back to the promoted primary, once it is big enough."""
    if small := case.small_primary:
        return Hold(message=small)
    weight = weight_back(case.spec.analysis.steps, case.status.traffic_weight)
    if weight == 0:
        return Finalise(message="Routing all traffic to primary")
    return ShiftBack(weight=weight, message=f"Advance {case.name} primary weight {FULL - weight}")


def _finish(case: Situation) -> Decision:
    """The last tick: the canary's pods go, but only while the primary can do without them."""
    if small := case.small_primary:
        return Hold(message=small)
    how = "Canary analysis was skipped for" if case.spec.skip_analysis else "Scaling down"
    return Finish(message=f"Promotion completed! {how} {case.name}")


_WAITING: tuple[Rung, ...] = (
    _abort,
    _lost_target,
    _reverted,
    _new_revision,
    _restart,
    _hooked_back,
    _approved,
    _drift,
)
_ANALYSING: tuple[Rung, ...] = (
    _abort,
    _lost_target,
    _reverted,
    _too_many_failures,
    _new_revision,
    _restart,
    _hooked_back,
    _approved,
    _drift,
    _past_the_deadline,
    _lost_canary,
    _too_early,
)
_PROMOTING: tuple[Rung, ...] = (
    _abort_promotion,
    _unjudged,
    _drift,
    _lost_canary,
    _rescue,
    _restoring,
    _too_early,
)
_FINALISING: tuple[Rung, ...] = (_drift, _too_early)


def _onto_the_primary(case: Situation, wanted: Rollback | Restart) -> Decision:
    """Take *wanted* if the primary serves, or if it has all the traffic already.

    A primary that was left in the middle of a promotion gets its promoted template back before it is used.
    """
    if case.is_half_promoted and case.canary_has_traffic:
        if isinstance(wanted, Rollback) and wanted.outcome is Outcome.ABORTED:
            return RestorePrimary(message=wanted.message, by=wanted.by)
        return _ask(case, f"{case.primary_name} is half promoted, so the traffic stays: {wanted.message}")
    if case.primary_serves or not case.canary_has_traffic:
        return wanted
    text = f"{case.primary_name} is not serving, so the traffic stays where it is: {wanted.message}"
    return _ask(case, text)


def _ask(case: Situation, message: str) -> Wait:
    """Hold, and call for a person."""
    return Wait(until=case.next_tick, message=message, needs_person=True)


def _threshold(case: Situation, failed: int) -> str:
    return f"Rolling back {case.name} failed checks threshold reached {failed}"


def _by(what: str, person: Person) -> str:
    return f"{what} by {person.who}" + (f": {person.reason}" if person.reason else "")
