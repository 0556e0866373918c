"""Switching the faults of one cluster, so that several tests can do so at the same time."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import aiohttp

ENGINE = "durable-canary"
"""What the engine calls itself: a fault for it leaves the controllers alone."""


class Faults:
    """The faults of a cluster's parts; each is in force within its `async with`."""

    def __init__(self, urls: dict[str, str]) -> None:
        self._urls = urls
        self._rules: dict[str, dict[str, Any]] = {}
        self._numbers = count(1)

    @asynccontextmanager
    async def of_api(self, **rule: Any) -> AsyncIterator[None]:
        """Have the API server meet some requests with a fault; a hung one goes on at the end."""
        name = f"rule-{next(self._numbers)}"
        self._rules[name] = {"id": name, **rule}
        await self._put("api", list(self._rules.values()))
        try:
            yield
        finally:
            del self._rules[name]
            await self._put("api", list(self._rules.values()))

    @asynccontextmanager
    async def of_metrics(self, **faults: Any) -> AsyncIterator[None]:
        """Have the Prometheus of the cluster misbehave."""
        before = await self._get("metrics")
        await self._put("metrics", before | faults)
        try:
            yield
        finally:
            await self._put("metrics", before)

    @asynccontextmanager
    async def of_hasty_mesh(self, share: float) -> AsyncIterator[None]:
        """Have the mesh take only this share of the time that it takes."""
        before = await self._get("mesh")
        await self._put("mesh", before | {"propagationDelay": share * before["propagationDelay"]})
        try:
            yield
        finally:
            await self._put("mesh", before)

    async def scrape_every(self, seconds: float) -> None:
        """Set the scrape interval."""
        await self._put("metrics", {"scrapeInterval": seconds})

    async def give_addresses_after(self, seconds: float) -> None:
        """Let proxies have a new Service's addresses so long after they hear of it, as in Istio."""
        await self._put("mesh", {"addressesDelay": seconds})

    async def _get(self, part: str) -> dict[str, Any]:
        async with aiohttp.ClientSession() as session, session.get(self._urls[part]) as answer:
            found: dict[str, Any] = await answer.json()
            return found

    async def _put(self, part: str, body: Any) -> None:
        async with aiohttp.ClientSession() as session, session.put(self._urls[part], json=body) as answer:
            assert answer.ok, f"{json.dumps(body)}: {await answer.text()}"
