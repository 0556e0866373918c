"""What a rollout's status becomes: by looking, and by a decision that has been carried out."""

from datetime import datetime, timedelta
from typing import Any, assert_never

from canary.conditions import promoted as promoted_condition
from canary.decision import (
    Advance,
    Approve,
    Ask,
    Begin,
    Correct,
    Decision,
    Finalise,
    Finish,
    HandOver,
    Hold,
    Measure,
    Promote,
    RecreatePrimary,
    Reinforce,
    Restart,
    RestorePrimary,
    Retreat,
    Rollback,
    ShiftBack,
    Wait,
)
from canary.routing import routing_of
from canary.situation import Situation
from canary.spec import CanarySpec, HookType, Strategy, Weight
from canary.status import Outcome, Phase, Revision, RolloutStatus
from canary.steps import FULL

REMINDER = timedelta(hours=1)
"""So often it is told again that a gate is still closed."""


def begin(
    spec: CanarySpec, revision: Revision, promoted: Revision, primary_size: int, now: datetime
) -> RolloutStatus:
    """The status of a rollout that has just begun; its first tick is an interval away (D9)."""
    phase = first_phase(spec)
    return RolloutStatus(
        phase=phase,
        condition=promoted_condition(phase, spec.target.kind, None, now),
        revision=revision,
        promoted=promoted,
        primary_size=primary_size,
        is_scaled_up=phase is not Phase.WAITING,
        started_at=now,
        last_transition_time=now,
        due=now + spec.analysis.interval,
        actuated_at=now,
        canary_unready_since=now,
        message=f"New revision detected! Scaling up {spec.target.name}.{spec.namespace}",
    )


def first_phase(spec: CanarySpec) -> Phase:
    """The phase a rollout begins in: waiting, where a gate stands before it."""
    return Phase.WAITING if spec.analysis.hooks(HookType.CONFIRM_ROLLOUT) else Phase.PROGRESSING


def resumed(spec: CanarySpec, begun: RolloutStatus, weight: Weight) -> RolloutStatus:
    """The status of a rollout that goes on where another was cut off, with *weight* on the canary.

    Its first tick is at once: one check, and then what that decides. Iterations count as done, so that a
    canary which serves everybody is promoted and not sent back to its first iteration. The other may have
    been in the middle of a promotion: unless that is done anew, the primary is put back before the end.
    """
    return begun.model_copy(
        update={
            "phase": Phase.PROGRESSING,
            "is_scaled_up": True,
            "is_promotion_open": True,
            "has_begun": True,
            "canary_weight": weight if spec.analysis.strategy is Strategy.CANARY else 0,
            "exposure": weight,
            "exposed_at": begun.started_at,
            "iterations": spec.analysis.iterations + 1 if spec.analysis.iterations else 0,
            "is_for_all": bool(spec.analysis.match) and weight == FULL,
            "due": begun.started_at,
            "canary_unready_since": None,
            "message": f"Going on with {spec.target.name}.{spec.namespace} at weight {weight}",
            "traffic_weight": weight,
        }
    )


def noticed(case: Situation) -> RolloutStatus:
    """The status after a look: what the same revision hashes to, and since when a workload is unready."""
    status, target = case.status, case.seen.target
    same = target is not None and target.is_still(status.revision, status.generation, status.uid)
    return status.model_copy(
        update={
            "revision": target.revision if target and same else status.revision,
            "generation": target.generation if target and same else status.generation,
            "uid": target.uid if target and same else status.uid,
            "canary_unready_since": _since(case.canary.is_ready, status.canary_unready_since, case.now),
            "primary_unready_since": _since(case.primary.is_ready, status.primary_unready_since, case.now),
        }
    )


def after(case: Situation, decision: Decision, done_at: datetime) -> RolloutStatus:
    """The status once *decision* has been carried out; its last write was confirmed at *done_at*."""
    changes = _changes(case, decision, done_at)
    if isinstance(
        decision,
        Begin | Advance | Hold | Restart | Retreat | Promote | ShiftBack | Finalise | RestorePrimary,
    ):
        changes["due"] = done_at + case.spec.analysis.interval
    if not isinstance(decision, Measure | Ask):
        needs_person = isinstance(decision, HandOver) or (
            isinstance(decision, Wait) and decision.needs_person
        )
        changes |= {"message": decision.message, "needs_person": needs_person}
    status = case.status.model_copy(update=changes)
    condition = promoted_condition(status.phase, case.spec.target.kind, status.condition, done_at)
    status = status.model_copy(update={"condition": condition})
    if any(getattr(status, name) != getattr(case.status, name) for name in _SHOWN):
        return status.model_copy(update={"last_transition_time": done_at})
    return status


def after_the_end(status: RolloutStatus, decision: Correct | Wait, done_at: datetime) -> RolloutStatus:
    """The status once routes that somebody led to an ended rollout's canary are put right, or left alone.

    How it ended stays its message; the mesh has to forget the canary anew.
    """
    if isinstance(decision, Correct):
        writes = status.foreign_writes + 1
        return status.model_copy(update={"foreign_writes": writes, "traffic_changed_at": done_at})
    message = f"{status.message}. {decision.message}: its canary keeps its pods"
    return status.model_copy(update={"message": message, "needs_person": True})


_SHOWN = (
    "phase",
    "canary_weight",
    "traffic_weight",
    "iterations",
    "failed_checks",
    "restarts",
    "needs_person",
)
"""The fields whose change is a transition."""


def _changes(  # noqa: C901, PLR0911, PLR0912 — one arm a decision, so that mypy names the one that is missing
    case: Situation, decision: Decision, done_at: datetime
) -> dict[str, Any]:
    status = case.status
    match decision:
        case Wait() | Measure() | Ask() | Reinforce():
            return {}
        case RecreatePrimary():
            return {"primary_unready_since": done_at, **_judged_again(case)}
        case Begin():
            return {
                "phase": Phase.PROGRESSING,
                "is_scaled_up": True,
                "waiting_for": None,
                "canary_unready_since": done_at,
            }
        case Approve():
            approved = (*status.approved, decision.gate)
            due = status.due if status.is_retreated else done_at
            return {"approved": approved, "waiting_for": None, "reminded_at": None, "due": due}
        case Hold():
            return _held(status, decision, done_at)
        case Correct():
            return {"foreign_writes": status.foreign_writes + 1}
        case Advance():
            return _advanced(case, decision, done_at)
        case Restart():
            return _restarted(case, decision, done_at)
        case Retreat():
            return {
                "is_retreated": status.phase.is_under_analysis,
                "next_revision": status.next_revision or decision.is_next_revision,
                **_traffic(case, 0, done_at),
            }
        case Promote():
            return {
                "phase": Phase.PROMOTING,
                "is_promotion_open": False,
                "canary_weight": 0,
                "waiting_for": None,
                "primary_unready_since": done_at,
            }
        case ShiftBack():
            return _traffic(case, decision.weight, done_at)
        case Finalise():
            done = {"phase": Phase.FINALISING, "canary_weight": 0, "iterations": 0}
            return {**done, **_traffic(case, 0, done_at)}
        case RestorePrimary():
            return {
                "phase": Phase.PROMOTING,
                "is_promotion_open": False,
                "is_restoring": True,
                "waiting_for": None,
                "primary_unready_since": done_at,
                "by": decision.by,
            }
        case Finish():
            return {"phase": Phase.SUCCEEDED, "outcome": Outcome.PROMOTED}
        case Rollback():
            return _rolled_back(case, decision, done_at)
        case HandOver():
            handed = {"phase": Phase.FAILED, "outcome": Outcome.HALTED, **_traffic(case, FULL, done_at)}
            return {**handed, "is_for_all": bool(case.spec.analysis.match)}
        case _:
            assert_never(decision)


def _held(status: RolloutStatus, decision: Hold, done_at: datetime) -> dict[str, Any]:
    """A closed gate stays waited for until it opens; while it does, the rest of the analysis goes on."""
    changes: dict[str, Any] = {"failed_checks": status.failed_checks + decision.is_failed_check}
    if decision.waiting_for is None:
        return changes
    changes["waiting_for"] = decision.waiting_for
    if decision.waiting_for is HookType.CONFIRM_PROMOTION:
        changes["phase"] = Phase.WAITING_PROMOTION
    if is_to_be_told(status, decision, done_at):
        changes["reminded_at"] = done_at
    return changes


def is_to_be_told(status: RolloutStatus, decision: Hold, now: datetime) -> bool:
    """Whether a closed gate is news: when it is first found closed, and again once in a while."""
    if status.waiting_for is not decision.waiting_for or status.reminded_at is None:
        return True
    return now - status.reminded_at >= REMINDER


def _advanced(case: Situation, decision: Advance, done_at: datetime) -> dict[str, Any]:
    status = case.status
    before = (status.has_begun, status.traffic_weight, status.is_mirrored)
    is_same = before == (True, decision.weight, decision.is_mirrored)
    return {
        "phase": Phase.PROGRESSING,
        "canary_weight": decision.weight if case.spec.analysis.strategy is Strategy.CANARY else 0,
        "exposure": decision.weight,
        "iterations": decision.iterations,
        "has_begun": True,
        "strategy": case.spec.analysis.strategy,
        "match": case.spec.analysis.match,
        "exposed_at": status.exposed_at or done_at,
        "is_retreated": False,
        "waiting_for": None,
        "reminded_at": None,
        "approved": tuple(gate for gate in status.approved if gate is not HookType.CONFIRM_TRAFFIC_INCREASE),
        "actuated_at": status.actuated_at if is_same else done_at,
        **_traffic(case, decision.weight, status.traffic_changed_at if is_same else done_at),
        "is_mirrored": decision.is_mirrored,
    }


_UNEXPOSED = {
    "canary_weight": 0,
    "exposure": 0,
    "has_begun": False,
    "strategy": None,
    "match": None,
    "exposed_at": None,
    "iterations": 0,
}
"""An analysis before its first step."""


def _restarted(case: Situation, decision: Restart, done_at: datetime) -> dict[str, Any]:
    status = case.status
    return {
        "phase": first_phase(case.spec),
        "revision": decision.revision,
        **_UNEXPOSED,
        "failed_checks": 0,
        "restarts": status.restarts + 1,
        "is_promotion_open": False,
        "is_retreated": False,
        "waiting_for": None,
        "reminded_at": None,
        "approved": (),
        "actuated_at": done_at,
        "canary_unready_since": done_at,
        "by": decision.by,
        **_traffic(case, 0, done_at if status.traffic_weight else status.traffic_changed_at),
    }


def _judged_again(case: Situation) -> dict[str, Any]:
    """A primary lost after its promotion is back at what was promoted before: the canary keeps its weight."""
    status, weight = case.status, case.status.traffic_weight
    if status.is_restoring or status.phase not in (Phase.PROMOTING, Phase.FINALISING):
        return {}
    is_weighed = case.spec.analysis.strategy is Strategy.CANARY
    exposed = {"canary_weight": weight if is_weighed else 0, "exposure": weight}
    return {"phase": Phase.PROGRESSING, **(exposed if weight else _UNEXPOSED)}


def _rolled_back(case: Situation, decision: Rollback, done_at: datetime) -> dict[str, Any]:
    """Counters are kept: they are evidence (D4)."""
    status = case.status
    return {
        "phase": Phase.FAILED,
        "outcome": decision.outcome,
        "by": decision.by,
        "canary_weight": 0,
        "waiting_for": None,
        "failed_checks": status.failed_checks + decision.is_failed_check,
        **(
            {"is_left": True}
            if decision.is_left
            else _traffic(case, 0, done_at if case.canary_has_traffic else status.traffic_changed_at)
        ),
    }


def _traffic(case: Situation, weight: Weight, changed_at: datetime | None) -> dict[str, Any]:
    changes: dict[str, Any] = {
        "traffic_weight": weight,
        "traffic_changed_at": changed_at,
        "is_mirrored": False,
    }
    if weight == 0:
        changes |= {
            "expired_cookie": routing_of(case.spec, case.status, 0).expired_cookie,
            "is_for_all": False,
        }
    return changes


def _since(is_ready: bool, since: datetime | None, now: datetime) -> datetime | None:  # noqa: FBT001 — reads well
    if is_ready:
        return None
    return since or now
