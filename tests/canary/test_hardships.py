"""Decisions where a document, a person or a workload changes under a rollout."""

from datetime import timedelta

import pytest

from canary.decision import Advance, Approve, Hold, Restart, Retreat, Rollback, Wait
from canary.idle import Resume, decide_idle
from canary.ladder import decide
from canary.spec import CanarySpec, HookType, Strategy
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
    a_workload,
    at_weight,
    in_phase,
    routes_at,
)

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


def test_another_strategy_waits_for_a_primary_that_serves() -> None:
    case = a_case(a_spec(), at_weight(FULL, strategy=Strategy.BLUE_GREEN), primary=a_primary(ready=0))

    decision = decide(case)

    assert isinstance(decision, Wait)
    assert decision.needs_person


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
