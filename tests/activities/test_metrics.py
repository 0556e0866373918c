import asyncio
import gzip
import json
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from activities import transport
from activities.metrics import Prometheus
from canary.errors import MeasurementError, NoAnswerError
from canary.spec import (
    AnalysisSpec,
    CanarySpec,
    MetricProvider,
    MetricSpec,
    MetricTemplate,
    ServiceSpec,
    TargetRef,
)
from sandbox.apiserver.server import ApiServer
from sandbox.client import KubeClient
from sandbox.metrics.server import MetricsServer

SPEC = CanarySpec(
    cluster="member1",
    namespace="webapp",
    name="backend",
    target=TargetRef(name="backend"),
    service=ServiceSpec(name="backend", port=9898),
    analysis=AnalysisSpec(interval=timedelta(seconds=1)),
)
SELF_SIGNED = Path(__file__).with_name("self-signed.pem")
BUILT_IN = MetricSpec(name="request-success-rate")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def custom(provider: MetricProvider) -> MetricSpec:
    return MetricSpec(
        name="latency",
        template=MetricTemplate(name="latency", namespace="monitoring", query="up", provider=provider),
    )


class Server:
    """A Prometheus whose answers are given by the test."""

    def __init__(self) -> None:
        self.handler: Handler
        self.requests: list[web.Request] = []
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self.http = TestServer(app)

    def answers(self, result: Any, kind: str = "vector") -> None:
        body = {"status": "success", "data": {"resultType": kind, "result": result}}
        self.handler = lambda _: _done(web.json_response(body))

    def refuses(self, status: int, text: str, headers: dict[str, str] | None = None) -> None:
        self.handler = lambda _: _done(web.Response(status=status, text=text, headers=headers))

    @property
    def url(self) -> str:
        return f"{self.http.scheme}://127.0.0.1:{self.http.port}"

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        return await self.handler(request)


async def _done(response: web.Response) -> web.Response:
    return response


@dataclass(frozen=True)
class Route:
    url: str
    proxy: transport.Proxy | None = None
    ca: str | None = None


class Outside:
    """Everything is where its address says; the cluster's own Prometheus is the server."""

    def __init__(self, own: str, proxy: transport.Proxy | None = None, ca: str | None = None) -> None:
        self.own = own
        self.proxy = proxy
        self.ca = ca

    async def prometheus(self, cluster: str, namespace: str, address: str | None) -> Route:
        assert cluster == "member1"
        assert namespace in ("webapp", "monitoring", "default")
        return Route(address or self.own, self.proxy, self.ca)


class Secrets:
    def __init__(self, **secrets: dict[str, str]) -> None:
        self.secrets = secrets

    async def read(self, cluster: str, namespace: str, name: str) -> dict[str, str] | None:
        assert (cluster, namespace) == ("member1", "monitoring")
        return self.secrets.get(name)


class Relay:
    """A proxy that answers by itself and keeps what it was sent."""

    def __init__(self, status: int, body: bytes) -> None:
        self.answer = (status, body)
        self.sent: list[tuple[str, Mapping[str, str]]] = []

    async def send(
        self, url: str, *, body: bytes | None, headers: Mapping[str, str], seconds: float, limit: int
    ) -> tuple[int, bytes]:
        assert (body, seconds) == (None, transport.TIMEOUT)
        assert limit > 0
        self.sent.append((url, headers))
        return self.answer


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    await server.http.start_server()
    yield server
    await server.http.close()


@pytest.fixture
def prometheus(server: Server) -> Prometheus:
    return Prometheus(
        Outside(server.url),
        Secrets(login={"username": "u", "password": "p4ss"}, bearer={"token": "t0ken"}, empty={"x": "y"}),
        ThreadPoolExecutor(2),
    )


def series(*values: str) -> list[dict[str, Any]]:
    return [{"metric": {"n": str(n)}, "value": [1700000000.1, value]} for n, value in enumerate(values)]


@pytest.mark.parametrize(
    ("result", "value"),
    [
        pytest.param(series("99.5"), 99.5, id="one series"),
        pytest.param(series("1", "2"), 2.0, id="the last series wins"),
        pytest.param([], None, id="no series"),
        pytest.param(series("NaN"), None, id="not a number"),
    ],
)
async def test_a_vector_is_one_value_or_none(
    server: Server, prometheus: Prometheus, result: Any, value: float | None
) -> None:
    server.answers(result)

    assert await prometheus.query(SPEC, BUILT_IN, "up == 1") == value
    assert server.requests[0].path == "/api/v1/query"
    assert server.requests[0].query["query"] == "up == 1"


@pytest.mark.parametrize(
    ("result", "kind", "text"),
    [
        pytest.param(
            [{"metric": {}, "values": [[1, "1"], [2, "2"]]}], "matrix", "a range vector", id="range vector"
        ),
        pytest.param([1700000000.1, "1"], "scalar", "a scalar or a string", id="scalar"),
        pytest.param(series("+Inf"), "vector", r"\+inf", id="infinite"),
    ],
)
async def test_what_is_not_one_value_is_an_error(
    server: Server, prometheus: Prometheus, result: Any, kind: str, text: str
) -> None:
    server.answers(result, kind)

    with pytest.raises(MeasurementError, match=text):
        await prometheus.query(SPEC, BUILT_IN, "up")


@pytest.mark.parametrize(
    ("status", "error", "text"),
    [
        pytest.param(400, MeasurementError, '400 parse error: unexpected "}"', id="refused query"),
        pytest.param(422, MeasurementError, "422 parse error", id="query that cannot be executed"),
        pytest.param(401, MeasurementError, "401 parse error", id="not allowed"),
        pytest.param(503, NoAnswerError, "503 parse error", id="away"),
        pytest.param(429, NoAnswerError, "429 parse error", id="too busy"),
    ],
)
async def test_a_refusal_is_worded_by_the_server(
    server: Server, prometheus: Prometheus, status: int, error: type[Exception], text: str
) -> None:
    said = {
        "status": "error",
        "errorType": "bad_data",
        "error": 'parse error: unexpected "}" in //u:p4ss@host',
    }
    server.refuses(status, json.dumps(said))
    with pytest.raises(error) as caught:
        await prometheus.query(SPEC, BUILT_IN, "up{}}")

    assert text in str(caught.value)
    assert "p4ss" not in str(caught.value)


async def test_a_long_refusal_is_cut(server: Server, prometheus: Prometheus) -> None:
    server.refuses(400, "x" * 100_000)
    with pytest.raises(MeasurementError) as caught:
        await prometheus.query(SPEC, BUILT_IN, "up")

    assert len(str(caught.value)) < 4200


async def test_a_redirect_is_not_followed(server: Server, prometheus: Prometheus) -> None:
    server.refuses(302, "", {"Location": "http://u:p4ss@elsewhere/"})
    with pytest.raises(MeasurementError, match="redirects to http://elsewhere/"):
        await prometheus.query(SPEC, BUILT_IN, "up")

    assert len(server.requests) == 1


@pytest.mark.proves("D18")
async def test_an_answer_that_is_no_json_is_an_error(server: Server, prometheus: Prometheus) -> None:
    """Flagger's Events hold all of it (D18: docs/architecture.md)."""
    server.refuses(200, "<html>hello</html>")

    with pytest.raises(MeasurementError, match="no readable answer"):
        await prometheus.query(SPEC, BUILT_IN, "up")


async def test_no_connection_is_no_answer_and_hides_credentials(unused_tcp_port: int) -> None:
    prometheus = Prometheus(
        Outside(f"http://u:p4ss@127.0.0.1:{unused_tcp_port}"), Secrets(), ThreadPoolExecutor(1)
    )
    with pytest.raises(NoAnswerError, match="does not answer: ConnectionError") as caught:
        await prometheus.query(SPEC, BUILT_IN, "up")

    assert "p4ss" not in str(caught.value)
    assert caught.value.__cause__ is None


async def test_a_broken_answer_is_no_answer(server: Server, prometheus: Prometheus) -> None:
    async def breaks(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b"{")
        assert request.transport is not None
        request.transport.close()
        return response

    server.handler = breaks

    with pytest.raises(NoAnswerError):
        await prometheus.query(SPEC, BUILT_IN, "up")


async def test_a_trickling_answer_frees_its_thread_in_time(
    server: Server, prometheus: Prometheus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "TIMEOUT", 1)
    asked = asyncio.Event()

    async def trickles(request: web.Request) -> web.StreamResponse:
        asked.set()
        response = web.StreamResponse()
        await response.prepare(request)
        while request.transport and not request.transport.is_closing():
            await response.write(b" ")
            await asyncio.sleep(0.1)
        return response

    server.handler = trickles
    started = time.monotonic()
    with pytest.raises(NoAnswerError, match="ReadTimeout"):
        await prometheus.query(SPEC, BUILT_IN, "up")

    assert asked.is_set()
    assert time.monotonic() - started < 2.5


async def test_a_compressed_answer_is_read(server: Server, prometheus: Prometheus) -> None:
    body = json.dumps({"data": {"resultType": "vector", "result": series("7")}}).encode()
    server.handler = lambda _: _done(
        web.Response(body=gzip.compress(body), headers={"Content-Encoding": "gzip"})
    )

    assert await prometheus.query(SPEC, BUILT_IN, "up") == 7.0


async def test_a_huge_answer_is_an_error(server: Server, prometheus: Prometheus) -> None:
    server.refuses(200, " " * 5_000_000)

    with pytest.raises(MeasurementError, match="more than"):
        await prometheus.query(SPEC, BUILT_IN, "up")


@pytest.mark.parametrize(
    ("secret", "authorization"),
    [pytest.param("login", "Basic dTpwNHNz", id="user"), pytest.param("bearer", "Bearer t0ken", id="token")],
)
async def test_credentials_come_from_the_secret(
    server: Server, prometheus: Prometheus, secret: str, authorization: str
) -> None:
    server.answers(series("1"))
    provider = MetricProvider(secret_ref=secret, headers={"X-Scope-OrgID": ("team", "other")})
    await prometheus.query(SPEC, custom(provider), "up")

    assert server.requests[0].headers["Authorization"] == authorization
    assert server.requests[0].headers["X-Scope-OrgID"] == "team, other"


async def test_the_environment_does_not_come_between(
    server: Server, prometheus: Prometheus, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.answers(series("1"))
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")

    assert await prometheus.query(SPEC, BUILT_IN, "up") == 1.0


@pytest.fixture
async def kube() -> AsyncIterator[KubeClient]:
    api = await ApiServer.start()
    async with KubeClient(api.url) as kube:
        yield kube
    await api.stop()


async def test_speaks_with_a_prometheus_that_evaluates(kube: KubeClient) -> None:
    server = await MetricsServer.start(kube)
    prometheus = Prometheus(Outside(server.url), Secrets(), ThreadPoolExecutor(1))
    try:
        assert await prometheus.query(SPEC, BUILT_IN, "vector(2) * 3") == 6.0
        assert await prometheus.query(SPEC, BUILT_IN, "absent_metric") is None
        assert await prometheus.query(SPEC, BUILT_IN, "vector(0) / vector(0)") is None
        with pytest.raises(MeasurementError, match=r"400 .*parse error"):
            await prometheus.query(SPEC, BUILT_IN, "up{}}")
        with pytest.raises(MeasurementError, match="a scalar or a string"):
            await prometheus.query(SPEC, BUILT_IN, "1 + 1")
    finally:
        await server.stop()


@pytest.mark.parametrize(
    ("secret", "text"),
    [
        pytest.param("nowhere", "Secret nowhere not found in namespace monitoring", id="missing"),
        pytest.param("empty", "neither `token` nor", id="without credentials"),
    ],
)
async def test_a_secret_without_credentials_is_an_error(
    server: Server, prometheus: Prometheus, secret: str, text: str
) -> None:
    with pytest.raises(MeasurementError, match=text):
        await prometheus.query(SPEC, custom(MetricProvider(secret_ref=secret)), "up")

    assert server.requests == []


async def test_a_template_names_its_own_prometheus(server: Server) -> None:
    server.answers(series("3"))
    prometheus = Prometheus(Outside("http://127.0.0.1:1"), Secrets(), ThreadPoolExecutor(1))

    assert await prometheus.query(SPEC, custom(MetricProvider(address=f"{server.url}/")), "up") == 3.0
    assert server.requests[0].path == "/api/v1/query"


async def test_a_canary_names_the_prometheus_of_its_built_in_metrics(server: Server) -> None:
    server.answers(series("7"))
    prometheus = Prometheus(Outside("http://127.0.0.1:1"), Secrets(), ThreadPoolExecutor(1))
    spec = SPEC.model_copy(update={"metrics_server": server.url})

    assert await prometheus.query(spec, BUILT_IN, "up") == 7.0


async def test_a_proxied_prometheus_is_asked_by_the_proxy() -> None:
    relay = Relay(200, json.dumps({"data": {"resultType": "vector", "result": series("5")}}).encode())
    prometheus = Prometheus(Outside("http://prometheus.x:9090", relay), Secrets(), ThreadPoolExecutor(1))
    provider = MetricProvider(headers={"X-Scope-OrgID": ("team",)})

    assert await prometheus.query(SPEC, custom(provider), "a + b") == 5.0
    url, headers = relay.sent[0]
    assert url == "http://prometheus.x:9090/api/v1/query?query=a+%2B+b"
    assert headers["X-Scope-OrgID"] == "team"


async def test_a_proxied_prometheus_that_is_away_is_no_answer() -> None:
    relay = Relay(503, b'{"kind": "Status", "message": "no endpoints available"}')
    prometheus = Prometheus(Outside("http://prometheus.x:9090", relay), Secrets(), ThreadPoolExecutor(1))

    with pytest.raises(NoAnswerError, match="503 no endpoints available"):
        await prometheus.query(SPEC, BUILT_IN, "up")


@pytest.mark.parametrize(
    ("url", "provider"),
    [
        pytest.param("http://p.x:9090", MetricProvider(secret_ref="login"), id="secret"),
        pytest.param("http://u:p4ss@p.x:9090", MetricProvider(), id="user info"),
        pytest.param("http://p.x:9090", MetricProvider(headers={"authorization": ("p4ss",)}), id="header"),
    ],
)
async def test_credentials_are_not_sent_where_they_would_be_dropped(
    url: str, provider: MetricProvider
) -> None:
    relay = Relay(200, b"")
    secrets = Secrets(login={"username": "u", "password": "p4ss"})
    prometheus = Prometheus(Outside(url, relay), secrets, ThreadPoolExecutor(1))
    with pytest.raises(MeasurementError, match="drops credentials: give cluster member1") as caught:
        await prometheus.query(SPEC, custom(provider), "up")

    assert relay.sent == []
    assert "p4ss" not in str(caught.value)


@pytest.fixture
async def secure_server() -> AsyncIterator[Server]:
    """A Prometheus whose certificate is signed by nobody the system trusts."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(SELF_SIGNED)
    server = Server()
    await server.http.start_server(ssl=context)
    yield server
    await server.http.close()


@pytest.mark.parametrize("insecure", [False, True])
async def test_a_clusters_own_authority_is_trusted(secure_server: Server, *, insecure: bool) -> None:
    secure_server.answers(series("1"))
    prometheus = Prometheus(
        Outside(secure_server.url, ca=SELF_SIGNED.read_text()), Secrets(), ThreadPoolExecutor(1)
    )
    provider = MetricProvider(address=secure_server.url, insecure_skip_verify=insecure)

    assert await prometheus.query(SPEC, custom(provider), "up") == 1
    assert await prometheus.query(SPEC, BUILT_IN, "up") == 1


async def test_without_it_a_strange_certificate_is_no_answer(secure_server: Server) -> None:
    secure_server.answers(series("1"))
    prometheus = Prometheus(Outside(secure_server.url), Secrets(), ThreadPoolExecutor(1))

    with pytest.raises(NoAnswerError, match=r"does not answer: SSLError"):
        await prometheus.query(SPEC, BUILT_IN, "up")


async def test_a_clusters_own_prometheus_can_be_asked_anything(
    server: Server, prometheus: Prometheus
) -> None:
    server.answers(series("1"))

    assert await prometheus.ask("member1", "vector(1)") == 1


async def test_a_query_without_an_address_goes_to_the_canarys_own_prometheus(
    server: Server, prometheus: Prometheus
) -> None:
    server.answers(series("1"))
    spec = SPEC.model_copy(update={"metrics_server": f"{server.url}/own"})
    await prometheus.query(spec, custom(MetricProvider()), "up")

    assert server.requests[0].path == "/own/api/v1/query"
