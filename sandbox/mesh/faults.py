"""The switch for a slow control plane."""

from collections.abc import Callable
from typing import Self

from aiohttp import web

PATH = "/_sandbox/faults"
LONGEST_DELAY = 60.0


class Faults:
    """`/_sandbox/faults`, on a port of its own: `{"propagationDelay": seconds}`."""

    def __init__(self, on_change: Callable[[], None], propagation_delay: float) -> None:
        self.propagation_delay = propagation_delay
        self.url = ""
        self._on_change = on_change
        app = web.Application()
        app.add_routes([web.get(PATH, self._get), web.put(PATH, self._put), web.delete(PATH, self._delete)])
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)

    async def start(self, host: str) -> Self:
        """Open a free port on `host`."""
        await self._runner.setup()
        await web.TCPSite(self._runner, host, 0).start()
        self.url = f"http://{host}:{self._runner.addresses[0][1]}{PATH}"
        return self

    async def stop(self) -> None:
        """Close the port."""
        await self._runner.cleanup()

    async def _get(self, _: web.Request) -> web.Response:
        return web.json_response({"propagationDelay": self.propagation_delay})

    async def _put(self, request: web.Request) -> web.Response:
        wanted = await request.json()
        delay = wanted.get("propagationDelay", 0) if isinstance(wanted, dict) else None
        known = isinstance(wanted, dict) and wanted.keys() <= {"propagationDelay"}
        if not known or not isinstance(delay, int | float) or not 0 <= delay <= LONGEST_DELAY:
            raise web.HTTPBadRequest(
                text=f'{{"propagationDelay": 0 to {LONGEST_DELAY:.0f} seconds}} is all there is.'
            )
        self._set(float(delay))
        return await self._get(request)

    async def _delete(self, request: web.Request) -> web.Response:
        self._set(0.0)
        return await self._get(request)

    def _set(self, delay: float) -> None:
        self.propagation_delay = delay
        self._on_change()
