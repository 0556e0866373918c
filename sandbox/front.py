"""A plain HTTP address in front of another API server, with our request log and faults.

A real API server lets no loopback address into Endpoints, and every pod of the sandbox has one: where it runs
those, they are in disguise behind the front, 127.a.b.c as 240.a.b.c, which is nobody's. Requests to pods and
Services are then passed on from here, too.
"""

import asyncio
import contextlib
import json
import re
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Self

import aiohttp
from aiohttp import web
from yarl import URL

from sandbox.apiserver.errors import StatusError
from sandbox.apiserver.proxy import Proxy
from sandbox.apiserver.reception import Reception, is_watch, said
from sandbox.apiserver.registry import Registry
from sandbox.apiserver.request import Place
from sandbox.objects import Object
from sandbox.serving import listen

LOOPBACK, DISGUISED = (re.compile(rb'"%d((?:\.\d{1,3}){3})"' % first) for first in (127, 240))
PROXIED = re.compile(r"/api/v1/namespaces/([^/]+)/(services|pods)/([^/]+)/proxy(/.*)?")
# What holds between two ends only.
HOP = {"host", "connection", "keep-alive", "transfer-encoding", "content-length", "authorization"}
HOP |= {"accept-encoding", "content-encoding"}
PROTOBUF = re.compile(r"application/vnd\.kubernetes\.protobuf[^,]*,?")
NOT_FOUND = 404
# How often a quiet watch looks whether its client is still there.
LOOK = 5.0
# The client went away, or a fault closed the watch.
ENDS = (ConnectionError, aiohttp.ClientError)


@dataclass(frozen=True)
class Upstream:
    """The server behind: its address, what is needed to be let in, and whose its pods are."""

    url: str
    tls: ssl.SSLContext | None = None
    token: str = ""
    has_sandbox_pods: bool = True
    """Whether they are the sandbox's, with addresses that are told in disguise."""


class Front:
    """The address; made by `start`."""

    def __init__(self, upstream: Upstream) -> None:
        self.url = ""
        self._upstream = upstream
        self._reception = Reception(self._route)
        self._proxy = Proxy(self._read)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=upstream.tls or True, limit=0),
            headers={"Authorization": f"Bearer {upstream.token}"} if upstream.token else {},
            timeout=aiohttp.ClientTimeout(total=None),
        )
        self._registry = Registry()
        self._runner = web.ServerRunner(web.Server(self._reception.answer, access_log=None))

    @classmethod
    async def start(cls, upstream: Upstream) -> Self:
        """Listen on a free port."""
        front = cls(upstream)
        front.url = await listen(front._runner)
        return front

    async def stop(self) -> None:
        """End the watches and close."""
        self._reception.close()
        await self._proxy.close()
        await self._session.close()
        await self._runner.cleanup()

    async def _route(self, request: web.BaseRequest) -> web.StreamResponse:
        found = PROXIED.fullmatch(request.path)
        if not found or not self._upstream.has_sandbox_pods:
            return await self._pass_on(request)
        namespace, plural, name, path = found.groups()
        to = self._proxy.to_service if plural == "services" else self._proxy.to_pod
        return await to(request, Place(self._registry.builtin(plural), namespace, name), path or "/")

    async def _read(self, plural: str, namespace: str, name: str) -> Object | None:
        path = f"{self._upstream.url}/api/v1/namespaces/{namespace}/{plural}/{name}"
        async with self._session.get(path) as answer:
            if answer.status == NOT_FOUND:
                return None
            answer.raise_for_status()
            found: Object = json.loads(self._bared(await answer.read()))
            return found

    async def _pass_on(self, request: web.BaseRequest) -> web.StreamResponse:
        headers = {key: value for key, value in request.headers.items() if key.lower() not in HOP}
        body = await request.read()
        if self._upstream.has_sandbox_pods:
            # What is written in protobuf cannot be told apart, so that nobody gets any.
            headers["Accept"] = PROTOBUF.sub("", headers.get("Accept", "")).strip(", ") or "*/*"
            body = LOOPBACK.sub(rb'"240\1"', body)
        target = URL(f"{self._upstream.url}{request.rel_url.raw_path_qs}", encoded=True)
        try:
            async with self._session.request(
                request.method, target, headers=headers, data=body or None
            ) as answer:
                kept = {key: value for key, value in answer.headers.items() if key.lower() not in HOP}
                if is_watch(request) and answer.ok:
                    return await self._follow(request, answer)
                return web.Response(status=answer.status, headers=kept, body=self._bared(await answer.read()))
        except aiohttp.ClientError as error:
            text = f"The API server behind the front cannot be reached: {error}"
            raise StatusError(503, "ServiceUnavailable", text) from error

    async def _follow(self, request: web.BaseRequest, answer: aiohttp.ClientResponse) -> web.StreamResponse:
        """Pass a watch on, line by line, until one of its ends closes."""
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        response.enable_chunked_encoding()
        with self._reception.following(*said(request), answer), contextlib.suppress(*ENDS):
            await response.prepare(request)
            async for line in _lines(request, answer):
                await response.write(self._bared(line))
        answer.close()
        return response

    def _bared(self, text: bytes) -> bytes:
        return DISGUISED.sub(rb'"127\1"', text) if self._upstream.has_sandbox_pods else text


async def _lines(request: web.BaseRequest, answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """Yield whole lines as long as somebody is there for them."""
    rest = b""
    while request.transport and not request.transport.is_closing():
        try:
            found = await asyncio.wait_for(answer.content.readany(), LOOK)
        except TimeoutError:
            continue
        if not found:
            return
        whole, end, rest = (rest + found).rpartition(b"\n")
        if end:
            yield whole + end
