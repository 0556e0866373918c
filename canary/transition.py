"""What a rollout's status becomes: by looking, and by a decision that has been carried out."""

from datetime import datetime
from typing import Any, assert_never

from canary.decision import (
    Advance,
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
from canary.spec import CanarySpec, Weight
from canary.status import Outcome, Phase, Revision, RolloutStatus
from canary.steps import FULL


def begin(
    spec: CanarySpec, revision: Revision, promoted: Revision, primary_size: int, now: datetime
) -> RolloutStatus:
    """The status of a rollout that has just begun; its first tick is an interval away (D9)."""
    return RolloutStatus(
        revision=revision,
        promoted=promoted,
        primary_size=primary_size,
        started_at=now,
        last_transition_time=now,
        due=now + spec.analysis.interval,
        actuated_at=now,
        canary_unready_since=now,
        message=f"New revision detected! Scaling up {spec.target.name}.{spec.namespace}",
    )


def resumed(spec: CanarySpec, begun: RolloutStatus, weight: Weight) -> RolloutStatus:
    """The status of a rollout that goes on where another was cut off, with *weight* on the canary.

    Its first tick is at once: one check, and then what that decides.
    """
    return begun.model_copy(
        update={
            "canary_weight": weight,
            "due": begun.started_at,
            "canary_unready_since": None,
            "message": f"Going on with {spec.target.name}.{spec.namespace} at weight {weight}",
            **_traffic(weight, None),
        }
    )


def noticed(case: Situation) -> RolloutStatus:
    """The status after a look: what the same revision hashes to, and since when a workload is unready."""
    status, target = case.status, case.seen.target
    same = target is not None and target.is_still(status.revision, status.generation)
    return status.model_copy(
        update={
            "revision": target.revision if target and same else status.revision,
            "generation": target.generation if target and same else status.generation,
            "canary_unready_since": _since(case.canary.is_ready, status.canary_unready_since, case.now),
            "primary_unready_since": _since(case.primary.is_ready, status.primary_unready_since, case.now),
        }
    )


def after(case: Situation, decision: Decision, done_at: datetime) -> RolloutStatus:
    """The status once *decision* has been carried out; its last write was confirmed at *done_at*."""
    changes = _changes(case, decision, done_at)
    if isinstance(
        decision, Advance | Hold | Restart | Retreat | Promote | ShiftBack | Finalise | RestorePrimary
    ):
        changes["due"] = done_at + case.spec.analysis.interval
    if not isinstance(decision, Measure):
        changes["message"] = decision.message
    status = case.status.model_copy(update=changes)
    if any(getattr(status, name) != getattr(case.status, name) for name in _SHOWN):
        return status.model_copy(update={"last_transition_time": done_at})
    return status


_SHOWN = ("phase", "canary_weight", "traffic_weight", "failed_checks", "restarts")
"""The fields whose change is a transition."""


def _changes(  # noqa: C901, PLR0911, PLR0912 — one arm a decision, so that mypy names the one that is missing
    case: Situation, decision: Decision, done_at: datetime
) -> dict[str, Any]:
    status = case.status
    match decision:
        case Wait() | Measure() | Reinforce():
            return {}
        case Hold():
            return {"failed_checks": status.failed_checks + decision.is_failed_check}
        case Correct():
            return {"foreign_writes": status.foreign_writes + 1}
        case Advance():
            return {
                "canary_weight": decision.weight,
                "is_retreated": False,
                "actuated_at": done_at,
                **_traffic(decision.weight, done_at),
            }
        case Restart():
            return _restarted(status, decision, done_at)
        case Retreat():
            return {
                "is_retreated": status.phase.is_under_analysis,
                "next_revision": status.next_revision or decision.is_next_revision,
                **_traffic(0, done_at),
            }
        case Promote():
            return {"phase": Phase.PROMOTING, "canary_weight": 0, "primary_unready_since": done_at}
        case ShiftBack():
            return _traffic(decision.weight, done_at)
        case Finalise():
            return {"phase": Phase.FINALISING, "canary_weight": 0, **_traffic(0, done_at)}
        case RestorePrimary():
            return {
                "phase": Phase.PROMOTING,
                "is_restoring": True,
                "primary_unready_since": done_at,
                "by": decision.by,
            }
        case Finish():
            return {"phase": Phase.SUCCEEDED, "outcome": Outcome.PROMOTED}
        case Rollback():
            return _rolled_back(case, decision, done_at)
        case HandOver():
            return {"phase": Phase.FAILED, "outcome": Outcome.HALTED, **_traffic(FULL, done_at)}
        case _:
            assert_never(decision)


def _restarted(status: RolloutStatus, decision: Restart, done_at: datetime) -> dict[str, Any]:
    return {
        "phase": Phase.PROGRESSING,
        "revision": decision.revision,
        "canary_weight": 0,
        "failed_checks": 0,
        "iterations": 0,
        "restarts": status.restarts + 1,
        "is_retreated": False,
        "actuated_at": done_at,
        "canary_unready_since": done_at,
        "by": decision.by,
        **_traffic(0, done_at if status.traffic_weight else status.traffic_changed_at),
    }


def _rolled_back(case: Situation, decision: Rollback, done_at: datetime) -> dict[str, Any]:
    """Counters are kept: they are evidence (D4)."""
    status = case.status
    return {
        "phase": Phase.FAILED,
        "outcome": decision.outcome,
        "by": decision.by,
        "canary_weight": 0,
        "failed_checks": status.failed_checks + decision.is_failed_check,
        **_traffic(0, done_at if case.canary_has_traffic else status.traffic_changed_at),
    }


def _traffic(weight: Weight, changed_at: datetime | None) -> dict[str, Any]:
    return {"traffic_weight": weight, "traffic_changed_at": changed_at}


def _since(is_ready: bool, since: datetime | None, now: datetime) -> datetime | None:  # noqa: FBT001 — reads well
    if is_ready:
        return None
    return since or now
