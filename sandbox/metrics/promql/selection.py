"""Selectors: which series, and which of their samples at a moment."""

import re
from collections.abc import Callable
from datetime import timedelta

import promql_parser as ast

from sandbox.metrics.labels import NAME, Labels, labels_of
from sandbox.metrics.promql.values import (
    LOOKBACK,
    BadDataError,
    Kind,
    Matchers,
    Matrix,
    Moment,
    Plan,
    Sample,
    Value,
    Vector,
    Window,
)
from sandbox.metrics.tsdb import Predicate

Shift = Callable[[Moment], int]


def milliseconds(duration: timedelta) -> int:
    """Return a duration in the store's unit."""
    return round(duration / timedelta(milliseconds=1))


def matchers_of(selector: ast.VectorSelector) -> Matchers:
    """Return what a selector asks of the labels."""
    if selector.matchers.or_matchers:
        raise BadDataError('parse error: unexpected "or" in label matching')
    pairs = [(matcher.name, _predicate(matcher)) for matcher in selector.matchers.matchers]
    if selector.name is not None:
        pairs.append((NAME, selector.name.__eq__))
    return tuple(pairs)


def compile_regex(pattern: str) -> re.Pattern[str]:
    """Compile a regular expression, which Prometheus always anchors at both ends."""
    try:
        return re.compile(rf"(?:{pattern})\Z", re.DOTALL)
    except re.error as exc:
        raise BadDataError(f'parse error: error parsing regexp "{pattern}": {exc}') from exc


def _predicate(matcher: ast.Matcher) -> Predicate:
    wanted = matcher.value
    if matcher.op == ast.MatchOp.Equal:
        return wanted.__eq__
    if matcher.op == ast.MatchOp.NotEqual:
        return wanted.__ne__
    match = compile_regex(wanted).match
    if matcher.op == ast.MatchOp.Re:
        return lambda value: match(value) is not None
    return lambda value: match(value) is None


def labels_asked_for(selector: ast.VectorSelector) -> Labels:
    """Return the labels that `absent` gives its answer: those that the selector fixes once."""
    fixed: dict[str, str] = {}
    seen: set[str] = set()
    for matcher in selector.matchers.matchers:
        if matcher.name == NAME:
            continue
        is_first = matcher.op == ast.MatchOp.Equal and matcher.name not in seen
        fixed[matcher.name] = matcher.value if is_first else ""
        if is_first:
            seen.add(matcher.name)
    return labels_of(fixed)


def shift_of(offset: timedelta | None, at: ast.AtModifier | None) -> Shift:
    """Return the time that a selector with `offset` and `@` looks at."""
    back = milliseconds(offset) if offset is not None else 0
    if at is None:
        return lambda moment: moment.at - back
    if at.type == ast.AtModifierType.Start:
        return lambda moment: moment.query.start - back
    if at.type == ast.AtModifierType.End:
        return lambda moment: moment.query.end - back
    assert at.at is not None
    fixed = round(at.at.timestamp() * 1000) - back
    return lambda _: fixed


def plan_vector(selector: ast.VectorSelector) -> Plan:
    """Plan an instant vector selector: the last sample of each series."""
    matchers, shift = matchers_of(selector), shift_of(selector.offset, selector.at)

    def run(moment: Moment) -> Vector:
        query, at = moment.query, shift(moment)
        after = at - LOOKBACK - query.slack
        found = [(series.labels, series.latest(after, at)) for series in query.select(matchers)]
        return [Sample(labels, latest) for labels, latest in found if latest is not None]

    return Plan(Kind.VECTOR, run)


def plan_matrix(selector: ast.MatrixSelector) -> Plan:
    """Plan a range vector selector."""
    inner = selector.vector_selector
    matchers, shift = matchers_of(inner), shift_of(inner.offset, inner.at)
    span = milliseconds(selector.range)

    def run(moment: Moment) -> Matrix:
        end = shift(moment)
        start = end - span
        windows = [
            Window(series.labels, *series.between(start - moment.query.slack, end), start, end)
            for series in moment.query.select(matchers)
        ]
        return [window for window in windows if window.times]

    return Plan(Kind.MATRIX, run)


def plan_subquery(expr: ast.SubqueryExpr, inner: Plan, default_step: int) -> Plan:
    """Plan a subquery: an instant vector evaluated at multiples of the step within the range."""
    evaluate, shift = inner.vector, shift_of(expr.offset, expr.at)
    assert expr.range is not None
    span = milliseconds(expr.range)
    step = milliseconds(expr.step) if expr.step is not None else default_step

    def run(moment: Moment) -> Matrix:
        end = shift(moment)
        start = end - span
        # The first multiple of the step inside the range.
        first = ((start - moment.query.slack) // step + 1) * step
        windows: dict[Labels, Window] = {}
        for at in range(first, end + 1, step):
            for labels, value in evaluate(moment.moved_to(at)):
                window = windows.setdefault(labels, Window(labels, [], [], start, end))
                window.times.append(at)
                window.values.append(value)
        return list(windows.values())

    return Plan(Kind.MATRIX, run)


def constant(kind: Kind, value: Value) -> Plan:
    """Plan a literal."""
    return Plan(kind, lambda _: value)
