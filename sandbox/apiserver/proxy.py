"""Requests passed on to what runs behind services and pods, at the addresses their Endpoints name."""

import random
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
from aiohttp import web

from sandbox.apiserver import errors
from sandbox.apiserver.registry import Resource
from sandbox.apiserver.request import Place

Object = dict[str, Any]
_NOT_PASSED_ON = {
    "host",
    "authorization",
    "connection",
    "transfer-encoding",
    "content-length",
    "content-encoding",
    "keep-alive",
}


def _unavailable(message: str) -> errors.StatusError:
    return errors.StatusError(503, "ServiceUnavailable", message)


# Reads an object of the core group, by plural, namespace and name.
Read = Callable[[str, str, str], Awaitable[Object | None]]


class Proxy:
    """Passes requests on to the pods that the objects it can `read` name."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close the connections."""
        if self._session:
            await self._session.close()

    async def to_service(self, request: web.BaseRequest, place: Place, path: str) -> web.StreamResponse:
        """Pass a request on to a ready endpoint of the service named `[scheme:]name[:port]`."""
        scheme, name, port = _split(place.name)
        service = await self._found("services", place, name)
        if port.isdigit():
            names = [p.get("name", "") for p in service["spec"].get("ports") or [] if p["port"] == int(port)]
            if not names:
                raise _unavailable(f'no service port {port} found for service "{name}"')
            port = names[0]
        hosts = _hosts(await self._found("endpoints", place, name), port)
        if not hosts:
            raise _unavailable(f'no endpoints available for service "{name}"')
        return await self._pass_on(request, f"{scheme}://{random.choice(hosts)}{path}")

    async def to_pod(self, request: web.BaseRequest, place: Place, path: str) -> web.StreamResponse:
        """Pass a request on to the pod named `[scheme:]name[:port]`; without a port to its first one."""
        scheme, name, port = _split(place.name)
        pod = await self._found("pods", place, name)
        ports = [p for c in pod["spec"]["containers"] for p in c.get("ports") or []]
        port = port or (str(ports[0]["containerPort"]) if ports else "80")
        if not pod["status"].get("podIP"):
            raise errors.bad_request(f"address not allowed: pod {name} has no IP")
        return await self._pass_on(request, f"{scheme}://{pod['status']['podIP']}:{port}{path}")

    async def _found(self, plural: str, place: Place, name: str) -> Object:
        found = await self._read(plural, place.namespace, name)
        if found is None:
            raise errors.not_found(place.resource, name)
        return found

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0), auto_decompress=False
            )
        return self._session

    async def _pass_on(self, request: web.BaseRequest, url: str) -> web.StreamResponse:
        headers = {k: v for k, v in request.headers.items() if k.lower() not in _NOT_PASSED_ON}
        data = await request.read()
        try:
            async with self._client().request(
                request.method,
                url,
                params=request.query,
                data=data or None,
                headers=headers,
                allow_redirects=False,
            ) as answer:
                kept = {
                    k: v
                    for k, v in answer.headers.items()
                    if k.lower() not in _NOT_PASSED_ON - {"content-encoding"}
                }
                return web.Response(status=answer.status, body=await answer.read(), headers=kept)
        except aiohttp.ClientError as error:
            raise _unavailable(f"error trying to reach service: {error}") from error


def _hosts(endpoints: Object, port_name: str) -> list[str]:
    return [
        f"{address['ip']}:{port['port']}"
        for subset in endpoints.get("subsets") or []
        for port in subset.get("ports") or []
        for address in subset.get("addresses") or []
        if port.get("name", "") == port_name
    ]


def _split(name: str) -> tuple[str, str, str]:
    parts = name.split(":")
    if len(parts) > 2:  # noqa: PLR2004 — scheme, name and port
        return parts[0] or "http", parts[1], parts[2]
    return "http", parts[0], parts[1] if len(parts) > 1 else ""


def is_proxied(resource: Resource, subresource: str) -> bool:
    """Tell whether a sub-resource passes requests on."""
    return subresource == "proxy" and resource.plural in ("services", "pods") and not resource.group
