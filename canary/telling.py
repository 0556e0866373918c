"""What is told of a decision that has been carried out, in Flagger's words and severities.

Each kind of thing has a reason of its own, so that Kubernetes does not take all Events of a canary for one.
"""

from collections.abc import Iterator, Mapping

from canary.alert import Severity
from canary.analysing import halted
from canary.analysis import HookAnswer, closed_gate, judge_check
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
from canary.notice import Notice, NoticeType
from canary.situation import Situation
from canary.spec import CanarySpec, HookType
from canary.status import Outcome, Person, Phase, RolloutStatus
from canary.transition import is_to_be_told

_NEW_REVISION = "New revision detected, progressing canary analysis."
_PASSED = {
    HookType.CONFIRM_ROLLOUT: "Confirm-rollout",
    HookType.PRE_ROLLOUT: "Pre-rollout",
    HookType.CONFIRM_TRAFFIC_INCREASE: "Confirm-traffic-increase",
    HookType.CONFIRM_PROMOTION: "Confirm-promotion",
    HookType.POST_ROLLOUT: "Post-rollout",
}
_WAITS = {
    HookType.CONFIRM_ROLLOUT: "Canary is waiting for approval.",
    HookType.CONFIRM_TRAFFIC_INCREASE: "Canary traffic increase is waiting for approval.",
    HookType.CONFIRM_PROMOTION: "Canary promotion is waiting for approval.",
}


def told_of(case: Situation, decision: Decision) -> tuple[Notice, ...]:
    """Everything there is to tell of a decision and of the check it stands on, in order."""
    if isinstance(decision, Measure | Ask):
        return ()
    return (*_of_hooks(case, decision), *_of_decision(case, decision))


def told_of_beginning(spec: CanarySpec) -> Notice:
    """A rollout has begun and its canary is scaled up."""
    text = f"New revision detected! Scaling up {spec.target.name}.{spec.namespace}"
    told = _normal("NewRevision", text, Severity.INFO, alert=_NEW_REVISION, is_detailed=True)
    return told.model_copy(update={"phase": Phase.PROGRESSING})


def told_of_promotion(status: RolloutStatus, *, is_skipped: bool) -> Notice:
    """A rollout has ended with a promotion."""
    how = "analysis was skipped" if is_skipped else "analysis completed successfully"
    return _normal("Promoted", status.message, Severity.INFO, alert=f"Canary {how}, promotion finished.")


def told_of_post_rollout(answers: tuple[HookAnswer, ...]) -> Iterator[Notice]:
    """What the hooks after a rollout answered; none of them changes anything any more."""
    for answer in answers:
        if answer.passed:
            yield _passed(answer)
        else:
            text = f"Post-rollout hook {answer.hook} failed {answer.message}".rstrip()
            yield _warning("PostRolloutHookFailed", text)


def told_of_initialisation(spec: CanarySpec) -> Notice:
    """A canary has been initialised."""
    text = f"Initialization done! {spec.target.name}.{spec.namespace}"
    alert = f"New {spec.target.kind} detected, initialization completed."
    return _normal("Initialized", text, Severity.INFO, alert=alert, is_detailed=True)


def told_of_providers(errors: tuple[str, ...]) -> Notice:
    """Whether every system that is to be asked for metrics answers."""
    if errors:
        text = f"Error checking metric providers: {'; '.join(errors)}"
        return _warning("MetricsUnavailable", text)
    return _normal("MetricsAvailable", "all the metrics providers are available!")


def told_of_waiting(message: str, *, is_past_hope: bool) -> Notice:
    """A primary is not ready yet while its canary is initialised, or past its deadline."""
    return _warning("PrimaryNotReady", message, Severity.ERROR if is_past_hope else None)


def told_of_late_promotion(message: str) -> Notice:
    """A rollout was cut off when it had promoted its revision, and could not tell of it."""
    return _normal(str(Outcome.PROMOTED), message, Severity.INFO)


def told_of_no_initialisation(message: str) -> Notice:
    """A person has aborted an initialisation."""
    return _warning(str(Outcome.ABORTED), message, Severity.WARN)


def told_of_a_halt(message: str) -> Notice:
    """Nothing goes on before a person decides."""
    return _warning("PersonNeeded", message, Severity.ERROR)


def told_of_suspension() -> Notice:
    """A canary that rests is suspended; Flagger tells it at every tick, we once (D14)."""
    return _normal("Suspended", "skipping canary run as object is suspended")


def told_of_repair(message: str) -> Notice:
    """Something that a canary stands on was changed by somebody, and is put right."""
    return _warning("Repaired", message, Severity.WARN)


def told_of_a_refusal(verb: str, person: Person, why: str) -> Notice:
    """A command that was taken can no longer be obeyed."""
    return _warning("CommandRefused", f"{verb} by {person.who} is not done. {why}", Severity.WARN)


def told_of_leaving(spec: CanarySpec, *, is_over: bool) -> Notice:
    """A canary is being taken out, or is."""
    word = "Terminated" if is_over else "Terminating"
    return _normal(word, f"{word} canary {spec.name}.{spec.namespace}")


def _of_hooks(case: Situation, decision: Decision) -> Iterator[Notice]:
    check, gates = case.check, case.gates
    for answer in case.rollback_answers:
        if answer.passed:
            yield _warning("RollbackRequested", f"Rollback check {answer.hook} passed")
        else:
            yield _normal("RollbackHook", f"Rollback hook {answer.hook} not signaling a rollback")
    if _opens(case, decision):
        yield _normal("AnalysisStarted", f"Starting canary analysis for {case.name}")
    opening = () if check is None or HookType.PRE_ROLLOUT not in check.types else check.hooks
    for answer in (*opening, *(gates.answers if gates else ())):
        if answer.passed:
            yield _passed(answer)


def _opens(case: Situation, decision: Decision) -> bool:
    """Whether the first step of the analysis was at stake: a ready canary, and nothing judged before."""
    status = case.status
    if status.has_begun or not status.phase.is_under_analysis or case.spec.skip_analysis:
        return False
    is_tried = isinstance(decision, Advance | Rollback | Hold)
    return is_tried and case.is_due and case.canary.is_ready and status.waiting_for is None


_PLAIN: Mapping[type, tuple[NoticeType, str]] = {
    Approve: (NoticeType.NORMAL, "GateApproved"),
    Advance: (NoticeType.NORMAL, "Advanced"),
    Restart: (NoticeType.NORMAL, "Restarted"),
    Retreat: (NoticeType.WARNING, "TrafficTakenAway"),
    Correct: (NoticeType.WARNING, "RoutesCorrected"),
    Promote: (NoticeType.NORMAL, "Promoting"),
    ShiftBack: (NoticeType.NORMAL, "PromotionAdvanced"),
    Finalise: (NoticeType.NORMAL, "Finalising"),
    RestorePrimary: (NoticeType.WARNING, "PrimaryRestored"),
    RecreatePrimary: (NoticeType.WARNING, "PrimaryRecreated"),
    Reinforce: (NoticeType.NORMAL, "CanaryReinforced"),
}
"""Decisions whose message is all there is to tell."""


def _of_decision(case: Situation, decision: Decision) -> Iterator[Notice]:
    match decision:
        case Wait():
            if decision.needs_person and decision.message != case.status.message:
                yield told_of_a_halt(decision.message)
        case Begin():
            yield told_of_beginning(case.spec)
        case Hold():
            yield from _of_hold(case, decision)
        case HandOver():
            alert = decision.message.removeprefix(f"Promotion of {case.name} failed, ")
            yield _warning("PromotionFailed", decision.message, Severity.ERROR, f"Promotion failed, {alert}")
        case Rollback():
            yield from _of_rollback(case, decision)
        case Measure() | Ask() | Finish():
            return  # a promotion is told of once its hooks have been called
        case _:
            type_, reason = _PLAIN[type(decision)]
            yield Notice(type=type_, reason=reason, message=decision.message)


def _of_hold(case: Situation, decision: Hold) -> Iterator[Notice]:
    gate = decision.waiting_for
    if decision.is_failed_check:
        yield _warning("CheckFailed", decision.message)
    elif gate is None:
        if decision.message != case.status.message:  # what merely goes on is told once (D14)
            yield _warning("AdvancementHalted", decision.message)
    elif is_to_be_told(case.status, decision, case.now):
        is_mute = _is_mute(case, gate)
        yield _warning(
            "WaitingForApproval", decision.message, None if is_mute else Severity.WARN, _WAITS[gate]
        )


def _is_mute(case: Situation, gate: HookType) -> bool:
    """Whether the gate that is closed alerts nobody; where it is not known which, none of its type may."""
    hooks = case.spec.analysis.hooks(gate)
    closed = closed_gate(case.gates) if case.gates is not None else None
    named = [hook for hook in hooks if closed is not None and hook.name == closed.hook]
    return all(hook.mute_alert for hook in named or hooks)


def _of_rollback(case: Situation, decision: Rollback) -> Iterator[Notice]:
    """The deciding check, why it is rolled back, and that it is; alerts tell of every cause (T5)."""
    text, severity, alert = decision.message, Severity.ERROR, decision.message
    if decision.is_failed_check and case.check is not None:
        verdict = judge_check(case.spec, case.check, case.status.exposed_at)
        yield _warning("CheckFailed", halted(case, verdict))
        text = text.removesuffix(f": {verdict.message}")
        alert = f"Failed checks threshold reached {case.status.failed_checks + 1}"
    if decision.outcome is Outcome.ABORTED and not case.status.is_recovered:  # a person knows of it
        severity = Severity.WARN
    if decision.outcome is Outcome.REVERTED:
        severity = Severity.INFO
    if any(answer.passed for answer in case.rollback_answers):
        severity, alert = Severity.WARN, "Rolling back manual webhook invoked"
    yield _warning(str(decision.outcome), text, severity, alert)
    if decision.is_left:
        return
    failed = _warning("ScalingDown", f"Canary failed! Scaling down {case.name}")
    yield failed.model_copy(update={"phase": Phase.FAILED})


def _passed(answer: HookAnswer) -> Notice:
    return _normal("HookPassed", f"{_PASSED[answer.type]} check {answer.hook} passed")


def _normal(
    reason: str, message: str, severity: Severity | None = None, *, alert: str = "", is_detailed: bool = False
) -> Notice:
    return Notice(reason=reason, message=message, severity=severity, alert=alert, is_detailed=is_detailed)


def _warning(reason: str, message: str, severity: Severity | None = None, alert: str = "") -> Notice:
    return Notice(type=NoticeType.WARNING, reason=reason, message=message, severity=severity, alert=alert)
