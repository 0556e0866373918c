"""The podinfo-like server, over real sockets."""

import asyncio
import itertools
import os
from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp
import pytest

from sandbox.node.behaviour import Behaviour, Kind, behaviour_of
from sandbox.node.http11 import HttpServer
from sandbox.node.podinfo import Podinfo
from sandbox.node.telemetry import SidecarMetrics, Workload

PORT = 9898
HOSTS = (f"127.{200 + os.getpid() % 50}.250.{number}" for number in itertools.count(1))

Served = tuple[Podinfo, HttpServer, str]
Start = Callable[..., Awaitable[Served]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    servers: list[HttpServer] = []

    async def begin(image: str = "podinfo:6.1.0", **env: str) -> Served:
        sidecar = SidecarMetrics(Workload("backend", "webapp", "backend", "latest"))
        app = Podinfo("backend-0", behaviour_of(image, env), env, sidecar)
        server = HttpServer(app.answer, app.observe)
        host = next(HOSTS)
        await server.start(host, PORT)
        servers.append(server)
        return app, server, f"http://{host}:{PORT}"

    yield begin
    for server in servers:
        await server.stop(0)


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        pytest.param("podinfo", Behaviour(Kind.PODINFO, "latest"), id="no tag"),
        pytest.param("ghcr.io/x/podinfo:6.1.0", Behaviour(Kind.PODINFO, "6.1.0"), id="registry"),
        pytest.param("host:5000/podinfo@sha256:0", Behaviour(Kind.PODINFO, "latest"), id="port and digest"),
        pytest.param(
            "podinfo:2-err10-lat900",
            Behaviour(Kind.PODINFO, "2-err10-lat900", error_rate=0.1, latency=0.9),
            id="errors and latency",
        ),
        pytest.param("podinfo:2-crash", Behaviour(Kind.PODINFO, "2-crash", is_crashing=True), id="crash"),
        pytest.param("nginx:1-missing", Behaviour(Kind.OTHER, "1-missing", is_missing=True), id="missing"),
        pytest.param("podinfo:2-slow20", Behaviour(Kind.PODINFO, "2-slow20", ready_delay=20), id="slow"),
        pytest.param("ghcr.io/f/flagger-loadtester:0.29", Behaviour(Kind.LOAD_TESTER, "0.29"), id="tester"),
        pytest.param("r/durable-canary:0.1.0", Behaviour(Kind.LOAD_TESTER, "0.1.0"), id="our tester"),
        pytest.param("durable-canary-docs:1", Behaviour(Kind.OTHER, "1"), id="another image of ours"),
        pytest.param("podinfo:err10", Behaviour(Kind.PODINFO, "err10"), id="a tag is no suffix"),
    ],
)
def test_image_chooses_behaviour(image: str, expected: Behaviour) -> None:
    assert behaviour_of(image, {}) == expected


def test_environment_chooses_behaviour_before_the_tag() -> None:
    env = {"SANDBOX_ERROR_RATE": "25", "SANDBOX_LATENCY": "40", "SANDBOX_READY_DELAY": "0.5"}

    found = behaviour_of("podinfo:1-err10", env)

    assert (found.error_rate, found.latency, found.ready_delay) == (0.25, 0.04, 0.5)


async def test_tells_its_version_and_colour(start: Start, http: aiohttp.ClientSession) -> None:
    _, _, url = await start(PODINFO_UI_COLOR="#123456")

    async with http.get(url) as answer:
        info = await answer.json()

    assert (info["hostname"], info["version"], info["color"]) == ("backend-0", "6.1.0", "#123456")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/version", 200),
        ("GET", "/healthz", 200),
        ("GET", "/readyz", 200),
        ("GET", "/status/418", 418),
        ("GET", "/status/99", 400),
        ("GET", "/delay/x", 400),
        ("GET", "/nowhere", 404),
        ("POST", "/echo", 202),
    ],
)
async def test_answers_with_status(
    start: Start, http: aiohttp.ClientSession, method: str, path: str, status: int
) -> None:
    _, _, url = await start()

    async with http.request(method, url + path) as answer:
        assert answer.status == status


async def test_shows_environment_headers_and_body(start: Start, http: aiohttp.ClientSession) -> None:
    _, _, url = await start(GREETING="hello")

    async with http.get(f"{url}/env") as answer:
        assert "GREETING=hello" in await answer.json()
    async with http.get(f"{url}/headers", headers={"X-Canary": "always"}) as answer:
        assert (await answer.json())["X-Canary"] == ["always"]
    async with http.post(f"{url}/echo", data=b"what I sent") as answer:
        assert await answer.read() == b"what I sent"


async def test_readiness_is_switched_by_post_only(start: Start, http: aiohttp.ClientSession) -> None:
    app, _, url = await start()
    async with http.get(f"{url}/readyz/disable"):
        assert app.is_ready

    async with http.post(f"{url}/readyz/disable"):
        pass
    async with http.get(f"{url}/readyz") as answer:
        assert answer.status == 503
    async with http.post(f"{url}/readyz/enable"):
        pass
    async with http.get(f"{url}/readyz") as answer:
        assert answer.status == 200


async def test_bad_version_fails_exactly_its_share(start: Start, http: aiohttp.ClientSession) -> None:
    _, _, url = await start("podinfo:6.0.2-err10")

    seen = []
    for _ in range(50):
        async with http.get(url) as answer:
            seen.append(answer.status)

    assert seen.count(500) == 5


async def test_bad_version_stays_healthy(start: Start, http: aiohttp.ClientSession) -> None:
    _, _, url = await start("podinfo:6.0.2-err100")

    for path in ("/healthz", "/readyz", "/metrics"):
        async with http.get(url + path) as answer:
            assert answer.status == 200


async def test_slow_version_takes_its_time(start: Start, http: aiohttp.ClientSession) -> None:
    _, _, url = await start("podinfo:6.0.3-lat60")
    began = asyncio.get_running_loop().time()

    async with http.get(url):
        took = asyncio.get_running_loop().time() - began

    assert took >= 0.06


async def test_metrics_count_requests_by_status(start: Start, http: aiohttp.ClientSession) -> None:
    _, _, url = await start()
    for path in ("/", "/", "/status/503"):
        async with http.get(url + path):
            pass

    async with http.get(f"{url}/metrics") as answer:
        text = await answer.text()

    assert 'http_requests_total{status="200"} 2' in text
    assert 'http_requests_total{status="503"} 1' in text
    assert 'http_request_duration_seconds_count{method="GET",path="root",status="200"} 2' in text
    assert "istio_requests_total" not in text


async def test_sidecar_counts_what_users_sent_but_no_probe_nor_scrape(
    start: Start, http: aiohttp.ClientSession
) -> None:
    app, _, url = await start("podinfo:6.0.3-lat30")
    async with http.get(url):
        pass
    async with http.get(f"{url}/readyz", headers={"User-Agent": "kube-probe/1.35"}):
        pass
    async with http.get(f"{url}/metrics", headers={"User-Agent": "Prometheus/3.5"}):
        pass
    assert app.sidecar

    text = app.sidecar.text()

    total = next(line for line in text.splitlines() if line.startswith("istio_requests_total"))
    assert total.endswith("} 1")
    for label in (
        'reporter="destination"',
        'destination_workload="backend"',
        'destination_workload_namespace="webapp"',
        'destination_service="backend.webapp.svc.cluster.local"',
        'response_code="200"',
        'connection_security_policy="none"',
    ):
        assert label in total
    below = [line for line in text.splitlines() if 'le="25"' in line or 'le="50"' in line]
    assert [line.rpartition(" ")[2] for line in below] == ["0", "1"]


async def test_pipelined_requests_are_answered_in_order(start: Start) -> None:
    _, _, url = await start()
    host = url.removeprefix("http://").partition(":")[0]
    reader, writer = await asyncio.open_connection(host, PORT)
    paths = ("/delay/0.05", "/status/201", "/status/202")
    writer.write(b"".join(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode() for path in paths))

    seen = []
    for _ in paths:
        head = await reader.readuntil(b"\r\n\r\n")
        seen.append(int(head.split(b" ")[1]))
        await reader.readexactly(int(head.partition(b"Content-Length: ")[2].split(b"\r\n")[0]))
    writer.close()

    assert seen == [200, 201, 202]


async def test_request_in_pieces_is_answered(start: Start) -> None:
    _, _, url = await start()
    host = url.removeprefix("http://").partition(":")[0]
    reader, writer = await asyncio.open_connection(host, PORT)
    for piece in (
        b"POST /echo HT",
        b"TP/1.1\r\nContent-Le",
        b"ngth: 4\r\nConnection: close\r\n\r\nab",
        b"cd",
    ):
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(0)

    answer = await reader.read()
    writer.close()

    assert answer.endswith(b"\r\n\r\nabcd")


@pytest.mark.parametrize(
    "sent", [b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"]
)
async def test_what_is_not_understood_is_refused(start: Start, sent: bytes) -> None:
    _, _, url = await start()
    host = url.removeprefix("http://").partition(":")[0]
    reader, writer = await asyncio.open_connection(host, PORT)
    writer.write(sent)

    answer = await reader.read()
    writer.close()

    assert answer.startswith(b"HTTP/1.1 400 ")


async def test_stop_lets_requests_end_and_closes_the_idle(start: Start) -> None:
    _, server, url = await start()
    host = url.removeprefix("http://").partition(":")[0]
    idle_reader, idle_writer = await asyncio.open_connection(host, PORT)
    busy_reader, busy_writer = await asyncio.open_connection(host, PORT)
    # The answer to the first tells that the second, sent with it, has come too.
    busy_writer.write(b"HEAD / HTTP/1.1\r\n\r\nGET /delay/0.1 HTTP/1.1\r\n\r\n")
    await busy_reader.readuntil(b"\r\n\r\n")

    await server.stop(5)

    assert await idle_reader.read() == b""
    assert (await busy_reader.read()).startswith(b"HTTP/1.1 200 OK\r\nConnection: close\r\n")
    with pytest.raises(OSError, match="Connect call failed"):
        await asyncio.open_connection(host, PORT)
    for writer in (idle_writer, busy_writer):
        writer.close()
