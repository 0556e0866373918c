"""The metrics server: scraper, store and API in one, with switches for its faults."""

import asyncio
import contextlib
from typing import Any, Self

import pydantic
from aiohttp import web
from pydantic.alias_generators import to_camel

from sandbox.client import KubeClient
from sandbox.metrics.api import Api, answer_errors
from sandbox.metrics.scraper import Scraper, report_failure
from sandbox.metrics.tsdb import Tsdb

SHUTDOWN = 0.5
FAULTS_PATH = "/_sandbox/faults"


class Faults(pydantic.BaseModel, extra="forbid", alias_generator=to_camel):
    """What can be wrong: answers of 503, no listener at all, slow answers, another scrape interval."""

    gone: bool = False
    refused: bool = False
    latency: float = pydantic.Field(default=0.0, ge=0)
    scrape_interval: float | None = pydantic.Field(default=None, gt=0)


class MetricsServer:
    """Made by `start`; `url` answers as Prometheus does, `faults_url` switches faults."""

    def __init__(self, client: KubeClient, host: str, scrape_interval: float) -> None:
        self.url = ""
        self.faults_url = ""
        self._host = host
        self._interval = scrape_interval
        self._faults = Faults()
        db = Tsdb()
        self._scraper = Scraper(client, db, scrape_interval)
        self._runner = _runner([self._misbehave, answer_errors], Api(db).add_to)
        self._switches = _runner([], self._add_switches)
        self._site: web.TCPSite | None = None
        self._task: asyncio.Task[None] | None = None

    @classmethod
    async def start(
        cls, client: KubeClient, host: str = "127.0.0.1", port: int = 0, scrape_interval: float = 1.0
    ) -> Self:
        """Listen and scrape; the client stays the caller's."""
        server = cls(client, host, scrape_interval)
        await server._runner.setup()
        await server._listen(port)
        server.url = f"http://{host}:{server._runner.addresses[0][1]}"
        await server._switches.setup()
        await web.TCPSite(server._switches, host, 0).start()
        server.faults_url = f"http://{host}:{server._switches.addresses[0][1]}{FAULTS_PATH}"
        server._task = asyncio.create_task(server._scraper.run())
        server._task.add_done_callback(report_failure)
        return server

    async def stop(self) -> None:
        """Stop scraping and close the ports."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await self._runner.cleanup()
        await self._switches.cleanup()

    async def _listen(self, port: int) -> None:
        self._site = web.TCPSite(self._runner, self._host, port)
        await self._site.start()

    @web.middleware
    async def _misbehave(self, request: web.Request, handler: Any) -> web.StreamResponse:
        await asyncio.sleep(self._faults.latency)
        if self._faults.refused and request.transport is not None:
            request.transport.abort()  # a connection kept from before
        if self._faults.gone:
            return web.Response(status=503, text="upstream connect error\n")
        answer: web.StreamResponse = await handler(request)
        return answer

    def _add_switches(self, app: web.Application) -> None:
        app.router.add_get(FAULTS_PATH, self._show_faults)
        app.router.add_put(FAULTS_PATH, self._put_faults)
        app.router.add_delete(FAULTS_PATH, self._delete_faults)

    async def _show_faults(self, _: web.Request) -> web.Response:
        shown = self._faults.model_dump(by_alias=True) | {"scrapeInterval": self._scraper.pace.interval}
        return web.json_response(shown)

    async def _put_faults(self, request: web.Request) -> web.Response:
        try:
            faults = Faults.model_validate_json(await request.text())
        except pydantic.ValidationError as exc:
            return web.Response(status=400, text=str(exc))
        await self._switch(faults)
        return await self._show_faults(request)

    async def _delete_faults(self, request: web.Request) -> web.Response:
        await self._switch(Faults())
        return await self._show_faults(request)

    async def _switch(self, faults: Faults) -> None:
        self._faults = faults
        self._scraper.pace.change(faults.scrape_interval or self._interval)
        if faults.refused and self._site is not None:
            await self._site.stop()
            self._site = None
        if not faults.refused and self._site is None:
            await self._listen(int(self.url.rpartition(":")[2]))


def _runner(middlewares: list[Any], add: Any) -> web.AppRunner:
    app = web.Application(middlewares=middlewares)
    add(app)
    return web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN)
