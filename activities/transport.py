"""How a query travels to a Prometheus: within a time limit, and where need be by a cluster's API server."""

import asyncio
import ssl
import time
from collections.abc import Mapping
from functools import cache
from typing import Any, Protocol

import requests
from requests.adapters import BaseAdapter, HTTPAdapter

from canary.errors import MeasurementError

TIMEOUT = 5
"""Seconds from the question to the last byte of the answer, as Flagger has it."""
_LARGEST_ANSWER = 4 * 2**20


class Proxy(Protocol):
    """Sends requests on by a cluster's API server."""

    async def send(
        self, url: str, *, body: bytes | None, headers: Mapping[str, str], seconds: float, limit: int
    ) -> tuple[int, bytes]:
        """Send a request and return the answer's status and body."""
        ...


class BoundedAdapter(HTTPAdapter):
    """Reads an answer within `TIMEOUT` as a whole, where requests bounds each read alone."""

    def __init__(self, ca: str | None = None) -> None:
        self._ca = ca
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Trust an authority besides the system's."""
        if self._ca is not None:
            kwargs["ssl_context"] = _trusting(self._ca)
        super().init_poolmanager(*args, **kwargs)

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        """Send a request and read the whole answer."""
        deadline = time.monotonic() + TIMEOUT
        response = super().send(request, *args, **{**kwargs, "stream": True})
        body = bytearray()
        while chunk := response.raw.read1(decode_content=True):
            body += chunk
            if time.monotonic() > deadline:
                response.close()
                raise requests.ReadTimeout(request=request)
            if len(body) > _LARGEST_ANSWER:
                response.close()
                raise MeasurementError(f"Prometheus answers more than {_LARGEST_ANSWER} bytes")
        if response.raw.length_remaining:
            raise requests.ConnectionError(request=request)  # cut off in the middle
        return _answered(request, response.status_code, bytes(body), dict(response.headers))


class ProxyAdapter(BaseAdapter):
    """Sends the client's requests on by a cluster's API server, from its thread into the event loop."""

    def __init__(self, proxy: Proxy, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._proxy = proxy
        self._loop = loop

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        """Hand a request over to the event loop and wait for its answer."""
        sending = self._proxy.send(
            request.url or "",
            body=None,
            headers=dict(request.headers),
            seconds=TIMEOUT,
            limit=_LARGEST_ANSWER,
        )
        status, body = asyncio.run_coroutine_threadsafe(sending, self._loop).result(TIMEOUT + 0.5)
        return _answered(request, status, body, {})

    def close(self) -> None:
        """Close nothing: the connections are the API client's."""


@cache
def _trusting(ca: str) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.load_verify_locations(cadata=ca)
    return context


def _answered(
    request: requests.PreparedRequest, status: int, body: bytes, headers: Mapping[str, str]
) -> requests.Response:
    response = requests.Response()
    response.request = request
    response.url = request.url or ""
    response.status_code = status
    response.headers.update(headers)
    response._content = body  # noqa: SLF001 — the library has no public way to make an answer
    return response
