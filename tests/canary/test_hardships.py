"""Decisions where a document, a person or a workload changes under a rollout."""

from datetime import timedelta
from typing import Any

import pytest

from canary.decision import (
    Advance,
    Approve,
    Finalise,
    Finish,
    Hold,
    Promote,
    Reinforce,
    Restart,
    Retreat,
    Rollback,
    Wait,
)
from canary.idle import Resume, decide_idle
from canary.ladder import decide
from canary.situation import Situation
from canary.spec import CanarySpec, HookType, Strategy, WorkloadKind
from canary.status import CanaryStatus, Outcome, Phase, Wishes
from canary.steps import FULL
from canary.transition import after
from tests.canary.rollouts import (
    ADA,
    APPROVE,
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
    at_weight,
    in_phase,
    routes_at,
)

DAY = timedelta(days=1)
DAILY = a_spec(interval=DAY)
AB = a_spec(iterations=5, match=({"headers": {"x-canary": {"exact": "insider"}}},))
BLUE_GREEN = a_spec(iterations=5)


@pytest.mark.parametrize(
    ("spec", "before"),
    [
        pytest.param(a_spec(), Strategy.AB_TESTING, id="from A/B to weights"),
        pytest.param(a_spec(), Strategy.BLUE_GREEN, id="from blue/green to weights"),
        pytest.param(BLUE_GREEN, Strategy.AB_TESTING, id="from A/B to blue/green"),
        pytest.param(AB, Strategy.CANARY, id="from weights to A/B"),
    ],
)
def test_another_strategy_begins_again(spec: CanarySpec, before: Strategy) -> None:
    case = a_case(spec, at_weight(FULL, strategy=before), routes=routes_at(FULL))

    decision = decide(case)

    assert isinstance(decision, Restart)
    assert decision.revision == NEW
    assert after(case, decision, NOW).strategy is None


MATCHED = a_spec(match=({"headers": {"x-canary": {"exact": "insider"}}},))
WIDER = ({"headers": {"x-canary": {"prefix": ""}}},)


@pytest.mark.parametrize(
    ("spec", "match"),
    [
        pytest.param(a_spec(), MATCHED.analysis.match, id="nobody is told apart any more"),
        pytest.param(MATCHED, WIDER, id="others are told apart"),
        pytest.param(AB, WIDER, id="others are told apart by A/B"),
    ],
)
def test_another_match_begins_again(spec: CanarySpec, match: tuple[dict[str, Any], ...]) -> None:
    """The weight that some have earned is not for others."""
    status = at_weight(50, strategy=spec.analysis.strategy, match=match)
    decision = decide(a_case(spec, status))

    assert isinstance(decision, Restart)
    assert decision.message == "The match is another one! Restarting analysis for podinfo.test"


def test_the_same_match_goes_on() -> None:
    status = at_weight(50, strategy=Strategy.CANARY, match=MATCHED.analysis.match)

    assert isinstance(decide(a_case(MATCHED, status, a_check(100.0))), Promote)


@pytest.mark.parametrize("phase", [Phase.WAITING, Phase.PROGRESSING, Phase.PROMOTING, Phase.FINALISING])
def test_a_rollout_of_nothing_ends(phase: Phase) -> None:
    """The namespace is being deleted: there is no primary to be brought back, and nobody to be served."""
    case = a_case(status=in_phase(phase), target=None, primary=None, routes=None)
    decision = decide(case)

    assert isinstance(decision, Rollback)
    assert decision.is_of_nothing
    assert after(case, decision, NOW).outcome is Outcome.ROLLED_BACK


def test_a_canary_that_returns_to_everybody_is_large_enough() -> None:
    status = at_weight(0, exposure=FULL, canary_weight=0, is_retreated=True, primary_size=4, iterations=6)
    status = status.model_copy(update={"strategy": Strategy.BLUE_GREEN})
    decision = decide(a_case(BLUE_GREEN, status, target=a_workload(size=2)))

    assert isinstance(decision, Reinforce)
    assert decision.replicas == 4


SMALL = {"primary_size": 4, "last_transition_time": NOW - timedelta(minutes=9)}


def test_a_primary_made_smaller_by_its_autoscaler_is_waited_for_and_then_a_person_is_asked() -> None:
    waits = decide(a_case(status=in_phase(Phase.PROMOTING, **SMALL)))
    long = {**SMALL, "last_transition_time": NOW - timedelta(minutes=10)}
    asks = decide(a_case(status=in_phase(Phase.PROMOTING, **long)))
    goes_on_asking = decide(a_case(status=in_phase(Phase.PROMOTING, **SMALL, needs_person=True)))

    text = "podinfo-primary.test has 2 of the 4 pods it began with"
    assert waits == Hold(message=text)
    assert isinstance(asks, Wait)
    assert (asks.needs_person, asks.message) == (True, f"{text}: give it more, or abort")
    assert isinstance(goes_on_asking, Wait)
    assert goes_on_asking.needs_person


def test_a_smaller_primary_keeps_no_abort_and_no_end_waiting() -> None:
    restored = a_case(status=in_phase(Phase.PROMOTING, is_restoring=True, **SMALL))
    finished = a_case(status=in_phase(Phase.FINALISING, 0, **SMALL))

    assert isinstance(decide(restored), Rollback)
    assert isinstance(decide(finished), Finish)


@pytest.mark.parametrize("kind", [WorkloadKind.DAEMON_SET, WorkloadKind.SERVICE])
def test_what_has_no_size_of_its_own_serves_everybody_at_the_size_it_has(kind: WorkloadKind) -> None:
    """A node has gone since the rollout began."""
    spec = a_spec().model_copy(update={"target": a_spec().target.model_copy(update={"kind": kind})})
    promoting = a_case(spec, in_phase(Phase.PROMOTING, **SMALL))
    blue_green = BLUE_GREEN.model_copy(update={"target": spec.target})
    status = at_weight(0, iterations=5, canary_weight=0, strategy=Strategy.BLUE_GREEN, **SMALL)

    assert isinstance(decide(promoting), Finalise)
    assert isinstance(decide(a_case(blue_green, status, a_check(100.0))), Advance)


def test_another_strategy_waits_for_a_primary_that_serves() -> None:
    case = a_case(a_spec(), at_weight(FULL, strategy=Strategy.BLUE_GREEN), primary=a_primary(ready=0))

    decision = decide(case)

    assert isinstance(decision, Wait)
    assert decision.needs_person


def test_another_strategy_in_mid_promotion_leaves_nobody_with_a_dead_canary() -> None:
    """Not even where the primary, which serves, is still smaller than it was."""
    status = in_phase(Phase.PROMOTING, FULL, strategy=Strategy.AB_TESTING)
    decision = decide(a_case(a_spec(), status, target=a_workload(ready=0), primary=a_primary(ready=1)))

    assert isinstance(decision, Retreat)
    assert decision.message == "podinfo.test has no serving pod: its traffic goes to the primary"


@pytest.mark.parametrize(("ready", "wanted"), [(2, Retreat), (1, Wait)])
def test_another_strategy_in_mid_promotion_gives_the_canary_to_nobody_new(
    ready: int, wanted: type[Retreat | Wait]
) -> None:
    status = in_phase(Phase.PROMOTING, FULL, strategy=Strategy.AB_TESTING)
    case = a_case(a_spec(), status, primary=a_primary(ready=ready))

    assert isinstance(decide(case), wanted)


def test_a_step_remembers_its_strategy() -> None:
    case = a_case(BLUE_GREEN)

    assert after(case, Advance(weight=0, iterations=1, message=""), NOW).strategy is Strategy.BLUE_GREEN


def test_fewer_iterations_still_lead_the_users_to_the_canary_before_its_promotion() -> None:
    status = at_weight(0, iterations=7, canary_weight=0, strategy=Strategy.BLUE_GREEN)

    decision = decide(a_case(BLUE_GREEN, status, a_check()))

    assert isinstance(decision, Advance)
    assert (decision.weight, decision.iterations) == (FULL, 6)


@pytest.mark.parametrize(("minutes", "wanted"), [(1, Hold), (11, Rollback)])
def test_a_canary_scaled_to_zero_fails_at_its_deadline(minutes: int, wanted: type[Hold | Rollback]) -> None:
    status = at_weight(0, is_retreated=True, canary_unready_since=NOW - timedelta(minutes=minutes))

    assert isinstance(decide(a_case(status=status, target=a_workload(size=0))), wanted)


def test_no_traffic_goes_to_a_primary_that_was_scaled_to_zero() -> None:
    status = in_phase(Phase.PROMOTING, primary_size=0)

    decision = decide(a_case(status=status, primary=a_primary(size=0)))

    assert isinstance(decision, Hold)
    assert "has no serving pod" in decision.message


def test_a_newer_revision_without_pods_takes_no_traffic_from_the_judged_one() -> None:
    target = a_workload(revision=NEWER, updated=0)
    case = a_case(status=in_phase(Phase.PROMOTING), target=target, primary=a_primary(ready=1))

    assert isinstance(decide(case), Hold)


def test_an_approval_gives_a_retreated_canary_no_weight_early() -> None:
    due = NOW + timedelta(seconds=50)
    status = at_weight(
        0, is_retreated=True, waiting_for=HookType.CONFIRM_TRAFFIC_INCREASE, due=due, exposure=20
    )
    case = a_case(status=status, wishes=APPROVE)
    decision = decide(case)

    assert isinstance(decision, Approve)
    assert after(case, decision, NOW).due == due


def test_no_traffic_goes_to_pods_that_the_canarys_service_does_not_lead_to() -> None:
    unfit = a_workload(unfit="it selects its pods otherwise")

    held = decide(a_case(a_spec(skip_analysis=True), a_status(), target=unfit))
    assert isinstance(held, Hold)
    assert held.message == "canary deployment podinfo.test not ready: it selects its pods otherwise"
    late = a_status(canary_unready_since=NOW - a_spec().progress_deadline)
    assert isinstance(decide(a_case(status=late, target=unfit)), Rollback)


def test_restarting_a_halted_promotion_promotes_nothing_that_nobody_judged() -> None:
    status = CanaryStatus(
        phase=Phase.FAILED, outcome=Outcome.HALTED, last_applied=NEW, last_promoted=OLD, message="m"
    )
    newer = a_case(target=a_workload(revision=NEWER)).seen

    judged = decide_idle(a_spec(), status, a_case().seen, RESTART)
    unjudged = decide_idle(a_spec(), status, newer, RESTART)

    assert judged == Resume(revision=NEW)
    assert unjudged == Resume(revision=NEW, abort=ADA)
    assert decide_idle(a_spec(), status, newer, Wishes(abort=ADA)) == Resume(revision=NEW, abort=ADA)


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(a_case(DAILY, at_weight(20, due=NOW + DAY)), id="between two ticks"),
        pytest.param(a_case(DAILY, in_phase(Phase.FINALISING, 0, due=NOW + DAY)), id="of a promotion, too"),
        pytest.param(a_case(DAILY, at_weight(20), primary=a_primary(ready=0)), id="while a person is asked"),
    ],
)
def test_a_lost_doorbell_is_made_up_for_within_minutes_whatever_the_interval(case: Situation) -> None:
    decision = decide(case)

    assert isinstance(decision, Wait)
    assert decision.until == NOW + timedelta(minutes=10)
