"""Evidence in words: one line for a measurement, a hook, a command."""

from canary.analysis import BUILT_IN, DURATION, SUCCESS_RATE, HookAnswer, Measurement, Verdict
from canary.spec import HookType, MetricSpec
from canary.status import ListRow
from starter.evidence import Commanded, Moved

_UNITS = {SUCCESS_RATE: " %", DURATION: " ms"}


def measurement_line(metric: MetricSpec, measurement: Measurement, verdict: Verdict) -> str:
    """Say a value, its bounds and what it came to."""
    return f"{value_line(metric, measurement)} {verdict.result}"


def value_line(metric: MetricSpec, measurement: Measurement) -> str:
    """Say a value beside its bounds: `request-success-rate 99.87 % (min 99, 412 requests)`."""
    notes = [text for text in (bounds(metric), samples(measurement)) if text]
    aside = f" ({', '.join(notes)})" if notes else ""
    return f"{metric.name} {value(metric, measurement)}{aside}"


def value(metric: MetricSpec, measurement: Measurement) -> str:
    """Say a value with its unit, or why there is none."""
    if measurement.error:
        return measurement.error
    if measurement.value is None:
        return "no data"
    unit = _UNITS.get(metric.name, "") if metric.template is None and metric.name in BUILT_IN else ""
    return f"{measurement.value:.2f}".rstrip("0").rstrip(".") + unit


def bounds(metric: MetricSpec) -> str:
    """Say what a value is compared with."""
    limits = (("min", metric.threshold_range.min), ("max", metric.threshold_range.max))
    return ", ".join(f"{word} {limit:g}" for word, limit in limits if limit is not None)


def hook_line(answer: HookAnswer) -> str:
    """Say what a hook answered, in the words of its type."""
    passed, failed = ("passed", "failed")
    if answer.type.is_gate:
        passed, failed = ("open", "closed")
    elif answer.type is HookType.ROLLBACK:
        passed, failed = ("wants the rollout back", "wants no rollback")
    result = passed if answer.passed else failed
    return f"{answer.type} {answer.hook} {result} {answer.status or ''} {answer.message}".rstrip()


def moved_line(item: Moved) -> str:
    """Say where a rollout stands now."""
    row = item.row
    text = f"{row.phase} weight {row.weight} traffic {row.traffic_weight} failed checks {row.failed_checks}"
    count = f" iteration {row.iterations}" if row.iterations else ""
    return f"{text}{count} {said(row)}".rstrip()


def said(row: ListRow) -> str:
    """Say why a rollout stands where it stands, and first whom it waits for."""
    waits = f"Waits for {row.waiting_for}." if row.waiting_for else ""
    if row.needs_person:
        waits = "A person decides."
    return f"{waits} {row.message}".strip()


def command_line(item: Commanded) -> str:
    """Say who took a hand, and why."""
    return f"{item.verb} by {item.command.who}{f': {item.command.reason}' if item.command.reason else ''}"


def samples(measurement: Measurement) -> str:
    """Say how much a value stands on, where that is known."""
    return "" if measurement.samples is None else f"{measurement.samples:.0f} requests"
