"""A queue of keys to be worked on: each key once, and never twice at the same time."""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable

from sandbox.client import FAILURES
from sandbox.objects import Object, key_of

FIRST_BACK_OFF, LONGEST_BACK_OFF = 0.005, 5.0
WORKERS = 8

logger = logging.getLogger(__name__)


class WorkQueue:
    """Calls `work` for each key added, and again, ever later, for as long as it fails."""

    def __init__(self, name: str, work: Callable[[str], Awaitable[None]]) -> None:
        self._name = name
        self._work = work
        self._ready: asyncio.Queue[str] = asyncio.Queue()
        self._waiting: set[str] = set()
        self._active: set[str] = set()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._failures: Counter[str] = Counter()

    def add(self, key: str) -> None:
        """Have `key` worked on, once however often it was added."""
        if key in self._waiting:
            return
        self._waiting.add(key)
        if key not in self._active:
            self._ready.put_nowait(key)

    def add_object(self, _kind: str, obj: Object, _old: Object | None) -> None:
        """Add the key of an object that changed."""
        self.add(key_of(obj))

    def add_after(self, key: str, seconds: float) -> None:
        """Add `key` in `seconds`, unless that is to happen sooner already."""
        loop = asyncio.get_running_loop()
        due = loop.time() + seconds
        timer = self._timers.get(key)
        if timer and timer.when() <= due:
            return
        if timer:
            timer.cancel()
        self._timers[key] = loop.call_at(due, self._ring, key)

    async def run(self) -> None:
        """Work until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(WORKERS):
                    group.create_task(self._work_off())
        finally:
            for timer in self._timers.values():
                timer.cancel()

    def _ring(self, key: str) -> None:
        del self._timers[key]
        self.add(key)

    async def _work_off(self) -> None:
        while True:
            key = await self._ready.get()
            self._waiting.discard(key)
            self._active.add(key)
            try:
                await self._work(key)
            except FAILURES as error:
                logger.debug("will try again", extra={"queue": self._name, "key": key, "error": str(error)})
                self._retry(key)
            except Exception:
                # One object that nobody foresaw must not stop the work on all others.
                logger.exception("work failed", extra={"queue": self._name, "key": key})
                self._retry(key)
            else:
                self._failures.pop(key, None)
            finally:
                self._active.discard(key)
                if key in self._waiting:
                    self._ready.put_nowait(key)

    def _retry(self, key: str) -> None:
        back_off = FIRST_BACK_OFF * 2 ** min(self._failures[key], 10)
        self._failures[key] += 1
        self.add_after(key, min(back_off, LONGEST_BACK_OFF))
