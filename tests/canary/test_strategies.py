"""Every strategy's rollout from its first tick to its end, as Flagger's tick scripts have it."""

from datetime import timedelta

import pytest

from canary.decision import (
    Advance,
    Approve,
    Ask,
    Decision,
    Hold,
    Measure,
    Promote,
    Reinforce,
    Restart,
    Retreat,
    Rollback,
    ShiftBack,
    Wait,
)
from canary.ladder import decide
from canary.observation import Observation
from canary.routing import routing_of
from canary.situation import Situation
from canary.spec import CanarySpec, HookType, SessionAffinity, StepPlan
from canary.status import Outcome, Phase, RolloutStatus
from canary.transition import REMINDER, after, begin, noticed
from tests.canary.rollouts import (
    ABORT,
    APPROVE,
    NEW,
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
    routes_at,
)

MATCH = ({"headers": {"x-canary": {"exact": "insider"}}},)
ROLLOUT, PRE = HookType.ROLLOUT, HookType.PRE_ROLLOUT
CONFIRM, TRAFFIC, PROMOTION = (
    HookType.CONFIRM_ROLLOUT,
    HookType.CONFIRM_TRAFFIC_INCREASE,
    HookType.CONFIRM_PROMOTION,
)
BACK = HookType.ROLLBACK


def shown(decision: Decision, status: RolloutStatus) -> str:
    """What a decision does to the routes, in a word or two."""
    match decision:
        case Advance():
            mirrored = " mirrored" if decision.is_mirrored else ""
            iteration = f" #{decision.iterations}" if decision.iterations else ""
            return f"{decision.weight}{mirrored}{iteration}"
        case ShiftBack():
            return f"back {decision.weight}"
        case Measure():
            return " ".join(["check", *decision.hooks, *([] if decision.has_metrics else ["alone"])])
        case Ask():
            return f"ask {' '.join(decision.gates)}"
        case _:
            return f"{type(decision).__name__} {status.phase}"


def script(spec: CanarySpec, *, size: int = 2) -> list[str]:
    """Everything that is decided in a rollout in which all is well, gates included."""
    status, now, found = begin(spec, NEW, OLD, size, NOW), NOW, list[str]()
    while not status.phase.is_final:
        routes = routes_at(status.traffic_weight, is_mirrored=status.is_mirrored)
        seen = Observation(at=now, target=a_workload(size=size), primary=a_primary(size=size), routes=routes)
        case = Situation(spec, status, seen, now)
        case = Situation(spec, noticed(case), seen, now)
        decision = decide(case)
        while isinstance(decision, Measure | Ask):
            found.append(shown(decision, status))
            case = carried_out(case, decision)
            decision = decide(case)
        if isinstance(decision, Wait):
            now = decision.until
            continue
        status = after(case, decision, now)
        found.append(shown(decision, status))
    return found


def carried_out(case: Situation, decision: Measure | Ask) -> Situation:
    """The situation once hooks have passed, metrics are within their bounds and gates are open."""
    if isinstance(decision, Ask):
        gates = asked(*(answer(type_) for type_ in decision.gates))
        return Situation(case.spec, case.status, case.seen, case.now, case.check, case.wishes, gates)
    answers = tuple(answer(type_) for type_ in decision.hooks if case.spec.analysis.hooks(type_))
    check = a_check() if decision.has_metrics else a_check().model_copy(update={"measurements": ()})
    check = check.model_copy(update={"hooks": answers, "types": decision.hooks})
    return Situation(case.spec, case.status, case.seen, case.now, check, case.wishes)


ENDS = ["Promote Promoting", "Finalise Finalising", "Finish Succeeded"]
SCRIPTS = [
    pytest.param(
        a_spec(),
        ["10", "check rollout", "20", "check rollout", "30", "check rollout", *ENDS],
        id="weights",
        marks=pytest.mark.proves("C03"),
    ),
    pytest.param(
        a_spec(match=MATCH, steps=StepPlan(step_weight=50, max_weight=50)),
        ["50", "check rollout", *ENDS],
        id="match with weights",
        marks=pytest.mark.proves("C09"),
    ),
    pytest.param(
        a_spec(mirror=True, steps=StepPlan(step_weight=20, max_weight=20)),
        ["0 mirrored", "check rollout", "20", "check rollout", *ENDS],
        id="one mirrored step before the first weight",
        marks=pytest.mark.proves("C06"),
    ),
    pytest.param(
        a_spec(iterations=2, match=MATCH),
        ["100 #1", "check rollout", "100 #2", "check rollout", *ENDS],
        id="A/B: the matching users get the canary at once",
        marks=pytest.mark.proves("C08"),
    ),
    pytest.param(
        a_spec(iterations=2),
        ["0 #1", "check rollout", "0 #2", "check rollout", "100 #3", "check rollout", *ENDS],
        id="blue/green: everybody after the last iteration",
        marks=pytest.mark.proves("C07"),
    ),
    pytest.param(
        a_spec(iterations=2, mirror=True),
        [
            "0 mirrored #1",
            "check rollout",
            "0 mirrored #2",
            "check rollout",
            "100 #3",
            "check rollout",
            *ENDS,
        ],
        id="blue/green mirrors all its iterations",
        marks=pytest.mark.proves("C07"),
    ),
    pytest.param(
        a_spec(steps=StepPlan(step_weight=50, max_weight=50, step_weights_promotion=(60, 80))),
        [
            "50",
            "check rollout",
            "Promote Promoting",
            "back 40",
            "back 20",
            "Finalise Finalising",
            "Finish Succeeded",
        ],
        id="the primary's own steps on the way back",
        marks=pytest.mark.proves("C34"),
    ),
    pytest.param(
        a_spec(
            steps=StepPlan(step_weight=20, max_weight=20),
            webhooks=tuple(hook(type_) for type_ in (BACK, PRE, ROLLOUT, CONFIRM, TRAFFIC, PROMOTION)),
        ),
        [
            "ask confirm-rollout",
            "Begin Progressing",
            "check pre-rollout alone",
            "ask confirm-traffic-increase",
            "20",
            "check rollout",
            "ask confirm-traffic-increase confirm-promotion",
            *ENDS,
        ],
        id="hooks and gates of weights",
        marks=pytest.mark.proves("C19", "C20", "C21", "C22", "C23"),
    ),
    pytest.param(
        a_spec(iterations=1, webhooks=tuple(hook(type_) for type_ in (PRE, TRAFFIC, PROMOTION))),
        [
            "check pre-rollout alone",
            "0 #1",
            "check rollout",
            "ask confirm-promotion",
            "100 #2",
            "check rollout",
            "ask confirm-promotion",
            *ENDS,
        ],
        id="blue/green asks its promotion gate twice, and never one for traffic",
    ),
    pytest.param(
        a_spec(mirror=True, steps=StepPlan(step_weight=20, max_weight=20), webhooks=(hook(TRAFFIC),)),
        [
            "0 mirrored",
            "check rollout",
            "20",
            "check rollout",
            "ask confirm-traffic-increase",
            *ENDS,
        ],
        id="no traffic gate around a mirrored step",
    ),
    pytest.param(
        a_spec(skip_analysis=True),
        ENDS,
        id="skipAnalysis still waits for the primary",
        marks=pytest.mark.proves("C32", "T16"),
    ),
]


@pytest.mark.parametrize(("spec", "expected"), SCRIPTS)
def test_goes_through(spec: CanarySpec, expected: list[str]) -> None:
    """Every strategy from its first tick to its end, as Flagger's scheduler goes through it.

    C03, C06, C07, C08, C09, C19, C20, C21, C22, C23, C32, C34, T16: Flagger's scheduler.go, istio.go,
    scheduler_hooks.go.
    """
    assert script(spec) == expected


GATED = a_spec(webhooks=tuple(hook(type_) for type_ in (CONFIRM, TRAFFIC, PROMOTION)))
CLOSED = asked(answer(PROMOTION, passed=False))


def test_a_rollout_with_a_gate_before_it_waits() -> None:
    status = begin(GATED, NEW, OLD, 2, NOW)

    assert status.phase is Phase.WAITING
    assert status.condition is not None
    assert (status.condition.status, status.condition.reason) == ("Unknown", "Waiting")


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        pytest.param(
            a_case(GATED, begin(GATED, NEW, OLD, 2, NOW), gates=asked(answer(CONFIRM, passed=False))),
            Hold,
            id="a closed gate holds",
            marks=pytest.mark.proves("C19"),
        ),
        pytest.param(
            a_case(GATED, begin(GATED, NEW, OLD, 2, NOW), wishes=ABORT),
            Rollback,
            id="abort",
            marks=pytest.mark.proves("T6"),
        ),
        pytest.param(
            a_case(GATED, begin(GATED, NEW, OLD, 2, NOW), target=a_workload(revision=OLD)),
            Rollback,
            id="back at the promoted revision",
            marks=pytest.mark.proves("T6"),
        ),
        pytest.param(
            a_case(GATED, begin(GATED, NEW, OLD, 2, NOW), target=a_workload(revision=NEWER)),
            Restart,
            id="another revision",
            marks=pytest.mark.proves("T6"),
        ),
        pytest.param(
            a_case(
                GATED,
                begin(GATED, NEW, OLD, 2, NOW),
                gates=asked(answer(CONFIRM, passed=False), rollback=(answer(BACK),)),
            ),
            Rollback,
            id="a rollback hook is heard while it waits (T6)",
            marks=pytest.mark.proves("T6"),
        ),
        pytest.param(
            a_case(GATED.model_copy(update={"suspend": True}), begin(GATED, NEW, OLD, 2, NOW)),
            Wait,
            id="suspended: nothing begins",
            marks=pytest.mark.proves("C33"),
        ),
    ],
)
def test_waiting(case: Situation, expected: type) -> None:
    """What a rollout that waits hears: its gate, an abort, a rollback hook; Flagger is deaf there.

    C19, C33, T6: Flagger's scheduler_hooks.go, scheduler.go.
    """
    assert isinstance(decide(case), expected)


def test_a_patient_question_follows_a_closed_gate() -> None:
    case = a_case(GATED, begin(GATED, NEW, OLD, 2, NOW), gates=asked(answer(CONFIRM, passed=False)))
    waiting = after(case, decide(case), NOW)
    decision = decide(a_case(GATED, waiting))

    assert waiting.waiting_for is CONFIRM
    assert waiting.message == "Halt podinfo.test advancement waiting for approval confirm-rollout"
    assert isinstance(decision, Ask)
    assert decision.is_patient


@pytest.mark.proves("T7")
def test_a_closed_promotion_gate_waits_with_all_its_weight() -> None:
    """Flagger's status shows weight 0 and iterations -1 there, while users are on the canary.

    T7: Flagger's status.go.
    """
    case = a_case(GATED, at_weight(30), a_check(), gates=CLOSED)
    status = after(case, decide(case), NOW)

    assert (status.phase, status.waiting_for) == (Phase.WAITING_PROMOTION, PROMOTION)
    assert (status.canary_weight, status.traffic_weight, status.iterations) == (30, 30, 0)


@pytest.mark.proves("D17")
def test_nobody_waits_any_more_once_the_users_follow() -> None:
    """Flagger's blue/green stays in WaitingPromotion behind an open gate (D17: docs/architecture.md)."""
    gated = a_spec(iterations=2, webhooks=GATED.analysis.webhooks)
    waiting = at_weight(0, phase=Phase.WAITING_PROMOTION, waiting_for=PROMOTION, iterations=2)
    case = a_case(gated, waiting, a_check(), gates=asked(answer(PROMOTION)))
    status = after(case, decide(case), NOW)

    assert (status.phase, status.iterations, status.traffic_weight) == (Phase.PROGRESSING, 3, 100)


@pytest.mark.proves("C21")
def test_a_waiting_promotion_goes_on_being_checked_and_may_fail() -> None:
    """Checks go on behind a closed `confirm-promotion` gate (C21: Flagger's scheduler_hooks.go)."""
    waiting = at_weight(30, phase=Phase.WAITING_PROMOTION, waiting_for=PROMOTION, failed_checks=1)

    assert isinstance(decide(a_case(GATED, waiting)), Measure)
    assert isinstance(decide(a_case(GATED, waiting, a_check(98.0))), Rollback)
    assert decide(a_case(GATED, waiting, a_check())) == Ask(gates=(PROMOTION,))


@pytest.mark.proves("T17")
def test_a_person_answers_for_a_gate_and_is_obeyed_at_once() -> None:
    """Flagger's gates live in the memory of its load tester: a person's word is kept here.

    T17: Flagger's pkg/loadtester.
    """
    later = NOW + timedelta(minutes=5)
    waiting = at_weight(30, phase=Phase.WAITING_PROMOTION, waiting_for=PROMOTION, due=later)
    case = a_case(GATED, waiting, wishes=APPROVE)
    decision = decide(case)
    approved = after(case, decision, NOW)

    assert isinstance(decision, Approve)
    assert decision.message == "Confirm-promotion approved by ada: looks bad"
    assert (approved.approved, approved.due, approved.waiting_for) == ((PROMOTION,), NOW, None)
    assert isinstance(decide(a_case(GATED, approved)), Measure)
    assert isinstance(decide(a_case(GATED, approved, a_check())), Promote)


@pytest.mark.proves("D10")
def test_an_approval_comes_after_the_users_of_a_canary_that_does_not_serve() -> None:
    """A person's word for the next step keeps nobody with pods that are down (D10: docs/architecture.md)."""
    waiting = at_weight(30, waiting_for=TRAFFIC)
    case = a_case(GATED, waiting, target=a_workload(ready=0), wishes=APPROVE)
    decision = decide(case)
    retreated = after(case, decision, NOW)

    assert isinstance(decision, Retreat)
    assert isinstance(decide(a_case(GATED, retreated, target=a_workload(ready=0), wishes=APPROVE)), Approve)


@pytest.mark.proves("C20")
def test_an_approved_increase_is_one_increase() -> None:
    """`confirm-traffic-increase` is asked before every step: one word lets one step pass.

    C20: Flagger's scheduler_hooks.go.
    """
    approved = at_weight(10, approved=(TRAFFIC, CONFIRM))
    case = a_case(GATED, approved, a_check())
    decision = decide(case)

    assert isinstance(decision, Advance)
    assert after(case, decision, NOW).approved == (CONFIRM,)


def test_nothing_is_approved_where_nothing_waits() -> None:
    assert isinstance(decide(a_case(GATED, at_weight(10), wishes=APPROVE)), Measure)


@pytest.mark.proves("D5")
def test_a_restart_asks_the_gates_again() -> None:
    """A gate approves one revision, so another one asks again; in Flagger it does not.

    D5: docs/architecture.md.
    """
    status = at_weight(20, approved=(CONFIRM,), waiting_for=TRAFFIC, exposed_at=NOW)
    case = a_case(GATED, status, target=a_workload(revision=NEWER))
    again = after(case, decide(case), NOW)

    assert (again.phase, again.approved, again.waiting_for) == (Phase.WAITING, (), None)
    assert (again.has_begun, again.exposed_at, again.exposure) == (False, None, 0)


@pytest.mark.proves("C22", "T6")
def test_a_rollback_hook_is_heard_whatever_the_canary_is_like() -> None:
    """Flagger asks it only once the canary is ready (C22, T6: Flagger's scheduler_hooks.go, scheduler.go)."""
    spec = a_spec(webhooks=(hook(BACK), hook(PRE)))
    unready = a_status(spec, canary_unready_since=NOW)
    check = a_check().model_copy(update={"rollback": (answer(BACK),), "measurements": ()})

    assert decide(a_case(spec, unready, target=a_workload(ready=1))) == Measure(hooks=(), has_metrics=False)
    decision = decide(a_case(spec, unready, check, target=a_workload(ready=1)))
    assert isinstance(decision, Rollback)
    assert (decision.outcome, decision.message) == (
        Outcome.ROLLED_BACK,
        "Rolling back podinfo.test manual webhook invoked",
    )


@pytest.mark.proves("C23")
def test_pre_rollout_hooks_wait_for_a_ready_canary() -> None:
    """A `pre-rollout` hook may test the canary: that has to be there (C23: Flagger's scheduler_hooks.go)."""
    spec = a_spec(webhooks=(hook(PRE),))
    unready = a_status(spec, canary_unready_since=NOW)

    assert isinstance(decide(a_case(spec, unready, target=a_workload(ready=1))), Hold)
    assert decide(a_case(spec, unready)) == Measure(hooks=(PRE,), has_metrics=False)


@pytest.mark.proves("C23")
def test_a_failed_pre_rollout_hook_counts() -> None:
    """A failing `pre-rollout` hook is a failed check (C23: Flagger's scheduler_hooks.go)."""
    spec = a_spec(webhooks=(hook(PRE),))
    failed = a_check().model_copy(
        update={"measurements": (), "types": (PRE,), "hooks": (answer(PRE, passed=False, message="no"),)}
    )
    decision = decide(a_case(spec, check=failed))

    assert isinstance(decision, Hold)
    assert decision.is_failed_check
    assert decision.message == "Halt podinfo.test advancement pre-rollout check pre-rollout failed no"


def test_everybody_needs_as_many_pods_as_the_primary_had() -> None:
    spec = a_spec(iterations=1)
    status = a_status(spec, has_begun=True, iterations=1, primary_size=4)

    assert decide(a_case(spec, status, a_check())) == Reinforce(
        replicas=4,
        message="podinfo.test is brought to the 4 pods of the primary before it serves everybody",
    )
    growing = a_workload(size=4, ready=4, available=3)
    ready = a_spec(iterations=1, canary_ready_threshold=50)
    assert isinstance(decide(a_case(ready, status, a_check(), target=growing)), Hold)


def test_a_person_is_asked_where_an_autoscaler_takes_away_what_everybody_needs() -> None:
    spec = a_spec(iterations=1, canary_ready_threshold=50)
    long_ago = NOW - spec.progress_deadline
    status = a_status(spec, has_begun=True, iterations=1, primary_size=4, last_transition_time=long_ago)
    growing, taken_away = a_workload(size=4, ready=4, available=2), a_workload()

    asked = decide(a_case(spec, status, a_check(), target=growing))
    assert isinstance(asked, Wait)
    assert asked.needs_person
    assert asked.message == (
        "podinfo.test does not get the 4 pods that everybody needs: give it more, or abort"
    )
    after_that = after(a_case(spec, status), asked, NOW)
    assert decide(a_case(spec, after_that, a_check(), target=taken_away)) == asked
    enough = decide(a_case(spec, after_that, a_check(), target=a_workload(size=4)))
    assert isinstance(enough, Advance)
    assert isinstance(decide(a_case(spec, status, a_check(), target=taken_away)), Reinforce)


def test_matching_users_need_no_more_pods_than_there_are() -> None:
    spec = a_spec(iterations=1, match=MATCH)

    assert isinstance(decide(a_case(spec, a_status(spec, primary_size=4))), Advance)


def test_the_primary_matters_beside_a_canary_that_only_some_may_use() -> None:
    spec = a_spec(iterations=2, match=MATCH)
    status = a_status(spec, has_begun=True, iterations=1, traffic_weight=100, exposure=100)

    assert isinstance(decide(a_case(spec, status, a_check(), primary=a_primary(ready=1))), Hold)


def test_a_mirror_that_somebody_took_away_is_put_back() -> None:
    spec = a_spec(mirror=True)
    status = a_status(spec, has_begun=True, is_mirrored=True)
    drifted = a_case(spec, status, routes=routes_at(0))
    changed = a_case(status=at_weight(10), routes=routes_at(10).model_copy(update={"is_intact": False}))

    assert decide(drifted).message == "kubectl changed the routes"  # type: ignore[union-attr]
    assert decide(changed).message == "kubectl changed the routes"  # type: ignore[union-attr]


AFFINE = a_spec(session_affinity=SessionAffinity(cookie_name="c", primary_cookie_name="p"))


def test_cookies_last_for_one_analysis() -> None:
    first, other = at_weight(10), at_weight(10, restarts=1)
    during, again = routing_of(AFFINE, first, 10), routing_of(AFFINE, other, 10)

    assert len(during.cookie) == len(during.primary_cookie) == 10
    assert during.cookie != during.primary_cookie
    assert during == routing_of(AFFINE, first, 10)
    assert again.cookie != during.cookie
    assert routing_of(AFFINE, first, 0).expired_cookie == during.cookie
    assert routing_of(a_spec(), first, 10).cookie == ""


def test_users_whom_no_weight_parts_get_no_cookies() -> None:
    spec = a_spec(session_affinity=AFFINE.analysis.session_affinity, iterations=3)
    routing = routing_of(spec, at_weight(10), 10)

    assert (routing.cookie, routing.primary_cookie) == ("", "")


@pytest.mark.proves("C10")
def test_browsers_are_told_to_forget_a_cookie_after_its_rollout() -> None:
    """The cookie of a run is taken back by the routes that come after it (C10: Flagger's istio.go)."""
    status = at_weight(30)
    case = a_case(AFFINE, status, target=a_workload(revision=OLD))
    ended = after(case, decide(case), NOW)

    assert ended.expired_cookie == routing_of(AFFINE, status, 30).cookie
    assert routing_of(AFFINE, ended, 0).expired_cookie == ended.expired_cookie


@pytest.mark.proves("D11")
def test_a_window_begins_where_the_exposure_changed() -> None:
    """What was measured under another exposure says nothing of this one (D11: docs/architecture.md)."""
    spec = a_spec(iterations=3)
    long_ago = NOW - timedelta(hours=1)
    status = a_status(spec, has_begun=True, iterations=1, actuated_at=long_ago)
    case = a_case(spec, status, a_check())

    assert after(case, decide(case), NOW).actuated_at == long_ago
    first = a_case(spec, a_status(spec, actuated_at=long_ago))
    assert after(first, decide(first), NOW).actuated_at == NOW


@pytest.mark.proves("D14")
def test_a_gate_is_told_of_once_and_then_now_and_again() -> None:
    """Flagger tells of a closed gate at every tick, so that nobody reads it (D14: docs/architecture.md)."""
    case = a_case(GATED, at_weight(30), a_check(), gates=CLOSED)
    told = after(case, decide(case), NOW)
    soon = a_case(GATED, told.model_copy(update={"due": NOW}), a_check(), gates=CLOSED)

    assert told.reminded_at == NOW
    assert after(soon, decide(soon), NOW + timedelta(minutes=1)).reminded_at == NOW
    assert after(soon, decide(soon), NOW + REMINDER).reminded_at == NOW + REMINDER


def test_everybody_is_handed_over_even_where_a_match_kept_some_away() -> None:
    spec = a_spec(iterations=1, match=MATCH)
    status = a_status(
        spec,
        phase=Phase.PROMOTING,
        has_begun=True,
        traffic_weight=100,
        primary_unready_since=NOW - timedelta(hours=1),
    )
    case = a_case(spec, status, primary=a_primary(ready=0))
    halted = after(case, decide(case), NOW)

    assert (halted.outcome, halted.is_for_all) == (Outcome.HALTED, True)
