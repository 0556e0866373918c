import asyncio
import collections
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from typing import Any, ClassVar

import pytest

from sandbox import hey, heyoptions
from sandbox.heyreport import Report


class Server(asyncio.Protocol):
    """Answers by path, and keeps the heads of requests."""

    heads: ClassVar[collections.Counter[bytes]] = collections.Counter()
    connections = 0
    transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        type(self).connections += 1

    def data_received(self, data: bytes) -> None:
        type(self).heads[data] += 1
        path = data.split(b" ", 2)[1].rpartition(b"/")[2]
        if path == b"hang":
            return
        if path == b"late":
            asyncio.get_running_loop().call_later(0.4, self.answer, ANSWERS[b""])
            return
        self.answer(ANSWERS[path])

    def answer(self, answer: bytes) -> None:
        self.transport.write(answer)
        if b"close" in answer or b"HTTP/1.0" in answer or not answer:
            self.transport.close()


ANSWERS = {
    b"": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    b"500": b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n",
    b"204": b"HTTP/1.1 204 No Content\r\n\r\n",
    b"chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n3;x\r\nabc\r\n0\r\n\r\n",
    b"trailers": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX: y\r\n\r\n",
    b"surplus": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok and more",
    b"continue": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    b"http10": b"HTTP/1.0 200 OK\r\n\r\nuntil the end",
    b"close": b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
    b"eof": b"",
    b"garbage": b"SSH-2.0-OpenSSH\r\n\r\n",
}


async def run(url: str, **options: Any) -> Report:
    return await hey.Hey(heyoptions.Work(url, **options)).run()


@pytest.fixture
async def url() -> AsyncIterator[str]:
    Server.heads, Server.connections = collections.Counter(), 0
    server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    server.close()


async def test_sends_the_requests_in_equal_shares_on_kept_connections(url: str) -> None:
    report = await run(url, requests=50, workers=8)

    assert report.statuses == {200: 48}
    assert Server.connections == 8
    assert report.requests == len(report.latencies) == 48
    assert report.size == 48 * 5


async def test_the_rate_is_per_worker(url: str) -> None:
    report = await run(url, duration=0.55, rate=20, workers=3)

    assert 27 <= report.statuses[200] <= 33
    assert report.total == pytest.approx(0.55, abs=0.2)


async def test_the_end_waits_for_what_is_in_flight(url: str) -> None:
    report = await run(f"{url}late", duration=0.1, workers=2)

    assert report.statuses == {200: 2}
    assert report.total >= 0.4


def test_of_missed_ticks_only_the_latest_counts() -> None:
    assert hey.next_tick(last=10.0, now=10.0, period=0.1) == pytest.approx(10.1)
    assert hey.next_tick(last=10.0, now=10.56, period=0.1) == pytest.approx(10.5)


@pytest.mark.parametrize(
    ("path", "status", "size"),
    [
        ("500", 500, 0),
        ("204", 204, 0),
        ("chunked", 200, 8),
        ("trailers", 200, 2),
        ("surplus", 200, 2),
        ("continue", 200, 2),
        ("http10", 200, 13),
        ("close", 200, 2),
    ],
)
async def test_reads_every_way_to_end_a_body(url: str, path: str, status: int, size: int) -> None:
    report = await run(url + path, requests=4, workers=2)

    assert report.statuses == {status: 4}
    assert report.size == 4 * size


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("eof", "EOF"),
        ("garbage", "malformed HTTP response"),
        ("hang", "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"),
    ],
)
async def test_counts_errors_by_their_words(url: str, path: str, error: str) -> None:
    report = await run(url + path, requests=2, workers=2, timeout=0.2)

    assert report.errors == {f'Get "{url}{path}": {error}': 2}
    assert report.requests == 2


async def test_a_refused_connection_is_an_error() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        report = await run(f"http://127.0.0.1:{port}/", requests=1, workers=1)

    wanted = f'Get "http://127.0.0.1:{port}/": dial tcp 127.0.0.1:{port}: connect: connection refused'
    assert report.errors == {wanted: 1}


async def test_a_kept_connection_closed_meanwhile_is_no_failure() -> None:
    class Fickle(Server):
        """Answers the first request of a connection and closes it at the second."""

        answers = 0

        def answer(self, answer: bytes) -> None:
            self.answers += 1
            super().answer(answer if self.answers == 1 else b"")

    Fickle.connections = 0
    server = await asyncio.get_running_loop().create_server(Fickle, "127.0.0.1", 0)
    report = await run(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", requests=20, workers=1)
    server.close()

    assert report.statuses == {200: 20}
    assert Fickle.connections == 20


async def test_a_proxy_is_given_the_whole_address(url: str) -> None:
    report = await run("http://backend-canary.webapp:9898/?a=b", requests=1, workers=1, proxy=url)
    [head] = Server.heads

    assert report.requests == 1
    assert head.startswith(
        b"GET http://backend-canary.webapp:9898/?a=b HTTP/1.1\r\nHost: backend-canary.webapp:9898\r\n"
    )


async def test_the_host_header_can_be_another(url: str) -> None:
    await run(url, requests=1, workers=1, host="app.example.com", method="POST", body=b"hi", keepalive=False)
    [head] = Server.heads

    assert head == (
        b"POST / HTTP/1.1\r\nHost: app.example.com\r\nUser-Agent: hey/0.0.1\r\n"
        b"Content-Length: 2\r\nConnection: close\r\n\r\nhi"
    )


def test_the_flags_of_hey_are_read() -> None:
    line = "-z 1m30s -q 10 -c=2 -m post -host h -H a-b:c -d hi -t 0 -disable-redirects -cpus 2 http://x/y"
    work = heyoptions.parse(line.split(), {"http_proxy": "127.0.0.1:1"})

    assert (work.url, work.duration, work.rate, work.workers, work.requests) == (
        "http://x/y",
        90,
        10,
        2,
        None,
    )
    assert (work.method, work.host, work.body, work.timeout) == ("POST", "h", b"hi", None)
    assert (work.proxy, work.keepalive) == ("http://127.0.0.1:1", True)
    assert work.headers == {"Content-Type": "text/html", "A-B": "c"}


@pytest.mark.parametrize(
    ("line", "code", "text"),
    [
        ("", 2, "Usage: hey"),
        ("-n 1 -c 2 http://x", 1, "-n cannot be less than -c."),
        ("-c 0 http://x", 1, "-c cannot be smaller than 1."),
        ("-z 1s -c 0 http://x", 1, "-c cannot be smaller than 1."),
        ("-foo http://x", 2, "unrecognized arguments: -foo"),
        ("http://x -n", 2, "argument -n: expected one argument"),
        ("-z 1 http://x", 2, "argument -z: '1' is not a duration such as 10s or 1m30s."),
        ("-H bad http://x", 1, "could not parse the provided input; input = bad"),
        ("https://x", 1, "unsupported protocol scheme"),
    ],
)
def test_a_wrong_command_line_is_named(line: str, code: int, text: str) -> None:
    with pytest.raises(heyoptions.UsageError) as raised:
        heyoptions.parse(line.split(), {})

    assert raised.value.code == code
    assert text in str(raised.value)


def report_of(latencies: list[float]) -> Report:
    report = Report(total=2.0, size=500)
    for latency in latencies:
        report.statuses[200] += 1
        report.latencies.append(latency)
    return report


def test_the_summary_reads_as_heys() -> None:
    report = report_of([i / 1000 for i in range(1, 101)])
    report.errors["Get: EOF"] += 2
    lines = report.as_text().splitlines()

    assert lines[:7] == [
        "",
        "Summary:",
        "  Total:\t2.0000 secs",
        "  Slowest:\t0.1000 secs",
        "  Fastest:\t0.0010 secs",
        "  Average:\t0.0505 secs",
        "  Requests/sec:\t51.0000",
    ]
    assert "  50% in 0.0510 secs" in lines
    assert "  0.001 [1]\t|■■■■" in lines
    assert "  99% in 0.1000 secs" in lines
    assert "  [200]\t100 responses" in lines
    assert "  [2]\tGet: EOF" in lines


def test_a_summary_of_errors_only_has_no_numbers() -> None:
    report = Report(total=1.0)
    report.errors["EOF"] += 1

    assert "  Average:\t NaN secs" in report.as_text()


async def command(*arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "sandbox.hey", *arguments, stdout=asyncio.subprocess.PIPE, env=dict(os.environ)
    )


async def test_a_run_of_errors_only_still_ends_with_0(url: str) -> None:
    process = await command("-n", "2", "-c", "1", f"{url}eof")
    output, _ = await process.communicate()

    assert process.returncode == 0
    assert b"[2]\tGet" in output


async def test_an_interrupt_prints_the_summary(url: str) -> None:
    process = await command("-z", "1h", "-c", "2", "-q", "50", url)
    while not Server.heads:  # noqa: ASYNC110 — a protocol without events
        await asyncio.sleep(0.01)
    process.send_signal(signal.SIGINT)
    output, _ = await process.communicate()

    assert process.returncode == 0
    assert b"Status code distribution:\n  [200]\t" in output
