"""Where a worker is asked for its metrics: ours, and behind them those of Temporal's SDK."""

import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import httpx
from aiohttp import web
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, CollectorRegistry, generate_latest
from temporalio.client import Client
from temporalio.runtime import PrometheusConfig, Runtime, TelemetryConfig

from worker import logs
from worker.figures import Figures
from worker.gauges import Gauges, standings


class EndpointError(Exception):
    """The metrics cannot be served where they should be."""


class SdkMetrics:
    """The metrics of Temporal's SDK, which only serves them itself: on a port that nobody else can reach."""

    def __init__(self) -> None:
        address = f"127.0.0.1:{_free_port()}"
        prometheus = PrometheusConfig(
            bind_address=address, durations_as_seconds=True, counters_total_suffix=True
        )
        self.runtime = Runtime(telemetry=TelemetryConfig(logging=logs.SDK, metrics=prometheus))
        """What a client must be made with to be counted."""
        self._url = f"http://{address}/metrics"

    async def read(self) -> bytes:
        """Ask for them, as text."""
        async with httpx.AsyncClient(trust_env=False) as client:
            return (await client.get(self._url)).raise_for_status().content


@asynccontextmanager
async def serving(
    address: str,
    registry: CollectorRegistry,
    refresh: Callable[[], Awaitable[None]],
    others: Callable[[], Awaitable[bytes]],
) -> AsyncIterator[int]:
    """Serve `/metrics` and `/healthz` at `host:port`, and give the port.

    Raises:
        EndpointError: the address is taken, or none of this machine's.
    """

    async def metrics(_: web.Request) -> web.Response:
        await refresh()
        body = generate_latest(registry) + await others()
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4})

    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="OK")

    app = web.Application()
    app.add_routes([web.get("/metrics", metrics), web.get("/healthz", healthz)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        host, _, port = address.rpartition(":")
        site = web.TCPSite(runner, host.strip("[]"), int(port))
        try:
            await site.start()
        except OSError as error:
            raise EndpointError(f"CANARY_METRICS: {address}: {error.strerror}.") from error
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()


@asynccontextmanager
async def metering(address: str, client: Client, sdk: SdkMetrics) -> AsyncIterator[Figures]:
    """Serve all metrics of a worker, and give what is to hear its workflows."""
    registry = CollectorRegistry()
    figures = Figures(registry)
    gauges = Gauges(lambda: standings(client), figures, lambda: datetime.now(UTC))
    registry.register(gauges)
    async with serving(address, registry, gauges.refresh, sdk.read):
        yield figures


def _free_port() -> int:
    """Find a port: the SDK does not tell which one it was given."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
