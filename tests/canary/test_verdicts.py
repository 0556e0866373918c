"""Verdicts, queries and errors, whole: bounds at their edges, and every word."""

from datetime import timedelta
from typing import Any

import pytest

from canary.analysis import AnalysisResult, Check, Measurement, Verdict, judge_check, judge_measurement
from canary.checks import next_check
from canary.decision import Measure
from canary.errors import CanaryError, NoAnswerError, TemplateError
from canary.observation import Observation
from canary.queries import render_query
from canary.readiness import judge_readiness
from canary.spec import CanarySpec, HookType, MetricSpec, MetricTemplate, StepPlan, ThresholdRange
from canary.status import Phase, RolloutStatus
from canary.steps import next_weight
from tests.canary.rollouts import (
    NEW,
    NEWER,
    NOW,
    a_check,
    a_spec,
    a_status,
    a_workload,
    answer,
    at_weight,
    hook,
    in_phase,
)

MINUTE = timedelta(minutes=1)


def metric(name: str = "request-success-rate", **fields: Any) -> MetricSpec:
    """A metric with a lower bound of 99, unless said otherwise."""
    return MetricSpec(name=name, **{"threshold_range": ThresholdRange(min=99), **fields})


def template(query: str) -> MetricTemplate:
    """A query of somebody's own."""
    return MetricTemplate(name="errors", namespace="test", query=query)


def measured(value: float, samples: float | None = None) -> Measurement:
    """What a metric was measured to be."""
    return Measurement(metric="m", query="q", value=value, samples=samples, at=NOW)


FAILED, PASSED, OPEN = AnalysisResult.FAILED, AnalysisResult.SUCCESSFUL, AnalysisResult.INCONCLUSIVE
SLOW = ThresholdRange(max=999)


@pytest.mark.parametrize(
    ("given", "measurement", "expected"),
    [
        pytest.param(
            metric(threshold_range=ThresholdRange(max=99.5)),
            measured(99.6),
            Verdict(result=FAILED, message="success rate 99.60% > 99.5%"),
            id="only milliseconds are whole",
        ),
        pytest.param(
            metric("request-duration", template=template("x"), threshold_range=ThresholdRange(max=500)),
            measured(500.9),
            Verdict(result=FAILED, message="request-duration 500.90 > 500"),
            id="a template may have a built-in's name",
        ),
        pytest.param(
            metric("request-duration", threshold_range=SLOW),
            measured(1000),
            Verdict(result=FAILED, message="request duration 1s > 999ms"),
            id="a thousand milliseconds are a second",
        ),
        pytest.param(
            metric(min_samples=1),
            measured(100, 0),
            Verdict(result=OPEN, message="metric request-success-rate stands on 0 of 1 samples"),
            id="no sample is not one",
        ),
        pytest.param(
            metric(min_samples=1),
            measured(100),
            Verdict(result=OPEN, message="metric request-success-rate stands on 0 of 1 samples"),
            id="nor is an unknown number of samples",
        ),
        pytest.param(
            metric(min_samples=1), measured(100, 1), Verdict(result=PASSED), id="as few samples as are asked"
        ),
    ],
)
def test_a_measurement_is_judged(given: MetricSpec, measurement: Measurement, expected: Verdict) -> None:
    assert judge_measurement(a_spec(), given, measurement) == expected


def test_a_metric_that_warms_up_says_so_and_counts_for_nothing() -> None:
    verdict = judge_check(a_spec(metrics=(metric(warm_up=MINUTE),)), a_check(0.0), NOW - MINUTE / 2)

    assert verdict == Verdict(
        result=OPEN,
        message="metric request-success-rate is warming up for 60 s",
        is_counted=False,
    )


def test_a_metric_has_warmed_up_when_its_time_is_over() -> None:
    spec = a_spec(metrics=(metric(warm_up=MINUTE),))

    assert judge_check(spec, a_check(), NOW - MINUTE).result is PASSED


@pytest.mark.parametrize(
    ("type_", "words"),
    [
        pytest.param(HookType.PRE_ROLLOUT, "pre-rollout check pre-rollout failed", id="before the analysis"),
        pytest.param(HookType.ROLLOUT, "external check rollout failed", id="at every step"),
    ],
)
def test_a_hook_that_fails_without_a_word_leaves_no_blank(type_: HookType, words: str) -> None:
    check = Check(observation=Observation(at=NOW), hooks=(answer(type_, passed=False),))

    assert judge_check(a_spec(), check) == Verdict(result=FAILED, message=words)


def test_a_check_of_other_metrics_than_the_document_s_is_not_judged() -> None:
    with pytest.raises(ValueError, match="shorter"):
        judge_check(a_spec(metrics=(metric(), metric())), a_check())


@pytest.mark.parametrize(
    ("given", "why"),
    [
        pytest.param(metric("mine"), "it is neither built in nor has it a template", id="no template"),
        pytest.param(metric("mine", template=template("rate({{ x")), "a {{ has no }}", id="an open brace"),
        pytest.param(
            metric("mine", template=template("{{ variables.zone }}")),
            "{{ variables.zone }} is not given in templateVariables",
            id="a variable that is not given",
        ),
        pytest.param(
            metric("mine", template=template("{{ zone }}")),
            "{{ zone }} is none of name, namespace, target, service, ingress, route, interval, "
            "variables.<name>",
            id="a variable that nobody knows",
        ),
    ],
)
def test_a_query_cannot_be_rendered(given: MetricSpec, why: str) -> None:
    with pytest.raises(TemplateError) as raised:
        render_query(a_spec(), given, MINUTE)

    assert str(raised.value) == f"The query of metric mine cannot be rendered: {why}."
    assert raised.value.metric == "mine"


def test_a_system_that_is_away_is_named_with_what_it_answered() -> None:
    error = NoAnswerError("Prometheus", "503 from upstream", 503)

    assert isinstance(error, CanaryError)
    assert (str(error), error.status) == ("Prometheus does not answer: 503 from upstream.", 503)


@pytest.mark.parametrize(
    ("spec", "status", "expected"),
    [
        pytest.param(a_spec(), at_weight(10), Measure(hooks=(HookType.ROLLOUT,)), id="a canary with traffic"),
        pytest.param(a_spec(), at_weight(10, due=NOW + MINUTE), None, id="before its tick"),
        pytest.param(a_spec(), in_phase(Phase.PROMOTING), None, id="in promotion"),
        pytest.param(a_spec(skip_analysis=True), at_weight(10), None, id="without an analysis"),
        pytest.param(
            a_spec(webhooks=(hook(HookType.PRE_ROLLOUT),)),
            a_status(),
            Measure(hooks=(HookType.PRE_ROLLOUT,), has_metrics=False),
            id="before the first step of a ready canary",
        ),
    ],
)
def test_a_check_is_due(spec: CanarySpec, status: RolloutStatus, expected: Measure | None) -> None:
    assert next_check(spec, status, NOW) == expected


def test_a_threshold_is_rounded_down_to_whole_pods() -> None:
    one_of_three = a_workload(size=3, ready=1)

    assert judge_readiness(one_of_three, 50, MINUTE, None, NOW).is_ready
    assert not judge_readiness(one_of_three, 67, MINUTE, None, NOW).is_ready


def test_a_list_that_was_shortened_in_mid_run_ends_at_its_last_weight() -> None:
    assert next_weight(StepPlan(step_weights=(10, 20, 30)), 40) == 30


@pytest.mark.parametrize(
    ("generation", "seen_at", "is_still"),
    [
        pytest.param(1, 1, True, id="nobody wrote the first generation"),
        pytest.param(2, 1, False, id="somebody wrote it"),
        pytest.param(0, 0, False, id="a generation that is not known says nothing"),
    ],
)
def test_a_template_that_hashes_otherwise_is_the_same_while_nobody_wrote_it(
    generation: int, seen_at: int, *, is_still: bool
) -> None:
    assert a_workload(revision=NEWER, generation=generation).is_still(NEW, seen_at) is is_still


@pytest.mark.parametrize(("uid", "is_still"), [("", True), ("first", True), ("another", False)])
def test_a_target_that_was_made_anew_is_another_whatever_its_generation(uid: str, *, is_still: bool) -> None:
    target = a_workload(revision=NEWER, generation=2, uid="first")

    assert target.is_still(NEW, 2, uid) is is_still
