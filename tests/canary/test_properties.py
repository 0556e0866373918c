"""What holds for every rollout, whatever its document says, whatever is seen, answered and said."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from activities.cluster.virtualservice import routes
from canary.analysis import AnalysisResult, judge_check
from canary.decision import (
    Advance,
    Begin,
    Correct,
    Finalise,
    HandOver,
    Promote,
    Reinforce,
    Restart,
    RestorePrimary,
    Rollback,
    ShiftBack,
    Wait,
)
from canary.ladder import decide
from canary.observation import Observation, Workload
from canary.routing import Routing, routing_of
from canary.situation import Situation
from canary.spec import (
    AnalysisSpec,
    CanarySpec,
    HookType,
    MetricSpec,
    NoData,
    ServiceSpec,
    SessionAffinity,
    StepPlan,
    Strategy,
    ThresholdRange,
)
from canary.status import Outcome, Phase, RolloutStatus, Wishes
from tests.canary.rollouts import NEW, NEWER, OLD, a_primary, a_spec, a_workload, hook
from tests.canary.simulation import SIZE, Look, Play, Turn, at_revision

INTERVAL = timedelta(minutes=1)
MATCH = ({"headers": {"x-canary": {"exact": "insider"}}},)
GROWTHS = st.one_of(
    st.builds(StepPlan, step_weight=st.integers(5, 100), max_weight=st.integers(1, 100)),
    st.lists(st.integers(1, 100), min_size=1, max_size=5, unique=True).map(
        lambda weights: StepPlan(step_weights=tuple(sorted(weights)))
    ),
)
PROMOTIONS = st.one_of(
    st.just({}),
    st.fixed_dictionaries({"step_weight_promotion": st.integers(5, 100)}),
    st.fixed_dictionaries(
        {
            "step_weights_promotion": st.lists(st.integers(1, 99), max_size=3, unique=True)
            .map(sorted)
            .map(tuple)
        }
    ),
)
PLANS = st.builds(lambda plan, back: plan.model_copy(update=back), GROWTHS, PROMOTIONS)
METRICS = st.builds(
    MetricSpec,
    name=st.sampled_from(["request-success-rate", "request-duration"]),
    threshold_range=st.sampled_from([ThresholdRange(min=99), ThresholdRange(min=1, max=200)]),
    no_data=st.sampled_from(NoData),
    min_samples=st.sampled_from([None, None, 100.0]),
    warm_up=st.sampled_from([timedelta(0), timedelta(0), timedelta(minutes=3)]),
)
HOOKS = st.sets(st.sampled_from([type_ for type_ in HookType if type_ is not HookType.EVENT]))
ANALYSES = {
    "interval": st.just(INTERVAL),
    "threshold": st.integers(1, 4),
    "steps": PLANS,
    "iterations": st.sampled_from([0, 0, 0, 1, 3]),
    "match": st.sampled_from([(), (), MATCH]),
    "mirror": st.booleans(),
    "mirror_weight": st.integers(0, 100),
    "session_affinity": st.sampled_from([None, SessionAffinity(cookie_name="c", primary_cookie_name="p")]),
    "metrics": st.lists(METRICS, max_size=2).map(tuple),
    "webhooks": HOOKS.map(lambda types: tuple(hook(type_) for type_ in HookType if type_ in types)),
    "primary_ready_threshold": st.sampled_from([100, 50]),
    "canary_ready_threshold": st.sampled_from([100, 50]),
}
SPECS = st.builds(
    lambda analysis, **own: a_spec().model_copy(update={"analysis": analysis, **own}),
    st.builds(AnalysisSpec, **ANALYSES),
    skip_analysis=st.sampled_from([False, False, False, True]),
    suspend=st.sampled_from([False, False, False, True]),
)
PLAYS = st.one_of(
    SPECS.map(Play.begun),
    SPECS.map(Play.begun),
    st.builds(Play.resumed, SPECS, st.sampled_from([0, 30, 100])),
)


def rarely(strategy: st.SearchStrategy[Look | dict]) -> st.SearchStrategy[dict]:
    """Nothing three times of four."""
    return st.one_of(st.just({}), st.just({}), st.just({}), strategy)


def lamed(healthy: Workload) -> st.SearchStrategy[Workload | None]:
    """A workload with whatever can be wrong with one."""
    ready = st.integers(0, SIZE).map(lambda up: {"ready": up, "available": up})
    wrong = st.sampled_from([{"updated": 1}, {"has_exceeded_deadline": True}, {"is_observed": False}])
    return st.one_of(st.none(), st.one_of(ready, wrong).map(lambda it: healthy.model_copy(update=it)))


TARGETS = st.one_of(
    st.sampled_from([NEW, NEW, NEWER, OLD]).map(at_revision),
    lamed(a_workload(size=SIZE)),
    st.just(a_workload(size=SIZE + 2, available=SIZE)),
)
TROUBLED = st.builds(
    lambda *wrong: Look(**{name: value for one in wrong for name, value in one.items()}),
    rarely(st.fixed_dictionaries({"target": TARGETS})),
    rarely(st.fixed_dictionaries({"primary": lamed(a_primary(size=SIZE))})),
    rarely(st.fixed_dictionaries({"value": st.sampled_from([98.0, 500.0, None])})),
    rarely(st.just({"samples": 5.0})),
    rarely(st.just({"is_hook_failing": True})),
    st.booleans().map(lambda closed: {"is_gate_closed": closed}),
    rarely(rarely(st.just({"is_wanted_back": True}))),
    rarely(st.fixed_dictionaries({"wish": st.sampled_from(["approve", "approve", "restart", "abort"])})),
    rarely(st.fixed_dictionaries({"drift": st.integers(0, 100)})),
    rarely(rarely(st.fixed_dictionaries({"document": SPECS}))),
    st.integers(0, 90).map(lambda seconds: {"gap": timedelta(seconds=seconds)}),
)
CALM, CLOSED = Look(), Look(is_gate_closed=True)
LOOKS = st.one_of(st.just(CALM), st.just(CALM), st.just(CLOSED), TROUBLED)
STORIES = st.lists(LOOKS, min_size=12, max_size=24)
BEGINNINGS = st.lists(LOOKS, max_size=8)


def turns(play: Play, looks: list[Look]) -> Iterator[tuple[Play, Turn]]:
    """Every decision of a story, until the rollout has ended or the story has."""
    for look in looks:
        play, turn = play.turn(look)
        if turn is not None:
            yield play, turn
        if play.status.phase.is_final:
            return


def told(play: Play, looks: list[Look]) -> Play:
    """The rollout as it stands at the end of a story."""
    for stands, _ in turns(play, looks):
        play = stands
    return play


def grows(turn: Turn) -> bool:
    """Whether a step exposed the canary to more than it had."""
    before, status = turn.before, turn.status
    return isinstance(turn.decision, Advance) and (
        status.traffic_weight > before.traffic_weight
        or status.iterations > before.iterations
        or (status.is_mirrored and not before.is_mirrored)
    )


def assert_weights_are_sound(spec: CanarySpec, status: RolloutStatus) -> None:
    assert 0 <= status.canary_weight <= 100
    assert 0 <= status.traffic_weight <= 100
    assert 0 <= status.exposure <= 100
    assert routing_of(spec, status, status.traffic_weight).weight == status.traffic_weight


def assert_growth_is_earned(turn: Turn) -> None:
    """A check that passed, workloads that are ready, an interval that is over."""
    case, before = turn.case, turn.before
    assert case.canary.is_ready
    assert case.primary.is_ready or not case.primary_has_traffic
    assert case.target_serves
    assert case.now >= before.due
    assert not case.spec.suspend
    assert turn.status.failed_checks == before.failed_checks
    if before.has_begun and not before.is_retreated:
        assert case.check is not None
        assert judge_check(case.spec, case.check, before.exposed_at).result is AnalysisResult.SUCCESSFUL


def assert_gates_are_open(turn: Turn) -> None:
    """Nobody passes a gate that neither answered for itself nor was answered for by a person."""
    case, decision, before = turn.case, turn.decision, turn.before
    analysis = case.spec.analysis
    open_ = {
        *before.approved,
        *(one.type for one in (case.gates.answers if case.gates else ()) if one.passed),
    }
    wanted = {type_ for type_ in HookType if type_.is_gate and analysis.hooks(type_)} - open_
    if isinstance(decision, Begin):
        assert HookType.CONFIRM_ROLLOUT not in wanted
    if isinstance(decision, Promote) and not case.spec.skip_analysis:
        assert HookType.CONFIRM_PROMOTION not in wanted
    if isinstance(decision, Advance):
        assert HookType.CONFIRM_TRAFFIC_INCREASE not in turn.status.approved
    is_weighed = analysis.strategy is Strategy.CANARY and not before.is_mirrored
    if is_weighed and turn.status.exposure > before.exposure and isinstance(decision, Advance):
        assert HookType.CONFIRM_TRAFFIC_INCREASE not in wanted


def assert_retreats_are_safe(turn: Turn) -> None:
    """Traffic goes to whom serves, and to a promoted primary only if it is as big as it was."""
    case, decision = turn.case, turn.decision
    if turn.status.traffic_weight < turn.before.traffic_weight and not case.is_all_gone:
        assert case.primary_serves
    if turn.status.traffic_weight > turn.before.traffic_weight or isinstance(decision, Reinforce):
        assert case.target_serves
    if isinstance(decision, ShiftBack | Finalise):
        assert case.primary.is_ready
        assert case.seen.primary is not None
        assert case.seen.primary.available >= turn.before.primary_size
    if isinstance(decision, HandOver):
        assert case.seen.target is not None
        assert case.seen.target.available >= turn.before.primary_size


def assert_nobody_stays_with_a_dead_canary(turn: Turn) -> None:
    """Unless a person has just spoken: a promotion is taken back first, and the way out has its own way."""
    case, decision = turn.case, turn.decision
    if case.target_serves or not case.primary_serves or isinstance(decision, RestorePrimary):
        return
    assert turn.status.traffic_weight == 0 or turn.status.is_left


@settings(max_examples=400, deadline=None)
@given(play=PLAYS, looks=STORIES)
def test_every_rollout_keeps_the_rules(play: Play, looks: list[Look]) -> None:
    for _, turn in turns(play, looks):
        assert_weights_are_sound(play.spec, turn.status)
        assert_gates_are_open(turn)
        assert_retreats_are_safe(turn)
        assert_nobody_stays_with_a_dead_canary(turn)
        if grows(turn):
            assert_growth_is_earned(turn)
        if not isinstance(turn.decision, Restart):
            assert turn.status.failed_checks >= turn.before.failed_checks
        if isinstance(turn.decision, Wait):
            assert turn.decision.until > turn.case.now
        if isinstance(turn.decision, Correct):
            assert turn.decision.weight == turn.before.traffic_weight


@settings(max_examples=250, deadline=None)
@given(play=PLAYS, looks=STORIES)
@pytest.mark.proves("C39", "T1", "D8")
def test_no_two_increases_are_closer_than_the_interval(play: Play, looks: list[Look]) -> None:
    """Flagger runs a tick at once when it starts, so that a restart takes a step early.

    C39, T1, D8: Flagger's job.go, docs/architecture.md.
    """
    last = None if play.status.has_begun else play.status.started_at
    for _, turn in turns(play, looks):
        if grows(turn):
            assert last is None or turn.case.now - last >= INTERVAL
            last = turn.case.now


@settings(max_examples=300, deadline=None)
@given(play=PLAYS, looks=BEGINNINGS, ready=st.integers(0, SIZE), look=TROUBLED)
def test_an_abort_takes_all_traffic_in_one_decision(
    play: Play, looks: list[Look], ready: int, look: Look
) -> None:
    """Unless there is no primary to take it to: then it stays, and a person is called for.

    In a promotion that is being taken back it is already under way, as fast as the primary comes.
    """
    play = told(play, looks)
    is_late = play.status.phase in (Phase.FINALISING, Phase.SUCCEEDED, Phase.FAILED)
    if play.is_half_promoted or play.status.is_restoring or is_late:
        return
    aborted, turn = play.turn(replace(look, primary=a_primary(ready=ready), wish="abort"))

    assert turn is not None
    if ready or not turn.case.canary_has_traffic:
        assert isinstance(turn.decision, Rollback)
        assert (aborted.status.outcome, aborted.status.traffic_weight) == (Outcome.ABORTED, 0)
    else:
        assert aborted.status.traffic_weight == play.status.traffic_weight
        assert aborted.status.needs_person


@settings(max_examples=60, deadline=None)
@given(play=PLAYS, looks=STORIES)
def test_equal_observations_give_equal_decisions(play: Play, looks: list[Look]) -> None:
    for _, turn in turns(play, looks):
        case = turn.case
        stored = Situation(
            CanarySpec.model_validate_json(case.spec.model_dump_json()),
            RolloutStatus.model_validate_json(case.status.model_dump_json()),
            Observation.model_validate_json(case.seen.model_dump_json()),
            case.now,
            case.check and type(case.check).model_validate_json(case.check.model_dump_json()),
            Wishes.model_validate_json(case.wishes.model_dump_json()),
            case.gates and type(case.gates).model_validate_json(case.gates.model_dump_json()),
        )

        assert decide(stored) == decide(case) == turn.decision


@settings(max_examples=250, deadline=None)
@given(play=PLAYS, looks=BEGINNINGS)
@pytest.mark.proves("T11")
def test_every_rollout_ends_once_gates_answer_and_workloads_settle(play: Play, looks: list[Look]) -> None:
    """In Flagger edited or empty steps can make a run without an end.

    Where a person is called for, one comes.

    T11: Flagger's scheduler.go.
    """
    play = told(play, looks)
    settled = replace(play, spec=play.spec.model_copy(update={"suspend": False}))
    calm = Look(target=at_revision(play.status.revision), gap=INTERVAL)
    for _ in range(150):
        if settled.status.phase.is_final:
            break
        settled, _ = settled.turn(replace(calm, wish="abort" if settled.status.needs_person else ""))

    assert settled.status.phase.is_final


@settings(max_examples=120, deadline=None)
@given(spec=SPECS)
def test_every_healthy_rollout_is_promoted(spec: CanarySpec) -> None:
    types = tuple(one for one in spec.analysis.webhooks if one.type is not HookType.ROLLBACK)
    analysis = spec.analysis.model_copy(update={"webhooks": types})
    play = Play.begun(spec.model_copy(update={"suspend": False, "analysis": analysis}))
    for _ in range(150):
        play, _ = play.turn(Look())
        assert_weights_are_sound(play.spec, play.status)
        if play.status.phase.is_final:
            break

    assert play.status.outcome is Outcome.PROMOTED
    assert play.status.traffic_weight == 0


@settings(max_examples=120, deadline=None)
@given(spec=SPECS, weight=st.integers(0, 100), is_mirrored=st.booleans(), is_tcp=st.booleans())
def test_the_weights_of_every_route_come_to_100(
    spec: CanarySpec, weight: int, *, is_mirrored: bool, is_tcp: bool
) -> None:
    service = ServiceSpec(name="podinfo", port=9898, app_protocol="tcp" if is_tcp else None)
    routing = Routing(
        weight=weight, is_mirrored=is_mirrored, cookie="abc", primary_cookie="def", expired_cookie="ghi"
    )

    for route in routes(spec.model_copy(update={"service": service}), routing):
        weights = [part["weight"] for part in route["route"]]
        assert all(0 <= one <= 100 for one in weights)
        assert sum(weights) == 100 or len(weights) == 1  # the mesh takes no notice of a single one


@pytest.mark.parametrize("wish", ["abort", "restart"])
def test_a_story_can_be_told(wish: str) -> None:
    """The stories above end otherwise than by chance only if commands are heard at all."""
    play, turn = Play.begun(a_spec()).turn(Look(wish=wish))

    assert turn is not None
    assert isinstance(turn.decision, Rollback if wish == "abort" else Restart)
    assert play.wishes.restart is None
