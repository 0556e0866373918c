"""The switches of a part's faults: `/_sandbox/faults` on a port of its own."""

from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

import pydantic
from aiohttp import web
from pydantic.alias_generators import to_camel

from sandbox.serving import listen, runner_of

PATH = "/_sandbox/faults"


class Faults(
    pydantic.BaseModel, extra="forbid", frozen=True, alias_generator=to_camel, populate_by_name=True
):
    """What can be wrong with a part."""


F = TypeVar("F", bound=Faults)


class Switches(Generic[F]):
    """`GET` shows the faults, `PUT` sets all, `DELETE` brings back those at the start; `switch` is told."""

    def __init__(self, initial: F, switch: Callable[[F], Awaitable[None]]) -> None:
        self.url = ""
        self.faults = initial
        self._initial = initial
        self._switch = switch
        app = web.Application()
        app.add_routes([web.get(PATH, self._show), web.put(PATH, self._put), web.delete(PATH, self._end)])
        self._runner = runner_of(app)

    async def start(self) -> None:
        """Open a free port."""
        self.url = await listen(self._runner) + PATH

    async def stop(self) -> None:
        """Close the port."""
        await self._runner.cleanup()

    async def _show(self, _: web.Request) -> web.Response:
        return web.json_response(self.faults.model_dump(by_alias=True))

    async def _put(self, request: web.Request) -> web.Response:
        try:
            wanted = type(self._initial).model_validate_json(await request.text())
        except pydantic.ValidationError as exc:
            return web.Response(status=400, text=str(exc))
        return await self._set(
            self._initial.model_copy(update=wanted.model_dump(exclude_unset=True)), request
        )

    async def _end(self, request: web.Request) -> web.Response:
        return await self._set(self._initial, request)

    async def _set(self, faults: F, request: web.Request) -> web.Response:
        self.faults = faults
        await self._switch(faults)
        return await self._show(request)
