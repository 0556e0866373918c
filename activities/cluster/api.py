"""One cluster's API server: plain objects in and out, over `kubernetes.aio`."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from enum import StrEnum
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

import aiohttp
from kubernetes.aio.client import ApiClient

from activities.cluster.credentials import Credentials, Renew
from activities.cluster.errors import ApiError, ClusterUnreachableError, refusal
from activities.cluster.settings import ClusterSettings

ROLLOUT_MANAGER = "durable-canary-rollout"
"""The field manager of what a rollout owns."""
SOURCE_MANAGER = "durable-canary-source"
"""The field manager of what git says."""

REQUEST_TIMEOUT = 5.0
"""Seconds; below every activity's start-to-close, so that a hanging server is an error of ours."""

Object = dict[str, Any]
"""A Kubernetes object as JSON."""


class Patch(StrEnum):
    """How a PATCH body is understood."""

    MERGE = "application/merge-patch+json"
    STRATEGIC = "application/strategic-merge-patch+json"
    JSON = "application/json-patch+json"
    APPLY = "application/apply-patch+yaml"


class ClusterApi:
    """The API server of one cluster.

    Every call raises `ApiError` for a refusal and `ClusterUnreachableError` where there was no answer.
    """

    def __init__(self, settings: ClusterSettings, client: ApiClient, renew: Renew | None = None) -> None:
        self.settings = settings
        self.name = settings.name
        self._credentials = Credentials(client, renew)

    async def close(self) -> None:
        """Close the connections."""
        await self._credentials.close()

    async def get(self, path: str, **query: str) -> Object:
        """Read one object; 404 is an `ApiError`."""
        return await self._json("GET", path, query)

    async def find(self, path: str) -> Object | None:
        """Read one object, or nothing where there is none."""
        try:
            return await self.get(path)
        except ApiError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return None
            raise

    async def is_there(self, path: str) -> bool:
        """Whether there is such an object; nothing of it is read but its metadata."""
        try:
            await self._json("GET", path, {}, accept=_accept(metadata_only=True))
        except ApiError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return False
            raise
        return True

    async def list(self, path: str, **query: str) -> Object:
        """Read a list: `items` and `metadata.resourceVersion`."""
        return await self._json("GET", path, query)

    async def create(self, path: str, body: Object, *, manager: str = ROLLOUT_MANAGER) -> Object:
        """Create an object in the collection at *path*."""
        return await self._json("POST", path, {"fieldManager": manager}, body)

    async def replace(self, path: str, body: Object, *, manager: str = ROLLOUT_MANAGER) -> Object:
        """Write an object whole; with a `resourceVersion` in it a stale write is refused with 409."""
        return await self._json("PUT", path, {"fieldManager": manager}, body)

    async def patch(
        self, path: str, body: Any, *, kind: Patch = Patch.MERGE, manager: str = ROLLOUT_MANAGER
    ) -> Object:
        """Change a part of an object."""
        return await self._json("PATCH", path, {"fieldManager": manager}, body, kind)

    async def apply(
        self,
        path: str,
        body: Object,
        *,
        manager: str = ROLLOUT_MANAGER,
        force: bool = False,
        dry_run: bool = False,
    ) -> Object:
        """Server-side apply: *body* is all that *manager* wants of the object at *path*."""
        query = {"fieldManager": manager, "force": str(force).lower()}
        if dry_run:
            query["dryRun"] = "All"
        return await self._json("PATCH", path, query, body, Patch.APPLY)

    async def delete(self, path: str, *, uid: str | None = None, version: str | None = None) -> None:
        """Delete an object, its dependents in the background; one that is already gone is fine.

        With *uid* or *version* only this very object, and as it stood then: else it is a conflict.
        """
        body: Object = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"}
        conditions = {"uid": uid, "resourceVersion": version}
        if preconditions := {key: value for key, value in conditions.items() if value}:
            body["preconditions"] = preconditions
        try:
            await self._json("DELETE", path, {}, body)
        except ApiError as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise

    async def watch(
        self,
        path: str,
        *,
        resource_version: str,
        seconds: int = 300,
        metadata_only: bool = False,
        **query: str,
    ) -> AsyncIterator[Object]:
        """Follow the changes of a list from *resource_version* on; ends with the stream.

        A 410 arrives as `ApiError`, also when the server says it in mid-stream.
        """
        asked = {"watch": "1", "resourceVersion": resource_version, "timeoutSeconds": str(seconds), **query}
        asked["allowWatchBookmarks"] = "true"
        response = await self._send(
            "GET", path, asked, accept=_accept(metadata_only=metadata_only), timeout=seconds + 5
        )
        try:
            if response.status >= HTTPStatus.BAD_REQUEST:
                raise refusal(response.status, await response.read(), f"GET {path}")
            while line := await response.content.readline():
                event = json.loads(line)
                if event["type"] == "ERROR":
                    status = event["object"]
                    raise ApiError(
                        status.get("code", 500),
                        status.get("reason", ""),
                        status.get("message", ""),
                        f"watch {path}",
                    )
                yield event
        except (aiohttp.ClientError, TimeoutError) as error:
            raise ClusterUnreachableError(self.name, error) from error
        finally:
            response.close()

    async def list_metadata(self, path: str, **query: str) -> Object:
        """Read a list with the objects' metadata alone."""
        found = await self._json("GET", path, query, accept=_accept(metadata_only=True, listed=True))
        return found | {"items": found["items"] or []}  # of nothing the API server makes null

    async def call(
        self,
        path: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        seconds: float = REQUEST_TIMEOUT,
        limit: int = 2**20,
    ) -> tuple[int, bytes]:
        """Send a GET, or a POST where there is a body, as it stands, such as through a Service's proxy.

        Its status is a result, redirects are not followed, and no more than *limit* bytes are read.
        """
        method = "GET" if body is None else "POST"
        client = self._credentials.client  # a 401 may be the Service's own
        response = await self._request(
            client, method, path, {}, body=body, headers=headers, timeout=seconds, follow_redirects=False
        )
        data = bytearray()
        try:
            async for chunk in response.content.iter_any():
                data += chunk
                if len(data) >= limit:
                    break
        except (aiohttp.ClientError, TimeoutError) as error:
            raise ClusterUnreachableError(self.name, error) from error
        finally:
            response.release()
        return response.status, bytes(data[:limit])

    async def _json(  # noqa: PLR0913 — the one place where a request is put together
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: Any = None,
        content_type: str = "application/json",
        *,
        accept: str = "application/json",
    ) -> Object:
        raw = None if body is None else json.dumps(body, separators=(",", ":")).encode()
        response = await self._send(method, path, query, body=raw, content_type=content_type, accept=accept)
        try:
            data = await response.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise ClusterUnreachableError(self.name, error) from error
        finally:
            response.release()
        if response.status >= HTTPStatus.BAD_REQUEST:
            raise refusal(response.status, data, f"{method} {_named(path, method, body)}")
        result: Object = json.loads(data)
        return result

    async def _send(
        self, method: str, path: str, query: Mapping[str, str], **rest: Any
    ) -> aiohttp.ClientResponse:
        """Send a request, once more where credentials have expired and there are others."""
        client = self._credentials.client
        response = await self._request(client, method, path, query, **rest)
        if response.status == HTTPStatus.UNAUTHORIZED and await self._credentials.are_renewed(client):
            response.close()
            return await self._request(self._credentials.client, method, path, query, **rest)
        return response

    async def _request(  # noqa: PLR0913 — as above
        self,
        client: ApiClient,
        method: str,
        path: str,
        query: Mapping[str, str],
        *,
        body: bytes | None = None,
        content_type: str = "application/json",
        accept: str = "application/json",
        headers: Mapping[str, str] | None = None,
        timeout: float = REQUEST_TIMEOUT,  # noqa: ASYNC109 — handed to the client, which bounds the request
        follow_redirects: bool = True,
    ) -> aiohttp.ClientResponse:
        url = client.configuration.host + path + (f"?{urlencode(query)}" if query else "")
        sent = {"Accept": accept, "Content-Type": content_type, "User-Agent": "durable-canary"}
        sent |= headers or {}
        await client.update_params_for_auth(sent, [], ["BearerToken"], path, method, body)
        try:
            return await _session(client).request(
                method,
                url,
                data=body,
                headers=sent,
                timeout=aiohttp.ClientTimeout(total=timeout),
                allow_redirects=follow_redirects,
                proxy=client.configuration.proxy,
                server_hostname=client.configuration.tls_server_name,
            )
        except (aiohttp.ClientError, TimeoutError, asyncio.IncompleteReadError) as error:
            raise ClusterUnreachableError(self.name, error) from error


def _session(client: ApiClient) -> aiohttp.ClientSession:
    rest = client.rest_client
    if rest.pool_manager is None:
        rest.pool_manager = rest._create_pool_manager()  # noqa: SLF001 — the library makes it at its first request only
    pool: aiohttp.ClientSession = rest.pool_manager
    return pool


def _accept(*, metadata_only: bool, listed: bool = False) -> str:
    if not metadata_only:
        return "application/json"
    return f"application/json;as=PartialObjectMetadata{'List' if listed else ''};g=meta.k8s.io;v=v1"


def _named(path: str, method: str, body: Any) -> str:
    """The path of the object; that of one to be created is its collection's."""
    if method != "POST" or not isinstance(body, dict):
        return path
    return f"{path}/{(body.get('metadata') or {}).get('name', '')}"
