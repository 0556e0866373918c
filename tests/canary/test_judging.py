"""Readiness, measurements, steps, queries and idle canaries: one row a rule."""

from datetime import timedelta
from typing import Any

import pytest

from canary.analysis import AnalysisResult, Check, HookAnswer, Measurement, judge_check, window
from canary.errors import TemplateError
from canary.idle import MENDINGS, Mend, Recreate, Rest, Resume, Roll, decide_idle, noticed_idle
from canary.observation import Observation, Routes
from canary.queries import duration_text, render_query, render_sample_size
from canary.readiness import Readiness, judge_readiness
from canary.spec import HookType, MetricSpec, MetricTemplate, NoData, StepPlan, ThresholdRange
from canary.status import CanaryStatus, Outcome, Phase, Wishes
from canary.steps import last_weight, next_weight, weight_back
from tests.canary.rollouts import (
    ABORT,
    ADA,
    NEW,
    NEWER,
    NOW,
    OLD,
    RESTART,
    a_check,
    a_primary,
    a_spec,
    a_workload,
)

TEMPLATE = MetricTemplate(
    name="error-share", namespace="test", query="rate(x{ns='{{ namespace }}'}[{{interval}}])"
)


@pytest.mark.parametrize(
    ("plan", "weights"),
    [
        pytest.param(StepPlan(step_weight=10, max_weight=30), [10, 20, 30], id="steps"),
        pytest.param(
            StepPlan(step_weight=20, max_weight=50),
            [20, 40, 60],
            id="overshoot",
            marks=pytest.mark.proves("C04"),
        ),
        pytest.param(StepPlan(step_weight=60, max_weight=100), [60, 100], id="never above 100"),
        pytest.param(
            StepPlan(step_weights=(1, 2, 10, 80)),
            [1, 2, 10, 80],
            id="a list",
            marks=pytest.mark.proves("C05"),
        ),
        pytest.param(
            StepPlan(step_weights=(50, 150)),
            [50, 100],
            id="a list that overflows",
            marks=pytest.mark.proves("C05"),
        ),
    ],
)
def test_weights_grow(plan: StepPlan, weights: list[int]) -> None:
    """The next weight, by Flagger's `nextStepWeight`: past the maximum, and past the end of a list.

    C04, C05: Flagger's scheduler.go.
    """
    weight, seen = 0, []
    while weight < last_weight(plan):
        weight = next_weight(plan, weight)
        seen.append(weight)

    assert seen == weights


@pytest.mark.proves("T11")
def test_a_list_edited_in_mid_run_goes_on_with_the_next_greater_weight() -> None:
    """Flagger looks for the weight in the list, does not find it, and jumps to 100.

    T11: Flagger's scheduler.go.
    """
    assert next_weight(StepPlan(step_weights=(10, 30, 60)), 20) == 30
    assert next_weight(StepPlan(step_weights=(10, 30)), 40) == 30


@pytest.mark.parametrize(("promotion", "expected"), [(0, 0), (20, 30), (50, 0), (80, 0)])
@pytest.mark.proves("C34")
def test_weight_goes_back(promotion: int, expected: int) -> None:
    """A promotion takes the canary's traffic back in steps of `stepWeightPromotion`.

    C34: Flagger's scheduler.go.
    """
    assert weight_back(StepPlan(step_weight_promotion=promotion), 50) == expected


@pytest.mark.parametrize(
    ("workload", "since", "readiness", "message"),
    [
        pytest.param(None, None, Readiness.WAITING, "it is not there", id="missing"),
        pytest.param(a_workload(), None, Readiness.READY, "", id="ready"),
        pytest.param(
            a_workload(is_observed=False, has_exceeded_deadline=True),
            None,
            Readiness.WAITING,
            "waiting for rollout to finish: observed deployment generation less than desired generation",
            id="a deadline of a generation before",
        ),
        pytest.param(
            a_workload(updated=1),
            None,
            Readiness.WAITING,
            "waiting for rollout to finish: 1 out of 2 new replicas have been updated",
            id="not updated",
        ),
        pytest.param(
            a_workload(replicas=3),
            None,
            Readiness.WAITING,
            "waiting for rollout to finish: 1 old replicas are pending termination",
            id="old pods",
        ),
        pytest.param(
            a_workload(ready=1),
            None,
            Readiness.WAITING,
            "waiting for rollout to finish: 1 of 2 (readyThreshold 100%) updated replicas are available",
            id="not available",
            marks=pytest.mark.proves("C27"),
        ),
        pytest.param(
            a_workload(ready=1),
            NOW - timedelta(seconds=60),
            Readiness.FAILED,
            "waiting for rollout to finish: 1 of 2 (readyThreshold 100%) updated replicas are available; "
            "not ready for 60 s",
            id="deadline",
            marks=pytest.mark.proves("C28"),
        ),
        pytest.param(
            a_workload(has_exceeded_deadline=True),
            None,
            Readiness.FAILED,
            "podinfo exceeded its progress deadline",
            id="its own deadline",
            marks=pytest.mark.proves("C28"),
        ),
        pytest.param(
            a_workload(has_exceeded_deadline=True, trouble="it crashes"),
            None,
            Readiness.FAILED,
            "podinfo exceeded its progress deadline: it crashes",
            id="its own deadline, and why",
            marks=pytest.mark.proves("T21"),
        ),
        pytest.param(
            a_workload(ready=1, trouble="it crashes"),
            NOW - timedelta(seconds=60),
            Readiness.FAILED,
            "waiting for rollout to finish: 1 of 2 (readyThreshold 100%) updated replicas are available; "
            "not ready for 60 s: it crashes",
            id="deadline, and why",
            marks=pytest.mark.proves("T21"),
        ),
        pytest.param(
            a_workload(ready=1, trouble="it crashes"),
            None,
            Readiness.WAITING,
            "waiting for rollout to finish: 1 of 2 (readyThreshold 100%) updated replicas are available: "
            "it crashes",
            id="not available, and why",
            marks=pytest.mark.proves("T21"),
        ),
        pytest.param(
            a_workload(trouble="an old pod crashes"), None, Readiness.READY, "", id="ready all the same"
        ),
    ],
)
def test_readiness(workload, since, readiness, message) -> None:  # noqa: ANN001 — a table's row
    """Flagger's `isDeploymentReady`, branch by branch, and what the pods say (T21).

    C27, C28, T21: Flagger's deployment_ready.go, events.go.
    """
    verdict = judge_readiness(workload, 100, timedelta(seconds=60), since, NOW)

    assert (verdict.readiness, verdict.message) == (readiness, message)


def test_a_threshold_lets_some_pods_be_missing() -> None:
    half = a_workload(size=4, ready=2)

    assert judge_readiness(half, 50, timedelta(seconds=60), None, NOW).is_ready
    assert not judge_readiness(half, 75, timedelta(seconds=60), None, NOW).is_ready


def measured(metric: MetricSpec, value: float | None, error: str = "") -> tuple[AnalysisResult, str]:
    spec = a_spec()
    spec = spec.model_copy(update={"analysis": spec.analysis.model_copy(update={"metrics": (metric,)})})
    measurement = Measurement(metric=metric.name, query="q", value=value, error=error, at=NOW)
    verdict = judge_check(spec, Check(observation=Observation(at=NOW), measurements=(measurement,)))
    return verdict.result, verdict.message


SUCCESS = MetricSpec(name="request-success-rate", threshold_range=ThresholdRange(min=99, max=99.9))
DURATION = MetricSpec(name="request-duration", threshold_range=ThresholdRange(max=500))
CUSTOM = MetricSpec(name="errors", template=TEMPLATE, threshold_range=ThresholdRange(max=5))
INLINE = MetricSpec(name="depth", template=MetricTemplate(name="depth", namespace="test", query="depth"))


@pytest.mark.parametrize(
    ("metric", "value", "result", "message"),
    [
        pytest.param(SUCCESS, 99, "Successful", "", id="the lower bound is inside"),
        pytest.param(SUCCESS, 99.9, "Successful", "", id="the upper bound is inside"),
        pytest.param(SUCCESS, 98.5, "Failed", "success rate 98.50% < 99%", id="below"),
        pytest.param(SUCCESS, 100, "Failed", "success rate 100.00% > 99.9%", id="above"),
        pytest.param(DURATION, 500.9, "Successful", "", id="milliseconds are whole"),
        pytest.param(DURATION, 1515, "Failed", "request duration 1.515s > 500ms", id="slow"),
        pytest.param(CUSTOM, 12.344, "Failed", "errors 12.34 > 5", id="a template's value"),
        pytest.param(
            SUCCESS,
            None,
            "Inconclusive",
            "no values found for istio metric request-success-rate "
            "probably podinfo.test is not receiving traffic: running query failed: no values found",
            id="no data",
            marks=pytest.mark.proves("C26"),
        ),
        pytest.param(
            CUSTOM,
            None,
            "Inconclusive",
            "no values found for custom metric: errors: no values found",
            id="no data of a template",
        ),
        pytest.param(
            DURATION,
            None,
            "Inconclusive",
            "no values found for istio metric request-duration "
            "probably podinfo.test is not receiving traffic",
            id="no data of the duration",
        ),
        pytest.param(
            INLINE,
            None,
            "Inconclusive",
            "no values found for metric: depth",
            id="no data of an inline query",
        ),
    ],
)
def test_judges_a_metric(metric, value, result, message) -> None:  # noqa: ANN001 — a table's row
    """Bounds are inclusive; no value, and one that is none, count as a failed check.

    C26: Flagger's scheduler_metrics.go.
    """
    assert measured(metric, value) == (result, message)


@pytest.mark.proves("C26")
@pytest.mark.parametrize(
    ("metric", "message"),
    [
        pytest.param(SUCCESS, "Prometheus query failed: timed out", id="built in"),
        pytest.param(INLINE, "Prometheus query failed for depth: timed out", id="inline"),
        pytest.param(CUSTOM, "Metric query failed for errors: timed out", id="of a template"),
    ],
)
def test_a_metric_without_an_answer_is_an_error(metric: MetricSpec, message: str) -> None:
    """A query that fails counts as a failed check, and is told apart from a bad value.

    C26: Flagger's scheduler_metrics.go.
    """
    assert measured(metric, None, "timed out") == ("Error", message)


def test_a_hook_that_fails_comes_before_any_metric() -> None:
    answer = HookAnswer(hook="load", type=HookType.ROLLOUT, passed=False, status=500, message="boom", at=NOW)
    good = HookAnswer(hook="first", type=HookType.ROLLOUT, passed=True, status=200, at=NOW)
    check = a_check(50.0).model_copy(update={"hooks": (good, answer)})

    assert judge_check(a_spec(), check).message == "external check load failed boom"


@pytest.mark.parametrize(("ago", "expected"), [(600, 60), (30, 30), (0, 1)])
@pytest.mark.proves("D11")
def test_a_window_never_reaches_back_before_the_step(ago: int, expected: int) -> None:
    """A good step must not pay for the errors of the one before (D11: docs/architecture.md)."""
    assert window(SUCCESS, NOW - timedelta(seconds=ago), NOW) == timedelta(seconds=expected)


def test_renders_flaggers_queries() -> None:
    minute = timedelta(minutes=1)
    labels = 'reporter="destination",destination_workload_namespace="test",destination_workload=~"podinfo"'

    assert render_query(a_spec(), SUCCESS, minute) == (
        f'sum(rate(istio_requests_total{{{labels},response_code!~"5.*"}}[1m]))'
        f" / sum(rate(istio_requests_total{{{labels}}}[1m])) * 100"
    )
    assert render_query(a_spec(), DURATION, timedelta(seconds=30)) == (
        "histogram_quantile(0.99, sum(rate("
        f"istio_request_duration_milliseconds_bucket{{{labels}}}[30s])) by (le))"
    )
    assert (
        render_sample_size(a_spec(), SUCCESS, minute)
        == f"sum(increase(istio_requests_total{{{labels}}}[1m]))"
    )
    assert render_sample_size(a_spec(), CUSTOM, minute) is None


def test_fills_a_templates_variables() -> None:
    assert render_query(a_spec(), CUSTOM, timedelta(seconds=90)) == "rate(x{ns='test'}[90s])"


def test_names_what_a_template_asks_in_vain() -> None:
    unknown = CUSTOM.model_copy(
        update={"template": TEMPLATE.model_copy(update={"query": "{{ variables.zone }}"})}
    )

    with pytest.raises(TemplateError, match=r"variables\.zone"):
        render_query(a_spec(), unknown, timedelta(seconds=90))
    with pytest.raises(TemplateError, match="neither built in"):
        render_query(a_spec(), MetricSpec(name="mine"), timedelta(seconds=90))


@pytest.mark.parametrize(("seconds", "text"), [(60, "1m"), (90, "90s"), (120, "2m"), (1, "1s")])
def test_writes_durations_for_prometheus(seconds: int, text: str) -> None:
    assert duration_text(timedelta(seconds=seconds)) == text


SETTLED = CanaryStatus(phase=Phase.SUCCEEDED, last_applied=OLD, last_promoted=OLD, message="done")
FAILED = SETTLED.model_copy(
    update={"phase": Phase.FAILED, "last_applied": NEW, "message": "Suspended", "ending": "failed"}
)
HALTED = FAILED.model_copy(update={"outcome": Outcome.HALTED})


def look(revision=NEW, weight=0, manager="") -> Observation:  # noqa: ANN001 — a revision or nothing
    routes = Routes(primary=100 - weight, canary=weight, manager=manager)
    target = None if revision is None else a_workload(size=0, revision=revision)
    return Observation(at=NOW, target=target, primary=a_primary(), routes=routes)


def changed(**parts: Any) -> Observation:
    """A look at a canary at rest to which something was done."""
    return look(OLD).model_copy(update=parts)


@pytest.mark.parametrize(
    ("status", "seen", "wishes", "expected"),
    [
        pytest.param(
            SETTLED,
            look(),
            Wishes(),
            Roll(revision=NEW),
            id="a new revision",
            marks=pytest.mark.proves("C03"),
        ),
        pytest.param(
            SETTLED, look(OLD), Wishes(), Rest(), id="the promoted revision", marks=pytest.mark.proves("C30")
        ),
        pytest.param(FAILED, look(), Wishes(), Rest(message="failed"), id="what failed is not tried again"),
        pytest.param(FAILED, look(), RESTART, Roll(revision=NEW), id="unless a person asks"),
        pytest.param(
            FAILED,
            look(NEWER),
            Wishes(),
            Roll(revision=NEWER),
            id="what comes after a failure",
            marks=pytest.mark.proves("T3"),
        ),
        pytest.param(
            HALTED,
            look(NEWER),
            Wishes(),
            Rest(message="failed", needs_person=True),
            id="halted: nor is a newer revision taken up",
            marks=pytest.mark.proves("T4"),
        ),
        pytest.param(
            SETTLED, look(None), Wishes(), Rest(message="Deployment podinfo is not there"), id="gone"
        ),
        pytest.param(
            HALTED,
            look(),
            Wishes(),
            Rest(message="failed", needs_person=True),
            id="halted: a person decides",
            marks=pytest.mark.proves("T4"),
        ),
        pytest.param(HALTED, look(), RESTART, Resume(revision=NEW), id="halted: promote again"),
        pytest.param(HALTED, look(), ABORT, Resume(revision=NEW, abort=ADA), id="halted: give it up"),
        pytest.param(
            SETTLED,
            look(OLD, 20, "kubectl"),
            Wishes(),
            Rest(message="kubectl gave the canary weight 20 while no rollout runs", needs_person=True),
            id="a person's weights are reported",
        ),
        pytest.param(
            FAILED,
            look(NEW, 20, "kubectl"),
            Wishes(),
            Rest(message="kubectl gave the canary weight 20 while no rollout runs", needs_person=True),
            id="also for what has failed",
        ),
        pytest.param(
            SETTLED,
            look(OLD, 20),
            Wishes(),
            Rest(message="someone gave the canary weight 20 while no rollout runs", needs_person=True),
            id="also without a name",
        ),
        pytest.param(
            SETTLED,
            changed(primary=None),
            Wishes(),
            Recreate(message="podinfo-primary.test is gone: it is made anew from what was promoted last"),
            id="a primary that somebody deleted",
            marks=pytest.mark.proves("T14"),
        ),
        pytest.param(
            HALTED,
            changed(primary=None),
            Wishes(),
            Rest(message="failed", needs_person=True),
            id="no primary is made while a person decides",
        ),
        pytest.param(
            SETTLED,
            changed(routes=Routes(primary=100, canary=0, is_intact=False, manager="argocd")),
            Wishes(),
            Mend(message="argocd changed the routes while no rollout runs: they are put back"),
            id="changed routes",
            marks=pytest.mark.proves("T2"),
        ),
        pytest.param(
            FAILED,
            changed(routes=None),
            Wishes(),
            Mend(message="someone took the routes away while no rollout runs: they are put back"),
            id="lost routes",
            marks=pytest.mark.proves("T2"),
        ),
        pytest.param(
            SETTLED.model_copy(update={"mendings": MENDINGS}),
            changed(routes=None),
            Wishes(),
            Rest(
                message="Standing back, for the routes were undone 3 times: someone took the routes away",
                needs_person=True,
            ),
            id="not for ever",
        ),
    ],
)
def test_idle(status, seen, wishes, expected) -> None:  # noqa: ANN001 — a table's row
    """What an idle canary does next; where Flagger would swallow a change or route users to it, not that.

    C03, C30, T2, T3, T4, T14: Flagger's scheduler.go, spec.go, istio.go, deployment_controller.go.
    """
    assert decide_idle(a_spec(), status, seen, wishes) == expected


def test_an_upgraded_api_server_brings_no_new_revision() -> None:
    status = SETTLED.model_copy(update={"generation": 7})
    same = look(NEW).model_copy(update={"target": a_workload(revision=NEW, generation=7)})
    written = look(NEW).model_copy(update={"target": a_workload(revision=NEW, generation=8)})

    known = noticed_idle(status, same)

    assert (known.last_applied, known.last_promoted) == (NEW, NEW)
    assert noticed_idle(status, written) == status
    assert noticed_idle(status, look(None)) == status


def test_what_failed_is_still_not_what_was_promoted() -> None:
    status = FAILED.model_copy(update={"generation": 7})
    rehashed = look().model_copy(update={"target": a_workload(revision=NEWER, generation=7)})

    known = noticed_idle(status, rehashed)

    assert (known.last_applied, known.last_promoted) == (NEWER, OLD)


@pytest.mark.proves("C33")
def test_a_suspended_canary_starts_nothing() -> None:
    """`suspend` and a new revision: no rollout begins (C33: Flagger's scheduler.go)."""
    decision = decide_idle(a_spec(suspend=True), SETTLED, look(), Wishes())

    assert isinstance(decision, Rest)


@pytest.mark.parametrize(
    ("no_data", "value", "samples", "expected"),
    [
        pytest.param(NoData.FAIL, None, None, ("Inconclusive", True), id="no data counts"),
        pytest.param(NoData.HOLD, None, None, ("Inconclusive", False), id="no data holds"),
        pytest.param(NoData.PASS, None, None, ("Successful", True), id="no data passes"),
        pytest.param(NoData.FAIL, 50.0, 9.0, ("Inconclusive", True), id="too few samples count"),
        pytest.param(NoData.HOLD, 50.0, 9.0, ("Inconclusive", False), id="too few samples hold"),
        pytest.param(NoData.HOLD, 50.0, None, ("Inconclusive", False), id="samples that cannot be counted"),
        pytest.param(NoData.HOLD, 50.0, 10.0, ("Failed", True), id="a bad value on enough samples"),
        pytest.param(NoData.HOLD, 99.5, 10.0, ("Successful", True), id="a good value on enough samples"),
    ],
)
def test_judges_without_data(
    no_data: NoData, value: float | None, samples: float | None, expected: tuple[str, bool]
) -> None:
    metric = a_spec().analysis.metrics[0].model_copy(update={"no_data": no_data, "min_samples": 10})
    measured = Measurement(metric=metric.name, query="q", value=value, samples=samples, at=NOW)
    verdict = judge_check(a_spec(metrics=(metric,)), Check(observation=look(), measurements=(measured,)))

    assert (verdict.result, verdict.is_counted) == expected


@pytest.mark.proves("D16")
@pytest.mark.parametrize(
    ("interval", "late_by", "value", "expected"),
    [
        pytest.param(90, 89, None, ("Inconclusive", True), id="within the metric's window"),
        pytest.param(90, 90, None, ("Inconclusive", False), id="later than that"),
        pytest.param(1, 9, None, ("Inconclusive", True), id="late beside other work"),
        pytest.param(1, 10, None, ("Inconclusive", False), id="after an outage"),
        pytest.param(90, 90, 50.0, ("Failed", True), id="a bad value is one at any time"),
    ],
)
def test_no_data_after_an_outage_of_the_engine_counts_nothing(
    interval: int, late_by: int, value: float | None, expected: tuple[str, bool]
) -> None:
    """After an outage nobody had driven load: that must not roll a good version back.

    D16: docs/architecture.md.
    """
    metric = a_spec().analysis.metrics[0].model_copy(update={"interval": timedelta(seconds=interval)})
    measured = Measurement(metric=metric.name, query="q", value=value, at=NOW)
    check = Check(observation=look(), measurements=(measured,), late_by=timedelta(seconds=late_by))
    verdict = judge_check(a_spec(metrics=(metric,)), check)

    assert (verdict.result, verdict.is_counted) == expected
    assert (f"for this one came {late_by} s late" in verdict.message) is not verdict.is_counted


def test_a_metric_that_warms_up_holds_whatever_its_value() -> None:
    metric = a_spec().analysis.metrics[0].model_copy(update={"warm_up": timedelta(minutes=5)})
    spec = a_spec(metrics=(metric,))
    cold = judge_check(spec, a_check(50.0), NOW - timedelta(minutes=4))

    assert (cold.result, cold.is_counted) == (AnalysisResult.INCONCLUSIVE, False)
    assert not judge_check(spec, a_check(50.0), None).is_counted
    assert judge_check(spec, a_check(50.0), NOW - timedelta(minutes=5)).result is AnalysisResult.FAILED


@pytest.mark.parametrize(
    "changes",
    [{"warm_up": timedelta(minutes=5)}, {"no_data": NoData.HOLD}],
    ids=["warms up", "has no data"],
)
@pytest.mark.parametrize("is_first", [True, False])
def test_what_is_not_counted_hides_no_metric_that_fails(changes: dict[str, Any], *, is_first: bool) -> None:
    rate = a_spec().analysis.metrics[0]
    held = rate.model_copy(update=changes)
    pairs = [(held, None), (rate, 50.0)]
    ordered = pairs if is_first else pairs[::-1]
    measured = tuple(Measurement(metric="m", query="q", value=value, at=NOW) for _, value in ordered)
    spec = a_spec(metrics=tuple(metric for metric, _ in ordered))
    verdict = judge_check(spec, Check(observation=look(), measurements=measured), NOW)

    assert (verdict.result, verdict.is_counted) == (AnalysisResult.FAILED, True)


@pytest.mark.parametrize(("weight", "expected"), [(50, 40), (40, 10), (10, 0), (5, 0)], ids=str)
@pytest.mark.proves("C34")
def test_the_primary_goes_through_its_own_steps(weight: int, expected: int) -> None:
    """A list of `stepWeightPromotion` is the primary's own way back (C34: Flagger's scheduler.go)."""
    assert weight_back(StepPlan(step_weights_promotion=(60, 90)), weight) == expected
