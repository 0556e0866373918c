"""What is decided: one row a rule."""

from datetime import timedelta

import pytest

from canary.decision import (
    Advance,
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
from canary.ladder import decide
from canary.observation import Routes, Workload
from canary.safeguards import FOREIGN_WRITES
from canary.situation import Situation
from canary.spec import StepPlan, TargetRef, WorkloadKind
from canary.status import Outcome, Phase, RolloutStatus
from tests.canary.rollouts import (
    ABORT,
    LEAVE,
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
    at_weight,
    in_phase,
)

DOWN = a_primary(ready=0)
LONG_AGO = NOW - timedelta(hours=1)
MINUTE = timedelta(seconds=60)


def shape(decision: Decision) -> object:
    """What a decision does, without its words."""
    match decision:
        case Advance() | Correct() | ShiftBack():
            return type(decision), decision.weight
        case Rollback():
            return Rollback, decision.outcome
        case Hold():
            return Hold, decision.is_failed_check
        case Wait():
            return Wait, decision.until - NOW, decision.needs_person
        case _:
            return type(decision)


ASKS = (Wait, MINUTE, True)
ANALYSIS = [
    pytest.param(a_case(), (Advance, 10), id="the first step needs no check"),
    pytest.param(
        a_case(status=at_weight(10)),
        Measure,
        id="every further step needs a check",
        marks=pytest.mark.proves("C03"),
    ),
    pytest.param(
        a_case(status=at_weight(10), check=a_check()),
        (Advance, 20),
        id="a passing check advances",
        marks=pytest.mark.proves("C03"),
    ),
    pytest.param(
        a_case(status=at_weight(30), check=a_check()),
        Promote,
        id="the last step promotes",
        marks=pytest.mark.proves("C03"),
    ),
    pytest.param(
        a_case(status=a_status(is_scaled_up=False, due=NOW + MINUTE)),
        Begin,
        id="a canary that could not be scaled up is, before anything is due",
    ),
    pytest.param(
        a_case(status=a_status(is_scaled_up=False, canary_unready_since=LONG_AGO), target=a_workload(size=0)),
        (Rollback, Outcome.ROLLED_BACK),
        id="but not for ever",
    ),
    pytest.param(
        a_case(status=at_weight(10, due=NOW + MINUTE)),
        (Wait, MINUTE, False),
        id="no step before it is due",
        marks=pytest.mark.proves("C39", "D8", "T1"),
    ),
    pytest.param(
        a_case(status=at_weight(10), check=a_check(98.0)),
        (Hold, True),
        id="a value out of bounds counts",
        marks=pytest.mark.proves("C25"),
    ),
    pytest.param(
        a_case(status=at_weight(10), check=a_check(None)),
        (Hold, True),
        id="no data counts",
        marks=pytest.mark.proves("C26"),
    ),
    pytest.param(
        a_case(status=at_weight(10), check=a_check(error="timeout")),
        (Hold, True),
        id="an error counts",
        marks=pytest.mark.proves("C26"),
    ),
    pytest.param(
        a_case(status=at_weight(10, failed_checks=1), check=a_check(98.0)),
        (Rollback, Outcome.ROLLED_BACK),
        id="the last failed check allowed ends it at that very check",
        marks=pytest.mark.proves("D1", "C25"),
    ),
    pytest.param(
        a_case(status=at_weight(10, failed_checks=1), check=a_check(98.0), primary=DOWN),
        (Hold, True),
        id="no rollback onto a primary that does not serve",
    ),
    pytest.param(
        a_case(status=at_weight(10, failed_checks=2, due=NOW + MINUTE)),
        (Rollback, Outcome.ROLLED_BACK),
        id="a threshold reached before ends it once the primary serves",
    ),
    pytest.param(a_case(wishes=ABORT), (Rollback, Outcome.ABORTED), id="abort without traffic"),
    pytest.param(
        a_case(status=at_weight(10, due=NOW + MINUTE), wishes=ABORT),
        (Rollback, Outcome.ABORTED),
        id="abort waits for no interval",
    ),
    pytest.param(
        a_case(status=at_weight(10), wishes=ABORT, primary=DOWN),
        ASKS,
        id="abort leaves traffic that is served",
    ),
    pytest.param(
        a_case(wishes=ABORT, primary=DOWN),
        (Rollback, Outcome.ABORTED),
        id="abort without traffic needs no primary",
    ),
    pytest.param(
        a_case(wishes=ABORT, primary=DOWN, routes=Routes(primary=90, canary=10)),
        ASKS,
        id="weights that someone else set are traffic too",
    ),
    pytest.param(a_case(target=None), (Rollback, Outcome.ROLLED_BACK), id="a target that is gone"),
    pytest.param(
        a_case(status=at_weight(10), target=a_workload(revision=OLD)),
        (Rollback, Outcome.REVERTED),
        id="back at the promoted revision",
        marks=pytest.mark.proves("D6"),
    ),
    pytest.param(
        a_case(status=at_weight(10, due=NOW + MINUTE), target=a_workload(revision=NEWER)),
        Restart,
        id="a new revision loses the weight at once",
        marks=pytest.mark.proves("C29", "T22"),
    ),
    pytest.param(
        a_case(status=at_weight(10), target=a_workload(revision=NEWER), primary=DOWN),
        ASKS,
        id="a new revision stays where only it serves",
    ),
    pytest.param(a_case(status=at_weight(10), wishes=RESTART), Restart, id="a person restarts"),
    pytest.param(
        a_case(status=at_weight(20), routes=Routes(primary=90, canary=10)),
        (Correct, 20),
        id="foreign weights are put right",
        marks=pytest.mark.proves("T2"),
    ),
    pytest.param(
        a_case(status=at_weight(20), routes=Routes(primary=50, canary=50)),
        (Correct, 20),
        id="too much on the canary is put right",
        marks=pytest.mark.proves("T2"),
    ),
    pytest.param(
        a_case(status=at_weight(20), routes=None),
        (Correct, 20),
        id="lost routes are brought back",
        marks=pytest.mark.proves("T2"),
    ),
    pytest.param(
        a_case(status=at_weight(20), routes=Routes(primary=90, canary=10), target=a_workload(ready=0)),
        Retreat,
        id="weights are not put back onto a canary that does not serve",
    ),
    pytest.param(
        a_case(status=at_weight(20), routes=Routes(primary=50, canary=50), primary=DOWN),
        ASKS,
        id="weights are not put back onto a primary that does not serve",
    ),
    pytest.param(
        a_case(status=at_weight(20, due=NOW + MINUTE), primary=DOWN),
        ASKS,
        id="a primary that goes down calls for a person at once",
    ),
    pytest.param(
        a_case(status=at_weight(20), check=a_check(100.0), primary=DOWN),
        ASKS,
        id="no step while the primary is down, though the check has passed",
    ),
    pytest.param(
        a_case(status=at_weight(20, foreign_writes=FOREIGN_WRITES), routes=Routes(primary=90, canary=10)),
        ASKS,
        id="undone three times: stand back",
    ),
    pytest.param(
        a_case(status=at_weight(20, due=NOW + MINUTE), target=a_workload(ready=0)),
        Retreat,
        id="a canary without pods loses its traffic at once",
        marks=pytest.mark.proves("D10"),
    ),
    pytest.param(
        a_case(status=at_weight(20), target=a_workload(ready=0), primary=DOWN),
        ASKS,
        id="neither side serves",
    ),
    pytest.param(
        a_case(target=a_workload(ready=1)),
        (Hold, False),
        id="exposure grows on a ready canary only",
        marks=pytest.mark.proves("C27"),
    ),
    pytest.param(
        a_case(status=at_weight(10), target=a_workload(ready=1)),
        Measure,
        id="a canary partly ready goes on being checked",
        marks=pytest.mark.proves("D10"),
    ),
    pytest.param(
        a_case(status=at_weight(10), target=a_workload(ready=1), check=a_check()),
        (Hold, False),
        id="a canary partly ready holds its weight",
        marks=pytest.mark.proves("C27"),
    ),
    pytest.param(
        a_case(primary=a_primary(ready=1)),
        (Hold, False),
        id="exposure grows beside a ready primary only",
        marks=pytest.mark.proves("C27"),
    ),
    pytest.param(
        a_case(primary=None),
        RecreatePrimary,
        id="a primary that somebody deleted comes back",
        marks=pytest.mark.proves("T14"),
    ),
    pytest.param(
        a_case(status=at_weight(10), primary=None, wishes=ABORT),
        RecreatePrimary,
        id="also before an abort, which needs it",
    ),
    pytest.param(
        a_case(primary=None, wishes=ABORT),
        (Rollback, Outcome.ABORTED),
        id="but not before one that has no traffic to move",
    ),
    pytest.param(
        a_case(status=a_status(phase=Phase.WAITING), primary=None, wishes=ABORT),
        (Rollback, Outcome.ABORTED),
        id="nor before one of what waits",
    ),
    pytest.param(
        a_case(target=a_workload(is_paused=True)),
        (Hold, False),
        id="no exposure for pods of a template that somebody paused",
        marks=pytest.mark.proves("T22"),
    ),
    pytest.param(
        a_case(target=a_workload(size=0)), (Hold, False), id="no exposure for a canary without pods"
    ),
    pytest.param(
        a_case(target=a_workload(is_observed=False)),
        (Hold, False),
        id="a generation that nobody has seen yet",
    ),
    pytest.param(a_case(target=a_workload(replicas=3)), (Hold, False), id="old pods that are still there"),
    pytest.param(a_case(target=a_workload(updated=1)), (Hold, False), id="pods that are not updated yet"),
    pytest.param(
        a_case(status=a_status(canary_unready_since=LONG_AGO, due=NOW + MINUTE), target=a_workload(ready=1)),
        (Rollback, Outcome.ROLLED_BACK),
        id="the canary's deadline",
        marks=pytest.mark.proves("C28"),
    ),
    pytest.param(
        a_case(target=a_workload(has_exceeded_deadline=True)),
        (Rollback, Outcome.ROLLED_BACK),
        id="the Deployment's own deadline",
        marks=pytest.mark.proves("C28"),
    ),
    pytest.param(
        a_case(status=a_status(primary_unready_since=LONG_AGO), primary=a_primary(ready=1)),
        (Rollback, Outcome.ROLLED_BACK),
        id="the primary's deadline",
        marks=pytest.mark.proves("C28"),
    ),
    pytest.param(
        a_case(
            status=a_status(canary_unready_since=NOW - timedelta(seconds=590), due=NOW + MINUTE),
            target=a_workload(ready=1),
        ),
        (Wait, timedelta(seconds=10), False),
        id="a deadline before the next tick is looked at in time",
    ),
    pytest.param(
        a_case(status=at_weight(20, is_retreated=True, traffic_weight=0)),
        (Advance, 20),
        id="a canary that is ready again returns to its weight",
    ),
    pytest.param(
        a_case(a_spec(suspend=True), at_weight(10), a_check()),
        (Hold, False),
        id="suspend holds the weight",
        marks=pytest.mark.proves("D7"),
    ),
    pytest.param(
        a_case(a_spec(suspend=True), at_weight(10)),
        Measure,
        id="suspend goes on checking",
        marks=pytest.mark.proves("D7", "T15"),
    ),
    pytest.param(
        a_case(a_spec(suspend=True, threshold=1), at_weight(10), a_check(98.0)),
        (Rollback, Outcome.ROLLED_BACK),
        id="suspend may roll back",
        marks=pytest.mark.proves("D7", "T15"),
    ),
    pytest.param(
        a_case(a_spec(skip_analysis=True)),
        Promote,
        id="skipAnalysis promotes a ready canary",
        marks=pytest.mark.proves("C32"),
    ),
    pytest.param(
        a_case(a_spec(skip_analysis=True), at_weight(10)),
        Promote,
        id="skipAnalysis in mid-run",
        marks=pytest.mark.proves("C32"),
    ),
    pytest.param(
        a_case(a_spec(skip_analysis=True), target=a_workload(ready=1)),
        (Hold, False),
        id="skipAnalysis waits for the canary",
    ),
]
HALF = a_primary(ready=0, promoting="new")
ANALYSIS += [
    pytest.param(
        a_case(status=at_weight(100), check=a_check(), primary=HALF),
        Promote,
        id="a canary that serves everybody needs no primary to be promoted again",
    ),
    pytest.param(
        a_case(status=at_weight(100, primary_unready_since=LONG_AGO), primary=HALF),
        Measure,
        id="nor is the deadline of a primary without traffic looked at",
    ),
    pytest.param(
        a_case(status=at_weight(100), primary=HALF, wishes=ABORT),
        RestorePrimary,
        id="a half promoted primary is restored before it gets traffic",
    ),
    pytest.param(
        a_case(
            status=at_weight(100, failed_checks=1),
            check=a_check(98.0),
            primary=a_primary(promoting="new"),
        ),
        (Hold, True),
        id="the last failed check is no reason to go to a half promoted primary",
    ),
    pytest.param(
        a_case(status=at_weight(100, failed_checks=2), primary=a_primary(promoting="new")),
        ASKS,
        id="no rollback onto a half promoted primary",
    ),
    *(
        pytest.param(
            a_case(status=at_weight(100, failed_checks=2), target=target, primary=a_primary(promoting="new")),
            Retreat,
            id=f"but nobody stays with {what}",
        )
        for target, what in ((a_workload(ready=0), "a dead canary"), (None, "a canary that is gone"))
    ),
    pytest.param(
        a_case(status=at_weight(100, failed_checks=2), target=a_workload(ready=0), primary=HALF),
        ASKS,
        id="with nobody else either if that does not serve",
    ),
]
STEPWISE = a_spec(steps=StepPlan(step_weight=10, max_weight=30, step_weight_promotion=20))
ENDING = [
    pytest.param(a_case(status=in_phase(Phase.PROMOTING)), Finalise, id="a ready primary gets everything"),
    pytest.param(
        a_case(STEPWISE, in_phase(Phase.PROMOTING)),
        (ShiftBack, 10),
        id="promotion in steps",
        marks=pytest.mark.proves("C34"),
    ),
    pytest.param(
        a_case(STEPWISE, in_phase(Phase.PROMOTING, 10)),
        Finalise,
        id="the last step of the promotion",
        marks=pytest.mark.proves("C34"),
    ),
    pytest.param(
        a_case(status=in_phase(Phase.PROMOTING, due=NOW + MINUTE)),
        (Wait, MINUTE, False),
        id="no promotion step early",
    ),
    pytest.param(
        a_case(status=in_phase(Phase.PROMOTING), primary=a_primary(ready=1)),
        (Hold, False),
        id="the primary gets no more before it is ready",
        marks=pytest.mark.proves("T16"),
    ),
    pytest.param(
        a_case(status=in_phase(Phase.PROMOTING, primary_size=3)),
        (Hold, False),
        id="promotion never shrinks the primary",
    ),
    pytest.param(
        a_case(status=in_phase(Phase.PROMOTING), wishes=ABORT), RestorePrimary, id="abort in promotion"
    ),
    pytest.param(
        a_case(status=in_phase(Phase.PROMOTING, is_restoring=True), wishes=ABORT),
        (Rollback, Outcome.ABORTED),
        id="abort in promotion ends on the restored primary",
    ),
    pytest.param(
        a_case(status=in_phase(Phase.PROMOTING, is_restoring=True), primary=a_primary(ready=1)),
        (Wait, MINUTE, False),
        id="abort in promotion waits for the restored primary",
    ),
    pytest.param(
        a_case(status=in_phase(Phase.PROMOTING), target=a_workload(revision=NEWER)),
        Retreat,
        id="no newer revision gets the judged one's traffic",
        marks=pytest.mark.proves("T4"),
    ),
    pytest.param(
        a_case(status=in_phase(Phase.PROMOTING, 0), target=a_workload(revision=NEWER)),
        Finalise,
        id="a newer revision without traffic waits",
        marks=pytest.mark.proves("T3"),
    ),
    pytest.param(
        a_case(status=in_phase(Phase.PROMOTING, 0), target=None), Finalise, id="promotion without a target"
    ),
    pytest.param(
        a_case(status=in_phase(Phase.PROMOTING), routes=Routes(primary=100, canary=0)),
        (Correct, 30),
        id="foreign weights in promotion",
    ),
    pytest.param(
        a_case(status=in_phase(Phase.PROMOTING), target=a_workload(ready=0)),
        Retreat,
        id="a canary without pods in promotion",
    ),
    pytest.param(
        a_case(status=in_phase(Phase.PROMOTING, primary_unready_since=LONG_AGO), primary=DOWN),
        HandOver,
        id="a primary that does not get ready hands over",
        marks=pytest.mark.proves("C35"),
    ),
    pytest.param(
        a_case(
            status=in_phase(Phase.PROMOTING, primary_unready_since=LONG_AGO),
            primary=DOWN,
            target=a_workload(size=1),
        ),
        Reinforce,
        id="the canary is brought to size first",
    ),
    pytest.param(
        a_case(
            a_spec(target=TargetRef(kind=WorkloadKind.DAEMON_SET, name="podinfo")),
            in_phase(Phase.PROMOTING, primary_unready_since=LONG_AGO),
            primary=DOWN,
            target=a_workload(size=1),
        ),
        HandOver,
        id="a DaemonSet has a pod on every node, which is all it can have",
    ),
    pytest.param(
        a_case(
            status=in_phase(Phase.PROMOTING, primary_unready_since=LONG_AGO),
            primary=DOWN,
            target=a_workload(ready=1),
        ),
        ASKS,
        id="and gets nothing before it is",
    ),
    pytest.param(
        a_case(
            status=in_phase(Phase.PROMOTING, primary_unready_since=LONG_AGO),
            primary=DOWN,
            target=a_workload(revision=NEWER),
        ),
        ASKS,
        id="nothing is handed over to a revision that was not judged",
        marks=pytest.mark.proves("T4"),
    ),
    pytest.param(
        a_case(
            status=in_phase(Phase.PROMOTING, primary_unready_since=LONG_AGO, is_restoring=True), primary=DOWN
        ),
        ASKS,
        id="an aborted promotion is not handed over",
    ),
    pytest.param(a_case(status=in_phase(Phase.FINALISING, 0)), Finish, id="the canary's pods go last"),
    pytest.param(
        a_case(a_spec(skip_analysis=True), in_phase(Phase.FINALISING, 0)), Finish, id="after skipAnalysis too"
    ),
    pytest.param(
        a_case(status=in_phase(Phase.FINALISING, 0, due=NOW + MINUTE)),
        (Wait, MINUTE, False),
        id="finalising waits its interval",
    ),
    pytest.param(
        a_case(status=in_phase(Phase.FINALISING, 0), primary=a_primary(ready=1)),
        (Hold, False),
        id="the canary's pods stay while the primary is not ready",
    ),
    pytest.param(a_case(status=in_phase(Phase.FINALISING, 0), wishes=ABORT), Finish, id="too late to abort"),
]


@pytest.mark.parametrize(("case", "expected"), [*ANALYSIS, *ENDING])
def test_decides(case: Situation, expected: object) -> None:
    """One rung of the ladder a row: Flagger's rule, or where it hurts users, ours.

    C03, C25, C26, C27, C28, C29, C32, C34, C35, C39, T1, T2, T3, T4, T14, T15, T16, T22, D1, D6, D7, D8, D10:
    Flagger's scheduler.go, scheduler_metrics.go, deployment_ready.go, job.go, istio.go,
    deployment_controller.go, docs/architecture.md.
    """
    assert shape(decide(case)) == expected


def test_equal_situations_give_equal_decisions() -> None:
    for row in (*ANALYSIS, *ENDING):
        case = row.values[0]
        assert isinstance(case, Situation)

        assert decide(case) == decide(case)


def test_says_who_aborted_and_why() -> None:
    decision = decide(a_case(wishes=ABORT))

    assert isinstance(decision, Rollback)
    assert decision.message == "Aborted by ada: looks bad"


@pytest.mark.parametrize(
    ("status", "primary", "is_left"),
    [
        pytest.param(at_weight(10), a_primary(), False, id="the primary serves: an abort like any other"),
        pytest.param(at_weight(10), None, True, id="the primary is gone"),
        pytest.param(at_weight(10), DOWN, True, id="the primary does not serve"),
        pytest.param(at_weight(10), a_primary(promoting="new"), True, id="nobody vouches for the primary"),
        pytest.param(a_status(), None, False, id="no traffic to be moved"),
        pytest.param(a_status(phase=Phase.WAITING), None, False, id="what waits has no traffic"),
        pytest.param(in_phase(Phase.PROMOTING), a_primary(), True, id="the primary is being promoted"),
        pytest.param(in_phase(Phase.FINALISING, 0), a_primary(ready=1), True, id="its last tick is held up"),
    ],
)
def test_a_way_out_waits_for_no_primary(
    status: RolloutStatus, primary: Workload | None, *, is_left: bool
) -> None:
    decision = decide(a_case(status=status, primary=primary, wishes=LEAVE))

    assert isinstance(decision, Rollback)
    assert (decision.outcome, decision.is_left, decision.by) == (Outcome.ABORTED, is_left, LEAVE.leave)


@pytest.mark.parametrize("weight", [1, 50, 100])
def test_a_canary_without_a_serving_pod_loses_its_traffic_however_little_it_has(weight: int) -> None:
    decision = decide(a_case(status=at_weight(weight), target=a_workload(ready=0)))

    assert isinstance(decision, Retreat)


def test_a_way_out_lets_a_promotion_come_to_its_last_tick() -> None:
    assert isinstance(decide(a_case(status=in_phase(Phase.FINALISING, 0), wishes=LEAVE)), Finish)


def test_names_both_sides_of_the_comparison() -> None:
    decision = decide(a_case(status=at_weight(10), check=a_check(98.693)))

    assert isinstance(decision, Hold)
    assert decision.message == "Halt podinfo.test advancement success rate 98.69% < 99%"


def test_names_who_undid_the_weights() -> None:
    drifted = a_case(status=at_weight(20), routes=Routes(primary=90, canary=10, manager="argocd"))

    assert decide(drifted).message == "argocd left weight 10 where 20 was set"  # type: ignore[union-attr]
