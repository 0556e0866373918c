"""What a status becomes by a decision that was carried out."""

from datetime import timedelta

import pytest

from canary.decision import (
    Advance,
    Begin,
    Correct,
    Finalise,
    Finish,
    HandOver,
    Hold,
    Measure,
    Promote,
    Reinforce,
    Restart,
    RestorePrimary,
    Retreat,
    Rollback,
    ShiftBack,
    Wait,
)
from canary.spec import HookType
from canary.status import Outcome, Phase
from canary.transition import after, after_the_end, begin, noticed, resumed
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
    in_phase,
)

DONE = NOW + timedelta(seconds=3)
DUE = DONE + timedelta(seconds=60)


def test_a_rollout_begins_an_interval_before_its_first_tick() -> None:
    status = begin(a_spec(), NEW, OLD, 2, NOW)

    assert (status.phase, status.canary_weight, status.due) == (
        Phase.PROGRESSING,
        0,
        NOW + timedelta(seconds=60),
    )
    assert status.canary_unready_since == NOW


@pytest.mark.parametrize(
    ("case", "decision", "changes"),
    [
        pytest.param(
            a_case(),
            Advance(weight=10, message="m"),
            {
                "canary_weight": 10,
                "traffic_weight": 10,
                "actuated_at": DONE,
                "traffic_changed_at": DONE,
                "due": DUE,
            },
            id="advance",
        ),
        pytest.param(
            a_case(status=at_weight(20, is_retreated=True, traffic_weight=0)),
            Advance(weight=20, message="m"),
            {"is_retreated": False, "traffic_weight": 20, "due": DUE},
            id="return after a retreat",
        ),
        pytest.param(a_case(), Hold(message="m"), {"failed_checks": 0, "due": DUE}, id="hold"),
        pytest.param(
            a_case(),
            Hold(message="m", is_failed_check=True),
            {"failed_checks": 1, "due": DUE},
            id="failed check",
        ),
        pytest.param(
            a_case(status=at_weight(20, failed_checks=1)),
            Restart(revision=NEWER, message="m", by=ADA),
            {
                "revision": NEWER,
                "canary_weight": 0,
                "traffic_weight": 0,
                "failed_checks": 0,
                "restarts": 1,
                "actuated_at": DONE,
                "traffic_changed_at": DONE,
                "canary_unready_since": DONE,
                "due": DUE,
                "by": ADA,
            },
            id="restart",
        ),
        pytest.param(
            a_case(),
            Restart(revision=NEWER, message="m"),
            {"traffic_changed_at": None},
            id="a restart without traffic changes none",
        ),
        pytest.param(
            a_case(status=at_weight(20)),
            Retreat(message="m"),
            {"canary_weight": 20, "traffic_weight": 0, "is_retreated": True, "due": DUE},
            id="retreat",
            marks=pytest.mark.proves("D3", "D10"),
        ),
        pytest.param(
            a_case(status=in_phase(Phase.PROMOTING)),
            Retreat(message="m", is_next_revision=True),
            {"traffic_weight": 0, "is_retreated": False, "next_revision": True},
            id="retreat in promotion",
        ),
        pytest.param(
            a_case(status=at_weight(20)),
            Correct(weight=20, message="m"),
            {"foreign_writes": 1, "due": NOW},
            id="drift is no tick",
            marks=pytest.mark.proves("T2"),
        ),
        pytest.param(
            a_case(status=at_weight(30)),
            Promote(message="m"),
            {
                "phase": Phase.PROMOTING,
                "canary_weight": 0,
                "traffic_weight": 30,
                "primary_unready_since": DONE,
                "due": DUE,
            },
            id="promote",
        ),
        pytest.param(
            a_case(status=in_phase(Phase.PROMOTING)),
            ShiftBack(weight=10, message="m"),
            {"phase": Phase.PROMOTING, "traffic_weight": 10, "due": DUE},
            id="shift back",
        ),
        pytest.param(
            a_case(status=in_phase(Phase.PROMOTING)),
            Finalise(message="m"),
            {"phase": Phase.FINALISING, "traffic_weight": 0, "due": DUE},
            id="finalise",
        ),
        pytest.param(
            a_case(status=in_phase(Phase.FINALISING, 0)),
            Finish(message="m"),
            {"phase": Phase.SUCCEEDED, "outcome": Outcome.PROMOTED},
            id="finish",
        ),
        pytest.param(
            a_case(status=at_weight(20, failed_checks=1)),
            Rollback(outcome=Outcome.ROLLED_BACK, message="m", is_failed_check=True),
            {
                "phase": Phase.FAILED,
                "outcome": Outcome.ROLLED_BACK,
                "failed_checks": 2,
                "canary_weight": 0,
                "traffic_weight": 0,
                "traffic_changed_at": DONE,
            },
            id="rollback keeps the counters",
            marks=pytest.mark.proves("D4"),
        ),
        pytest.param(
            a_case(),
            Rollback(outcome=Outcome.ABORTED, message="m", by=ADA),
            {"outcome": Outcome.ABORTED, "by": ADA, "traffic_changed_at": None},
            id="abort without traffic",
        ),
        pytest.param(
            a_case(status=in_phase(Phase.PROMOTING)),
            RestorePrimary(message="m", by=ADA),
            {
                "is_restoring": True,
                "by": ADA,
                "traffic_weight": 30,
                "primary_unready_since": DONE,
                "due": DUE,
            },
            id="restore",
        ),
        pytest.param(
            a_case(status=in_phase(Phase.PROMOTING)),
            HandOver(message="m"),
            {"phase": Phase.FAILED, "outcome": Outcome.HALTED, "traffic_weight": 100},
            id="hand over",
        ),
        pytest.param(a_case(), Reinforce(replicas=2, message="m"), {"due": NOW}, id="reinforce is no tick"),
        pytest.param(a_case(), Wait(until=NOW, message="m"), {"due": NOW, "message": "m"}, id="wait"),
    ],
)
def test_becomes(case, decision, changes) -> None:  # noqa: ANN001 — a table's row
    """What a status becomes: counters and weights are kept that Flagger's would lose.

    T2, D3, D4, D10: Flagger's istio.go, docs/architecture.md.
    """
    status = after(case, decision, DONE)

    assert {name: getattr(status, name) for name in changes} == changes
    assert status.message == "m"


def test_a_check_leaves_the_message_alone() -> None:
    case = a_case(status=at_weight(10, message="before"))

    assert after(case, Measure(hooks=(HookType.ROLLOUT,)), DONE) == case.status


def test_what_waited_before_its_first_gate_progresses_once_it_begins() -> None:
    case = a_case(status=a_status(phase=Phase.WAITING, waiting_for=HookType.CONFIRM_ROLLOUT))

    assert after(case, Begin(message="m"), DONE).phase is Phase.PROGRESSING


def test_only_what_shows_is_a_transition() -> None:
    case = a_case(status=at_weight(10))

    assert after(case, Hold(message="m"), DONE).last_transition_time == case.status.last_transition_time
    assert after(case, Advance(weight=20, message="m"), DONE).last_transition_time == DONE


def test_notices_since_when_a_workload_is_unready() -> None:
    unready = a_case(target=a_workload(ready=1), primary=a_primary(ready=1))
    earlier = NOW - timedelta(seconds=9)

    first = noticed(unready)
    still = noticed(a_case(status=a_status(canary_unready_since=earlier), target=a_workload(ready=1)))
    again = noticed(a_case(status=a_status(canary_unready_since=earlier, primary_unready_since=earlier)))

    assert (first.canary_unready_since, first.primary_unready_since) == (NOW, NOW)
    assert still.canary_unready_since == earlier
    assert (again.canary_unready_since, again.primary_unready_since) == (None, None)


def test_notices_that_the_same_revision_hashes_otherwise() -> None:
    status = a_status(generation=7)
    rehashed = noticed(a_case(status=status, target=a_workload(revision=NEWER, generation=7)))
    written = noticed(a_case(status=status, target=a_workload(revision=NEWER, generation=8)))
    other_configs = a_workload(
        revision=NEW.model_copy(update={"configs": {"configmap/a": "x"}}), generation=7
    )

    assert rehashed.revision == NEWER
    assert (written.revision, written.generation) == (NEW, 7)
    assert noticed(a_case(status=status, target=other_configs)).revision == NEW
    assert noticed(a_case(status=status, target=a_workload(generation=9))).generation == 9


def test_an_object_made_anew_has_another_revision_though_its_generation_is_the_same() -> None:
    status = a_status(generation=7, uid="first")
    anew = noticed(a_case(status=status, target=a_workload(revision=NEWER, generation=7, uid="second")))
    rehashed = noticed(a_case(status=status, target=a_workload(revision=NEWER, generation=7, uid="first")))
    first_seen = noticed(a_case(status=a_status(), target=a_workload(generation=7, uid="first")))

    assert (anew.revision, anew.uid) == (NEW, "first")
    assert (rehashed.revision, rehashed.uid) == (NEWER, "first")
    assert (first_seen.generation, first_seen.uid) == (7, "first")


def test_goes_on_where_another_was_cut_off() -> None:
    begun = begin(a_spec(), NEW, OLD, 2, NOW).model_copy(update={"is_scaled_up": False})

    status = resumed(a_spec(), begun, 40)

    assert (status.is_scaled_up, status.is_promotion_open) == (True, True)

    assert (status.canary_weight, status.traffic_weight, status.due) == (40, 40, NOW)


def test_routes_put_right_after_the_end_are_counted_and_have_to_be_heard_of() -> None:
    ended = a_status(phase=Phase.FAILED, message="Aborted", foreign_writes=1, traffic_changed_at=NOW)

    status = after_the_end(ended, Correct(weight=20, message="m"), DONE)

    assert (status.foreign_writes, status.traffic_changed_at) == (2, DONE)
    assert (status.message, status.needs_person) == ("Aborted", False)


def test_routes_left_alone_after_the_end_are_a_persons() -> None:
    ended = a_status(phase=Phase.FAILED, message="Aborted", foreign_writes=3, traffic_changed_at=NOW)

    status = after_the_end(ended, Wait(until=NOW, message="argocd writes the routes"), DONE)

    assert (status.foreign_writes, status.traffic_changed_at, status.needs_person) == (3, NOW, True)
    assert status.message == "Aborted. argocd writes the routes: its canary keeps its pods"
