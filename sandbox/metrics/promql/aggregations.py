"""Aggregations: `sum by (…)`, `quantile` and their like."""

from collections.abc import Callable, Iterable

import promql_parser as ast

from sandbox.metrics.labels import NAME, Labels, only, without
from sandbox.metrics.promql.values import (
    BadDataError,
    Kind,
    Moment,
    Plan,
    Sample,
    Vector,
)
from sandbox.metrics.promql.windows import highest, lowest, mean, quantile, total

Grouping = Callable[[Labels], Labels]
Groups = dict[Labels, Vector]

REDUCTIONS: dict[str, Callable[[list[float]], float]] = {
    "sum": total,
    "avg": mean,
    "min": lowest,
    "max": highest,
    "count": lambda values: float(len(values)),
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
    if parameter is None or name != "quantile":
        raise BadDataError(f'parse error: aggregation "{name}" is not supported by the sandbox')
    q = parameter.scalar
    return Plan(Kind.VECTOR, lambda moment: _quantiles(q(moment), _groups(evaluate(moment), grouping)))


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


def _quantiles(q: float, groups: Groups) -> Vector:
    return [Sample(labels, quantile(q, _values(group))) for labels, group in groups.items()]
