"""Function calls."""

import calendar
import datetime as dt
import math
from collections.abc import Callable

import promql_parser as ast

from sandbox.metrics.labels import without_name
from sandbox.metrics.promql import relabel, selection, windows
from sandbox.metrics.promql.arithmetic import UNARY, clamp, round_to
from sandbox.metrics.promql.histograms import histogram_quantile
from sandbox.metrics.promql.values import (
    BadDataError,
    Dialect,
    Kind,
    Moment,
    Plan,
    Sample,
    Vector,
    Window,
    unique,
)

Arguments = list[Plan]

# In Unix seconds; Python knows no others.
FIRST_DATE = dt.datetime.min.replace(tzinfo=dt.UTC).timestamp()
LAST_DATE = dt.datetime.max.replace(tzinfo=dt.UTC, microsecond=0).timestamp()
DATES: dict[str, Callable[[dt.datetime], int]] = {
    "minute": lambda date: date.minute,
    "hour": lambda date: date.hour,
    "day_of_week": lambda date: date.isoweekday() % 7,
    "day_of_month": lambda date: date.day,
    "day_of_year": lambda date: date.timetuple().tm_yday,
    "days_in_month": lambda date: calendar.monthrange(date.year, date.month)[1],
    "month": lambda date: date.month,
    "year": lambda date: date.year,
}


def plan_call(expr: ast.Call, arguments: Arguments, dialect: Dialect) -> Plan:
    """Plan a function call; the parser has checked the types of the arguments."""
    name = expr.func.name
    if expr.func.experimental:
        raise BadDataError(f'parse error: function "{name}" is not enabled')
    reduce = windows.FUNCTIONS[dialect].get(name)
    if reduce is not None:
        return _per_window(
            arguments[0], lambda window, _: reduce(window), keeps_name=name in windows.KEEPS_NAME
        )
    if name in UNARY:
        return _per_sample(arguments[0], UNARY[name])
    if name in DATES:
        return _plan_date(name, arguments)
    if name in {"absent", "absent_over_time"}:
        return _plan_absent(expr.args[0], arguments[0])
    if name == "timestamp":
        return _plan_timestamp(expr.args[0], arguments[0])
    if name not in SPECIAL:
        raise BadDataError(f'parse error: function "{name}" is not supported: it needs native histograms')
    return SPECIAL[name](arguments)


def _per_sample(argument: Plan, function: Callable[[float], float]) -> Plan:
    """Plan a function of each value; the result is another metric, so the name goes."""
    vector = argument.vector
    return Plan(
        Kind.VECTOR,
        lambda moment: unique([Sample(without_name(labels), function(v)) for labels, v in vector(moment)]),
    )


def _per_window(
    argument: Plan, function: Callable[[Window, Moment], float | None], *, keeps_name: bool = False
) -> Plan:
    matrix = argument.matrix

    def run(moment: Moment) -> Vector:
        found = [(window.labels, function(window, moment)) for window in matrix(moment)]
        return unique(
            [
                Sample(labels if keeps_name else without_name(labels), v)
                for labels, v in found
                if v is not None
            ]
        )

    return Plan(Kind.VECTOR, run)


def _plan_date(name: str, arguments: Arguments) -> Plan:
    def read(value: float) -> float:
        if not FIRST_DATE <= value <= LAST_DATE:
            return math.nan
        return float(DATES[name](dt.datetime.fromtimestamp(value, dt.UTC)))

    if arguments:
        return _per_sample(arguments[0], read)
    return Plan(Kind.VECTOR, lambda moment: [Sample((), read(moment.at / 1000))])


def _plan_absent(expr: ast.Expr, argument: Plan) -> Plan:
    selector = expr.vector_selector if isinstance(expr, ast.MatrixSelector) else expr
    labels = selection.labels_asked_for(selector) if isinstance(selector, ast.VectorSelector) else ()
    return Plan(Kind.VECTOR, lambda moment: [] if argument.run(moment) else [Sample(labels, 1.0)])


def _plan_timestamp(expr: ast.Expr, argument: Plan) -> Plan:
    """Plan `timestamp`: the sample's own time for a plain selector, else the evaluation's."""
    while isinstance(expr, ast.ParenExpr):
        expr = expr.expr
    if not isinstance(expr, ast.VectorSelector):
        vector = argument.vector
        return Plan(
            Kind.VECTOR,
            lambda moment: unique([Sample(without_name(s.labels), moment.at / 1000) for s in vector(moment)]),
        )
    latest = selection.latest_samples(expr)

    def run(moment: Moment) -> Vector:
        return unique([Sample(without_name(labels), at / 1000) for labels, at, _ in latest(moment)])

    return Plan(Kind.VECTOR, run)


def _clamp(arguments: Arguments) -> Plan:
    vector, low, high = arguments[0].vector, arguments[1].scalar, arguments[2].scalar

    def run(moment: Moment) -> Vector:
        least, most = low(moment), high(moment)
        if most < least:
            return []
        return unique([Sample(without_name(labels), clamp(v, least, most)) for labels, v in vector(moment)])

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
        return unique([Sample(without_name(labels), round_to(v, to)) for labels, v in vector(moment)])

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


def _sorted(arguments: Arguments, *, sign: int) -> Plan:
    vector = arguments[0].vector

    def order(sample: Sample) -> tuple[bool, float]:
        return math.isnan(sample.value), sign * sample.value

    return Plan(Kind.VECTOR, lambda moment: sorted(vector(moment), key=order))


def _histogram_quantile(arguments: Arguments) -> Plan:
    q, vector = arguments[0].scalar, arguments[1].vector
    return Plan(Kind.VECTOR, lambda moment: histogram_quantile(q(moment), vector(moment)))


def _quantile_over_time(arguments: Arguments) -> Plan:
    q = arguments[0].scalar
    return _per_window(arguments[1], lambda window, moment: windows.quantile(q(moment), window.values))


def _predict_linear(arguments: Arguments) -> Plan:
    ahead = arguments[1].scalar
    return _per_window(
        arguments[0], lambda window, moment: windows.prediction(window, moment.at, ahead(moment))
    )


def _text(argument: Plan, moment: Moment) -> str:
    text = argument.run(moment)
    assert isinstance(text, str)
    return text


def _label_replace(arguments: Arguments) -> Plan:
    vector, texts = arguments[0].vector, arguments[1:]

    def run(moment: Moment) -> Vector:
        return unique(relabel.replace(vector(moment), *(_text(text, moment) for text in texts)))

    return Plan(Kind.VECTOR, run)


def _label_join(arguments: Arguments) -> Plan:
    vector, texts = arguments[0].vector, arguments[1:]

    def run(moment: Moment) -> Vector:
        target, separator, *sources = (_text(text, moment) for text in texts)
        return unique(relabel.join(vector(moment), target, separator, sources))

    return Plan(Kind.VECTOR, run)


SPECIAL: dict[str, Callable[[Arguments], Plan]] = {
    "clamp": _clamp,
    "clamp_min": _clamp_min,
    "clamp_max": _clamp_max,
    "histogram_quantile": _histogram_quantile,
    "label_join": _label_join,
    "label_replace": _label_replace,
    "pi": lambda _: selection.constant(Kind.SCALAR, math.pi),
    "predict_linear": _predict_linear,
    "quantile_over_time": _quantile_over_time,
    "round": _round,
    "scalar": _scalar,
    "sort": lambda arguments: _sorted(arguments, sign=1),
    "sort_desc": lambda arguments: _sorted(arguments, sign=-1),
    "time": lambda _: Plan(Kind.SCALAR, lambda moment: moment.at / 1000),
    "vector": _vector,
}
