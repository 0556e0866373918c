"""Aggregations: `sum by (…)`, `topk`, `quantile` and their like."""

import math
import re
from collections.abc import Callable, Iterable

import promql_parser as ast

from sandbox.metrics.labels import NAME, Labels, only, with_values, without
from sandbox.metrics.promql.values import (
    BadDataError,
    ExecutionError,
    Kind,
    Moment,
    Plan,
    Sample,
    Value,
    Vector,
    text_of_number,
)
from sandbox.metrics.promql.windows import highest, lowest, mean, quantile, total, variance

LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")

Grouping = Callable[[Labels], Labels]
Groups = dict[Labels, Vector]

REDUCTIONS: dict[str, Callable[[list[float]], float]] = {
    "sum": total,
    "avg": mean,
    "min": lowest,
    "max": highest,
    "count": lambda values: float(len(values)),
    "group": lambda _: 1.0,
    "stddev": lambda values: math.sqrt(variance(values)),
    "stdvar": variance,
}


def plan_aggregation(expr: ast.AggregateExpr, inner: Plan, parameter: Plan | None) -> Plan:
    """Plan an aggregation of an instant vector."""
    name = str(expr.op)
    grouping = _grouping(expr.modifier)
    evaluate = inner.vector
    if name in REDUCTIONS:
        reduce = REDUCTIONS[name]

        def run(moment: Moment) -> Vector:
            groups = _groups(evaluate(moment), grouping)
            return [Sample(labels, reduce(_values(group))) for labels, group in groups.items()]

        return Plan(Kind.VECTOR, run)
    if parameter is None or name not in PARAMETRIC:
        raise BadDataError(f'parse error: aggregation "{name}" is not enabled')
    combine, value_of = PARAMETRIC[name], parameter.run
    return Plan(Kind.VECTOR, lambda moment: combine(value_of(moment), _groups(evaluate(moment), grouping)))


def _grouping(modifier: ast.AggModifier | None) -> Grouping:
    if modifier is None:
        return lambda _: ()
    names = frozenset(modifier.labels)
    if modifier.type == ast.AggModifierType.By:
        return lambda labels: only(labels, names)
    dropped = names | {NAME}
    return lambda labels: without(labels, dropped)


def _groups(vector: Vector, grouping: Grouping) -> Groups:
    groups: Groups = {}
    for sample in vector:
        groups.setdefault(grouping(sample.labels), []).append(sample)
    return groups


def _values(group: Iterable[Sample]) -> list[float]:
    return [sample.value for sample in group]


def _quantiles(q: Value, groups: Groups) -> Vector:
    assert isinstance(q, float)
    return [Sample(labels, quantile(q, _values(group))) for labels, group in groups.items()]


def _top(count: Value, groups: Groups) -> Vector:
    return _first(count, groups, lambda sample: (math.isnan(sample.value), -sample.value))


def _bottom(count: Value, groups: Groups) -> Vector:
    return _first(count, groups, lambda sample: (math.isnan(sample.value), sample.value))


def _first(count: Value, groups: Groups, order: Callable[[Sample], tuple[bool, float]]) -> Vector:
    assert isinstance(count, float)
    if math.isnan(count) or math.isinf(count):
        raise ExecutionError(f"Scalar value {text_of_number(count)} overflows int64")
    kept = max(int(count), 0)
    return [sample for group in groups.values() for sample in sorted(group, key=order)[:kept]]


def _count_values(label: Value, groups: Groups) -> Vector:
    assert isinstance(label, str)
    if not LABEL_NAME.fullmatch(label):
        raise ExecutionError(f'invalid label name "{label}"')
    counts: dict[Labels, float] = {}
    for labels, group in groups.items():
        for sample in group:
            counted = with_values(labels, [(label, text_of_number(sample.value))])
            counts[counted] = counts.get(counted, 0.0) + 1
    return [Sample(labels, count) for labels, count in counts.items()]


PARAMETRIC: dict[str, Callable[[Value, Groups], Vector]] = {
    "quantile": _quantiles,
    "topk": _top,
    "bottomk": _bottom,
    "count_values": _count_values,
}
