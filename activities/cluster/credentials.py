"""The client of one API server, and how it comes by other credentials once those it has are refused.

Tokens expire and certificates rotate: the kubeconfig, the Secret or the command that told them tells others.
"""

import asyncio
from collections.abc import Awaitable, Callable

from kubernetes.aio.client import ApiClient

Renew = Callable[[], Awaitable[ApiClient | None]]
"""Reads again how a cluster is reached; None where that cannot be read."""
RENEWED_AT_MOST = 10.0
"""Seconds between two readings: it may run a command, and what is refused may be refused for good."""


class Credentials:
    """A client that is replaced by one with newer credentials."""

    def __init__(self, client: ApiClient, renew: Renew | None) -> None:
        self.client = client
        self._renew = renew
        self._retired: ApiClient | None = None
        self._renewing = asyncio.Lock()
        self._renewed_at: float | None = None

    async def are_renewed(self, refused: ApiClient) -> bool:
        """Whether there is another client by now than the one that was refused."""
        async with self._renewing:
            if self.client is refused and (found := await self._read_again()) is not None:
                await self._replace(found)
        return self.client is not refused

    async def _read_again(self) -> ApiClient | None:
        if self._renew is None or not self._is_to_be_tried():
            return None
        return await self._renew()

    def _is_to_be_tried(self) -> bool:
        now, before = asyncio.get_running_loop().time(), self._renewed_at
        if before is not None and now - before < RENEWED_AT_MOST:
            return False
        self._renewed_at = now
        return True

    async def _replace(self, found: ApiClient) -> None:
        """Somebody may be in the middle of a request: a client is closed when the next one is replaced."""
        before, self._retired, self.client = self._retired, self.client, found
        if before is not None:
            await _close(before)

    async def close(self) -> None:
        """Close the connections."""
        for client in (self.client, self._retired):
            if client is not None:
                await _close(client)


async def _close(client: ApiClient) -> None:
    await client.close()  # type: ignore[no-untyped-call]
