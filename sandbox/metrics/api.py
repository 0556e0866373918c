"""Prometheus' HTTP API, as far as queries go."""

import datetime as dt
import math
import time
from collections.abc import Iterable
from typing import Any, cast

import promql_parser
from aiohttp import web

from sandbox.metrics.labels import Labels
from sandbox.metrics.promql import engine
from sandbox.metrics.promql.selection import milliseconds
from sandbox.metrics.promql.values import (
    BadDataError,
    Dialect,
    ExecutionError,
    Kind,
    Matrix,
    Value,
    Vector,
    text_of_number,
)
from sandbox.metrics.tsdb import Tsdb

BUILD = {
    "version": "3.0.0",
    "revision": "sandbox",
    "branch": "sandbox",
    "buildUser": "sandbox",
    "buildDate": "",
    "goVersion": "",
}
RESULT_TYPES = {Kind.SCALAR: "scalar", Kind.STRING: "string", Kind.VECTOR: "vector", Kind.MATRIX: "matrix"}

Parameters = dict[str, str]


class Api:
    """Answers queries from a store."""

    def __init__(self, db: Tsdb, dialect: Dialect = Dialect.V3) -> None:
        self._db = db
        self._dialect = dialect

    def add_to(self, app: web.Application) -> None:
        """Serve the API's paths."""
        for path, handler in {
            "/api/v1/query": self.query,
            "/api/v1/query_range": self.query_range,
        }.items():
            app.router.add_get(path, handler)
            app.router.add_post(path, handler)
        app.router.add_get("/api/v1/status/buildinfo", _build)
        for path in ("/", "/-/ready", "/-/healthy"):
            app.router.add_get(path, _ready)

    async def query(self, request: web.Request) -> web.Response:
        """Answer an instant query."""
        parameters = await _parameters(request)
        at = _moment(parameters, "time", _now())
        kind, value = engine.instant(parameters.get("query", ""), self._db, at, self._dialect)
        return _success({"resultType": RESULT_TYPES[kind], "result": _result(kind, value, at)})

    async def query_range(self, request: web.Request) -> web.Response:
        """Answer a range query."""
        parameters = await _parameters(request)
        start, end = _moment(parameters, "start"), _moment(parameters, "end")
        if end < start:
            raise BadDataError('invalid parameter "end": end timestamp must not be before start time')
        span = range(start, end + 1, _step(parameters))
        found = engine.over_range(parameters.get("query", ""), self._db, span, self._dialect)
        result = [_series(series.labels, series.points) for series in found]
        return _success({"resultType": "matrix", "result": result})


@web.middleware
async def answer_errors(request: web.Request, handler: Any) -> web.StreamResponse:
    """Answer what a query does wrong as Prometheus does."""
    try:
        answer: web.StreamResponse = await handler(request)
    except BadDataError as exc:
        return _failure(400, "bad_data", str(exc))
    except ExecutionError as exc:
        return _failure(422, "execution", str(exc))
    return answer


def _success(data: object) -> web.Response:
    return web.json_response({"status": "success", "data": data})


def _failure(status: int, kind: str, text: str) -> web.Response:
    return web.json_response({"status": "error", "errorType": kind, "error": text}, status=status)


async def _build(_: web.Request) -> web.Response:
    return _success(BUILD)


async def _ready(_: web.Request) -> web.Response:
    return web.Response(text="Prometheus Server is Ready.\n")


async def _parameters(request: web.Request) -> Parameters:
    """Return the parameters of the address and, before them, of a POST's form."""
    form = await request.post()
    return dict(request.query) | {name: text for name, text in form.items() if isinstance(text, str)}


def _moment(parameters: Parameters, name: str, default: int | None = None) -> int:
    """Read a Unix time in seconds, or RFC 3339."""
    text = parameters.get(name, "")
    if not text and default is not None:
        return default
    try:
        seconds = _number(text)
        return round(seconds * 1000) if seconds is not None else _date(text)
    except ValueError as exc:
        raise BadDataError(f'invalid parameter "{name}": cannot parse "{text}" to a valid timestamp') from exc


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def _date(text: str) -> int:
    return round(dt.datetime.fromisoformat(text).timestamp() * 1000)


def _step(parameters: Parameters) -> int:
    text = parameters.get("step", "")
    try:
        seconds = _number(text)
        step = (
            round(seconds * 1000) if seconds is not None else milliseconds(promql_parser.parse_duration(text))
        )
    except ValueError as exc:
        raise BadDataError(f'invalid parameter "step": cannot parse "{text}" to a valid duration') from exc
    if step <= 0:
        raise BadDataError(
            'invalid parameter "step": zero or negative query resolution step widths are not accepted. '
            "Try a positive integer"
        )
    return step


def _result(kind: Kind, value: Value, at: int) -> object:
    if kind is Kind.VECTOR:
        return [{"metric": dict(s.labels), "value": _point(at, s.value)} for s in cast("Vector", value)]
    if kind is Kind.MATRIX:
        windows = sorted(cast("Matrix", value), key=lambda window: window.labels)
        return [_series(w.labels, zip(w.times, w.values, strict=True)) for w in windows]
    return _point(at, value) if isinstance(value, float) else [at / 1000, value]


def _series(labels: Labels, points: Iterable[tuple[int, float]]) -> dict[str, object]:
    return {"metric": dict(labels), "values": [_point(at, value) for at, value in points]}


def _point(at: int, value: float) -> list[object]:
    return [at / 1000, text_of_number(value)]


def _now() -> int:
    return round(time.time() * 1000)
