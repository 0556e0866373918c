"""Function calls."""

import math
from collections.abc import Callable

import promql_parser as ast

from sandbox.metrics.labels import without_name
from sandbox.metrics.promql import selection, windows
from sandbox.metrics.promql.arithmetic import UNARY, clamp, round_to
from sandbox.metrics.promql.histograms import histogram_quantile
from sandbox.metrics.promql.values import (
    BadDataError,
    Kind,
    Moment,
    Plan,
    Sample,
    Vector,
    mapped,
    unique,
)

Arguments = list[Plan]


def plan_call(expr: ast.Call, arguments: Arguments) -> Plan:
    """Plan a function call; the parser has checked the types of the arguments."""
    name = expr.func.name
    if expr.func.experimental:
        raise BadDataError(f'parse error: function "{name}" is not enabled')
    if name in windows.FUNCTIONS:
        return _per_window(arguments[0], name)
    if name in UNARY:
        return _per_sample(arguments[0], UNARY[name])
    if name in {"absent", "absent_over_time"}:
        return _plan_absent(expr.args[0], arguments[0])
    if name not in SPECIAL:
        raise BadDataError(f'parse error: function "{name}" is not supported by the sandbox')
    return SPECIAL[name](arguments)


def _per_sample(argument: Plan, function: Callable[[float], float]) -> Plan:
    vector = argument.vector
    return Plan(Kind.VECTOR, lambda moment: mapped(vector(moment), function))


def _per_window(argument: Plan, name: str) -> Plan:
    matrix, function, keeps_name = argument.matrix, windows.FUNCTIONS[name], name in windows.KEEPS_NAME

    def run(moment: Moment) -> Vector:
        results = []
        for window in matrix(moment):
            value = function(window, moment.query.dialect)
            if value is not None:
                results.append(Sample(window.labels if keeps_name else without_name(window.labels), value))
        return unique(results)

    return Plan(Kind.VECTOR, run)


def _plan_absent(expr: ast.Expr, argument: Plan) -> Plan:
    selector = expr.vector_selector if isinstance(expr, ast.MatrixSelector) else expr
    labels = selection.labels_asked_for(selector) if isinstance(selector, ast.VectorSelector) else ()
    return Plan(Kind.VECTOR, lambda moment: [] if argument.run(moment) else [Sample(labels, 1.0)])


def _clamp(arguments: Arguments) -> Plan:
    vector, low, high = arguments[0].vector, arguments[1].scalar, arguments[2].scalar

    def run(moment: Moment) -> Vector:
        least, most = low(moment), high(moment)
        return [] if most < least else mapped(vector(moment), lambda value: clamp(value, least, most))

    return Plan(Kind.VECTOR, run)


def _clamp_min(arguments: Arguments) -> Plan:
    return _clamp([*arguments, selection.constant(Kind.SCALAR, math.inf)])


def _clamp_max(arguments: Arguments) -> Plan:
    return _clamp([arguments[0], selection.constant(Kind.SCALAR, -math.inf), arguments[1]])


def _round(arguments: Arguments) -> Plan:
    vector = arguments[0].vector
    nearest = arguments[1].scalar if len(arguments) > 1 else lambda _: 1.0

    def run(moment: Moment) -> Vector:
        to = nearest(moment)
        return mapped(vector(moment), lambda value: round_to(value, to))

    return Plan(Kind.VECTOR, run)


def _scalar(arguments: Arguments) -> Plan:
    vector = arguments[0].vector

    def run(moment: Moment) -> float:
        found = vector(moment)
        return found[0].value if len(found) == 1 else math.nan

    return Plan(Kind.SCALAR, run)


def _vector(arguments: Arguments) -> Plan:
    scalar = arguments[0].scalar
    return Plan(Kind.VECTOR, lambda moment: [Sample((), scalar(moment))])


def _histogram_quantile(arguments: Arguments) -> Plan:
    q, vector = arguments[0].scalar, arguments[1].vector
    return Plan(Kind.VECTOR, lambda moment: histogram_quantile(q(moment), vector(moment)))


SPECIAL: dict[str, Callable[[Arguments], Plan]] = {
    "clamp": _clamp,
    "clamp_min": _clamp_min,
    "clamp_max": _clamp_max,
    "histogram_quantile": _histogram_quantile,
    "round": _round,
    "scalar": _scalar,
    "time": lambda _: Plan(Kind.SCALAR, lambda moment: moment.at / 1000),
    "vector": _vector,
}
