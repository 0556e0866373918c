"""Plans a query's tree and evaluates it, at one instant or over a range."""

import re
from typing import NamedTuple, cast

import promql_parser as ast

from sandbox.metrics.labels import Labels
from sandbox.metrics.promql import selection
from sandbox.metrics.promql.aggregations import plan_aggregation
from sandbox.metrics.promql.functions import plan_call
from sandbox.metrics.promql.operators import plan_binary, plan_negation
from sandbox.metrics.promql.values import (
    BadDataError,
    Dialect,
    Kind,
    Moment,
    Plan,
    Query,
    Sample,
    Value,
    Vector,
)
from sandbox.metrics.tsdb import Tsdb

# A subquery without a step takes Prometheus' default evaluation interval.
DEFAULT_STEP = 60_000
MAX_POINTS = 11_000
LITERALS = {ast.NumberLiteral: Kind.SCALAR, ast.StringLiteral: Kind.STRING}
UNKNOWN_FUNCTION = re.compile(r"unknown function with name '(\w+)'")


class Result(NamedTuple):
    """What an instant query is evaluated to, and of which type."""

    kind: Kind
    value: Value


class Points(NamedTuple):
    """One series of a range query's answer."""

    labels: Labels
    points: list[tuple[int, float]]


def instant(text: str, db: Tsdb, at: int, dialect: Dialect = Dialect.V3) -> Result:
    """Evaluate a query at a moment."""
    plan = _plan_query(text)
    return Result(plan.kind, plan.run(Moment(Query(db, at, at, dialect), at)))


def over_range(text: str, db: Tsdb, span: range, dialect: Dialect = Dialect.V3) -> list[Points]:
    """Evaluate a query at every moment of a range, whose `stop` is the millisecond after the query's end."""
    plan = _plan_query(text)
    if plan.kind not in {Kind.SCALAR, Kind.VECTOR}:
        raise BadDataError(
            f'invalid expression type "{plan.kind}" for range query, must be Scalar or instant Vector'
        )
    if len(span) > MAX_POINTS:
        raise BadDataError(
            "exceeded maximum resolution of 11,000 points per timeseries. "
            "Try decreasing the query resolution (?step=XX)"
        )
    query = Query(db, span.start, span.stop - 1, dialect)
    found: dict[Labels, list[tuple[int, float]]] = {}
    for at in span:
        value = plan.run(Moment(query, at))
        for labels, number in _elements(value):
            found.setdefault(labels, []).append((at, number))
    return [Points(labels, found[labels]) for labels in sorted(found)]


def _elements(value: Value) -> Vector:
    return cast("Vector", value) if isinstance(value, list) else [Sample((), cast("float", value))]


def _plan_query(text: str) -> Plan:
    try:
        return _plan(_parse(text))
    except BadDataError as exc:
        raise BadDataError(f'invalid parameter "query": {exc}') from exc


def _parse(text: str) -> ast.Expr:
    """Parse a query; a mistake is worded as Prometheus words it."""
    try:
        return ast.parse(text)
    except ValueError as exc:
        raise BadDataError(_parse_error(text, str(exc))) from exc


def _parse_error(text: str, reason: str) -> str:
    unknown = UNKNOWN_FUNCTION.fullmatch(reason)
    if unknown is None:
        return f"parse error: {reason}"
    name = unknown[1]
    found = re.search(rf"\b{name}\s*\(", text)
    before = text[: found.start() if found else 0]
    line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
    return f'{line}:{column}: parse error: unknown function with name "{name}"'


def _plan(expr: ast.Expr) -> Plan:
    """Plan an expression from its leaves up."""
    match expr:
        case ast.NumberLiteral() | ast.StringLiteral():
            return selection.constant(LITERALS[type(expr)], expr.val)
        case ast.VectorSelector():
            return selection.plan_vector(expr)
        case ast.MatrixSelector():
            return selection.plan_matrix(expr)
        case ast.ParenExpr():
            return _plan(expr.expr)
        case ast.Call():
            return plan_call(expr, [_plan(argument) for argument in expr.args])
        case _:
            return _plan_operation(expr)


def _plan_operation(expr: ast.Expr) -> Plan:
    match expr:
        case ast.SubqueryExpr():
            return selection.plan_subquery(expr, _plan(expr.expr), DEFAULT_STEP)
        case ast.UnaryExpr():
            return plan_negation(_plan(expr.expr))
        case ast.BinaryExpr():
            return plan_binary(expr, _plan(expr.lhs), _plan(expr.rhs))
        case ast.AggregateExpr():
            parameter = None if expr.param is None else _plan(expr.param)
            return plan_aggregation(expr, _plan(expr.expr), parameter)
        case _:
            raise BadDataError(f"parse error: unexpected {type(expr).__name__}")
