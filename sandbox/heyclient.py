"""One HTTP/1.1 connection of the load generator: raw, because aiohttp is four times too slow for load."""

import asyncio
import dataclasses
import time
import urllib.parse
from typing import cast

HTTP_PORT = 80
TIMED_OUT = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"


class RequestError(Exception):
    """A request without an answer, worded as Go's HTTP client words it."""


class ClosedError(RequestError):
    """The peer closed the connection before the first byte of an answer."""


@dataclasses.dataclass(frozen=True)
class Target:
    """Where a connection goes: the host and port dialled."""

    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> "Target":
        """Return the target of an absolute http URL; in a mesh, TLS is the sidecars' part."""
        parts = urllib.parse.urlsplit(url)
        if parts.scheme != "http" or not parts.hostname:
            raise RequestError(f'unsupported protocol scheme "{parts.scheme}" in {url}')
        return cls(parts.hostname, parts.port or HTTP_PORT)


@dataclasses.dataclass
class Answer:
    """A response: its status and the size of its body, whether it has begun and when it ended."""

    status: int = 0
    size: int = 0
    is_begun: bool = False
    finished: float = 0.0


class Connection(asyncio.Protocol):
    """Sends one request at a time and reads its answer; bodies are counted, not kept."""

    def __init__(self) -> None:
        self.is_open = False
        self.requests = 0
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[Answer] | None = None
        self._answer = Answer()
        self._buffer = bytearray()
        self._has_body = True
        # Bytes of the body still to come; None while a head is read, -1 for all until the peer closes.
        self._left: int | None = None
        self._is_chunked = False

    @classmethod
    async def open(cls, target: Target, timeout: float | None) -> "Connection":  # noqa: ASYNC109 — as `send`
        """Dial the target."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(timeout):
                _, connection = await loop.create_connection(cls, target.host, target.port)
        except TimeoutError as exc:
            raise RequestError(TIMED_OUT) from exc
        except OSError as exc:
            raise RequestError(_dial_error(target, exc)) from exc
        return connection

    async def send(self, request: bytes, *, has_body: bool, timeout: float | None) -> Answer:  # noqa: ASYNC109 — asyncio.timeout per request halves the rate
        """Write a request and return its whole answer."""
        assert self._transport is not None
        self._waiter = self._loop.create_future()
        self._answer, self._has_body = Answer(), has_body
        self.requests += 1
        self._transport.write(request)
        expiry = self._loop.call_later(timeout, self._expire) if timeout else None
        try:
            return await self._waiter
        finally:
            if expiry:
                expiry.cancel()

    def close(self) -> None:
        """Close the connection."""
        self.is_open = False
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember the transport."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by class
        self.is_open = True

    def connection_lost(self, exc: Exception | None) -> None:
        """End the answer that is read until the peer closes, or fail the request."""
        self.is_open = False
        if self._left == -1:
            self._finish()
            return
        if self._answer.is_begun:
            self._fail(RequestError("unexpected EOF"))
        else:
            self._fail(ClosedError("EOF" if exc is None else str(exc)))

    def data_received(self, data: bytes) -> None:
        """Take in a piece of the answer."""
        if self._waiter is None:
            self.close()  # nobody asked
            return
        self._answer.is_begun = True
        self._buffer += data
        try:
            while self._advance():
                pass
        except (ValueError, IndexError):
            self._fail(RequestError("malformed HTTP response"))
            self.close()

    def _advance(self) -> bool:
        """Take the next head, chunk or body out of the buffer; False if more bytes are needed."""
        if self._left is None:
            return self._take_head()
        if self._left == -1:
            self._answer.size += len(self._buffer)
            self._buffer.clear()
            return False
        return self._take_chunk() if self._is_chunked else self._take_body()

    def _take_head(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return False
        lines = self._buffer[:end].decode("latin-1").split("\r\n")
        del self._buffer[: end + 4]
        status = int(lines[0].split(" ", 2)[1])
        if status < 200:  # noqa: PLR2004 — 100 Continue and its like precede the answer
            return True
        headers = {
            name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])
        }
        self._answer.status = status
        if headers.get("connection", "").lower() == "close" or lines[0].startswith("HTTP/1.0"):
            self.is_open = False
        return self._begin_body(status, headers)

    def _begin_body(self, status: int, headers: dict[str, str]) -> bool:
        self._is_chunked = headers.get("transfer-encoding", "").lower() == "chunked"
        if not self._has_body or status in {204, 304}:
            self._is_chunked, self._left = False, 0
        elif self._is_chunked:
            self._left = 0
        else:
            self._left = int(headers.get("content-length", -1))
            self._answer.size = max(self._left, 0)
        return True

    def _take_body(self) -> bool:
        assert self._left is not None
        taken = min(self._left, len(self._buffer))
        del self._buffer[:taken]
        self._left -= taken
        if self._left == 0:
            self._finish()
        return False

    def _take_chunk(self) -> bool:
        end = self._buffer.find(b"\r\n")
        if end < 0:
            return False
        size = int(self._buffer[:end].split(b";")[0], 16)
        if size == 0:
            return self._take_trailers(end)
        if len(self._buffer) < end + 2 + size + 2:
            return False
        del self._buffer[: end + 2 + size + 2]
        self._answer.size += size
        return True

    def _take_trailers(self, start: int) -> bool:
        end = self._buffer.find(b"\r\n\r\n", start)
        if end >= 0:
            del self._buffer[: end + 4]
            self._finish()
        return False

    def _finish(self) -> None:
        self._left = None
        self._answer.finished = time.perf_counter()
        waiter, self._waiter = self._waiter, None
        if self._buffer or not self.is_open:
            self.close()  # what came unasked would be taken for the next answer
        if waiter is not None and not waiter.done():
            waiter.set_result(self._answer)

    def _fail(self, error: RequestError) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_exception(error)

    def _expire(self) -> None:
        self._fail(RequestError(TIMED_OUT))
        self.close()


def _dial_error(target: Target, exc: OSError) -> str:
    if exc.errno is None or exc.errno < 0:
        return f"dial tcp: lookup {target.host}: no such host"
    reason = exc.strerror or str(exc)
    if "Connect call failed" in reason:
        reason = "connection refused"
    return f"dial tcp {target.host}:{target.port}: connect: {reason.lower()}"
