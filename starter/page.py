"""A report as one HTML page that needs nothing but itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files

from jinja2 import StrictUndefined
from jinja2.sandbox import SandboxedEnvironment

from starter import tables, words
from starter.evidence import Called, Commanded, Evidence, Measured, Moved
from starter.rollouts import Rollout


@dataclass(frozen=True)
class Line:
    """One thing that happened, in words."""

    at: str
    what: str
    result: str = ""
    text: str = ""
    hooks: tuple[str, ...] = ()
    metrics: tuple["MetricLine", ...] = ()


@dataclass(frozen=True)
class MetricLine:
    """One metric of a check, in words."""

    name: str
    value: str
    bounds: str
    samples: str
    result: str
    query: str


@dataclass(frozen=True)
class Chapter:
    """One rollout and its lines."""

    rollout: Rollout
    started: str
    closed: str
    lines: tuple[Line, ...]


async def render(title: str, rollouts: Sequence[Rollout], now: datetime) -> str:
    """Write the page: everything that others named is escaped."""
    environment = SandboxedEnvironment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    template = environment.from_string(files("starter").joinpath("page.html").read_text())
    chapters = [await _chapter(rollout) for rollout in rollouts]
    return template.render(title=title, chapters=chapters, written=tables.stamp(now))


async def _chapter(rollout: Rollout) -> Chapter:
    found = await rollout.evidence()
    started, closed = tables.stamp(rollout.started), tables.stamp(rollout.closed)
    return Chapter(rollout, started, closed, tuple(_line(item) for item in found))


def _line(item: Evidence) -> Line:
    at = tables.stamp(item.at)
    if isinstance(item, Moved):
        return Line(at, "state", text=words.moved_line(item))
    if isinstance(item, Commanded):
        return Line(at, "command", text=words.command_line(item))
    hooks = tuple(words.hook_line(answer) for answer in item.hooks)
    if isinstance(item, Called):
        return Line(at, "hooks", hooks=hooks)
    return Line(
        at,
        f"check at weight {item.weight}",
        str(item.verdict.result),
        item.verdict.message,
        hooks,
        tuple(_metric(measured) for measured in item.measurements),
    )


def _metric(measured: Measured) -> MetricLine:
    metric, measurement, verdict = measured
    return MetricLine(
        metric.name,
        words.value(metric, measurement),
        words.bounds(metric),
        words.samples(measurement),
        str(verdict.result),
        " ".join(measurement.query.split()),
    )
