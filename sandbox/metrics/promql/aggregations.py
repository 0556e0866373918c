"""Aggregations: `sum by (…)`, `quantile` and their like."""

import functools
from collections.abc import Callable, Sequence

import promql_parser as ast

from sandbox.metrics.labels import NAME, Labels, only, without
from sandbox.metrics.promql.values import BadDataError, Kind, Moment, Plan, Sample, Vector
from sandbox.metrics.promql.windows import highest, lowest, mean, quantile, total

Reduction = Callable[[Sequence[float]], float]

REDUCTIONS: dict[str, Reduction] = {
    "sum": total,
    "avg": mean,
    "min": lowest,
    "max": highest,
    "count": lambda values: float(len(values)),
}


def plan_aggregation(expr: ast.AggregateExpr, inner: Plan, parameter: Plan | None) -> Plan:
    """Plan an aggregation of an instant vector."""
    evaluate, grouping = inner.vector, _grouping(expr.modifier)
    reduction = _reduction(str(expr.op), parameter)

    def run(moment: Moment) -> Vector:
        groups: dict[Labels, list[float]] = {}
        for labels, value in evaluate(moment):
            groups.setdefault(grouping(labels), []).append(value)
        reduce = reduction(moment)
        return [Sample(labels, reduce(values)) for labels, values in groups.items()]

    return Plan(Kind.VECTOR, run)


def _grouping(modifier: ast.AggModifier | None) -> Callable[[Labels], Labels]:
    if modifier is None:
        return lambda _: ()
    names = frozenset(modifier.labels)
    if modifier.type == ast.AggModifierType.By:
        return lambda labels: only(labels, names)
    dropped = names | {NAME}
    return lambda labels: without(labels, dropped)


def _reduction(name: str, parameter: Plan | None) -> Callable[[Moment], Reduction]:
    if name in REDUCTIONS:
        return lambda _: REDUCTIONS[name]
    if name != "quantile" or parameter is None:
        raise BadDataError(f'parse error: aggregation "{name}" is not supported by the sandbox')
    q = parameter.scalar
    return lambda moment: functools.partial(quantile, q(moment))
