"""A small, fast HTTP/1.1 server on `asyncio.Protocol`: keep-alive, pipelining, delays, graceful end."""

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import NamedTuple, cast

LONGEST_HEAD = 64 * 2**10
JSON = "application/json; charset=utf-8"
TEXT = "text/plain; charset=utf-8"


class Request(NamedTuple):
    """What was asked; `head` is the raw header lines, parsed only by those who need them."""

    method: str
    target: str
    head: bytes
    body: bytes

    def headers(self) -> list[tuple[str, str]]:
        """Return all headers in order."""
        pairs = (line.partition(":") for line in self.head.decode("latin-1").split("\r\n") if line)
        return [(key, value.strip()) for key, _, value in pairs]


class Answer(NamedTuple):
    """What to answer, after `delay` seconds."""

    status: int
    body: bytes
    content_type: str = JSON
    delay: float = 0.0


Handler = Callable[[Request], Answer]
Observer = Callable[[Request, int, float], None]


class HttpServer:
    """Listens on one address; `handler` answers, `observer` is told status and seconds of each request."""

    def __init__(self, handler: Handler, observer: Observer | None = None) -> None:
        self.handler = handler
        self.observer = observer
        self.is_closing = False
        self.connections: set[Connection] = set()
        self._server: asyncio.Server | None = None

    async def start(self, host: str, port: int) -> None:
        """Begin to listen."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Connection(self), host, port, backlog=1024)

    async def stop(self, limit: float) -> None:
        """Stop listening; idle connections end now, the others with their answer or after `limit` seconds."""
        self.is_closing = True
        if self._server:
            self._server.close()
        for connection in list(self.connections):
            connection.finish()
        if self.connections:
            ends = [asyncio.create_task(connection.ended.wait()) for connection in self.connections]
            _, late = await asyncio.wait(ends, timeout=limit)
            for task in late:
                task.cancel()
        for connection in list(self.connections):
            connection.abort()


class Connection(asyncio.Protocol):
    """One client's connection."""

    def __init__(self, server: HttpServer) -> None:
        self.ended = asyncio.Event()
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._buffer = b""
        self._is_waiting = False
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)
        self._server.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 — the protocol's signature
        """Forget the connection."""
        self._transport = None
        self._server.connections.discard(self)
        self.ended.set()

    def data_received(self, data: bytes) -> None:
        """Answer every request that is complete."""
        self._buffer = self._buffer + data if self._buffer else data
        self._answer_all()

    def finish(self) -> None:
        """Close, now if nothing is being answered, else after the answer."""
        if self._transport and not self._is_waiting and not self._buffer:
            self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        if self._transport:
            self._transport.abort()

    def _answer_all(self) -> None:
        while self._buffer and not self._is_waiting and self._transport:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                if len(self._buffer) > LONGEST_HEAD:
                    self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
                return
            if not self._answer_one(end):
                return

    def _answer_one(self, end: int) -> bool:
        """Answer the request whose head ends at `end`; False if its body is not here yet or it is no HTTP."""
        line, _, head = self._buffer[:end].partition(b"\r\n")
        parts = line.split(b" ")
        fields = head.lower()
        length = _content_length(fields)
        if len(parts) != 3 or length is None:  # noqa: PLR2004 — method, target, version
            self._refuse(HTTPStatus.BAD_REQUEST)
            return False
        stop = end + 4 + length
        if len(self._buffer) < stop:
            return False
        body = self._buffer[end + 4 : stop]
        self._buffer = self._buffer[stop:]
        request = Request(parts[0].decode("latin-1"), parts[1].decode("latin-1"), head, body)
        is_last = parts[2] == b"HTTP/1.0" or b"connection: close" in fields
        began = self._loop.time()
        answer = self._server.handler(request)
        if answer.delay:
            self._is_waiting = True
            self._loop.call_later(answer.delay, self._resume, request, answer, began, is_last)
        else:
            self._write(request, answer, began, is_last=is_last)
        return True

    def _resume(self, request: Request, answer: Answer, began: float, is_last: bool) -> None:  # noqa: FBT001 — call_later takes no keywords
        self._is_waiting = False
        self._write(request, answer, began, is_last=is_last)
        self._answer_all()

    def _write(self, request: Request, answer: Answer, began: float, *, is_last: bool) -> None:
        if self._server.observer:
            self._server.observer(request, answer.status, self._loop.time() - began)
        if not self._transport:
            return
        is_last = is_last or self._server.is_closing
        ending = "Connection: close\r\n" if is_last else ""
        head = (
            f"HTTP/1.1 {answer.status} {_phrase(answer.status)}\r\n{ending}"
            f"Content-Type: {answer.content_type}\r\nContent-Length: {len(answer.body)}\r\n\r\n"
        )
        body = b"" if request.method == "HEAD" else answer.body
        self._transport.write(head.encode("latin-1") + body)
        if is_last:
            self._transport.close()

    def _refuse(self, status: HTTPStatus) -> None:
        self._buffer = b""
        if self._transport:
            head = f"HTTP/1.1 {status} {status.phrase}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
            self._transport.write(head.encode("latin-1"))
            self._transport.close()


def _content_length(fields: bytes) -> int | None:
    """Return the length of the body; None if it is not stated as a number (chunks are not taken)."""
    if b"transfer-encoding:" in fields:
        return None
    start = fields.find(b"content-length:")
    if start < 0:
        return 0
    text = fields[start + 15 :].partition(b"\r\n")[0].strip()
    return int(text) if text.isdigit() else None


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
