"""The analysis: gates in front of it, one check a tick, and the step that a passing check earns."""

from canary.analysis import NO_VALUES, AnalysisResult, Verdict, closed_gate, judge_check
from canary.checks import next_check, next_gates
from canary.decision import Advance, Begin, Decision, Hold, Measure, Promote, Reinforce, Rollback, Wait
from canary.retreat import ask, threshold_reached, unserved
from canary.situation import Situation
from canary.spec import HookType, Weight
from canary.status import Outcome
from canary.steps import FULL, Step, next_step

WAITING_FOR = {
    HookType.CONFIRM_ROLLOUT: "approval",
    HookType.CONFIRM_TRAFFIC_INCREASE: "traffic increase approval",
    HookType.CONFIRM_PROMOTION: "promotion approval",
}


def confirm(case: Situation) -> Decision:
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


def analyse(case: Situation) -> Decision:
    """One tick of the analysis, its interval being over."""
    if case.check is None and (check := next_check(case.spec, case.status, case.now)) is not None:
        return check
    if case.check is not None and (failed := _failed_check(case)) is not None:
        return failed
    if (held := unserved(case) or _unready(case)) is not None:
        return held
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
    text = halted(case, verdict)
    if not verdict.is_counted:
        return Hold(message=text)
    failed = case.status.failed_checks + 1
    if failed < case.spec.analysis.threshold or not case.primary_serves or case.is_half_promoted:
        return Hold(message=text, is_failed_check=True)
    text = f"{threshold_reached(case, failed)}: {verdict.message}"
    return Rollback(outcome=Outcome.ROLLED_BACK, message=text, is_failed_check=True)


def halted(case: Situation, verdict: Verdict) -> str:
    """Say why a check held the rollout, as Flagger says it: no data names no canary, no answer nothing."""
    if verdict.result is AnalysisResult.ERROR:
        return verdict.message
    if verdict.message.startswith(NO_VALUES):
        return f"Halt advancement {verdict.message}"
    return f"Halt {case.name} advancement {verdict.message}"


def _unready(case: Situation) -> Hold | None:
    """Exposure must not grow on what is not ready."""
    if case.primary_has_traffic and not case.primary.is_ready:
        return Hold(message=f"{case.primary_name} not ready: {case.primary.message}")
    if not case.canary.is_ready:
        return Hold(message=f"{case.canary_name} not ready: {case.canary.message}")
    if case.seen.target is not None and case.seen.target.is_paused:
        text = (
            f"{case.canary_name} is paused by somebody else and may not run its template: "
            f"kubectl rollout resume deployment/{case.spec.target.name} -n {case.spec.namespace}"
        )
        return Hold(message=text)
    return None


def _grow(case: Situation) -> Decision:
    """The step that a passing check earns, once its gates are open."""
    spec, status = case.spec, case.status
    if status.is_retreated:
        return _returned(case)
    if spec.skip_analysis:
        return Promote(message=f"Copying {case.name} template spec to {case.primary_name}")
    step = next_step(spec.analysis, status)
    small = None if step is None else _too_small(case, step.weight)
    if (held := small or _held_by_a_gate(case)) is not None:
        return held
    if step is None:
        return Promote(message=f"Copying {case.name} template spec to {case.primary_name}")
    return Advance(**step._asdict(), message=_advance(case, step))


def _returned(case: Situation) -> Decision:
    """A canary that had lost its traffic gets it back, if it is large enough by now."""
    status = case.status
    return _too_small(case, status.exposure) or Advance(
        weight=status.exposure,
        iterations=status.iterations,
        is_mirrored=status.is_mirrored,
        message=f"{case.name} is ready again and gets its weight {status.exposure} back",
    )


def _too_small(case: Situation, weight: Weight) -> Decision | None:
    """Everybody goes to a canary only if it has as many pods as the primary began with."""
    target = case.seen.target
    if weight < FULL or case.spec.analysis.match or target is None:
        return None
    size = case.size_for_all(target)
    if target.available >= size:
        return None
    wanted = f"{case.name} does not get the {size} pods that everybody needs: give it more, or abort"
    is_asked = case.status.message == wanted
    if target.desired < size and not is_asked:
        text = f"{case.name} is brought to the {size} pods of the primary before it serves everybody"
        return Reinforce(replicas=size, message=text)
    is_long = case.now - case.status.last_transition_time >= case.spec.progress_deadline
    if is_asked or is_long:  # as where an autoscaler takes away what it is given
        return ask(case, wanted)
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
