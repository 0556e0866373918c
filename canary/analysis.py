"""Judging one check: measurements and hook answers in, a verdict out."""

from datetime import datetime, timedelta
from enum import StrEnum

from canary.observation import Observation
from canary.spec import CanarySpec, HookType, MetricSpec, NoData, Weight
from canary.status import Phase, Revision
from canary.stored import Stored

SUCCESS_RATE = "request-success-rate"
DURATION = "request-duration"
NO_VALUES = "no values found"
BUILT_IN = (SUCCESS_RATE, DURATION)
GAP = timedelta(seconds=10)
"""A check that comes so late comes after an outage of the engine, not merely beside other work."""


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
    """The types of hook to call, in this order; the first that does not pass ends the check.

    Rollback hooks are called before them at every check.
    """
    has_metrics: bool = True
    """Whether metrics are measured once the hooks have passed."""
    has_routes: bool = True
    """Whether the routes are looked at as well: not where they have just been written and read back."""
    actuated_at: datetime
    exposed_at: datetime | None = None
    """When the revision first got traffic: who reads the history judges by it as it was judged then."""
    weight: Weight = 0
    due: datetime | None = None
    """When it was to be carried out: with no worker at work it comes later."""


class Check(Stored):
    """The evidence of one check: what was seen, what hooks answered, what was measured."""

    observation: Observation
    rollback: tuple[HookAnswer, ...] = ()
    """What rollback hooks answered: one that passed wants the rollout back."""
    types: tuple[HookType, ...] = ()
    """The types of hook that the check was about."""
    hooks: tuple[HookAnswer, ...] = ()
    measurements: tuple[Measurement, ...] = ()
    """In the document's order; all metrics are measured, also after one that is out of bounds."""
    late_by: timedelta = timedelta(0)
    """How long after it was due it was begun."""
    found_at: datetime | None = None
    """When, by Temporal's clock and at the latest; None where it does not tell."""


class GateRequest(Stored):
    """Gates to be asked: `ask_gates`' input."""

    spec: CanarySpec
    phase: Phase
    revision: Revision
    gates: tuple[HookType, ...]
    """In this order; the first that is closed ends the asking."""
    is_patient: bool = False
    """Ask again, an interval later each time, for as long as one is closed and nothing else is to be done."""
    is_alone: bool = False
    """No check goes on beside it, also where it is not patient: rollback hooks are asked as well."""


class GateCheck(Stored):
    """What gates answered, and what was seen afterwards."""

    observation: Observation
    rollback: tuple[HookAnswer, ...] = ()
    """What rollback hooks answered, where nothing but the gates was waited for."""
    answers: tuple[HookAnswer, ...] = ()
    found_at: datetime | None = None
    """When, by Temporal's clock and at the latest; None where it does not tell."""


class Verdict(Stored):
    """What a check came to, and why in Flagger's words."""

    result: AnalysisResult
    message: str = ""
    is_counted: bool = True
    """Whether it counts as a failed check, where it is not successful."""


def closed_gate(gates: GateCheck) -> HookAnswer | None:
    """The gate that is closed, if one is."""
    return next((answer for answer in gates.answers if not answer.passed), None)


def window(metric: MetricSpec, actuated_at: datetime, now: datetime) -> timedelta:
    """How far a metric may look back: never before the step it judges (D11), a whole second at least."""
    seconds = int(min(metric.interval, now - actuated_at).total_seconds())
    return timedelta(seconds=max(seconds, 1))


def judge_check(spec: CanarySpec, check: Check, exposed_at: datetime | None = None) -> Verdict:
    """Judge a check: hooks first, then metrics in the document's order; the first failure decides.

    Flagger's rules (its `scheduler_metrics.go`): bounds are inclusive, no values and errors are failures.
    What is not counted, as while a metric warms up, hides no metric that fails.

    Args:
        spec: the hooks and metrics with their bounds.
        check: what they answered; without measurements nothing but the hooks was to be judged.
        exposed_at: when the canary first got traffic, for metrics that warm up.
    """
    for answer in check.hooks:
        if not answer.passed:
            text = (
                f"{_HOOKS.get(answer.type, 'external')} check {answer.hook} failed {answer.message}".rstrip()
            )
            return Verdict(result=AnalysisResult.FAILED, message=text)
    if not check.measurements:
        return Verdict(result=AnalysisResult.SUCCESSFUL)
    verdicts = [
        _judge_metric(spec, metric, measurement, check.late_by, exposed_at)
        for metric, measurement in zip(spec.analysis.metrics, check.measurements, strict=True)
    ]
    bad = [verdict for verdict in verdicts if verdict.result is not AnalysisResult.SUCCESSFUL]
    counted = [verdict for verdict in bad if verdict.is_counted]
    return next(iter([*counted, *bad]), Verdict(result=AnalysisResult.SUCCESSFUL))


def _judge_metric(
    spec: CanarySpec,
    metric: MetricSpec,
    measurement: Measurement,
    late_by: timedelta,
    exposed_at: datetime | None,
) -> Verdict:
    if metric.warm_up and (exposed_at is None or measurement.at - exposed_at < metric.warm_up):
        text = f"metric {metric.name} is warming up for {metric.warm_up.total_seconds():g} s"
        return Verdict(result=AnalysisResult.INCONCLUSIVE, message=text, is_counted=False)
    verdict = judge_measurement(spec, metric, measurement)
    if verdict.result is AnalysisResult.INCONCLUSIVE and late_by >= max(metric.interval, GAP):
        return _after_a_gap(verdict, late_by)
    return verdict


def _after_a_gap(verdict: Verdict, late_by: timedelta) -> Verdict:
    """While no worker ran nobody drove load: that says nothing of the canary (D16)."""
    late = f"for this one came {late_by.total_seconds():.0f} s late"
    text = f"{verdict.message}; no check had driven load, {late}"
    return verdict.model_copy(update={"message": text, "is_counted": False})


_HOOKS = {HookType.PRE_ROLLOUT: "pre-rollout"}
"""What Flagger calls a hook's check when it fails; any other one is external."""


def judge_measurement(spec: CanarySpec, metric: MetricSpec, measurement: Measurement) -> Verdict:
    """Compare one measurement with its bounds."""
    if measurement.error:
        text = f"{_query_failed(spec, metric)}: {measurement.error}"
        return Verdict(result=AnalysisResult.ERROR, message=text)
    if measurement.value is None:
        return _without_data(metric, _no_values(spec, metric))
    if metric.min_samples is not None and (measurement.samples or 0) < metric.min_samples:
        text = (
            f"metric {metric.name} stands on {measurement.samples or 0:g} of {metric.min_samples:g} samples"
        )
        return _without_data(metric, text)
    return _within(metric, measurement.value)


def _without_data(metric: MetricSpec, message: str) -> Verdict:
    """No data counts as a failure unless the document says otherwise."""
    if metric.no_data is NoData.PASS:
        return Verdict(result=AnalysisResult.SUCCESSFUL)
    is_counted = metric.no_data is NoData.FAIL
    return Verdict(result=AnalysisResult.INCONCLUSIVE, message=message, is_counted=is_counted)


def _within(metric: MetricSpec, measured: float) -> Verdict:
    bounds = metric.threshold_range
    is_duration = metric.name == DURATION and metric.template is None
    value = float(int(measured)) if is_duration else measured
    if bounds.min is not None and value < bounds.min:
        return Verdict(result=AnalysisResult.FAILED, message=_words(metric, measured, "<", bounds.min))
    if bounds.max is not None and value > bounds.max:
        return Verdict(result=AnalysisResult.FAILED, message=_words(metric, measured, ">", bounds.max))
    return Verdict(result=AnalysisResult.SUCCESSFUL)


def _query_failed(spec: CanarySpec, metric: MetricSpec) -> str:
    if metric.template is None:
        return "Prometheus query failed"
    asked = "Prometheus" if _is_inline(spec, metric) else "Metric"
    return f"{asked} query failed for {metric.name}"


def _no_values(spec: CanarySpec, metric: MetricSpec) -> str:
    """Say that there is no data in Flagger's words, which are others for each kind of metric."""
    if metric.template is not None:
        inline = f"{NO_VALUES} for metric: {metric.name}"
        return (
            inline
            if _is_inline(spec, metric)
            else f"{NO_VALUES} for custom metric: {metric.name}: {NO_VALUES}"
        )
    text = f"{NO_VALUES} for istio metric {metric.name} probably {spec.target.name}.{spec.namespace}"
    text = f"{text} is not receiving traffic"
    return text if metric.name == DURATION else f"{text}: running query failed: {NO_VALUES}"


def _is_inline(spec: CanarySpec, metric: MetricSpec) -> bool:
    """Whether the query stands in the Canary itself: it is asked of the canary's own metrics server."""
    found = metric.template
    own = metric.name, spec.namespace, spec.metrics_server
    return found is not None and (found.name, found.namespace, found.provider.address) == own


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
