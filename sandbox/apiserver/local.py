"""The way to an API server of the parts that live in its process."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any
from urllib.parse import urlencode

from sandbox.apiserver.errors import StatusError
from sandbox.apiserver.handlers import Body
from sandbox.apiserver.jsontext import as_json
from sandbox.apiserver.reception import Reception
from sandbox.apiserver.watch import Watch
from sandbox.client import ANSWERED_WITHIN, error_of

Object = dict[str, Any]
Answer = Callable[[str, str, dict[str, str], Body], tuple[int, Object]]
Open = Callable[[str, dict[str, str]], Watch]
AGENT = "sandbox"


class LocalLink:
    """Requests that are logged, met by the faults and answered as all others, without sockets and HTTP.

    What goes over is bytes, as it would be by those: nobody shares an object with the server.
    """

    def __init__(self, reception: Reception, answer: Answer, open_watch: Open) -> None:
        self._reception = reception
        self._answer = answer
        self._open_watch = open_watch

    async def send(
        self, method: str, path: str, query: dict[str, str], body: bytes | None, content_type: str
    ) -> tuple[int, bytes]:
        """Send a request and return the answer's status and body."""
        await asyncio.sleep(0)  # whoever asks one thing after the other does not keep all others waiting
        sent = body or b"", content_type, AGENT
        manager = query.get("fieldManager", "")
        try:
            async with (
                asyncio.timeout(ANSWERED_WITHIN),
                self._reception.received(method, _whole(path, query), AGENT, manager) as entry,
            ):
                entry["status"], found = self._answer(method, path, query, sent)
        except StatusError as error:
            return error.code, as_json(error.body)
        return entry["status"], as_json(found)

    async def watch(self, path: str, query: dict[str, str]) -> AsyncGenerator[bytes, None]:
        """Yield the lines of a watch until the server ends it.

        Raises:
            ApiError: the server refuses to begin it.
        """
        whole = _whole(path, query)
        try:
            async with self._reception.received("GET", whole, AGENT, "") as entry:
                watch = self._open_watch(path, query)
                entry["status"] = 200
                with self._reception.following(whole, AGENT, watch):
                    async with aclosing(watch.lines()) as lines:
                        async for line in lines:
                            yield line
        except StatusError as error:
            raise error_of(error.code, as_json(error.body)) from None

    async def close(self) -> None:
        """Close nothing: there is no connection."""


def _whole(path: str, query: dict[str, str]) -> str:
    return f"{path}?{urlencode(query)}" if query else path
