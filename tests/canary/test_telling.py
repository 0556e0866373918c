"""What is told of what: Flagger's messages in Flagger's order, and one alert at the end for every cause."""

import typing
from datetime import timedelta

import pytest

from canary.alert import Severity
from canary.conditions import promoted
from canary.decision import Decision, Hold
from canary.ladder import decide
from canary.situation import Situation
from canary.spec import HookType
from canary.status import Outcome, Phase
from canary.telling import (
    _PLAIN,
    told_of,
    told_of_beginning,
    told_of_initialisation,
    told_of_leaving,
    told_of_post_rollout,
    told_of_promotion,
    told_of_repair,
    told_of_suspension,
    told_of_waiting,
)
from canary.transition import REMINDER, begin
from tests.canary.rollouts import (
    ABORT,
    APPROVE,
    LEAVE,
    NEW,
    NEWER,
    NOW,
    OLD,
    RESTART,
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

CONFIRM, TRAFFIC, PROMOTION = (
    HookType.CONFIRM_ROLLOUT,
    HookType.CONFIRM_TRAFFIC_INCREASE,
    HookType.CONFIRM_PROMOTION,
)
PRE, BACK, POST = HookType.PRE_ROLLOUT, HookType.ROLLBACK, HookType.POST_ROLLOUT
GATED = a_spec(webhooks=tuple(hook(type_) for type_ in (CONFIRM, PRE, TRAFFIC, PROMOTION, BACK)))
LONG_AGO = NOW - timedelta(hours=2)


def words(case: Situation) -> list[str]:
    """Everything that is told, a warning with an exclamation mark."""
    return [
        f"{'! ' if notice.type == 'Warning' else ''}{notice.message}"
        for notice in told_of(case, decide(case))
    ]


def alerts(case: Situation) -> list[tuple[str, str]]:
    """What is alerted of."""
    return [
        (notice.severity, notice.alert or notice.message)
        for notice in told_of(case, decide(case))
        if notice.severity is not None
    ]


def test_pods_that_stay_for_a_way_out_are_not_said_to_go() -> None:
    case = a_case(status=at_weight(10), primary=None, wishes=LEAVE)

    assert words(case) == [
        "! Aborted by ada: looks bad. The traffic stays where it is served until podinfo.test can have it"
    ]


OPENED = a_check().model_copy(
    update={
        "measurements": (),
        "types": (PRE,),
        "hooks": (answer(PRE),),
        "rollback": (answer(BACK, passed=False),),
    }
)
BY_HOOK = a_check().model_copy(update={"rollback": (answer(BACK),)})
TOLD = [
    pytest.param(
        a_case(GATED, begin(GATED, NEW, OLD, 2, NOW), gates=asked(answer(CONFIRM))),
        [
            "Confirm-rollout check confirm-rollout passed",
            "New revision detected! Scaling up podinfo.test",
        ],
        id="begin",
    ),
    pytest.param(
        a_case(
            GATED,
            a_status(GATED, phase=Phase.PROGRESSING, is_scaled_up=True),
            OPENED,
            gates=asked(answer(TRAFFIC)),
        ),
        [
            "Rollback hook rollback not signaling a rollback",
            "Starting canary analysis for podinfo.test",
            "Pre-rollout check pre-rollout passed",
            "Confirm-traffic-increase check confirm-traffic-increase passed",
            "Advance podinfo.test canary weight 10",
        ],
        id="the first step",
    ),
    pytest.param(
        a_case(
            GATED, at_weight(30), a_check(), gates=asked(answer(TRAFFIC), answer(PROMOTION, passed=False))
        ),
        [
            "Confirm-traffic-increase check confirm-traffic-increase passed",
            "! Halt podinfo.test advancement waiting for promotion approval confirm-promotion",
        ],
        id="a closed gate",
    ),
    pytest.param(
        a_case(
            GATED,
            at_weight(30, phase=Phase.WAITING_PROMOTION, waiting_for=PROMOTION, reminded_at=NOW),
            a_check(),
            gates=asked(answer(PROMOTION, passed=False)),
        ),
        [],
        id="a gate that is still closed",
        marks=pytest.mark.proves("D14"),
    ),
    pytest.param(
        a_case(status=at_weight(30), check=a_check()),
        ["Copying podinfo.test template spec to podinfo-primary.test"],
        id="promote",
    ),
    pytest.param(
        a_case(status=at_weight(10), check=a_check(98.0)),
        ["! Halt podinfo.test advancement success rate 98.00% < 99%"],
        id="a failed check",
    ),
    pytest.param(
        a_case(status=at_weight(10, failed_checks=1), check=a_check(98.0)),
        [
            "! Halt podinfo.test advancement success rate 98.00% < 99%",
            "! Rolling back podinfo.test failed checks threshold reached 2",
            "! Canary failed! Scaling down podinfo.test",
        ],
        id="the last failed check",
    ),
    pytest.param(
        a_case(GATED, at_weight(10), BY_HOOK),
        [
            "! Rollback check rollback passed",
            "! Rolling back podinfo.test manual webhook invoked",
            "! Canary failed! Scaling down podinfo.test",
        ],
        id="a rollback hook",
    ),
    pytest.param(
        a_case(target=a_workload(ready=1)),
        [
            (
                "! canary deployment podinfo.test not ready: waiting for rollout to finish: "
                "1 of 2 (readyThreshold 100%) updated replicas are available"
            )
        ],
        id="not ready",
    ),
    pytest.param(
        a_case(status=in_phase(Phase.FINALISING, 0)), [], id="a promotion is told of after its hooks"
    ),
    pytest.param(a_case(status=at_weight(10)), [], id="a check that is still to be carried out"),
]


@pytest.mark.parametrize(("case", "expected"), TOLD)
def test_tells(case: Situation, expected: list[str]) -> None:
    """What is told of each decision, in Flagger's words; what merely goes on is told once.

    D14: docs/architecture.md.
    """
    assert words(case) == expected


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        pytest.param(
            a_case(status=at_weight(10, failed_checks=1), check=a_check(98.0)),
            [(Severity.ERROR, "Failed checks threshold reached 2")],
            id="failed checks",
            marks=pytest.mark.proves("T5"),
        ),
        pytest.param(
            a_case(GATED, at_weight(10), BY_HOOK),
            [(Severity.WARN, "Rolling back manual webhook invoked")],
            id="rollback hook",
            marks=pytest.mark.proves("T5"),
        ),
        pytest.param(
            a_case(wishes=ABORT),
            [(Severity.WARN, "Aborted by ada: looks bad")],
            id="abort",
            marks=pytest.mark.proves("T5"),
        ),
        pytest.param(
            a_case(status=at_weight(10, is_recovered=True), wishes=ABORT),
            [(Severity.ERROR, "Aborted by ada: looks bad")],
            id="a rollout that was terminated",
            marks=pytest.mark.proves("T5"),
        ),
        pytest.param(
            a_case(status=at_weight(10), target=a_workload(revision=OLD)),
            [(Severity.INFO, "podinfo.test is back at the promoted revision")],
            id="reverted",
        ),
        pytest.param(
            a_case(target=a_workload(has_exceeded_deadline=True)),
            [
                (
                    Severity.ERROR,
                    "canary deployment podinfo.test not ready: podinfo exceeded its progress deadline",
                )
            ],
            id="deadline",
            marks=pytest.mark.proves("T5"),
        ),
        pytest.param(
            a_case(target=None),
            [(Severity.ERROR, "Deployment podinfo.test is gone")],
            id="target gone",
            marks=pytest.mark.proves("T5"),
        ),
        pytest.param(
            a_case(
                status=in_phase(Phase.PROMOTING, primary_unready_since=LONG_AGO), primary=a_primary(ready=0)
            ),
            [
                (
                    Severity.ERROR,
                    (
                        "Promotion failed, primary not ready: waiting for rollout to finish: 0 of 2 "
                        "(readyThreshold 100%) updated replicas are available; not ready for 600 s"
                    ),
                )
            ],
            id="failed promotion",
            marks=pytest.mark.proves("T5"),
        ),
        pytest.param(
            a_case(status=at_weight(10), wishes=ABORT, primary=a_primary(ready=0)),
            [
                (
                    Severity.ERROR,
                    (
                        "podinfo-primary.test is not serving, so the traffic stays where it is: "
                        "Aborted by ada: looks bad"
                    ),
                )
            ],
            id="a person is needed",
            marks=pytest.mark.proves("T5"),
        ),
        pytest.param(
            a_case(GATED, begin(GATED, NEW, OLD, 2, NOW), gates=asked(answer(CONFIRM, passed=False))),
            [(Severity.WARN, "Canary is waiting for approval.")],
            id="waiting",
            marks=pytest.mark.proves("C38"),
        ),
        pytest.param(
            a_case(
                GATED,
                at_weight(30, waiting_for=PROMOTION, reminded_at=NOW - REMINDER),
                a_check(),
                gates=asked(answer(TRAFFIC), answer(PROMOTION, passed=False)),
            ),
            [(Severity.WARN, "Canary promotion is waiting for approval.")],
            id="reminder",
            marks=pytest.mark.proves("D14"),
        ),
    ],
)
def test_alerts(case: Situation, expected: list[tuple[str, str]]) -> None:
    """One alert at the end for every cause; Flagger sends none for a deadline or an unready primary.

    C38, T5, D14: Flagger's events.go, scheduler.go, docs/architecture.md.
    """
    assert alerts(case) == expected


def test_a_person_is_called_for_once() -> None:
    first = a_case(status=at_weight(10), wishes=ABORT, primary=a_primary(ready=0))
    message = decide(first).message  # type: ignore[union-attr]
    again = a_case(status=at_weight(10, message=message), wishes=ABORT, primary=a_primary(ready=0))

    assert alerts(first)
    assert not alerts(again)


@pytest.mark.proves("D14")
def test_what_merely_goes_on_is_told_once() -> None:
    """Flagger repeats at every tick that it waits (D14: docs/architecture.md)."""
    suspended = a_spec(suspend=True)
    first = a_case(suspended, at_weight(10), a_check())
    message = decide(first).message  # type: ignore[union-attr]
    again = a_case(suspended, at_weight(10, message=message), a_check())

    assert words(first) == [f"! {message}"]
    assert words(again) == []


def test_a_muted_gate_alerts_nobody() -> None:
    muted = tuple(one.model_copy(update={"mute_alert": True}) for one in GATED.analysis.webhooks)
    spec = a_spec(webhooks=muted)
    case = a_case(spec, begin(spec, NEW, OLD, 2, NOW), gates=asked(answer(CONFIRM, passed=False)))

    assert words(case) == ["! Halt podinfo.test advancement waiting for approval confirm-rollout"]
    assert not alerts(case)


@pytest.mark.parametrize(("closed", "severities"), [("muted", []), ("person", [Severity.WARN])])
def test_of_two_gates_the_closed_one_says_whether_it_alerts(closed: str, severities: list[Severity]) -> None:
    gate = next(hook for hook in GATED.analysis.webhooks if hook.type is CONFIRM)
    muted = gate.model_copy(update={"name": "muted", "mute_alert": True})
    spec = a_spec(webhooks=(muted, gate.model_copy(update={"name": "person"})))
    shut = answer(CONFIRM, passed=False).model_copy(update={"hook": closed})
    case = a_case(spec, begin(spec, NEW, OLD, 2, NOW), gates=asked(shut))

    assert [notice.severity for notice in told_of(case, decide(case)) if notice.severity] == severities


@pytest.mark.parametrize(("muted", "severities"), [((True, True), []), ((True, False), [Severity.WARN])])
def test_where_no_gate_answered_all_of_them_say_whether_it_alerts(
    muted: tuple[bool, bool], severities: list[Severity]
) -> None:
    gate = next(hook for hook in GATED.analysis.webhooks if hook.type is CONFIRM)
    spec = a_spec(webhooks=tuple(gate.model_copy(update={"mute_alert": is_muted}) for is_muted in muted))
    case = a_case(spec, begin(spec, NEW, OLD, 2, NOW))
    waits = Hold(waiting_for=CONFIRM, message="m")

    assert [notice.severity for notice in told_of(case, waits) if notice.severity] == severities


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        pytest.param(
            a_case(status=at_weight(10), target=a_workload(revision=NEWER)), "Restarted", id="restart"
        ),
        pytest.param(a_case(status=at_weight(10), wishes=RESTART), "Restarted", id="a person restarts"),
        pytest.param(
            a_case(status=at_weight(10), target=a_workload(ready=0)), "TrafficTakenAway", id="retreat"
        ),
        pytest.param(a_case(status=at_weight(10), routes=routes_at(30)), "RoutesCorrected", id="drift"),
        pytest.param(a_case(status=in_phase(Phase.PROMOTING)), "Finalising", id="finalise"),
        pytest.param(
            a_case(status=in_phase(Phase.PROMOTING), wishes=ABORT), "PrimaryRestored", id="abort in promotion"
        ),
        pytest.param(
            a_case(GATED, at_weight(30, waiting_for=PROMOTION), wishes=APPROVE), "GateApproved", id="approve"
        ),
        pytest.param(a_case(status=at_weight(10), check=a_check(98.0)), "CheckFailed", id="failed check"),
        pytest.param(a_case(target=a_workload(ready=1)), "AdvancementHalted", id="not ready"),
    ],
)
@pytest.mark.proves("T21")
def test_each_kind_of_thing_has_a_reason_of_its_own(case: Situation, reason: str) -> None:
    """All of Flagger's Events have the reason `Synced` (T21: Flagger's events.go)."""
    assert [notice.reason for notice in told_of(case, decide(case))] == [reason]


def test_nothing_that_can_be_decided_is_forgotten() -> None:
    special = {"Wait", "Begin", "Hold", "HandOver", "Rollback", "Measure", "Ask", "Finish"}

    assert {one.__name__ for one in typing.get_args(Decision)} == special | {one.__name__ for one in _PLAIN}


def test_tells_of_the_ends() -> None:
    finished = a_status(phase=Phase.SUCCEEDED, outcome=Outcome.PROMOTED, message="Promotion completed!")
    done, skipped = (told_of_promotion(finished, is_skipped=skip) for skip in (False, True))
    passed, failed = told_of_post_rollout((answer(POST), answer(POST, passed=False, message="500 no")))

    assert (done.severity, done.alert) == (
        Severity.INFO,
        "Canary analysis completed successfully, promotion finished.",
    )
    assert skipped.alert == "Canary analysis was skipped, promotion finished."
    assert passed.message == "Post-rollout check post-rollout passed"
    assert (failed.type, failed.message) == ("Warning", "Post-rollout hook post-rollout failed 500 no")


def test_tells_of_beginnings_in_detail() -> None:
    begun, initialised = told_of_beginning(a_spec()), told_of_initialisation(a_spec())

    assert begun.is_detailed
    assert begun.alert == "New revision detected, progressing canary analysis."
    assert initialised.is_detailed
    assert initialised.alert == "New Deployment detected, initialization completed."


def test_tells_of_what_happens_between_rollouts() -> None:
    assert told_of_waiting("m", is_past_hope=False).severity is None
    assert told_of_waiting("m", is_past_hope=True).severity is Severity.ERROR
    assert told_of_repair("m").severity is Severity.WARN
    assert told_of_leaving(a_spec(), is_over=True).message == "Terminated canary podinfo.test"
    assert told_of_leaving(a_spec(), is_over=False).message == "Terminating canary podinfo.test"


@pytest.mark.proves("C38")
def test_severities_take_what_is_as_bad_or_worse() -> None:
    """`warn` takes warnings and errors, `error` errors only, `info` everything (C38: Flagger's events.go)."""
    taken = [[one.takes(other) for other in Severity] for one in Severity]

    assert taken == [[True, True, True], [False, True, True], [False, False, True]]


def test_the_condition_keeps_its_times() -> None:
    later = NOW + timedelta(minutes=1)
    begun = promoted(Phase.PROGRESSING, "Deployment", None, NOW)
    same = promoted(Phase.PROGRESSING, "Deployment", begun, later)
    promoting = promoted(Phase.PROMOTING, "Deployment", begun, later)
    failed = promoted(Phase.FAILED, "DaemonSet", promoting, later)

    assert same is begun
    assert (promoting.last_update_time, promoting.last_transition_time) == (later, NOW)
    assert (failed.status, failed.reason, failed.last_transition_time) == ("False", "Failed", later)
    assert failed.message == "Canary analysis failed, DaemonSet scaled to zero."


@pytest.mark.parametrize("phase", list(Phase))
def test_every_phase_has_its_condition(phase: Phase) -> None:
    assert promoted(phase, "Deployment", None, NOW).reason == phase


def test_a_suspension_is_told_in_flaggers_words_and_alerts_nobody() -> None:
    told = told_of_suspension()

    assert (told.reason, told.message) == ("Suspended", "skipping canary run as object is suspended")
    assert told.severity is None
