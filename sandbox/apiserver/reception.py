"""What meets every request before it is answered: the request log, and the faults that are switched on."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Protocol

from aiohttp import web

from sandbox.apiserver import errors
from sandbox.apiserver.errors import StatusError
from sandbox.apiserver.faults import Faults, RequestLog
from sandbox.apiserver.jsontext import as_json
from sandbox.apiserver.options import is_true
from sandbox.apiserver.routes import NoSuchPath
from sandbox.apiserver.watch import line

Object = dict[str, Any]
JSON = "application/json"
CONTROL = "/_sandbox/"
_NOT_FOUND, _GONE = 404, 410

Route = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Stream(Protocol):
    """An open watch."""

    def close(self) -> None:
        """End it."""


class Reception:
    """Logs each request and does to it what the faults say; `route` answers it."""

    def __init__(self, route: Route) -> None:
        self._route = route
        self._faults = Faults()
        self.log = RequestLog()
        self._streams: dict[Stream, tuple[str, str]] = {}

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request."""
        if request.path.startswith(CONTROL):
            return await self._control(request)
        path, agent = said(request)
        entry = self._enter(request.method, path, agent, request.query.get("fieldManager", ""))
        try:
            await request.read()  # now: a request that is held goes on even if its client has gone
            await self._meet(entry)
            answer = await self._route(request)
        except NoSuchPath:
            answer = web.Response(status=404, text="404 page not found\n")
        except StatusError as error:
            if error.code == _GONE and is_watch(request):  # a watch learns it as the real one says it
                answer = web.Response(body=line("ERROR", error.body), content_type=JSON)
            else:
                answer = json_answer(error.body, error.code)
        entry |= {"status": answer.status, "done": time.time()}
        return answer

    @asynccontextmanager
    async def received(self, method: str, path: str, agent: str, manager: str) -> AsyncIterator[Object]:
        """Do the same to a request that comes without HTTP; its entry is to be given its status."""
        entry = self._enter(method, path, agent, manager)
        try:
            await self._meet(entry)
            yield entry
        except NoSuchPath:
            entry["status"] = _NOT_FOUND
            raise errors.unknown_path() from None
        except StatusError as error:
            entry["status"] = error.code
            raise
        finally:
            entry["done"] = time.time()

    def _enter(self, method: str, path: str, agent: str, manager: str) -> Object:
        entry = {
            "time": time.time(),
            "method": method,
            "path": path,
            "userAgent": agent,
            "manager": manager or agent.partition("/")[0],
        }
        return self.log.begin(entry)

    async def _meet(self, entry: Object) -> None:
        with self.log.holding(entry):
            await self._faults.meet(entry["method"], entry["path"], entry["userAgent"])

    @contextmanager
    def following(self, path: str, agent: str, stream: Stream) -> Iterator[None]:
        """Keep a watch among those that a fault closes."""
        self._streams[stream] = path, agent
        try:
            yield
        finally:
            del self._streams[stream]

    def close(self) -> None:
        """End the watches, and let go what is held."""
        for stream in list(self._streams):
            stream.close()
        self._faults.replace([])

    async def _control(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            if request.path == f"{CONTROL}requests":
                return json_answer(self.log.since(int(request.query.get("since", "0"))))
            if request.path != f"{CONTROL}faults":
                raise errors.unknown_path()
            if request.method == "PUT":
                self._put_faults(await request.json())
            elif request.method == "DELETE":
                self._faults.replace([])
            return json_answer(self._faults.listed())
        except StatusError as error:
            return json_answer(error.body, error.code)

    def _put_faults(self, wanted: Any) -> None:
        for rule in self._faults.replace(wanted):
            for stream, (path, agent) in list(self._streams.items()):
                if rule.do == "closeWatches" and rule.meets("GET", path, agent):
                    stream.close()


def is_watch(request: web.BaseRequest) -> bool:
    """Tell whether a request asks for a watch."""
    return is_true(dict(request.query), "watch")


def json_answer(body: Any, status: int = 200) -> web.Response:
    """Answer with JSON."""
    return web.Response(body=as_json(body), status=status, content_type=JSON)


def said(request: web.BaseRequest) -> tuple[str, str]:
    """Give the path with its query, and who asks."""
    return request.rel_url.raw_path_qs, request.headers.get("User-Agent", "")
