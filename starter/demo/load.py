"""The users of the story: steady requests at each cluster's gateway, counted."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import httpx

from starter.demo.documents import HOST

USERS = 2
"""How many ask at the same time, in each cluster."""
PAUSE = 0.1
"""Seconds a user reads an answer."""
TIMEOUT = 5.0


@dataclass(frozen=True)
class Count:
    """How many requests were answered, and how many were not."""

    served: int = 0
    failed: int = 0

    def __sub__(self, other: "Count") -> "Count":
        return Count(self.served - other.served, self.failed - other.failed)


class Load:
    """Users at the gateways, from `async with` to its end."""

    def __init__(self, gateways: Mapping[str, str]) -> None:
        self._gateways = gateways
        self._users: list[asyncio.Task[None]] = []
        self.count = Count()

    async def __aenter__(self) -> Self:
        self._client = httpx.AsyncClient(timeout=TIMEOUT, headers={"host": HOST}, trust_env=False)
        self._users = [
            asyncio.create_task(self._use(url)) for url in self._gateways.values() for _ in range(USERS)
        ]
        return self

    async def __aexit__(self, *_: object) -> None:
        for user in self._users:
            user.cancel()
        await asyncio.gather(*self._users, return_exceptions=True)
        await self._client.aclose()

    async def _use(self, url: str) -> None:
        while True:
            answered = await self._ask(url)
            self.count = Count(self.count.served + answered, self.count.failed + (not answered))
            await asyncio.sleep(PAUSE)

    async def _ask(self, url: str) -> bool:
        try:
            answer = await self._client.get(url)
        except httpx.HTTPError:
            return False
        return answer.is_success
