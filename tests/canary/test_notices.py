"""What is told, whole: reason, words, how loud, and with which phase."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial

import pytest

from canary.alert import Severity
from canary.ladder import decide
from canary.notice import Notice, NoticeType
from canary.situation import Situation
from canary.spec import HookType
from canary.status import Phase
from canary.telling import (
    told_of,
    told_of_a_halt,
    told_of_a_refusal,
    told_of_beginning,
    told_of_initialisation,
    told_of_late_promotion,
    told_of_leaving,
    told_of_no_initialisation,
    told_of_post_rollout,
    told_of_promotion,
    told_of_providers,
    told_of_repair,
    told_of_waiting,
)
from tests.canary.rollouts import (
    ABORT,
    ADA,
    NEWER,
    NOW,
    OLD,
    a_case,
    a_check,
    a_primary,
    a_spec,
    a_status,
    a_workload,
    answer,
    asked,
    at_weight,
    hook,
    in_phase,
    routes_at,
)

CONFIRM, PRE, BACK, POST = (
    HookType.CONFIRM_ROLLOUT,
    HookType.PRE_ROLLOUT,
    HookType.ROLLBACK,
    HookType.POST_ROLLOUT,
)
LONG_AGO = NOW - timedelta(hours=2)
WARNING = NoticeType.WARNING
SCALING_DOWN = Notice(
    type=WARNING,
    reason="ScalingDown",
    message="Canary failed! Scaling down podinfo.test",
    phase=Phase.FAILED,
)
WARMING = a_spec().analysis.metrics[0].model_copy(update={"warm_up": timedelta(minutes=5)})


def warning(reason: str, message: str, severity: Severity | None = None, alert: str = "") -> Notice:
    """Tell of what is no good."""
    return Notice(type=WARNING, reason=reason, message=message, severity=severity, alert=alert)


def passed(hook_name: str, words: str) -> Notice:
    """Tell of a hook that has passed."""
    return Notice(reason="HookPassed", message=f"{words} check {hook_name} passed")


@pytest.mark.parametrize(
    ("tell", "expected"),
    [
        pytest.param(
            partial(told_of_beginning, a_spec()),
            Notice(
                reason="NewRevision",
                message="New revision detected! Scaling up podinfo.test",
                severity=Severity.INFO,
                alert="New revision detected, progressing canary analysis.",
                is_detailed=True,
                phase=Phase.PROGRESSING,
            ),
            id="a beginning",
        ),
        pytest.param(
            partial(told_of_promotion, a_status(message="Promotion completed!"), is_skipped=False),
            Notice(
                reason="Promoted",
                message="Promotion completed!",
                severity=Severity.INFO,
                alert="Canary analysis completed successfully, promotion finished.",
            ),
            id="a promotion",
        ),
        pytest.param(
            partial(told_of_initialisation, a_spec()),
            Notice(
                reason="Initialized",
                message="Initialization done! podinfo.test",
                severity=Severity.INFO,
                alert="New Deployment detected, initialization completed.",
                is_detailed=True,
            ),
            id="an initialisation",
        ),
        pytest.param(
            partial(told_of_providers, ("one is away", "two is away")),
            warning("MetricsUnavailable", "Error checking metric providers: one is away; two is away"),
            id="providers that do not answer",
        ),
        pytest.param(
            partial(told_of_providers, ()),
            Notice(reason="MetricsAvailable", message="all the metrics providers are available!"),
            id="providers that answer",
        ),
        pytest.param(
            partial(told_of_waiting, "m", is_past_hope=False),
            warning("PrimaryNotReady", "m"),
            id="a primary that is not ready",
        ),
        pytest.param(
            partial(told_of_waiting, "m", is_past_hope=True),
            warning("PrimaryNotReady", "m", Severity.ERROR),
            id="a primary past its deadline",
        ),
        pytest.param(partial(told_of_a_halt, "m"), warning("PersonNeeded", "m", Severity.ERROR), id="a halt"),
        pytest.param(
            partial(told_of_late_promotion, "m"),
            Notice(reason="Promoted", message="m", severity=Severity.INFO),
            id="a promotion that its rollout could not tell of",
        ),
        pytest.param(
            partial(told_of_no_initialisation, "m"),
            warning("Aborted", "m", Severity.WARN),
            id="an initialisation that was aborted",
        ),
        pytest.param(partial(told_of_repair, "m"), warning("Repaired", "m", Severity.WARN), id="a repair"),
        pytest.param(
            partial(told_of_a_refusal, "abort", ADA, "It has ended."),
            warning("CommandRefused", "abort by ada is not done. It has ended.", Severity.WARN),
            id="a command that comes too late",
        ),
        pytest.param(
            partial(told_of_leaving, a_spec(), is_over=False),
            Notice(reason="Terminating", message="Terminating canary podinfo.test"),
            id="on the way out",
        ),
        pytest.param(
            partial(told_of_leaving, a_spec(), is_over=True),
            Notice(reason="Terminated", message="Terminated canary podinfo.test"),
            id="out",
        ),
    ],
)
def test_tells_of(tell: Callable[[], Notice], expected: Notice) -> None:
    assert tell() == expected


def test_tells_of_the_hooks_after_a_rollout() -> None:
    told = list(told_of_post_rollout((answer(POST), answer(POST, passed=False))))

    assert told == [
        passed("post-rollout", "Post-rollout"),
        warning("PostRolloutHookFailed", "Post-rollout hook post-rollout failed"),
    ]


CASES = [
    pytest.param(
        a_case(status=at_weight(10), check=a_check()),
        [Notice(reason="Advanced", message="Advance podinfo.test canary weight 20")],
        id="a step",
    ),
    pytest.param(
        a_case(status=at_weight(20), target=a_workload(ready=0)),
        [warning("TrafficTakenAway", "podinfo.test has no serving pod: its traffic goes to the primary")],
        id="a retreat",
    ),
    pytest.param(
        a_case(status=at_weight(10), wishes=ABORT, primary=a_primary(ready=0)),
        [
            warning(
                "PersonNeeded",
                "podinfo-primary.test is not serving, so the traffic stays where it is: "
                "Aborted by ada: looks bad",
                Severity.ERROR,
            )
        ],
        id="a call for a person",
    ),
    pytest.param(
        a_case(status=at_weight(10), check=a_check(98.0)),
        [warning("CheckFailed", "Halt podinfo.test advancement success rate 98.00% < 99%")],
        id="a failed check",
    ),
    pytest.param(
        a_case(
            a_spec(metrics=(WARMING,)),
            at_weight(10, failed_checks=1),
            a_check(98.0),
        ),
        [
            warning("CheckFailed", "Halt podinfo.test advancement success rate 98.00% < 99%"),
            warning(
                "RolledBack",
                "Rolling back podinfo.test failed checks threshold reached 2",
                Severity.ERROR,
                "Failed checks threshold reached 2",
            ),
            SCALING_DOWN,
        ],
        id="the last failed check, of a metric that has warmed up",
    ),
    pytest.param(
        a_case(status=at_weight(10), wishes=ABORT),
        [
            warning("Aborted", "Aborted by ada: looks bad", Severity.WARN, "Aborted by ada: looks bad"),
            SCALING_DOWN,
        ],
        id="an abort",
    ),
    pytest.param(
        a_case(status=at_weight(10), target=a_workload(revision=OLD)),
        [
            warning(
                "Reverted",
                "podinfo.test is back at the promoted revision",
                Severity.INFO,
                "podinfo.test is back at the promoted revision",
            ),
            SCALING_DOWN,
        ],
        id="a revert",
    ),
    pytest.param(
        a_case(
            a_spec(webhooks=(hook(BACK), hook(CONFIRM))),
            a_status(phase=Phase.WAITING, waiting_for=CONFIRM),
            gates=asked(answer(CONFIRM, passed=False), rollback=(answer(BACK),)),
        ),
        [
            warning("RollbackRequested", "Rollback check rollback passed"),
            warning(
                "RolledBack",
                "Rolling back podinfo.test manual webhook invoked",
                Severity.WARN,
                "Rolling back manual webhook invoked",
            ),
            SCALING_DOWN,
        ],
        id="a rollback hook that was asked beside a gate",
    ),
    pytest.param(
        a_case(
            a_spec(webhooks=(hook(BACK),)),
            at_weight(10),
            a_check().model_copy(update={"rollback": (answer(BACK, passed=False),)}),
        ),
        [
            Notice(reason="RollbackHook", message="Rollback hook rollback not signaling a rollback"),
            Notice(reason="Advanced", message="Advance podinfo.test canary weight 20"),
        ],
        id="a rollback hook that wants none",
    ),
    pytest.param(
        a_case(
            a_spec(webhooks=(hook(PRE),)),
            a_status(),
            a_check().model_copy(update={"measurements": (), "types": (PRE,), "hooks": (answer(PRE),)}),
        ),
        [
            Notice(reason="AnalysisStarted", message="Starting canary analysis for podinfo.test"),
            passed("pre-rollout", "Pre-rollout"),
            Notice(reason="Advanced", message="Advance podinfo.test canary weight 10"),
        ],
        id="the first step",
    ),
    pytest.param(
        a_case(status=in_phase(Phase.PROMOTING, 0, has_begun=False), primary=a_primary(ready=1)),
        [
            warning(
                "AdvancementHalted",
                "podinfo-primary.test not ready: waiting for rollout to finish: "
                "1 of 2 (readyThreshold 100%) updated replicas are available",
            )
        ],
        id="a promotion without a step begins no analysis",
    ),
    pytest.param(
        a_case(
            a_spec(webhooks=(hook(CONFIRM),)),
            a_status(phase=Phase.WAITING),
            gates=asked(answer(CONFIRM, passed=False)),
        ),
        [
            warning(
                "WaitingForApproval",
                "Halt podinfo.test advancement waiting for approval confirm-rollout",
                Severity.WARN,
                "Canary is waiting for approval.",
            )
        ],
        id="a closed gate",
    ),
    pytest.param(
        a_case(status=in_phase(Phase.PROMOTING, primary_unready_since=LONG_AGO), primary=a_primary(ready=0)),
        [
            warning(
                "PromotionFailed",
                "Promotion of podinfo.test failed, primary not ready: waiting for rollout to finish: "
                "0 of 2 (readyThreshold 100%) updated replicas are available; not ready for 600 s",
                Severity.ERROR,
                "Promotion failed, primary not ready: waiting for rollout to finish: "
                "0 of 2 (readyThreshold 100%) updated replicas are available; not ready for 600 s",
            )
        ],
        id="a promotion that failed",
    ),
    pytest.param(
        a_case(status=at_weight(10), routes=routes_at(30)),
        [warning("RoutesCorrected", "kubectl left weight 30 where 10 was set")],
        id="foreign weights",
    ),
    pytest.param(
        a_case(status=at_weight(10), target=a_workload(revision=NEWER)),
        [
            Notice(
                reason="Restarted",
                message="New revision detected! Restarting analysis for podinfo.test",
            )
        ],
        id="a restart",
    ),
]


@pytest.mark.parametrize(("case", "expected"), CASES)
def test_tells_of_a_decision(case: Situation, expected: list[Notice]) -> None:
    assert list(told_of(case, decide(case))) == expected
