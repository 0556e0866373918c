"""Requests passed on to what runs behind services and pods, at the addresses their Endpoints name."""

import random
from typing import Any

import aiohttp
from aiohttp import web

from sandbox.apiserver import errors
from sandbox.apiserver.objects import Objects
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


class Proxy:
    """Passes requests on."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close the connections."""
        if self._session:
            await self._session.close()

    async def to_service(self, request: web.BaseRequest, place: Place, path: str) -> web.StreamResponse:
        """Pass a request on to a ready endpoint of the service named `[scheme:]name[:port]`."""
        scheme, name, port = _split(place.name)
        found = Place(place.resource, place.namespace, name)
        service = self._objects.get(found)
        if port.isdigit():
            names = [p.get("name", "") for p in service["spec"].get("ports") or [] if p["port"] == int(port)]
            if not names:
                raise _unavailable(f'no service port {port} found for service "{name}"')
            port = names[0]
        host = self._endpoint(found, port)
        return await self._pass_on(request, f"{scheme}://{host}{path}")

    def _endpoint(self, place: Place, port_name: str) -> str:
        endpoints = self._objects.store.get(("", "endpoints"), place.namespace, place.name)
        if endpoints is None:
            raise errors.not_found(place.resource, place.name)
        found = [
            f"{address['ip']}:{port['port']}"
            for subset in endpoints.get("subsets") or []
            for port in subset.get("ports") or []
            for address in subset.get("addresses") or []
            if port.get("name", "") == port_name
        ]
        if not found:
            raise _unavailable(f'no endpoints available for service "{place.name}"')
        return random.choice(found)

    async def to_pod(self, request: web.BaseRequest, place: Place, path: str) -> web.StreamResponse:
        """Pass a request on to the pod named `[scheme:]name[:port]`; without a port to its first one."""
        scheme, name, port = _split(place.name)
        pod = self._objects.get(Place(place.resource, place.namespace, name))
        ports = [p for c in pod["spec"]["containers"] for p in c.get("ports") or []]
        port = port or (str(ports[0]["containerPort"]) if ports else "80")
        if not pod["status"].get("podIP"):
            raise errors.bad_request(f"address not allowed: pod {name} has no IP")
        return await self._pass_on(request, f"{scheme}://{pod['status']['podIP']}:{port}{path}")

    async def logs(self, place: Place, query: dict[str, str]) -> web.Response:
        """Give a pod's log as the kubelet of its node has it."""
        pod = self._objects.get(place)
        if not pod["spec"].get("nodeName"):
            raise errors.bad_request(f"pod {place.name} does not have a host assigned")
        node = self._objects.store.get(("", "nodes"), "", pod["spec"]["nodeName"]) or {"status": {}}
        port = node["status"].get("daemonEndpoints", {}).get("kubeletEndpoint", {}).get("Port")
        addresses = [entry["address"] for entry in node["status"].get("addresses") or []]
        if not port or not addresses:
            raise _unavailable(f"node {pod['spec']['nodeName']} serves no logs")
        container = query.get("container") or pod["spec"]["containers"][0]["name"]
        url = f"http://{addresses[0]}:{port}/containerLogs/{place.namespace}/{place.name}/{container}"
        try:
            async with self._client().get(url, params=query) as answer:
                return web.Response(status=answer.status, text=await answer.text())
        except aiohttp.ClientError as error:
            raise _unavailable(f"Get {url!r}: {error}") from error

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


def _split(name: str) -> tuple[str, str, str]:
    parts = name.split(":")
    if len(parts) > 2:  # noqa: PLR2004 — scheme, name and port
        return parts[0] or "http", parts[1], parts[2]
    return "http", parts[0], parts[1] if len(parts) > 1 else ""


def is_proxied(resource: Resource, subresource: str) -> bool:
    """Tell whether a sub-resource passes requests on."""
    return subresource == "proxy" and resource.plural in ("services", "pods") and not resource.group
