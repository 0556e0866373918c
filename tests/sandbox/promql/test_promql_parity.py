import math
import pathlib
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from sandbox.metrics.api import Api, answer_errors
from sandbox.metrics.promql.values import Dialect
from sandbox.metrics.tsdb import Tsdb

END = 1_772_000_040
QUERIES = [
    line
    for line in pathlib.Path(__file__).with_name("queries.txt").read_text().splitlines()
    if line and not line.startswith("#")
]
RANGES = [
    "sum by (response_code) (rate(istio_requests_total[30s]))",
    "histogram_quantile(0.9, sum by (le) (rate(istio_request_duration_milliseconds_bucket[20s])))",
    "temperature > 0",
    "ended or resumed",
    "sum(temperature @ end()) - sum(temperature @ start())",
    "avg_over_time(temperature[10s:2s])",
    "time() % 7",
    "absent(resumed)",
    "increase(istio_requests_total{response_code='500'}[25s])",
]


class Pair:
    """The same questions to both servers."""

    def __init__(self, session: aiohttp.ClientSession, theirs: str, ours: str) -> None:
        self._session = session
        self._urls = (theirs, ours)

    async def ask(self, path: str, **parameters: str) -> tuple[Any, Any]:
        return await self._ask(self._urls[0], path, parameters), await self._ask(
            self._urls[1], path, parameters
        )

    async def _ask(self, url: str, path: str, parameters: dict[str, str]) -> Any:
        async with self._session.post(f"{url}/api/v1/{path}", data=parameters) as answer:
            return answer.status, await answer.json()


@pytest.fixture(scope="module")
async def pair(prometheus: Any, samples: Any) -> AsyncIterator[Pair]:
    version = await prometheus.version()
    db = Tsdb()
    for labels, points in samples:
        for at, value in points:
            db.append(labels, at, value)
    app = web.Application(middlewares=[answer_errors])
    Api(db, Dialect.V2 if version.startswith("2.") else Dialect.V3).add_to(app)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with aiohttp.ClientSession() as session:
        yield Pair(session, prometheus.url, f"http://127.0.0.1:{runner.addresses[0][1]}")
    await runner.cleanup()


@pytest.mark.parametrize("at", [END, END - 0.5, END - 33.25], ids=["on the second", "between", "earlier"])
@pytest.mark.parametrize("query", QUERIES)
async def test_an_instant_query_is_answered_as_by_prometheus(pair: Pair, query: str, at: float) -> None:
    theirs, ours = await pair.ask("query", query=query, time=str(at))

    assert_same(ours, theirs, ordered=False)


@pytest.mark.parametrize("query", RANGES)
async def test_a_range_query_is_answered_as_by_prometheus(pair: Pair, query: str) -> None:
    theirs, ours = await pair.ask("query_range", query=query, start=str(END - 120), end=str(END), step="7")

    assert_same(ours, theirs, ordered=False)


@pytest.mark.parametrize(
    "parameters",
    [
        {"query": "up", "start": "5", "end": "1", "step": "1"},
        {"query": "up", "start": "0", "end": "1", "step": "0"},
        {"query": "up", "start": "0", "end": "1e6", "step": "1"},
        {"query": "up[1m]", "start": "0", "end": "1", "step": "1"},
        {"query": "up", "start": "x", "end": "1", "step": "1"},
        {"query": "up", "start": "0", "end": "1", "step": "y"},
    ],
)
async def test_a_bad_range_is_refused_as_by_prometheus(pair: Pair, parameters: dict[str, str]) -> None:
    theirs, ours = await pair.ask("query_range", **parameters)

    assert ours == theirs


@pytest.mark.parametrize(
    "query",
    ["foo(up)", "1 +\n nope(up)", "pod_info * on (node) node_cpus", "temperature + on (zone) temperature"],
)
async def test_a_bad_query_is_refused_in_the_words_of_prometheus(pair: Pair, query: str) -> None:
    theirs, ours = await pair.ask("query", query=query, time=str(END))

    assert shape(ours) == shape(theirs)


def shape(answer: tuple[int, Any]) -> tuple[int, str, str]:
    """Tell an error without the two series that it names: which of several is first is not settled."""
    status, body = answer
    return status, body["errorType"], body["error"].partition(": [")[0]


def assert_same(ours: Any, theirs: Any, *, ordered: bool) -> None:
    assert ours[0] == theirs[0]
    if theirs[0] != 200:
        assert ours[1]["errorType"] == theirs[1]["errorType"]
        return
    assert ours[1]["data"]["resultType"] == theirs[1]["data"]["resultType"]
    found, wanted = ours[1]["data"]["result"], theirs[1]["data"]["result"]
    if ours[1]["data"]["resultType"] in {"scalar", "string"}:
        assert_near([found], [wanted])
        return
    if not ordered:
        found, wanted = sorted(found, key=labels), sorted(wanted, key=labels)
    assert [labels(series) for series in found] == [labels(series) for series in wanted]
    for mine, other in zip(found, wanted, strict=True):
        assert_near(mine.get("values") or [mine["value"]], other.get("values") or [other["value"]])


def labels(series: Any) -> list[tuple[str, str]]:
    return sorted(series["metric"].items())


def assert_near(found: Any, wanted: Any) -> None:
    assert [at for at, _ in found] == pytest.approx([at for at, _ in wanted], abs=1e-6)
    for (_, mine), (_, other) in zip(found, wanted, strict=True):
        if mine != other:
            a, b = float(mine), float(other)
            assert math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-12), (mine, other)
