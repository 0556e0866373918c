"""Lists that many want at once: that of a whole cluster is long, and hundreds of canaries ask for it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from activities.cluster.api import Object

PAUSE = 0.25
"""Seconds between the beginnings of two requests for the same list: of many at once, all wait for one."""
SHARE = 5
"""A list that takes long is asked for no more than a fifth of the time, however many wait for it."""

Key = tuple[str, str]
"""A cluster and a path."""
Items = list[Object] | None
Read = Callable[[], Awaitable[Items]]


class SharedLists:
    """Makes one request of all that ask for the same list while another runs, or has only just begun.

    Whoever asks gets a list that was asked for after that, never an older one: what was written is in it.
    One that asks alone does not wait.
    """

    def __init__(self, pause: float = PAUSE) -> None:
        self._pause = pause
        self._due: dict[Key, float] = {}
        self._running: dict[Key, asyncio.Task[Items]] = {}
        self._waiting: dict[Key, asyncio.Task[Items]] = {}

    async def read(self, key: Key, read: Read) -> Items:
        """Return what *read* does; nobody but the caller may change it."""
        task = self._waiting.get(key)
        if task is None:
            task = asyncio.create_task(self._read(key, read))
            task.add_done_callback(_look_at)
            self._waiting[key] = task
        return await asyncio.shield(task)  # one that is called off calls off nobody else's

    async def _read(self, key: Key, read: Read) -> Items:
        while (before := self._running.get(key)) is not None:
            await asyncio.wait({before})
        clock = asyncio.get_running_loop().time
        if (due := self._due.get(key)) is not None:
            await asyncio.sleep(max(0.0, due - clock()))
        # Whoever comes from here on waits for another one.
        self._running[key] = self._waiting.pop(key)
        begun = clock()
        try:
            return await read()
        finally:
            self._due[key] = begun + max(self._pause, SHARE * (clock() - begun))
            del self._running[key]


def _look_at(task: asyncio.Task[Any]) -> None:
    """What went wrong is told to whoever waits; if all have gone it is nobody's news."""
    if not task.cancelled():
        task.exception()
