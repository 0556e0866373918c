"""The metrics server: scraper, store and API in one, with switches for its faults."""

import asyncio
import contextlib
from typing import Any, Self

import pydantic
from aiohttp import web

from sandbox.client import KubeClient
from sandbox.metrics.api import Api, answer_errors
from sandbox.metrics.scraper import Scraper, report_failure
from sandbox.metrics.tsdb import Tsdb
from sandbox.serving import LOCALHOST, runner_of
from sandbox.switches import Faults, Switches


class MetricsFaults(Faults):
    """What can be wrong: answers of 503, no listener at all, slow answers, another scrape interval."""

    gone: bool = False
    refused: bool = False
    latency: float = pydantic.Field(default=0.0, ge=0)
    scrape_interval: float = pydantic.Field(default=1.0, gt=0)


class MetricsServer:
    """Made by `start`; `url` answers as Prometheus does, `faults_url` switches faults."""

    def __init__(self, client: KubeClient, scrape_interval: float) -> None:
        self.url = ""
        db = Tsdb()
        self._scraper = Scraper(client, db, scrape_interval)
        app = web.Application(middlewares=[self._misbehave, answer_errors])
        Api(db).add_to(app)
        self._runner = runner_of(app)
        self._switches = Switches(MetricsFaults(scrape_interval=scrape_interval), self._switch)
        self._site: web.TCPSite | None = None
        self._task: asyncio.Task[None] | None = None

    @classmethod
    async def start(cls, client: KubeClient, port: int = 0, scrape_interval: float = 1.0) -> Self:
        """Listen and scrape; the client stays the caller's."""
        server = cls(client, scrape_interval)
        await server._runner.setup()
        await server._listen(port)
        server.url = f"http://{LOCALHOST}:{server._runner.addresses[0][1]}"
        await server._switches.start()
        server._task = asyncio.create_task(server._scraper.run())
        server._task.add_done_callback(report_failure)
        return server

    @property
    def faults_url(self) -> str:
        """Where its faults are switched."""
        return self._switches.url

    async def stop(self) -> None:
        """Stop scraping and close the ports."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await self._runner.cleanup()
        await self._switches.stop()

    async def _listen(self, port: int) -> None:
        self._site = web.TCPSite(self._runner, LOCALHOST, port)
        await self._site.start()

    @web.middleware
    async def _misbehave(self, request: web.Request, handler: Any) -> web.StreamResponse:
        await asyncio.sleep(self._switches.faults.latency)
        faults = self._switches.faults
        if faults.refused and request.transport is not None:
            request.transport.abort()  # a connection kept from before
        if faults.gone:
            return web.Response(status=503, text="upstream connect error\n")
        answer: web.StreamResponse = await handler(request)
        return answer

    async def _switch(self, faults: MetricsFaults) -> None:
        self._scraper.pace.change(faults.scrape_interval)
        if faults.refused and self._site is not None:
            await self._site.stop()
            self._site = None
        if not faults.refused and self._site is None:
            await self._listen(int(self.url.rpartition(":")[2]))
