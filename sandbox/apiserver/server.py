"""The server: HTTP in front of the objects."""

import asyncio
import contextlib
import json
import re
from http import HTTPStatus
from typing import Any, Self

from aiohttp import web

from sandbox.apiserver import crd, discovery, errors, listing, options, routes, table
from sandbox.apiserver.errors import StatusError
from sandbox.apiserver.faults import RequestLog
from sandbox.apiserver.handlers import Body, Handlers, Reply
from sandbox.apiserver.local import LocalLink
from sandbox.apiserver.objects import Objects
from sandbox.apiserver.proxy import Proxy, is_proxied
from sandbox.apiserver.reception import JSON, Reception, is_watch, json_answer, said
from sandbox.apiserver.registry import Registry
from sandbox.apiserver.request import Options, Place, timestamp
from sandbox.apiserver.routes import NoSuchPath, Target
from sandbox.apiserver.store import Event, Store
from sandbox.apiserver.watch import Watch, WatchOptions

Object = dict[str, Any]
_READABLE = {JSON, "application/*", "*/*", ""}
_SHAPES = {"Table", "PartialObjectMetadata", "PartialObjectMetadataList"}
_FIRST_NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")
_WATCH_SECONDS = 1800
_GROUP_PATH = 2  # parts of /apis/GROUP
_PREFIXES = {"api": 2, "apis": 3}  # and how many parts a path of objects has at least after them


class ApiServer:
    """A Kubernetes API server in memory."""

    has_controllers = False

    def __init__(self) -> None:
        self.url = ""
        self.registry = Registry()
        self.store = Store()
        self.objects = Objects(self.store, self.registry)
        self._kind_of_definitions = self.registry.builtin("customresourcedefinitions")
        self._handlers = Handlers(self.objects)
        self._proxy = Proxy(self._read)
        self._reception = Reception(self._route)
        self._runner: web.ServerRunner | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @classmethod
    async def start(cls, host: str = "127.0.0.1", port: int = 0) -> Self:
        """Serve on an address; port 0 chooses a free one."""
        server = cls()
        server._follow_definitions()
        namespaces = Place(server.registry.builtin("namespaces"), "")
        for name in _FIRST_NAMESPACES:
            server.objects.create(namespaces, {"metadata": {"name": name}}, Options(manager="kube-apiserver"))
        handler = web.Server(server._reception.answer, access_log=None)
        server._runner = web.ServerRunner(handler, shutdown_timeout=0.1)
        await server._runner.setup()
        site = web.TCPSite(server._runner, host, port)
        await site.start()
        address = server._runner.addresses[0]
        server.url = f"http://{address[0]}:{address[1]}"
        return server

    @property
    def log(self) -> RequestLog:
        """What was asked of it, also after its end."""
        return self._reception.log

    async def wait(self) -> None:
        """Wait for ever: it does not end by itself."""
        await asyncio.Event().wait()

    async def stop(self) -> None:
        """End the watches and close."""
        self._reception.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._proxy.close()
        if self._runner:
            await self._runner.cleanup()

    def _follow_definitions(self) -> None:
        queue: asyncio.Queue[Event | None] = asyncio.Queue()
        self.store.collection(crd.STORAGE).watchers.add(queue)
        task = asyncio.get_running_loop().create_task(self._serve_definitions(queue))
        self._tasks.add(task)

    async def _serve_definitions(self, queue: asyncio.Queue[Event | None]) -> None:
        while event := await queue.get():
            place = Place(self._kind_of_definitions, "", event.object["metadata"]["name"])
            if event.kind == "DELETED":
                crd.withdraw(event.object, self.registry, self.store)
            elif definition := self.objects.find(place):
                self._serve_definition(place, definition)

    def _serve_definition(self, place: Place, definition: Object) -> None:
        if definition["metadata"].get("deletionTimestamp"):
            crd.withdraw(definition, self.registry, self.store)
            self.objects.patch(place, crd.cleaned_up, Options(manager="kube-apiserver"))
            return
        crd.serve(definition, self.registry)
        if not definition["status"].get("conditions"):
            options = Options(manager="kube-apiserver", subresource="status")
            self.objects.patch(place, lambda obj: crd.established(obj, timestamp()), options)

    def link(self) -> LocalLink:
        """Give the way in for those who live in this process."""
        return LocalLink(self._reception, self._answer, self._open_watch)

    async def _route(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.path
        if _parts(path)[0] in ("readyz", "healthz", "livez"):
            return web.Response(text="ok")
        if not _is_of_objects(path):
            return json_answer(self._described(_parts(path)))
        target = routes.find(self.registry, path)
        if is_proxied(target.resource, target.subresource):
            place = Place(target.resource, target.namespace, target.name)
            to = self._proxy.to_service if target.resource.plural == "services" else self._proxy.to_pod
            return await to(request, place, target.rest or "/")
        query, shape = dict(request.query), _shape(request.headers.get("Accept", ""))
        if request.method == "GET" and (target.is_watch or (is_watch(request) and not target.name)):
            return await self._stream(request, self._watch(target, query, shape))
        body = await request.read(), request.content_type, request.headers.get("User-Agent", "")
        reply = self._handlers.handle(request.method, target, query, body)
        return _as_http(_shaped(reply, target, shape, query), target, reply)

    def _answer(self, method: str, path: str, query: dict[str, str], body: Body) -> tuple[int, Object]:
        if not _is_of_objects(path):
            return HTTPStatus.OK, self._described(_parts(path))
        reply = self._handlers.handle(method, routes.find(self.registry, path), query, body)
        return reply.status, reply.body

    def _described(self, parts: list[str]) -> Object:
        """Say what there is beside objects."""
        if parts[0] in ("api", "apis"):
            return self._discovery(parts)
        if parts[0] == "openapi":
            return self._openapi(parts)
        if parts == ["version"]:
            return discovery.VERSION
        raise NoSuchPath("/".join(parts))

    def _discovery(self, parts: list[str]) -> Object:
        if parts == ["api"]:
            return discovery.versions(self.url.removeprefix("http://"))
        if parts == ["apis"]:
            return discovery.groups(self.registry)
        group = parts[1] if parts[0] == "apis" else ""
        if group and group not in self.registry.groups():
            raise NoSuchPath(group)
        if parts[0] == "apis" and len(parts) == _GROUP_PATH:
            return discovery.group(self.registry, group)
        if parts[-1] not in self.registry.versions(group):
            raise errors.unknown_path() if routes.is_served(self.registry, group, "") else NoSuchPath(group)
        return discovery.resources(self.registry, group, parts[-1])

    def _openapi(self, parts: list[str]) -> Object:
        if parts == ["openapi", "v3"]:
            return discovery.openapi_index(self.registry)
        match = re.fullmatch(r"openapi/v3/apis?(?:/([^/]+))?/([^/]+)", "/".join(parts))
        if not match:
            raise NoSuchPath("/".join(parts))
        return discovery.openapi(self.registry, match[1] or "", match[2])

    async def _read(self, plural: str, namespace: str, name: str) -> Object | None:
        return self.store.get(("", plural), namespace, name)

    def _open_watch(self, path: str, query: dict[str, str]) -> Watch:
        return self._watch(routes.find(self.registry, path), query)

    def _watch(self, target: Target, query: dict[str, str], shape: str = "") -> Watch:
        resource = target.resource
        wanted_fields = f"metadata.name={target.name}" if target.name else query.get("fieldSelector", "")
        selection = listing.Selection(
            resource, target.namespace, query.get("labelSelector", ""), wanted_fields
        )
        initial = options.check_initial(query)
        version = query.get("resourceVersion", "")
        if version and not version.isdigit():
            raise errors.bad_request(f"Invalid value: {json.dumps(version)}")
        wanted = WatchOptions(
            version=version,
            seconds=options.number(query, "timeoutSeconds") or _WATCH_SECONDS,
            bookmarks=options.is_true(query, "allowWatchBookmarks"),
            initial=initial,
            shape=shape,
        )
        include = query.get("includeObject", "")

        def render(obj: Object, is_first: bool) -> Object:  # noqa: FBT001 — the signature is Watch's
            return table.render(obj, resource, shape, header=is_first, include=include)

        return Watch(self.store, selection, wanted, render)

    async def _stream(self, request: web.BaseRequest, watch: Watch) -> web.StreamResponse:
        def is_open() -> bool:
            return request.transport is not None and not request.transport.is_closing()

        response = web.StreamResponse(headers={"Content-Type": JSON})
        response.enable_chunked_encoding()
        with self._reception.following(*said(request), watch), contextlib.suppress(ConnectionError):
            await response.prepare(request)
            async for line in watch.lines(is_open):  # until the client goes away, as clients of watches do
                await response.write(line)
        return response


def _parts(path: str) -> list[str]:
    return path.strip("/").split("/")


def _is_of_objects(path: str) -> bool:
    first, *others = _parts(path)
    return first in _PREFIXES and len(others) >= _PREFIXES[first]


def _shape(accept: str) -> str:
    """Choose the representation: the first that the client accepts and the server has."""
    for entry in accept.split(","):
        media, *parameters = (part.strip() for part in entry.split(";"))
        if media not in _READABLE:
            continue
        wanted = dict(p.split("=", 1) for p in parameters if "=" in p).get("as", "")
        if not wanted or wanted in _SHAPES:
            return wanted
    message = (
        "406: Not Acceptable\n\nAvailable representations: application/json, application/yaml, "
        "application/vnd.kubernetes.protobuf, application/json;stream=watch, "
        "application/vnd.kubernetes.protobuf;stream=watch"
    )
    raise StatusError(406, "NotAcceptable", message, {})


def _shaped(reply: Reply, target: Target, shape: str, query: dict[str, str]) -> Object:
    if not reply.is_object:
        return reply.body
    return table.render(reply.body, target.resource, shape, include=query.get("includeObject", ""))


def _as_http(body: Object, target: Target, reply: Reply) -> web.Response:
    answer = json_answer(body, reply.status)
    deprecated = target.resource.deprecated
    for warning in (deprecated, *reply.warnings) if deprecated else reply.warnings:
        text = warning.replace("\\", "\\\\").replace('"', '\\"')
        answer.headers.add("Warning", f'299 - "{text}"')
    return answer
