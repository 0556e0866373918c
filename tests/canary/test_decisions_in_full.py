"""What is decided, whole: its words, the person behind it and all that it carries."""

from datetime import timedelta

import pytest

from canary.decision import (
    Advance,
    Correct,
    Decision,
    Finalise,
    Finish,
    Hold,
    Restart,
    RestorePrimary,
    Retreat,
    Rollback,
    ShiftBack,
    Wait,
)
from canary.ladder import decide
from canary.observation import Routes
from canary.safeguards import FOREIGN_WRITES
from canary.situation import Situation
from canary.spec import HookType, MetricSpec, StepPlan, Strategy, ThresholdRange
from canary.status import Outcome, Person, Phase, Wishes
from tests.canary.rollouts import (
    ABORT,
    ADA,
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

MINUTE = timedelta(minutes=1)
DOWN = a_primary(ready=0)
HALF = a_primary(promoting="new")
BLUE_GREEN = a_spec(iterations=2)
MIRRORED = a_spec(iterations=2, mirror=True)
STEPWISE = a_spec(steps=StepPlan(step_weight=10, max_weight=30, step_weight_promotion=20))
CONFIRM = HookType.CONFIRM_ROLLOUT
UNKNOWN = Person(who="bo", at=NOW)


def warmed(warm_up: timedelta) -> MetricSpec:
    """A success rate that counts for nothing during its first moments."""
    bounds = ThresholdRange(min=99)
    return MetricSpec(name="request-success-rate", threshold_range=bounds, warm_up=warm_up)


def asks(message: str) -> Wait:
    """Hold, and call for a person."""
    return Wait(until=NOW + MINUTE, message=message, needs_person=True)


PERSONS = [
    pytest.param(
        a_case(status=at_weight(10), wishes=ABORT),
        Rollback(outcome=Outcome.ABORTED, message="Aborted by ada: looks bad", by=ADA),
        id="who aborted, and why",
    ),
    pytest.param(
        a_case(status=at_weight(10), wishes=Wishes(abort=UNKNOWN)),
        Rollback(outcome=Outcome.ABORTED, message="Aborted by bo", by=UNKNOWN),
        id="who aborted without a reason",
    ),
    pytest.param(
        a_case(status=at_weight(10), wishes=RESTART),
        Restart(revision=NEW, message="Restarted by ada: looks bad", by=ADA),
        id="who restarted",
    ),
    pytest.param(
        a_case(status=in_phase(Phase.PROMOTING), wishes=ABORT),
        RestorePrimary(message="Aborted by ada: looks bad", by=ADA),
        id="who aborted a promotion",
    ),
    pytest.param(
        a_case(status=at_weight(100), wishes=ABORT, primary=HALF),
        RestorePrimary(message="Aborted by ada: looks bad", by=ADA),
        id="who aborted beside a primary that is half promoted",
    ),
    pytest.param(
        a_case(status=in_phase(Phase.PROMOTING, is_restoring=True, by=ADA, message="Aborted by ada")),
        Rollback(outcome=Outcome.ABORTED, message="Aborted by ada", by=ADA),
        id="who aborted is known to the end of a restoration",
    ),
    pytest.param(
        a_case(
            status=in_phase(Phase.PROMOTING, is_restoring=True, by=ADA, message="Aborted by ada"),
            primary=a_primary(ready=1),
        ),
        Wait(
            until=NOW + MINUTE,
            message="podinfo-primary.test not ready: waiting for rollout to finish: "
            "1 of 2 (readyThreshold 100%) updated replicas are available",
        ),
        id="what a restoration waits for",
    ),
]
RETREATS = [
    pytest.param(
        a_case(status=at_weight(1), wishes=Wishes(abort=UNKNOWN), primary=DOWN),
        asks("podinfo-primary.test is not serving, so the traffic stays where it is: Aborted by bo"),
        id="one percent is traffic",
    ),
    pytest.param(
        a_case(status=at_weight(1), wishes=Wishes(abort=UNKNOWN), primary=DOWN, routes=None),
        asks("podinfo-primary.test is not serving, so the traffic stays where it is: Aborted by bo"),
        id="one percent is traffic though its routes are gone",
    ),
    pytest.param(
        a_case(wishes=Wishes(abort=UNKNOWN), primary=DOWN, routes=Routes(primary=99, canary=1)),
        asks("podinfo-primary.test is not serving, so the traffic stays where it is: Aborted by bo"),
        id="one percent that somebody else gave as well",
    ),
    pytest.param(
        a_case(status=a_status(canary_unready_since=NOW - 10 * MINUTE), target=a_workload(size=0)),
        Rollback(
            outcome=Outcome.ROLLED_BACK,
            message="canary deployment podinfo.test not ready: it has no serving pod",
        ),
        id="nobody to expose when the deadline passes",
    ),
    pytest.param(
        a_case(status=at_weight(10, due=NOW + MINUTE), target=a_workload(revision=OLD)),
        Rollback(outcome=Outcome.REVERTED, message="podinfo.test is back at the promoted revision"),
        id="back at the promoted revision",
    ),
    pytest.param(
        a_case(target=None),
        Rollback(outcome=Outcome.ROLLED_BACK, message="Deployment podinfo.test is gone"),
        id="a target that is gone",
    ),
    pytest.param(
        a_case(status=at_weight(10, failed_checks=2)),
        Rollback(
            outcome=Outcome.ROLLED_BACK,
            message="Rolling back podinfo.test failed checks threshold reached 2",
        ),
        id="how many failed checks were one too many",
    ),
    pytest.param(
        a_case(status=at_weight(10), target=a_workload(revision=NEWER)),
        Restart(revision=NEWER, message="New revision detected! Restarting analysis for podinfo.test"),
        id="a new revision",
    ),
    pytest.param(
        a_case(status=at_weight(10, strategy=Strategy.BLUE_GREEN)),
        Restart(revision=NEW, message="The strategy is canary now! Restarting analysis for podinfo.test"),
        id="another strategy",
    ),
    pytest.param(
        a_case(status=in_phase(Phase.PROMOTING, 1, strategy=Strategy.BLUE_GREEN)),
        Retreat(message="The strategy is canary now: podinfo.test is promoted without traffic"),
        id="another strategy while the last percent is shifted back",
    ),
    pytest.param(
        a_case(status=in_phase(Phase.PROMOTING), target=a_workload(revision=NEWER)),
        Retreat(
            message="podinfo.test has a newer revision: it waits for its own analysis without traffic",
            is_next_revision=True,
        ),
        id="a newer revision in promotion is remembered",
    ),
    pytest.param(
        a_case(status=at_weight(20), target=a_workload(ready=0)),
        Retreat(message="podinfo.test has no serving pod: its traffic goes to the primary"),
        id="a canary without pods",
    ),
    pytest.param(
        a_case(status=at_weight(20), target=a_workload(ready=0), primary=DOWN),
        asks("Neither the canary nor the primary is serving"),
        id="neither side serves",
    ),
    pytest.param(
        a_case(status=at_weight(10), wishes=ABORT, primary=DOWN),
        asks(
            "podinfo-primary.test is not serving, so the traffic stays where it is: Aborted by ada: looks bad"
        ),
        id="no primary to go to",
    ),
    pytest.param(
        a_case(status=at_weight(100, failed_checks=2), primary=HALF),
        asks(
            "podinfo-primary.test is half promoted, so the traffic stays: "
            "Rolling back podinfo.test failed checks threshold reached 2"
        ),
        id="a primary that is half promoted",
    ),
]
DRIFTS = [
    pytest.param(
        a_case(status=at_weight(20), routes=Routes(primary=90, canary=10, manager="argocd"), primary=DOWN),
        Correct(weight=20, message="argocd left weight 10 where 20 was set"),
        id="to a canary that serves its weight is put back without a primary",
    ),
    pytest.param(
        a_case(status=at_weight(20), routes=Routes(primary=90, canary=10)),
        Correct(weight=20, message="someone left weight 10 where 20 was set"),
        id="nobody signed the weights",
    ),
    pytest.param(
        a_case(status=at_weight(20), routes=None),
        Correct(weight=20, message="someone left no routes where 20 was set"),
        id="routes that are gone",
    ),
    pytest.param(
        a_case(status=at_weight(20), routes=Routes(primary=80, canary=20, is_intact=False, manager="argocd")),
        Correct(weight=20, message="argocd changed the routes"),
        id="the weights stand, the rest does not",
    ),
    pytest.param(
        a_case(
            status=at_weight(20),
            routes=Routes(primary=80, canary=20, is_intact=False, manager="argocd"),
            primary=DOWN,
        ),
        asks("argocd changed the routes, and the side to put it back to is not serving"),
        id="nor is the rest put back without a primary",
    ),
    pytest.param(
        a_case(status=at_weight(20), routes=Routes(primary=80, canary=20, is_for_all=True, manager="argocd")),
        Correct(weight=20, message="argocd changed the routes"),
        id="the canary was given to everybody",
    ),
    pytest.param(
        a_case(
            status=at_weight(20, foreign_writes=FOREIGN_WRITES),
            routes=Routes(primary=90, canary=10, manager="argocd"),
        ),
        asks("Standing back, for the routes were undone 3 times: argocd left weight 10 where 20 was set"),
        id="why it stands back",
    ),
    pytest.param(
        a_case(status=at_weight(20), routes=Routes(primary=50, canary=50), primary=DOWN),
        asks("someone left weight 50 where 20 was set, and the side to put it back to is not serving"),
        id="why weights are not put back",
    ),
]
ENDINGS = [
    pytest.param(
        a_case(status=in_phase(Phase.PROMOTING, 0, strategy=Strategy.BLUE_GREEN)),
        Finalise(message="Routing all traffic to primary"),
        id="another strategy means nothing to a canary without traffic",
    ),
    pytest.param(
        a_case(
            a_spec(primary_ready_threshold=0),
            in_phase(Phase.PROMOTING),
            primary=a_primary(ready=0, available=2),
        ),
        Hold(message="podinfo-primary.test has no serving pod"),
        id="a threshold of zero is no reason to go where nobody serves",
    ),
    pytest.param(
        a_case(status=in_phase(Phase.PROMOTING, primary_size=3)),
        Hold(message="podinfo-primary.test has 2 of the 3 pods it began with"),
        id="a primary that is smaller than it was",
    ),
    pytest.param(
        a_case(STEPWISE, in_phase(Phase.PROMOTING)),
        ShiftBack(weight=10, message="Advance podinfo.test primary weight 90"),
        id="a step of the promotion",
    ),
    pytest.param(
        a_case(STEPWISE, in_phase(Phase.PROMOTING, 10)),
        Finalise(message="Advance podinfo.test primary weight 100"),
        id="the last step of the promotion",
    ),
    pytest.param(
        a_case(status=in_phase(Phase.PROMOTING)),
        Finalise(message="Routing all traffic to primary"),
        id="a promotion at once",
    ),
    pytest.param(
        a_case(status=in_phase(Phase.FINALISING, 0)),
        Finish(message="Promotion completed! Scaling down podinfo.test"),
        id="the end",
    ),
    pytest.param(
        a_case(a_spec(skip_analysis=True), in_phase(Phase.FINALISING, 0)),
        Finish(message="Promotion completed! Canary analysis was skipped for podinfo.test"),
        id="the end without an analysis",
    ),
]
STEPS = [
    pytest.param(
        a_case(status=at_weight(10, due=NOW + MINUTE, message="Advance podinfo.test canary weight 10")),
        Wait(until=NOW + MINUTE, message="Advance podinfo.test canary weight 10"),
        id="waiting for the next tick keeps the last words",
    ),
    pytest.param(
        a_case(a_spec(suspend=True), a_status(phase=Phase.WAITING)),
        Wait(until=NOW + MINUTE, message="podinfo.test is suspended: no rollout begins"),
        id="suspended before it began",
    ),
    pytest.param(
        a_case(a_spec(suspend=True), at_weight(10), a_check()),
        Hold(message="podinfo.test is suspended: it keeps its weight and goes on being checked"),
        id="suspended in mid-run",
    ),
    pytest.param(
        a_case(target=a_workload(size=0)),
        Hold(message="canary deployment podinfo.test not ready: it has no serving pod"),
        id="nobody to expose",
    ),
    pytest.param(
        a_case(
            a_spec(canary_ready_threshold=0),
            target=a_workload(ready=0),
        ),
        Hold(message="canary deployment podinfo.test not ready: it has no serving pod"),
        id="a threshold of zero is no reason to expose nobody",
    ),
    pytest.param(
        a_case(a_spec(metrics=(warmed(MINUTE),)), at_weight(10), a_check()),
        Advance(weight=20, message="Advance podinfo.test canary weight 20"),
        id="a metric warms up once, when the canary first got traffic",
    ),
    pytest.param(
        a_case(a_spec(metrics=(warmed(10 * MINUTE),)), at_weight(10), a_check(0.0)),
        Hold(message="Halt podinfo.test advancement metric request-success-rate is warming up for 600 s"),
        id="while a metric warms up no value counts",
    ),
    pytest.param(
        a_case(BLUE_GREEN, a_status(BLUE_GREEN, has_begun=True, iterations=1), a_check()),
        Advance(weight=0, iterations=2, message="Advance podinfo.test canary iteration 2/2"),
        id="the last iteration",
    ),
    pytest.param(
        a_case(BLUE_GREEN, a_status(BLUE_GREEN, has_begun=True, iterations=2), a_check()),
        Advance(weight=100, iterations=3, message="Routing all traffic to canary"),
        id="everybody after the last iteration",
    ),
    pytest.param(
        a_case(MIRRORED, a_status(MIRRORED, has_begun=True, iterations=2, is_mirrored=True), a_check()),
        Advance(weight=100, iterations=3, message="Stop traffic mirroring and route all traffic to canary"),
        id="everybody after the last mirrored iteration",
    ),
    pytest.param(
        a_case(
            MIRRORED,
            a_status(
                MIRRORED,
                has_begun=True,
                iterations=2,
                is_mirrored=True,
                is_retreated=True,
                exposed_at=NOW - MINUTE,
            ),
        ),
        Advance(
            weight=0,
            iterations=2,
            is_mirrored=True,
            message="podinfo.test is ready again and gets its weight 0 back",
        ),
        id="a canary that is ready again goes on with its iteration, mirrored as before",
    ),
    pytest.param(
        a_case(
            a_spec(webhooks=(hook(CONFIRM),)),
            a_status(phase=Phase.WAITING),
            gates=asked(answer(CONFIRM, passed=False)),
        ),
        Hold(
            message="Halt podinfo.test advancement waiting for approval confirm-rollout",
            waiting_for=CONFIRM,
        ),
        id="the gate in front of a rollout",
    ),
]


@pytest.mark.parametrize(("case", "expected"), [*PERSONS, *RETREATS, *DRIFTS, *ENDINGS, *STEPS])
def test_decides_in_so_many_words(case: Situation, expected: Decision) -> None:
    assert decide(case) == expected


def test_routes_without_traffic_are_for_whom_they_like() -> None:
    case = a_case(routes=routes_at(0).model_copy(update={"is_for_all": True}))

    assert decide(case) == Advance(weight=10, message="Advance podinfo.test canary weight 10")
