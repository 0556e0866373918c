"""What holds for every rollout, whatever is seen and whoever speaks."""

from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from canary.decision import Advance, Correct, Finish, Measure, Promote, Reinforce, Restart, Rollback, Wait
from canary.ladder import decide
from canary.observation import Observation, Routes, Workload
from canary.situation import Situation
from canary.spec import StepPlan
from canary.status import Person, Phase, Wishes
from canary.transition import after, begin, noticed
from tests.canary.rollouts import NEW, NEWER, NOW, OLD, a_check, a_primary, a_spec, a_workload

PLANS = st.one_of(
    st.builds(StepPlan, step_weight=st.integers(1, 100), max_weight=st.integers(1, 100)),
    st.lists(st.integers(1, 100), min_size=1, max_size=5, unique=True).map(
        lambda weights: StepPlan(step_weights=tuple(sorted(weights)))
    ),
)
SIZES = st.integers(0, 3)


@st.composite
def workloads(draw: st.DrawFn, healthy: Workload) -> Workload | None:
    if draw(st.booleans()):
        return healthy
    ready = draw(SIZES)
    return draw(
        st.sampled_from(
            [
                None,
                healthy.model_copy(update={"ready": ready, "available": ready}),
                healthy.model_copy(update={"updated": 1}),
                healthy.model_copy(update={"has_exceeded_deadline": True}),
            ]
        )
    )


@st.composite
def looks(draw: st.DrawFn) -> tuple[Observation, float | None, Wishes, bool]:
    """What is seen, what a check would measure, what persons wish, and whether routes drifted."""
    revision = draw(st.sampled_from([NEW, NEW, NEW, NEW, NEWER, OLD]))
    target = draw(workloads(a_workload(revision=revision)))
    primary = draw(workloads(a_primary()))
    value = draw(st.sampled_from([100.0, 100.0, 98.0, None]))
    person = Person(who="ada", at=NOW)
    wishes = draw(st.sampled_from([Wishes()] * 8 + [Wishes(abort=person), Wishes(restart=person)]))
    drifted = draw(st.sampled_from([False, False, False, True]))
    return Observation(at=NOW, target=target, primary=primary), value, wishes, drifted


@settings(max_examples=300, deadline=None)
@given(plan=PLANS, seen=st.lists(looks(), max_size=40), gaps=st.lists(st.integers(0, 90), max_size=40))
def test_every_rollout_keeps_the_rules(plan, seen, gaps) -> None:  # noqa: ANN001, C901, PLR0912, PLR0915 — the rules, one by one
    spec = a_spec(steps=plan)
    status, now, last_growth = begin(spec, NEW, OLD, 2, NOW), NOW, None
    for (look, value, wishes, drifted), gap in zip(seen, gaps, strict=False):
        now += timedelta(seconds=gap)
        weight = (status.traffic_weight + 7) % 101 if drifted else status.traffic_weight
        observation = look.model_copy(update={"routes": Routes(primary=100 - weight, canary=weight)})
        case = Situation(
            spec, noticed(Situation(spec, status, observation, now)), observation, now, None, wishes
        )
        decision = decide(case)
        if isinstance(decision, Measure):
            case = Situation(spec, case.status, observation, now, a_check(value), wishes)
            decision = decide(case)
        before, status = status, after(case, decision, now)

        assert 0 <= status.traffic_weight <= 100
        if isinstance(decision, Advance):
            assert case.canary.is_ready
            assert case.primary.is_ready
            assert now >= before.due
            assert last_growth is None or now - last_growth >= spec.analysis.interval
            assert case.check is not None or before.traffic_weight == 0
            last_growth = now
        if status.traffic_weight < before.traffic_weight:
            assert case.primary_serves
        if status.traffic_weight > before.traffic_weight:
            assert case.target_serves
        if isinstance(decision, Promote | Finish):
            assert case.primary.is_ready or isinstance(decision, Promote)
        if wishes.abort and before.phase is Phase.PROGRESSING and case.primary_serves:
            assert isinstance(decision, Rollback)
            assert status.traffic_weight == 0
        if not isinstance(decision, Restart):
            assert status.failed_checks >= before.failed_checks
        if isinstance(decision, Wait):
            assert decision.until > now
        if isinstance(decision, Correct):
            assert decision.weight == before.traffic_weight
        if isinstance(decision, Reinforce):
            assert case.target_serves
        if status.phase.is_final:
            break


@settings(max_examples=100, deadline=None)
@given(plan=PLANS)
def test_every_healthy_rollout_is_promoted(plan: StepPlan) -> None:
    spec = a_spec(steps=plan)
    status, now = begin(spec, NEW, OLD, 2, NOW), NOW
    for _ in range(300):
        routes = Routes(primary=100 - status.traffic_weight, canary=status.traffic_weight)
        observation = Observation(at=now, target=a_workload(), primary=a_primary(), routes=routes)
        case = Situation(spec, status, observation, now)
        decision = decide(case)
        if isinstance(decision, Measure):
            case = Situation(spec, status, observation, now, a_check())
            decision = decide(case)
        if isinstance(decision, Wait):
            now = decision.until
        status = after(case, decision, now)
        if status.phase.is_final:
            break

    assert status.phase is Phase.SUCCEEDED
