"""Decisions at the worst moment: a side lost, a promotion undone, a document changed, under users."""

from datetime import timedelta

import pytest

from canary.decision import (
    Correct,
    Decision,
    Finalise,
    HandOver,
    Measure,
    RecreatePrimary,
    Reinforce,
    RestorePrimary,
    Retreat,
    Rollback,
    Wait,
)
from canary.ladder import decide
from canary.observation import Routes
from canary.safeguards import FOREIGN_WRITES
from canary.situation import Situation
from canary.status import Outcome, Phase
from canary.transition import after
from tests.canary.rollouts import (
    ABORT,
    NEWER,
    NOW,
    a_case,
    a_primary,
    a_spec,
    a_workload,
    at_weight,
    in_phase,
    routes_at,
)

DEAD = a_workload(ready=0)
DOWN = a_primary(ready=0)
LONG_AGO = NOW - timedelta(hours=1)
AB = a_spec(iterations=5, match=({"headers": {"x-canary": {"exact": "insider"}}},))


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(a_case(status=at_weight(20), routes=routes_at(10), target=DEAD), id="less"),
        pytest.param(a_case(status=at_weight(20), routes=routes_at(50), target=DEAD), id="more"),
        pytest.param(a_case(status=at_weight(20), routes=None, target=DEAD), id="no routes"),
        pytest.param(
            a_case(status=in_phase(Phase.PROMOTING), routes=routes_at(10), target=DEAD), id="in promotion"
        ),
    ],
)
def test_a_canary_without_pods_loses_its_traffic_whoever_changed_the_routes(case: Situation) -> None:
    assert isinstance(decide(case), Retreat)


@pytest.mark.parametrize("weight", [0, 30, 100])
@pytest.mark.parametrize("phase", [Phase.PROMOTING, Phase.FINALISING])
def test_a_primary_deleted_after_its_promotion_comes_back_and_the_canary_is_judged_again(
    phase: Phase, weight: int
) -> None:
    case = a_case(status=in_phase(phase, weight, canary_weight=0, iterations=9), primary=None)
    decision = decide(case)

    status = after(case, decision, NOW)

    assert isinstance(decision, RecreatePrimary)
    assert (status.phase, status.traffic_weight) == (Phase.PROGRESSING, weight)
    assert (status.canary_weight, status.exposure, status.has_begun) == (weight, weight, weight > 0)
    assert status.revision == case.status.revision


def test_whoever_served_everybody_is_promoted_once_the_primary_is_back() -> None:
    case = a_case(AB, in_phase(Phase.PROMOTING, 100, iterations=5), primary=None)

    status = after(case, decide(case), NOW)

    assert (status.canary_weight, status.iterations) == (0, 5)
    assert isinstance(decide(a_case(AB, status)), Measure)


def test_an_analysis_that_begins_again_for_a_lost_primary_counts_its_iterations_anew() -> None:
    case = a_case(AB, in_phase(Phase.FINALISING, 0, iterations=5), primary=None)

    assert after(case, decide(case), NOW).iterations == 0


def test_a_primary_lost_while_a_promotion_is_taken_back_comes_back_as_it_was() -> None:
    restoring = in_phase(Phase.PROMOTING, is_restoring=True)
    lost = a_case(status=restoring, wishes=ABORT, primary=None)
    decision = decide(lost)

    status = after(lost, decision, NOW)

    assert isinstance(decision, RecreatePrimary)
    assert (status.phase, status.is_restoring) == (Phase.PROMOTING, True)
    ended = decide(a_case(status=status, wishes=ABORT))
    assert isinstance(ended, Rollback)
    assert ended.outcome is Outcome.ABORTED


def test_an_abort_brings_a_lost_primary_back_by_itself() -> None:
    case = a_case(status=in_phase(Phase.PROMOTING), wishes=ABORT, primary=None)

    assert isinstance(decide(case), RestorePrimary)


@pytest.mark.parametrize(
    ("target", "wanted"),
    [
        pytest.param(a_workload(), HandOver, id="the judged canary takes over"),
        pytest.param(a_workload(size=1), Reinforce, id="once it is large enough"),
        pytest.param(a_workload(revision=NEWER), Wait, id="but no other revision"),
        pytest.param(None, Wait, id="nor one that is gone"),
    ],
)
def test_a_promoted_primary_past_its_deadline_does_not_keep_the_users(
    target: object, wanted: type[Decision]
) -> None:
    status = in_phase(Phase.FINALISING, 0, primary_unready_since=LONG_AGO)

    decision = decide(a_case(status=status, primary=DOWN, target=target))

    assert isinstance(decision, wanted)
    assert not isinstance(decision, Wait) or decision.needs_person


def test_a_document_that_changes_the_routes_is_no_stranger() -> None:
    routes = Routes(primary=80, canary=20, is_intact=False)

    decision = decide(a_case(status=at_weight(20), routes=routes))

    assert decision == Correct(weight=20, message="the routes are brought in line with the document")


def test_routes_that_never_are_as_the_document_has_them_are_not_written_for_ever() -> None:
    routes = Routes(primary=80, canary=20, is_intact=False)

    decision = decide(a_case(status=at_weight(20, foreign_writes=FOREIGN_WRITES), routes=routes))

    assert isinstance(decision, Wait)
    assert decision.needs_person


def test_promotion_goes_on_where_nothing_is_lost() -> None:
    assert isinstance(decide(a_case(status=in_phase(Phase.PROMOTING))), Finalise)
