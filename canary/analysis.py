"""Judging one check: measurements and hook answers in, a verdict out."""

from datetime import datetime, timedelta
from enum import StrEnum

from canary.observation import Observation
from canary.spec import CanarySpec, HookType, MetricSpec, Weight
from canary.status import Phase, Revision
from canary.stored import Stored

SUCCESS_RATE = "request-success-rate"
DURATION = "request-duration"
BUILT_IN = (SUCCESS_RATE, DURATION)


class AnalysisResult(StrEnum):
    """What a check, a metric or a hook came to."""

    SUCCESSFUL = "Successful"
    FAILED = "Failed"
    ERROR = "Error"
    INCONCLUSIVE = "Inconclusive"


class Measurement(Stored):
    """One metric's value at one moment, with the query that gave it."""

    metric: str
    query: str
    value: float | None = None
    """None where the query answered no value or NaN: no data."""
    samples: float | None = None
    """How many requests the value stands on, where that can be asked."""
    error: str = ""
    """Why there is no answer, in one sentence without addresses' credentials."""
    at: datetime


class HookAnswer(Stored):
    """What a webhook answered."""

    hook: str
    type: HookType
    passed: bool
    status: int | None = None
    message: str = ""
    at: datetime


class AnalyseRequest(Stored):
    """One check to carry out: `analyse`'s input."""

    spec: CanarySpec
    phase: Phase
    revision: Revision
    hooks: tuple[HookType, ...]
    """The types of hook to call, in this order; the first that does not pass ends the check."""
    has_metrics: bool = True
    """Whether metrics are measured once the hooks have passed."""
    actuated_at: datetime
    weight: Weight = 0


class Check(Stored):
    """The evidence of one check: what was seen, what hooks answered, what was measured."""

    observation: Observation
    hooks: tuple[HookAnswer, ...] = ()
    measurements: tuple[Measurement, ...] = ()
    """In the document's order; all metrics are measured, also after one that is out of bounds."""


class Verdict(Stored):
    """What a check came to, and why in Flagger's words."""

    result: AnalysisResult
    message: str = ""


def window(metric: MetricSpec, actuated_at: datetime, now: datetime) -> timedelta:
    """How far a metric may look back: never before the step it judges (D11), a whole second at least."""
    seconds = int(min(metric.interval, now - actuated_at).total_seconds())
    return timedelta(seconds=max(seconds, 1))


def judge_check(spec: CanarySpec, check: Check) -> Verdict:
    """Judge a check: hooks first, then metrics in the document's order; the first failure decides.

    Flagger's rules (dossier §1.5, §5.2): bounds are inclusive, no values and errors count as failures.
    """
    for answer in check.hooks:
        if not answer.passed:
            text = f"{answer.type} check {answer.hook} failed {answer.message}".rstrip()
            return Verdict(result=AnalysisResult.FAILED, message=text)
    for metric, measurement in zip(spec.analysis.metrics, check.measurements, strict=True):
        verdict = judge_measurement(spec, metric, measurement)
        if verdict.result is not AnalysisResult.SUCCESSFUL:
            return verdict
    return Verdict(result=AnalysisResult.SUCCESSFUL)


def judge_measurement(spec: CanarySpec, metric: MetricSpec, measurement: Measurement) -> Verdict:
    """Compare one measurement with its bounds."""
    if measurement.error:
        return Verdict(
            result=AnalysisResult.ERROR, message=f"Metric {metric.name} error: {measurement.error}"
        )
    if measurement.value is None:
        return Verdict(result=AnalysisResult.INCONCLUSIVE, message=_no_values(spec, metric))
    bounds = metric.threshold_range
    value = measurement.value
    if metric.name == DURATION and metric.template is None:
        value = float(int(value))
    if bounds.min is not None and value < bounds.min:
        return Verdict(
            result=AnalysisResult.FAILED, message=_words(metric, measurement.value, "<", bounds.min)
        )
    if bounds.max is not None and value > bounds.max:
        return Verdict(
            result=AnalysisResult.FAILED, message=_words(metric, measurement.value, ">", bounds.max)
        )
    return Verdict(result=AnalysisResult.SUCCESSFUL)


def _no_values(spec: CanarySpec, metric: MetricSpec) -> str:
    if metric.template is None:
        return (
            f"no values found for istio metric {metric.name} probably "
            f"{spec.target.name}.{spec.namespace} is not receiving traffic"
        )
    return f"no values found for custom metric: {metric.name}"


def _words(metric: MetricSpec, value: float, relation: str, bound: float) -> str:
    if metric.template is not None:
        return f"{metric.name} {value:.2f} {relation} {bound:g}"
    if metric.name == SUCCESS_RATE:
        return f"success rate {value:.2f}% {relation} {bound:g}%"
    return f"request duration {_duration(value)} {relation} {_duration(bound)}"


def _duration(milliseconds: float) -> str:
    """Write milliseconds as Go writes a duration: 500ms, 1.515s."""
    return f"{milliseconds / 1000:g}s" if milliseconds >= 1000 else f"{milliseconds:g}ms"  # noqa: PLR2004 — a second


class CheckRecord(Stored):
    """The evidence of one check that is kept: what was measured, and what it came to."""

    at: datetime
    weight: Weight
    revision: Revision
    verdict: Verdict
    hooks: tuple[HookAnswer, ...] = ()
    measurements: tuple[Measurement, ...] = ()
