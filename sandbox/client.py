"""The client that every part of the sandbox reaches an API server with, and a cache that follows a watch."""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from http import HTTPStatus
from typing import Any, Literal, Protocol, Self

import aiohttp

from sandbox.objects import Object, key_of

PATCH_TYPES = {
    "json": "application/json-patch+json",
    "merge": "application/merge-patch+json",
    "strategic": "application/strategic-merge-patch+json",
}

PatchKind = Literal["json", "merge", "strategic"]
OnChange = Callable[[str, Object], Awaitable[None]]

# A watch without a word for longer than this is taken for dead; the server closes it earlier by itself.
WATCH_SECONDS = 300
# One event is one line; a Deployment with managedFields is a few KiB, a ConfigMap at most 1 MiB.
LONGEST_LINE = 4 * 2**20
ANSWERED_WITHIN = 30.0
FIRST_BACK_OFF, LONGEST_BACK_OFF = 0.05, 2.0


class ApiError(Exception):
    """An answer of the API server that is not a success."""

    def __init__(self, status: int, body: Object) -> None:
        self.status = status
        self.body = body
        self.reason: str = body.get("reason", "")
        self.message: str = body.get("message", "")
        super().__init__(f"{status} {self.reason}: {self.message}")


class NotFoundError(ApiError):
    """What was asked for is not there."""


class ConflictError(ApiError):
    """Of this name there is one, or it was changed meanwhile."""


ERRORS = {404: NotFoundError, 409: ConflictError}
FAILURES = (ApiError, aiohttp.ClientError, TimeoutError)
"""What a request ends with that was refused or not answered."""


class Link(Protocol):
    """A way to an API server."""

    async def send(
        self, method: str, path: str, query: dict[str, str], body: bytes | None, content_type: str
    ) -> tuple[int, bytes]:
        """Send a request and return the answer's status and body."""
        ...

    def watch(self, path: str, query: dict[str, str]) -> AsyncGenerator[bytes, None]:
        """Yield the lines of a watch until the server ends it.

        Raises:
            ApiError: the server refuses to begin it.
        """
        ...

    async def close(self) -> None:
        """Close what is open."""


class KubeClient:
    """Requests to one API server; made inside a running loop and closed by `close` or `async with`.

    They go by HTTP to `url`, unless a *link* is given.
    """

    def __init__(self, url: str, *, user_agent: str = "sandbox", link: Link | None = None) -> None:
        self.url = url.rstrip("/")
        self._link = link or _Http(self.url, user_agent)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._link.close()

    async def get(self, path: str, **query: str) -> Object:
        """Read an object."""
        return await self._send("GET", path, query)

    async def list(self, path: str, **query: str) -> Object:
        """Read a collection: a list object with `items` and `metadata.resourceVersion`."""
        return await self._send("GET", path, query)

    async def create(self, path: str, body: Object, **query: str) -> Object:
        """Create `body` in the collection (or sub-resource) at `path`."""
        return await self._send("POST", path, query, body)

    async def replace(self, path: str, body: Any, **query: str) -> Object:
        """Replace the object at `path`; a resourceVersion in `body` is a precondition."""
        return await self._send("PUT", path, query, body)

    async def patch(self, path: str, body: Any, *, kind: PatchKind = "merge", **query: str) -> Object:
        """Patch the object at `path`; a resourceVersion in `body` is a precondition."""
        return await self._send("PATCH", path, query, body, PATCH_TYPES[kind])

    async def apply(self, path: str, body: Object, *, manager: str, force: bool = True) -> Object:
        """Apply `body` at `path` by server-side apply as `manager`."""
        query = {"fieldManager": manager, "force": str(force).lower()}
        return await self._send("PATCH", path, query, body, "application/apply-patch+yaml")

    async def delete(self, path: str, options: Object | None = None, **query: str) -> Object:
        """Delete the object or the collection at `path`."""
        return await self._send("DELETE", path, query, options)

    async def watch(self, path: str, **query: str) -> AsyncGenerator[Object, None]:
        """Yield the events of a watch until the server ends it; to leave earlier, use `aclosing`."""
        query = {"watch": "true", "allowWatchBookmarks": "true", "timeoutSeconds": str(WATCH_SECONDS)} | query
        async with aclosing(self._link.watch(path, query)) as lines:
            async for line in lines:
                yield json.loads(line)

    async def _send(
        self,
        method: str,
        path: str,
        query: dict[str, str],
        body: Any = None,
        content_type: str = "application/json",
    ) -> Object:
        data = None if body is None else json.dumps(body).encode()
        status, answer = await self._link.send(method, path, query, data, content_type)
        if status >= HTTPStatus.BAD_REQUEST:
            raise error_of(status, answer)
        found: Object = json.loads(answer)
        return found


class _Http:
    """The way that everybody has."""

    def __init__(self, url: str, user_agent: str) -> None:
        self._url = url
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            headers={"User-Agent": user_agent, "Accept": "application/json"},
            timeout=aiohttp.ClientTimeout(total=ANSWERED_WITHIN),
            read_bufsize=LONGEST_LINE,
        )

    async def close(self) -> None:
        await self._session.close()

    async def send(
        self, method: str, path: str, query: dict[str, str], body: bytes | None, content_type: str
    ) -> tuple[int, bytes]:
        headers = {} if body is None else {"Content-Type": content_type}
        request = self._session.request(method, self._url + path, params=query, data=body, headers=headers)
        async with request as answer:
            return answer.status, await answer.read()

    async def watch(self, path: str, query: dict[str, str]) -> AsyncGenerator[bytes, None]:
        limits = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=WATCH_SECONDS + 30)
        async with self._session.get(self._url + path, params=query, timeout=limits) as answer:
            if not answer.ok:
                raise error_of(answer.status, await answer.read())
            async for line in answer.content:
                yield line


def error_of(status: int, answer: bytes) -> ApiError:
    """Give the error that an answer is."""
    try:
        body = json.loads(answer)
    except ValueError:
        body = {"message": answer.decode(errors="replace")}
    kind = ERRORS.get(status, ApiError)
    return kind(status, body if isinstance(body, dict) else {"message": str(body)})


class Reflector:
    """A cache of the collection at `path`, kept current by a list and a watch.

    `on_change` is awaited for every change, one after the other, with ADDED, MODIFIED or DELETED and the
    object, after `objects` has been brought up to date; its failures are its own to handle.
    `query` may hold `labelSelector` and `fieldSelector`.
    """

    def __init__(
        self, client: KubeClient, path: str, on_change: OnChange | None = None, **query: str
    ) -> None:
        self.objects: dict[str, Object] = {}
        self.synced = asyncio.Event()
        self._client = client
        self._path = path
        self._query = query
        self._on_change = on_change
        self._version = ""

    async def run(self) -> None:
        """List and watch until cancelled, through disconnects, errors and expired versions."""
        back_off = FIRST_BACK_OFF
        while True:
            try:
                if not self._version:
                    await self._relist()
                await self._follow()
                back_off = FIRST_BACK_OFF
            except (*FAILURES, json.JSONDecodeError) as error:
                if isinstance(error, ApiError):
                    self._version = ""
                await asyncio.sleep(back_off)
                back_off = min(back_off * 2, LONGEST_BACK_OFF)

    async def _relist(self) -> None:
        found = await self._client.list(self._path, **self._query)
        # Items of a list come without kind and apiVersion, those of a watch with them.
        kind = {"apiVersion": found["apiVersion"], "kind": found["kind"].removesuffix("List")}
        fresh = {key_of(item): kind | item for item in found["items"]}
        for key in self.objects.keys() - fresh.keys():
            await self._change("DELETED", self.objects[key])
        for key, item in fresh.items():
            known = self.objects.get(key)
            if known is None or known["metadata"]["resourceVersion"] != item["metadata"]["resourceVersion"]:
                await self._change("ADDED" if known is None else "MODIFIED", item)
        self._version = found["metadata"]["resourceVersion"]
        self.synced.set()

    async def _follow(self) -> None:
        watch = self._client.watch(self._path, resourceVersion=self._version, **self._query)
        async with aclosing(watch):
            async for event in watch:
                if event["type"] == "ERROR":
                    raise ApiError(event["object"].get("code", 500), event["object"])
                self._version = event["object"]["metadata"]["resourceVersion"]
                if event["type"] != "BOOKMARK":
                    await self._change(event["type"], event["object"])

    async def _change(self, kind: str, obj: Object) -> None:
        if kind == "DELETED":
            self.objects.pop(key_of(obj), None)
        else:
            self.objects[key_of(obj)] = obj
        if self._on_change:
            await self._on_change(kind, obj)
