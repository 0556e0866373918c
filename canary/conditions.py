"""The condition `Promoted` in Flagger's words (its `pkg/canary/status.go`), for habits of `kubectl wait`."""

from datetime import datetime

from canary.status import Condition, Phase

_UNKNOWN, _TRUE, _FALSE = "Unknown", "True", "False"
_WORDS: dict[Phase, tuple[str, str]] = {
    Phase.INITIALIZING: (_UNKNOWN, "New {kind} detected, starting initialization."),
    Phase.INITIALIZED: (_TRUE, "{kind} initialization completed."),
    Phase.WAITING: (_UNKNOWN, "Waiting for approval."),
    Phase.WAITING_PROMOTION: (_UNKNOWN, "Waiting for approval."),
    Phase.PROGRESSING: (_UNKNOWN, "New revision detected, progressing canary analysis."),
    Phase.PROMOTING: (_UNKNOWN, "Canary analysis completed, starting primary rolling update."),
    Phase.FINALISING: (_UNKNOWN, "Canary analysis completed, routing all traffic to primary."),
    Phase.SUCCEEDED: (_TRUE, "Canary analysis completed successfully, promotion finished."),
    Phase.FAILED: (_FALSE, "Canary analysis failed, {kind} scaled to zero."),
    Phase.TERMINATING: (_UNKNOWN, "Bringing the {kind} back as it was."),
}


def promoted(phase: Phase, kind: str, before: Condition | None, now: datetime) -> Condition:
    """The condition of a canary that is in *phase*; the same one while neither status nor reason change."""
    status, message = _WORDS[phase]
    if before is not None and (before.status, before.reason) == (status, str(phase)):
        return before
    is_same = before is not None and before.status == status
    return Condition(
        status=status,
        reason=phase,
        message=message.format(kind=kind),
        last_update_time=now,
        last_transition_time=before.last_transition_time if before is not None and is_same else now,
    )
