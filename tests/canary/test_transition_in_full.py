"""What a decision makes of a status in which everything has happened: all that changes, and nothing else."""

from datetime import datetime, timedelta
from typing import Any

import pytest

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
from canary.spec import CanarySpec, HookType, SessionAffinity, Strategy
from canary.status import Outcome, Phase, RolloutStatus
from canary.steps import FULL
from canary.transition import REMINDER, after, begin, is_to_be_told, noticed, resumed
from tests.canary.rollouts import (
    ADA,
    NEW,
    NEWER,
    NOW,
    OLD,
    a_case,
    a_primary,
    a_spec,
    a_status,
    a_workload,
    at_weight,
    hook,
)

DONE = NOW + timedelta(seconds=3)
DUE = DONE + timedelta(seconds=60)
EARLIER = NOW - timedelta(minutes=20)
INSIDERS = ({"headers": {"x-canary": {"exact": "insider"}}},)
MATCH = ({"headers": {"x-canary": {"exact": "insider"}}},)
TRAFFIC, PROMOTION = HookType.CONFIRM_TRAFFIC_INCREASE, HookType.CONFIRM_PROMOTION
AB = a_spec(iterations=5, match=MATCH)
WORN: dict[str, Any] = {
    "canary_weight": 20,
    "traffic_weight": 20,
    "exposure": 20,
    "is_mirrored": True,
    "has_begun": True,
    "failed_checks": 1,
    "iterations": 1,
    "restarts": 1,
    "waiting_for": TRAFFIC,
    "approved": (TRAFFIC, PROMOTION),
    "reminded_at": EARLIER,
    "exposed_at": EARLIER,
    "strategy": Strategy.BLUE_GREEN,
    "match": INSIDERS,
    "expired_cookie": "gone",
    "is_for_all": True,
    "actuated_at": EARLIER,
    "canary_unready_since": EARLIER,
    "primary_unready_since": EARLIER,
    "message": "before",
    "by": ADA,
    "needs_person": True,
    "is_retreated": True,
    "is_scaled_up": False,
    "is_promotion_open": True,
    "foreign_writes": 1,
    "traffic_changed_at": EARLIER,
}


def changed(decision: Decision, spec: CanarySpec | None = None, **before: Any) -> dict[str, Any]:
    """The fields that a decision changes in a status in which everything has happened."""
    status = a_status(**{**WORN, **before})
    become = after(a_case(spec, status), decision, DONE)
    return {
        name: getattr(become, name)
        for name in RolloutStatus.model_fields
        if getattr(become, name) != getattr(status, name) and name != "condition"
    }


SAID = {"message": "m", "needs_person": False}
SHOWN = {**SAID, "last_transition_time": DONE}
UNTOUCHED = {"is_for_all": False, "is_mirrored": False}
NO_TRAFFIC = {"traffic_weight": 0, "traffic_changed_at": DONE, **UNTOUCHED}
UNASKED = {"waiting_for": None, "reminded_at": None}


@pytest.mark.parametrize(
    ("decision", "changes"),
    [
        pytest.param(Measure(hooks=()), {}, id="a check"),
        pytest.param(Ask(gates=(TRAFFIC,)), {}, id="a question"),
        pytest.param(Wait(until=DUE, message="m"), SHOWN, id="waiting"),
        pytest.param(Wait(until=DUE, message="m", needs_person=True), {"message": "m"}, id="a call"),
        pytest.param(Reinforce(replicas=2, message="m"), SHOWN, id="more pods"),
        pytest.param(
            RecreatePrimary(message="m"), {**SHOWN, "primary_unready_since": DONE}, id="a primary made anew"
        ),
        pytest.param(
            Begin(message="m"),
            {
                **SHOWN,
                "is_scaled_up": True,
                "waiting_for": None,
                "canary_unready_since": DONE,
                "due": DUE,
            },
            id="begin",
        ),
        pytest.param(
            Approve(gate=PROMOTION, message="m", by=ADA),
            {**SHOWN, **UNASKED, "approved": (TRAFFIC, PROMOTION, PROMOTION)},
            id="approved while the canary is not exposed: the tick stays",
        ),
        pytest.param(
            Hold(message="m", waiting_for=PROMOTION),
            {
                **SHOWN,
                "phase": Phase.WAITING_PROMOTION,
                "waiting_for": PROMOTION,
                "reminded_at": DONE,
                "due": DUE,
            },
            id="another gate is closed",
        ),
        pytest.param(Correct(weight=20, message="m"), {**SHOWN, "foreign_writes": 2}, id="foreign weights"),
        pytest.param(
            Advance(weight=30, iterations=2, message="m"),
            {
                **SHOWN,
                **UNASKED,
                "canary_weight": 30,
                "traffic_weight": 30,
                "exposure": 30,
                "iterations": 2,
                "strategy": Strategy.CANARY,
                "match": (),
                "is_retreated": False,
                "is_mirrored": False,
                "approved": (PROMOTION,),
                "actuated_at": DONE,
                "traffic_changed_at": DONE,
                "due": DUE,
            },
            id="a step",
        ),
        pytest.param(
            Advance(weight=20, iterations=1, is_mirrored=True, message="m"),
            {
                **SHOWN,
                **UNASKED,
                "strategy": Strategy.CANARY,
                "match": (),
                "is_retreated": False,
                "approved": (PROMOTION,),
                "due": DUE,
            },
            id="a step that leaves the routes alone",
        ),
        pytest.param(
            Restart(revision=NEWER, message="m"),
            {
                **SHOWN,
                **UNASKED,
                **NO_TRAFFIC,
                "revision": NEWER,
                "canary_weight": 0,
                "exposure": 0,
                "has_begun": False,
                "strategy": None,
                "match": None,
                "exposed_at": None,
                "failed_checks": 0,
                "iterations": 0,
                "restarts": 2,
                "is_promotion_open": False,
                "is_retreated": False,
                "approved": (),
                "actuated_at": DONE,
                "canary_unready_since": DONE,
                "by": None,
                "due": DUE,
            },
            id="a restart",
        ),
        pytest.param(Retreat(message="m"), {**SHOWN, **NO_TRAFFIC, "due": DUE}, id="a retreat"),
        pytest.param(
            Promote(message="m"),
            {
                **SHOWN,
                "phase": Phase.PROMOTING,
                "is_promotion_open": False,
                "canary_weight": 0,
                "waiting_for": None,
                "primary_unready_since": DONE,
                "due": DUE,
            },
            id="a promotion",
        ),
        pytest.param(
            ShiftBack(weight=10, message="m"),
            {
                **SHOWN,
                "traffic_weight": 10,
                "traffic_changed_at": DONE,
                "is_mirrored": False,
                "due": DUE,
            },
            id="a step back",
        ),
        pytest.param(
            Finalise(message="m"),
            {
                **SHOWN,
                **NO_TRAFFIC,
                "phase": Phase.FINALISING,
                "canary_weight": 0,
                "iterations": 0,
                "due": DUE,
            },
            id="the last step back",
        ),
        pytest.param(
            RestorePrimary(message="m"),
            {
                **SHOWN,
                "phase": Phase.PROMOTING,
                "is_promotion_open": False,
                "is_restoring": True,
                "waiting_for": None,
                "primary_unready_since": DONE,
                "by": None,
                "due": DUE,
            },
            id="a restoration",
        ),
        pytest.param(
            Finish(message="m"),
            {**SHOWN, "phase": Phase.SUCCEEDED, "outcome": Outcome.PROMOTED},
            id="the end",
        ),
        pytest.param(
            Rollback(outcome=Outcome.ROLLED_BACK, message="m", is_failed_check=True),
            {
                **SHOWN,
                **NO_TRAFFIC,
                "phase": Phase.FAILED,
                "outcome": Outcome.ROLLED_BACK,
                "by": None,
                "canary_weight": 0,
                "waiting_for": None,
                "failed_checks": 2,
            },
            id="a rollback",
        ),
        pytest.param(
            Rollback(outcome=Outcome.ABORTED, message="m", is_left=True),
            {
                **SHOWN,
                "phase": Phase.FAILED,
                "outcome": Outcome.ABORTED,
                "by": None,
                "canary_weight": 0,
                "waiting_for": None,
                "is_left": True,
            },
            id="the end of a canary that is taken out",
        ),
        pytest.param(
            HandOver(message="m"),
            {
                "message": "m",
                "last_transition_time": DONE,
                "phase": Phase.FAILED,
                "outcome": Outcome.HALTED,
                "traffic_weight": FULL,
                "traffic_changed_at": DONE,
                "is_mirrored": False,
                "is_for_all": False,
            },
            id="handed over",
        ),
    ],
)
def test_changes(decision: Decision, changes: dict[str, Any]) -> None:
    assert changed(decision) == changes


@pytest.mark.parametrize("phase", [Phase.WAITING_PROMOTION, Phase.PROGRESSING])
def test_a_step_is_progress(phase: Phase) -> None:
    become = after(a_case(status=at_weight(20, phase=phase)), Advance(weight=30, message="m"), DONE)

    assert become.phase is Phase.PROGRESSING


def test_what_waits_has_no_pods_yet() -> None:
    assert not begin(a_spec(webhooks=(hook(HookType.CONFIRM_ROLLOUT),)), NEW, OLD, 2, NOW).is_scaled_up
    assert begin(a_spec(), NEW, OLD, 2, NOW).is_scaled_up


def test_the_first_step_is_when_a_revision_first_gets_traffic() -> None:
    assert changed(Advance(weight=30, message="m"), exposed_at=None)["exposed_at"] == DONE


def test_a_person_s_word_is_a_tick() -> None:
    approve = Approve(gate=PROMOTION, message="m", by=ADA)

    assert changed(approve, is_retreated=False)["due"] == DONE


def test_a_match_is_exposed_without_a_weight_under_analysis() -> None:
    become = after(a_case(AB, a_status(AB)), Advance(weight=FULL, iterations=1, message="m"), DONE)

    assert (become.canary_weight, become.exposure, become.traffic_weight) == (0, FULL, FULL)


def test_a_canary_that_is_handed_everything_serves_those_outside_its_match_too() -> None:
    become = after(a_case(AB, a_status(AB)), HandOver(message="m"), DONE)

    assert become.is_for_all
    assert become.needs_person


def test_a_cookie_is_forgotten_once_its_canary_has_no_traffic() -> None:
    spec = a_spec(session_affinity=SessionAffinity(cookie_name="canary"))
    status = at_weight(20, expired_cookie="gone")

    become = after(a_case(spec, status), Retreat(message="m"), DONE)

    assert become.expired_cookie == routing_of(spec, status, 20).cookie


@pytest.mark.parametrize(
    ("decision", "is_transition"),
    [
        pytest.param(Hold(message="m"), False, id="a hold"),
        pytest.param(Hold(message="m", is_failed_check=True), True, id="a failed check"),
        pytest.param(Wait(until=DUE, message="m", needs_person=True), True, id="a call for a person"),
        pytest.param(Advance(weight=10, iterations=1, message="m"), True, id="an iteration"),
        pytest.param(Retreat(message="m"), True, id="traffic taken away"),
        pytest.param(Restart(revision=NEW, message="m"), True, id="a restart"),
    ],
)
def test_what_shows_is_a_transition(decision: Decision, *, is_transition: bool) -> None:
    become = after(a_case(status=at_weight(10)), decision, DONE)

    assert (become.last_transition_time == DONE) is is_transition


@pytest.mark.parametrize(
    ("decision", "condition"),
    [
        pytest.param(
            Promote(message="m"),
            (
                "Unknown",
                "Promoting",
                "Canary analysis completed, starting primary rolling update.",
                NOW - timedelta(seconds=60),
            ),
            id="on the way its status stays",
        ),
        pytest.param(
            Rollback(outcome=Outcome.ABORTED, message="m"),
            ("False", "Failed", "Canary analysis failed, Deployment scaled to zero.", DONE),
            id="a rollback",
        ),
        pytest.param(
            Finish(message="m"),
            (
                "True",
                "Succeeded",
                "Canary analysis completed successfully, promotion finished.",
                DONE,
            ),
            id="a promotion",
        ),
    ],
)
def test_the_condition_says_what_the_phase_is(
    decision: Decision, condition: tuple[str, str, str, datetime]
) -> None:
    become = after(a_case(status=at_weight(10)), decision, DONE).condition

    assert become is not None
    assert (become.status, become.reason, become.message, become.last_transition_time) == condition
    assert become.last_update_time == DONE


def test_a_rollout_begins_with_all_that_is_known_of_it() -> None:
    status = begin(a_spec(), NEW, OLD, 3, NOW)

    assert (status.revision, status.promoted, status.primary_size) == (NEW, OLD, 3)
    assert {status.started_at, status.last_transition_time, status.actuated_at} == {NOW}
    assert status.message == "New revision detected! Scaling up podinfo.test"
    assert status.condition is not None
    assert status.condition.message == "New revision detected, progressing canary analysis."


@pytest.mark.parametrize(
    ("spec", "weight", "goes_on"),
    [
        pytest.param(a_spec(), 40, {"canary_weight": 40, "iterations": 0, "is_for_all": False}, id="weights"),
        pytest.param(
            a_spec(match=MATCH),
            40,
            {"canary_weight": 40, "iterations": 0, "is_for_all": False},
            id="weights of a match",
        ),
        pytest.param(
            a_spec(iterations=5),
            FULL,
            {"canary_weight": 0, "iterations": 6, "is_for_all": False},
            id="blue/green",
        ),
        pytest.param(
            AB,
            FULL,
            {"canary_weight": 0, "iterations": 6, "is_for_all": True},
            id="A/B: whoever was cut off served everybody",
        ),
    ],
)
def test_goes_on_where_another_was_cut_off(spec: CanarySpec, weight: int, goes_on: dict[str, object]) -> None:
    begun = begin(spec.model_copy(update={"analysis": spec.analysis}), NEW, OLD, 2, NOW).model_copy(
        update={"phase": Phase.WAITING}
    )

    status = resumed(spec, begun, weight)

    assert {name: getattr(status, name) for name in goes_on} == goes_on
    assert (status.phase, status.has_begun) == (Phase.PROGRESSING, True)
    assert (status.exposure, status.traffic_weight) == (weight, weight)
    assert (status.exposed_at, status.due, status.canary_unready_since) == (NOW, NOW, None)
    assert status.message == f"Going on with podinfo.test at weight {weight}"


def test_a_workload_is_unready_since_it_was_first_seen_so() -> None:
    status = a_status(canary_unready_since=EARLIER, primary_unready_since=EARLIER)
    case = a_case(status=status, target=a_workload(ready=1), primary=a_primary(ready=1))

    assert noticed(case) == status


@pytest.mark.parametrize(
    ("waiting_for", "reminded_at", "is_told"),
    [
        pytest.param(None, None, True, id="it is found closed"),
        pytest.param(TRAFFIC, EARLIER, False, id="it was told"),
        pytest.param(PROMOTION, EARLIER, True, id="another one was told"),
        pytest.param(TRAFFIC, None, True, id="it was never told"),
        pytest.param(TRAFFIC, NOW - REMINDER, True, id="it was told long ago"),
    ],
)
def test_a_closed_gate_is_news(
    waiting_for: HookType | None, reminded_at: datetime | None, *, is_told: bool
) -> None:
    status = a_status(waiting_for=waiting_for, reminded_at=reminded_at)

    assert is_to_be_told(status, Hold(message="m", waiting_for=TRAFFIC), NOW) is is_told


def test_a_rollout_with_a_gate_before_it_begins_by_waiting() -> None:
    gated = a_spec(webhooks=(hook(HookType.CONFIRM_ROLLOUT),))

    assert begin(gated, NEW, OLD, 2, NOW).phase is Phase.WAITING
    assert (
        after(a_case(gated, at_weight(10)), Restart(revision=NEW, message="m"), DONE).phase is Phase.WAITING
    )
