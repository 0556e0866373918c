"""Samples with everything that makes PromQL difficult, and Debian's Prometheus holding the same."""

import asyncio
import math
import pathlib
import random
import shutil
import socket
import struct
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Self

import aiohttp
import pytest

from sandbox.metrics.labels import Labels, labels_of
from sandbox.metrics.tsdb import STALE

BINARY = shutil.which("prometheus")
# Some instant of 2026, on a full minute: what is sampled on full seconds then lies on the bounds of ranges.
END = 1_772_000_040_000
SPAN = 15 * 60_000
BUCKETS = ("0.5", "1", "5", "10", "25", "50", "100", "250", "500", "1000", "2500", "+Inf")

Sample = tuple[int, float]
Series = tuple[Labels, list[Sample]]


def dataset() -> list[Series]:
    """Return the same series each time."""
    draw = random.Random(7)
    return [
        *_requests(draw),
        *_durations(draw),
        *_gauges(draw),
        *_infos(),
        (
            labels_of({"__name__": "ended", "pod": "a"}),
            [*_flat(range(0, SPAN - 20_000, 5000)), (END - 20_000, STALE)],
        ),
        (labels_of({"__name__": "old", "pod": "a"}), _flat(range(0, SPAN - 300_000 + 1, 5000))),
        (labels_of({"__name__": "older", "pod": "a"}), _flat(range(0, SPAN - 300_000, 5000))),
        (labels_of({"__name__": "once"}), [(END - 7000, 41.5)]),
        (
            labels_of({"__name__": "resumed"}),
            [(END - 60_000, 3.0), (END - 40_000, STALE), (END - 10_000, 9.0)],
        ),
    ]


def _flat(offsets: Iterable[int]) -> list[Sample]:
    return [(END - SPAN + offset, float(index)) for index, offset in enumerate(offsets)]


def _ticks(draw: random.Random, *, since: int = 0, jitter: int = 40) -> Iterator[int]:
    """Yield the times of scrapes each second or so: some late, some missing."""
    for second in range(since, SPAN // 1000 + 1):
        if draw.random() < 0.97:
            yield END - SPAN + second * 1000 + draw.randint(0, jitter)


def _requests(draw: random.Random) -> Iterator[Series]:
    for workload, pods in {"podinfo": "ab", "podinfo-primary": "cde"}.items():
        for pod in pods:
            for code, rate in {"200": 12.0, "500": 0.7, "503": 0.05}.items():
                labels = {
                    "__name__": "istio_requests_total",
                    "reporter": "destination",
                    "destination_workload": workload,
                    "destination_workload_namespace": "test",
                    "response_code": code,
                    "pod": f"{workload}-{pod}",
                }
                since = SPAN // 1000 - 25 if (pod, code) == ("b", "500") else 0
                yield labels_of(labels), _counter(draw, rate, since=since, resets=pod in "ad")


def _counter(draw: random.Random, rate: float, *, since: int, resets: bool) -> list[Sample]:
    count, samples = 0.0, []
    for at in _ticks(draw, since=since):
        if resets and draw.random() < 0.01:
            count = 0.0
        count += sum(draw.random() < rate / 20 for _ in range(20))
        samples.append((at, count))
    return samples


def _durations(draw: random.Random) -> Iterator[Series]:
    for pod in ("podinfo-a", "podinfo-b"):
        ticks = list(_ticks(draw))
        shape = [draw.random() * 3 for _ in BUCKETS]
        for index, le in enumerate(BUCKETS):
            name = {"__name__": "istio_request_duration_milliseconds_bucket", "le": le, "pod": pod}
            growth = sum(shape[: index + 1])
            yield (
                labels_of(name | {"destination_workload": "podinfo"}),
                [(at, float(math.floor(growth * i))) for i, at in enumerate(ticks)],
            )


def _gauges(draw: random.Random) -> Iterator[Series]:
    odd = {"a": math.nan, "b": math.inf, "c": -math.inf, "d": 0.0}
    for pod in "abcdef":
        samples = [(at, round(draw.uniform(-40, 60), 3)) for at in _ticks(draw, jitter=0)]
        if pod in odd:
            samples[-40] = (samples[-40][0], odd[pod])
        labels = {"__name__": "temperature", "pod": pod, "zone": "north" if pod in "abc" else "south"}
        yield labels_of(labels), samples
    for pod, value in {"a": math.nan, "b": math.inf, "c": -0.5, "d": 0.0, "e": 2.5, "f": 7e-9}.items():
        yield labels_of({"__name__": "odd", "pod": pod}), [(END - 3000, value)]


def _infos() -> Iterator[Series]:
    for pod in "abcde":
        labels = {
            "__name__": "pod_info",
            "pod": pod,
            "node": f"node-{ord(pod) % 2}",
            "version": f"6.0.{ord(pod) % 3}",
        }
        yield labels_of(labels), [(END - SPAN + 2000 + i * 5000, 1.0) for i in range(180)]
    for node in ("node-0", "node-1"):
        yield (
            labels_of({"__name__": "node_cpus", "node": node}),
            [(END - 1000, 4.0 if node == "node-0" else 8.0)],
        )


class Prometheus:
    """A process of its own with an empty store."""

    def __init__(self, process: asyncio.subprocess.Process, url: str) -> None:
        self.url = url
        self._process = process

    @classmethod
    async def start(cls, directory: pathlib.Path, port: int) -> Self:
        """Start and wait until it is ready."""
        config = directory / "prometheus.yml"
        config.write_text("global: {}\n")
        assert BINARY is not None
        process = await asyncio.create_subprocess_exec(
            BINARY,
            f"--config.file={config}",
            f"--storage.tsdb.path={directory / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--web.enable-remote-write-receiver",
            stderr=asyncio.subprocess.DEVNULL,
        )
        server = cls(process, f"http://127.0.0.1:{port}")
        await server._until_ready()
        return server

    async def version(self) -> str:
        """Return the version it says it is."""
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{self.url}/api/v1/status/buildinfo") as answer,
        ):
            return str((await answer.json())["data"]["version"])

    async def write(self, series: Iterable[tuple[Labels, list[tuple[int, float]]]]) -> None:
        """Store samples."""
        body = _snappy(b"".join(_field(1, _series(labels, samples)) for labels, samples in series))
        headers = {"Content-Encoding": "snappy", "Content-Type": "application/x-protobuf"}
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{self.url}/api/v1/write", data=body, headers=headers) as answer,
        ):
            assert answer.status == 204, await answer.text()

    async def stop(self) -> None:
        """End the process."""
        self._process.terminate()
        await self._process.wait()

    async def _until_ready(self) -> None:
        async with aiohttp.ClientSession() as session:
            while self._process.returncode is None:
                try:
                    async with session.get(f"{self.url}/-/ready") as answer:
                        if answer.ok:
                            return
                except aiohttp.ClientConnectionError:
                    pass
                await asyncio.sleep(0.02)
        raise RuntimeError(f"prometheus ended with {self._process.returncode}")


def _series(labels: Labels, samples: list[tuple[int, float]]) -> bytes:
    pairs = (_field(1, _field(1, name.encode()) + _field(2, value.encode())) for name, value in labels)
    points = (_field(2, b"\x09" + struct.pack("<d", value) + b"\x10" + _varint(at)) for at, value in samples)
    return b"".join([*pairs, *points])


def _field(number: int, payload: bytes) -> bytes:
    return bytes([number << 3 | 2]) + _varint(len(payload)) + payload


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*encoded, number])


def _snappy(data: bytes) -> bytes:
    """Frame data as Snappy without compressing it: literals only."""
    chunks = [data[i : i + 65536] for i in range(0, len(data), 65536)]
    return _varint(len(data)) + b"".join(b"\xf4" + struct.pack("<H", len(c) - 1) + c for c in chunks)


@pytest.fixture(scope="session")
def samples() -> list[Series]:
    """Resets, late and ended series, gaps, NaN and infinities; the last ones are of `END`."""
    return dataset()


@pytest.fixture(scope="session")
async def prometheus(
    samples: list[Series], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Prometheus]:
    """Debian's Prometheus, filled by remote write: the only way in that keeps times and staleness marks."""
    if BINARY is None:
        pytest.skip("there is no `prometheus` here to compare with (Debian: apt-get install prometheus)")
    server = await Prometheus.start(tmp_path_factory.mktemp("prometheus"), _free_port())
    await server.write(samples)
    yield server
    await server.stop()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
