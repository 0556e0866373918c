"""Users: steady requests on each way to a workload, and what became of them."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any, Self

import aiohttp

TIMEOUT = aiohttp.ClientTimeout(total=10)


@dataclass(frozen=True)
class Way:
    """One way to a workload: the listener that is asked, and for which host."""

    name: str
    url: str
    host: str
    headers: dict[str, str] = field(default_factory=dict)

    def as_taken_by(self, name: str, headers: dict[str, str] | None = None) -> "Way":
        """The same way for others, who come with headers of their own."""
        return replace(self, name=name, headers=headers or {})


@dataclass
class Tally:
    """What became of the requests on one way."""

    served: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    versions: Counter[str] = field(default_factory=Counter)
    """How often each version answered."""

    async def has(self, version: str) -> bool:
        """Whether a version has answered."""
        return bool(self.versions[version])


class Load:
    """Asks on every way from `async with` to its end, so many times a second each."""

    def __init__(self, ways: list[Way], rate: float = 50) -> None:
        self.tallies = {way.name: Tally() for way in ways}
        self._ways = ways
        self._pause = 1 / rate
        self._users: list[asyncio.Task[None]] = []
        self._asking: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(timeout=TIMEOUT, connector=aiohttp.TCPConnector(limit=0))
        self._users = [asyncio.create_task(self._use(way)) for way in self._ways]
        return self

    async def __aexit__(self, *_: object) -> None:
        for user in self._users:
            user.cancel()
        await asyncio.gather(*self._users, return_exceptions=True)
        await asyncio.gather(*self._asking)
        await self._session.close()

    @property
    def failures(self) -> dict[str, Counter[str]]:
        """The ways on which requests failed, and how."""
        return {name: tally.failures for name, tally in self.tallies.items() if tally.failures}

    async def _use(self, way: Way) -> None:
        while True:
            task = asyncio.create_task(self._ask(way, self.tallies[way.name]))
            self._asking.add(task)
            task.add_done_callback(self._asking.discard)
            await asyncio.sleep(self._pause)

    async def _ask(self, way: Way, tally: Tally) -> None:
        try:
            async with self._session.get(way.url, headers={"Host": way.host, **way.headers}) as answer:
                body: dict[str, Any] = await answer.json() if answer.ok else {}
        except (aiohttp.ClientError, TimeoutError) as error:
            tally.failures[type(error).__name__] += 1
            return
        if answer.ok:
            tally.served += 1
            tally.versions[body["version"]] += 1
        else:
            tally.failures[str(answer.status)] += 1
