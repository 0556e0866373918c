"""The safe cases, which come before any step: persons, lost and newer revisions, deadlines, foreign hands."""

from datetime import datetime

from canary.decision import (
    Approve,
    Begin,
    Correct,
    Decision,
    RecreatePrimary,
    Restart,
    Retreat,
    Rollback,
    Wait,
)
from canary.retreat import ask, by, from_a_lost_canary, onto_the_primary, threshold_reached, unserved
from canary.situation import RESYNC, Situation
from canary.spec import CanarySpec
from canary.status import Outcome, Phase, RolloutStatus

FOREIGN_WRITES = 3
"""So often foreign weights are put right in one rollout; after that we stand back and name the writer."""


def next_look(spec: CanarySpec, status: RolloutStatus, now: datetime) -> datetime:
    """When to look again where nothing rings before: at the next tick, at a deadline, or to be sure."""
    deadlines = [
        since + spec.progress_deadline
        for since in (status.canary_unready_since, status.primary_unready_since)
        if since is not None and since + spec.progress_deadline > now
    ]
    return min([status.due, now + RESYNC, *deadlines])


def abort(case: Situation) -> Decision | None:
    """A person ends the rollout, whatever its tick is doing."""
    person = case.wishes.abort
    if person is None:
        return None
    wanted = Rollback(outcome=Outcome.ABORTED, message=by("Aborted", person), by=person)
    return onto_the_primary(case, wanted)


def abort_at_once(case: Situation) -> Decision | None:
    """No person waits for a lost primary where no traffic has to be moved: it comes back all the same."""
    return None if case.canary_has_traffic else abort(case)


def lost_everything(case: Situation) -> Rollback | None:
    """Without target and primary there is nobody to be served: their namespace is being deleted."""
    if not case.is_all_gone:
        return None
    text = f"{case.spec.target.kind} {case.name} and {case.primary_name} are gone"
    return Rollback(outcome=Outcome.ROLLED_BACK, message=text, is_of_nothing=True)


def left(case: Situation) -> Rollback | None:
    """A canary is taken out, and the primary cannot have the traffic now: it stays where it is served.

    The way out takes it to the target from wherever it is, once that is ready.
    """
    person = case.wishes.leave
    if person is None:
        return None
    match case.status.phase:
        case Phase.PROMOTING:
            is_blocked = True  # the primary would get its promoted template back, only to be deleted
        case Phase.FINALISING:
            is_blocked = bool(case.weak_primary)
        case _:
            is_blocked = case.canary_has_traffic and (case.is_half_promoted or not case.primary_serves)
    if not is_blocked:
        return None
    text = f"{by('Aborted', person)}. The traffic stays where it is served until {case.name} can have it"
    return Rollback(outcome=Outcome.ABORTED, message=text, by=person, is_left=True)


def lost_target(case: Situation) -> Decision | None:
    """Without its target there is nothing to roll out."""
    if case.seen.target is not None:
        return None
    text = f"{case.spec.target.kind} {case.name} is gone"
    return onto_the_primary(case, Rollback(outcome=Outcome.ROLLED_BACK, message=text))


def reverted(case: Situation) -> Decision | None:
    """A target that is back at what was promoted needs no analysis (D6)."""
    status, target = case.status, case.seen.target
    if target is None or target.revision != status.promoted or status.revision == status.promoted:
        return None
    text = f"{case.name} is back at the promoted revision"
    return onto_the_primary(case, Rollback(outcome=Outcome.REVERTED, message=text))


def lost_primary(case: Situation) -> Decision | None:
    """Whoever is not with the canary has nowhere to go: the primary comes back before anything else."""
    if case.seen.primary is not None:
        return None
    return RecreatePrimary(
        message=f"{case.primary_name} is gone: it is made anew from what was promoted last"
    )


def too_many_failures(case: Situation) -> Decision | None:
    """Also for a threshold reached while the primary was not serving, or lowered in mid-run."""
    if case.status.failed_checks < case.spec.analysis.threshold:
        return None
    text = threshold_reached(case, case.status.failed_checks)
    return onto_the_primary(case, Rollback(outcome=Outcome.ROLLED_BACK, message=text))


def new_revision(case: Situation) -> Decision | None:
    """No revision that was not analysed keeps a weight, and what a gate approved was another one (D5)."""
    target = case.seen.target
    if target is None or target.revision == case.status.revision:
        return None
    text = f"New revision detected! Restarting analysis for {case.name}"
    return onto_the_primary(case, Restart(revision=target.revision, message=text))


def other_strategy(case: Situation) -> Decision | None:
    """Another strategy or match gives the weight to other people: what was judged counts for nothing."""
    status, analysis = case.status, case.spec.analysis
    is_same = status.strategy in (None, analysis.strategy)
    if is_same and status.match in (None, analysis.match):
        return None
    changed = "The match is another one" if is_same else f"The strategy is {analysis.strategy} now"
    if status.phase is not Phase.PROMOTING:
        text = f"{changed}! Restarting analysis for {case.name}"
        return onto_the_primary(case, Restart(revision=status.revision, message=text))
    if status.traffic_weight == 0:
        return None
    text = f"{changed}: {case.name} is promoted without traffic"
    return ask(case, f"{text}, once {small}") if (small := case.small_primary) else Retreat(message=text)


def restart(case: Situation) -> Decision | None:
    """A person begins the analysis again."""
    person = case.wishes.restart
    if person is None:
        return None
    wanted = Restart(revision=case.status.revision, message=by("Restarted", person), by=person)
    return onto_the_primary(case, wanted)


def hooked_back(case: Situation) -> Decision | None:
    """A rollback hook that answers with a success wants the rollout back, also while it waits (T6)."""
    if not case.is_wanted_back:
        return None
    text = f"Rolling back {case.name} manual webhook invoked"
    return onto_the_primary(case, Rollback(outcome=Outcome.ROLLED_BACK, message=text))


def approved(case: Situation) -> Approve | None:
    """A person answers the gate that is waited for, and is obeyed at once."""
    person, gate = case.wishes.approve, case.status.waiting_for
    if person is None or gate is None:
        return None
    return Approve(gate=gate, message=by(f"{str(gate).capitalize()} approved", person), by=person)


def drift(case: Situation) -> Correct | Wait | None:
    """Someone else's routes: put right, but not for ever, and never onto a side that does not serve (T2)."""
    routes, status = case.seen.routes, case.status
    wanted = status.traffic_weight
    if case.are_routes_as_wanted and routes is not None and routes.is_intact:
        return None
    if case.are_routes_ours and status.foreign_writes < FOREIGN_WRITES:
        return Correct(weight=wanted, message="the routes are brought in line with the document")
    who = routes.manager if routes is not None and routes.manager else "someone"
    seen = "no routes" if routes is None else f"weight {routes.canary}"
    text = f"{who} left {seen} where {wanted} was set"
    if routes is not None and routes.canary == wanted:
        text = f"{who} changed the routes"
    if status.foreign_writes >= FOREIGN_WRITES:
        return ask(case, f"Standing back, for the routes were undone {FOREIGN_WRITES} times: {text}")
    grows = routes is None or routes.canary < wanted
    if not (case.target_serves if grows and wanted else case.primary_serves):
        return ask(case, f"{text}, and the side to put it back to is not serving")
    return Correct(weight=wanted, message=text)


def primary_down(case: Situation) -> Wait | None:
    """A primary without a serving pod fails most users: no weight grows, and a person is asked at once.

    A check that has been carried out is judged first: what failed counts.
    """
    return unserved(case) if case.check is None else None


def past_the_deadline(case: Situation) -> Decision | None:
    """A workload that did not get ready in time ends the rollout."""
    sides = [(case.canary_name, case.canary)]
    if case.primary_has_traffic:
        sides.append((case.primary_name, case.primary))
    for name, verdict in sides:
        if verdict.has_failed:
            text = f"{name} not ready: {verdict.message}"
            wanted = Rollback(outcome=Outcome.ROLLED_BACK, message=text)
            return onto_the_primary(case, wanted)
    return None


def not_scaled_up(case: Situation) -> Begin | None:
    """A canary whose beginning was refused is scaled up before anything is judged."""
    if case.status.is_scaled_up:
        return None
    return Begin(message=f"New revision detected! Scaling up {case.name}")


def lost_canary(case: Situation) -> Decision | None:
    """A canary without a serving pod loses its traffic at once, and no timer is waited for (D10)."""
    if case.status.traffic_weight == 0 or case.target_serves:
        return None
    return from_a_lost_canary(case) or ask(case, "Neither the canary nor the primary is serving")


def too_early(case: Situation) -> Decision | None:
    """No step early; but a deadline that passes before the next tick is looked at in time."""
    if case.is_due:
        return None
    until = next_look(case.spec, case.status, case.now)
    return Wait(until=until, message=case.status.message)
