"""Users by the ten thousands: steady requests on each way to a workload, none of them forgotten."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Self

from sandbox.hey import next_tick
from sandbox.heyclient import Answer, ClosedError, Connection, RequestError, Target
from tests.conformance.load import Way

CONNECTIONS = 8
"""On each way; kept open as a browser keeps them."""
TIMEOUT = 10.0


@dataclass
class Tally:
    """What became of the requests on one way."""

    served: int = 0
    errors: int = 0
    """Answered with 500: what the bad version itself does; Envoy never says so."""
    failures: Counter[str] = field(default_factory=Counter)

    @property
    def sent(self) -> int:
        """How many there were."""
        return self.served + self.errors + self.failed

    @property
    def failed(self) -> int:
        """How many failed that no version is to blame for."""
        return sum(self.failures.values())


class Crowd:
    """Asks on every way from `async with` to its end, so many times a second each."""

    def __init__(self, ways: Sequence[Way], rate: float) -> None:
        self.tallies = {way.name: Tally() for way in ways}
        self._ways = ways
        self._period = CONNECTIONS / rate
        self._is_over = False
        self._users: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        for way in self._ways:
            for number in range(CONNECTIONS):
                delay = self._period * number / CONNECTIONS
                self._users.append(asyncio.create_task(self._use(way, delay)))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._is_over = True
        await asyncio.gather(*self._users)

    @property
    def least(self) -> int:
        """The requests on the way that had the fewest."""
        return min(tally.sent for tally in self.tallies.values())

    async def _use(self, way: Way, delay: float) -> None:
        user = _User(way)
        due = time.perf_counter() + delay
        while not self._is_over:
            await asyncio.sleep(max(due - time.perf_counter(), 0))
            _note(self.tallies[way.name], await user.ask())
            due = next_tick(due, time.perf_counter(), self._period)
        user.leave()


class _User:
    def __init__(self, way: Way) -> None:
        self._target = Target.of(way.url)
        self._request = f"GET / HTTP/1.1\r\nHost: {way.host}\r\nUser-Agent: user\r\n\r\n".encode()
        self._connection: Connection | None = None

    async def ask(self) -> Answer | str:
        """Send one request; gives its answer, or why there is none."""
        is_kept = self._connection is not None and self._connection.is_open
        try:
            return await self._send()
        except ClosedError as error:
            if not is_kept:
                return str(error)
        except RequestError as error:
            return str(error)
        try:  # a kept connection that was closed meanwhile is no failure: browsers send again too
            return await self._send()
        except RequestError as error:
            return str(error)

    def leave(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()

    async def _send(self) -> Answer:
        if self._connection is None or not self._connection.is_open:
            self._connection = await Connection.open(self._target, TIMEOUT)
        return await self._connection.send(self._request, has_body=True, timeout=TIMEOUT)


def _note(tally: Tally, answer: Answer | str) -> None:
    if isinstance(answer, str):
        tally.failures[answer] += 1
    elif answer.status == HTTPStatus.OK:
        tally.served += 1
    elif answer.status == HTTPStatus.INTERNAL_SERVER_ERROR:
        tally.errors += 1
    else:
        tally.failures[str(answer.status)] += 1
