"""What a tick of the analysis asks before exposure may grow: hooks, metrics, and then gates."""

from datetime import datetime

from canary.decision import Ask, Measure
from canary.spec import CanarySpec, HookType, Strategy
from canary.status import Phase, RolloutStatus
from canary.steps import last_weight


def next_check(spec: CanarySpec, status: RolloutStatus, now: datetime) -> Measure | None:
    """The check that is due, if one is; known before anything is looked at, so that one look serves both.

    A canary that is not exposed has nothing to be measured, and `pre-rollout` hooks wait for a ready one;
    but a rollback hook is asked at every tick (T6).
    """
    if not status.phase.is_under_analysis or now < status.due or spec.skip_analysis:
        return None
    if status.has_begun and not status.is_retreated:
        return Measure(hooks=(HookType.ROLLOUT,))
    is_ready = status.canary_unready_since is None and not status.is_retreated
    hooks = (HookType.PRE_ROLLOUT,) if is_ready else ()
    if spec.analysis.hooks(HookType.ROLLBACK, *hooks):
        return Measure(hooks=hooks, has_metrics=False)
    return None


def next_gates(spec: CanarySpec, status: RolloutStatus) -> Ask | None:
    """The gates that have to be open before the step that follows; a person may have answered for some."""
    types = [
        type_ for type_ in _gates(spec, status) if type_ not in status.approved and spec.analysis.hooks(type_)
    ]
    is_patient = status.waiting_for is not None and status.phase is Phase.WAITING
    return Ask(gates=tuple(types), is_patient=is_patient) if types else None


def _gates(spec: CanarySpec, status: RolloutStatus) -> tuple[HookType, ...]:
    analysis = spec.analysis
    if status.phase is Phase.WAITING:
        return (HookType.CONFIRM_ROLLOUT,)
    if status.phase is Phase.WAITING_PROMOTION:
        return (HookType.CONFIRM_PROMOTION,)
    if analysis.strategy is not Strategy.CANARY:
        is_last = status.iterations >= analysis.iterations
        return (HookType.CONFIRM_PROMOTION,) if is_last else ()
    if status.is_mirrored or (analysis.mirror and not status.has_begun):
        return ()  # by Flagger's `scheduler.go`, neither a mirror nor the first step after it asks
    if status.has_begun and status.canary_weight >= last_weight(analysis.steps):
        return (HookType.CONFIRM_TRAFFIC_INCREASE, HookType.CONFIRM_PROMOTION)
    return (HookType.CONFIRM_TRAFFIC_INCREASE,)
