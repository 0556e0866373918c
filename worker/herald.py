"""The herald: what workflows announce, told on as Kubernetes Events and to event hooks.

A workflow announces by a log record: written once, not again in replays, and no event of its history. So
this is best effort, as Events and Flagger's own event hooks are: what a worker that dies has not told yet is
not told. The record that lasts is the workflow's history; alerts, which somebody must get, are activities.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol, Self

from canary.analysis import HookAnswer
from canary.errors import NoAnswerError
from canary.notice import Announcement
from canary.spec import HookType, WebhookSpec

CAPACITY = 100
"""So many announcements of one canary wait for one listener; then the oldest are dropped."""
GRACE = 5.0
"""Seconds that a worker which stops waits for what is still to be told."""

logger = logging.getLogger(__name__)


class Listener(Protocol):
    """Somebody who is told."""

    async def tell(self, announcement: Announcement) -> None:
        """Tell of an announcement; raises if that fails."""
        ...


class Webhooks(Protocol):
    """Calls event hooks."""

    async def announce(self, hook: WebhookSpec, announcement: Announcement) -> HookAnswer:
        """Call an event hook; raises `NoAnswerError` if it is away."""
        ...


class EventHooks:
    """The event hooks of each canary's document."""

    def __init__(self, webhooks: Webhooks) -> None:
        self._webhooks = webhooks

    async def tell(self, announcement: Announcement) -> None:
        """Call every event hook, one after the other; one that does not pass is logged."""
        for hook in announcement.spec.analysis.hooks(HookType.EVENT):
            try:
                answer = await self._webhooks.announce(hook, announcement)
            except NoAnswerError as error:
                cause = str(error)
            else:
                cause = "" if answer.passed else f"{answer.status} {answer.message}"
            if cause:
                told = {"canary": announcement.spec.tail, "hook": hook.name, "cause": cause}
                logger.warning("event hook not told", extra=told)


class Herald(logging.Handler):
    """Hands announcements to listeners: in order for each canary, and slow for none but that one."""

    def __init__(self, *listeners: Listener, capacity: int = CAPACITY, grace: float = GRACE) -> None:
        super().__init__()
        self._listeners: Sequence[Listener] = listeners
        self._capacity = capacity
        self._grace = grace
        self._lanes: dict[tuple[str, int], deque[Announcement]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.sleep(0)  # what was handed over is taken first
        self._loop = None
        if self._tasks:
            late = (await asyncio.wait(self._tasks, timeout=self._grace))[1]
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def emit(self, record: logging.LogRecord) -> None:
        """Take an announcement over from the thread in which its workflow runs, if it is for those here."""
        announcement = getattr(record, "announcement", None)
        if self._loop is None or not isinstance(announcement, Announcement):
            return
        if not announcement.spec.task_queue:  # else workers inside the cluster are given it
            self._loop.call_soon_threadsafe(self.take, announcement)

    def take(self, announcement: Announcement) -> None:
        """Have every listener told of an announcement, after those before it."""
        for number in range(len(self._listeners)):
            lane = (announcement.spec.tail, number)
            if lane not in self._lanes:
                self._lanes[lane] = deque()
                task = asyncio.create_task(self._serve(lane))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            waiting = self._lanes[lane]
            if len(waiting) >= self._capacity:
                dropped = waiting.popleft()
                logger.warning("announcement dropped", extra=_about(dropped))
            waiting.append(announcement)

    async def _serve(self, lane: tuple[str, int]) -> None:
        """Tell one listener of one canary's announcements until none is left."""
        waiting = self._lanes[lane]
        listener = self._listeners[lane[1]]
        try:
            while waiting:
                announcement = waiting.popleft()
                try:
                    await listener.tell(announcement)
                except Exception as error:  # noqa: BLE001 — whatever is wrong with one, the next is told
                    told = {**_about(announcement), "cause": f"{type(error).__name__}: {error}"}
                    logger.warning("announcement not told", extra=told)
        finally:
            del self._lanes[lane]


@contextmanager
def listening(*handlers: logging.Handler) -> Iterator[None]:
    """Let handlers hear everything that workflows log, whatever level is printed."""
    source = logging.getLogger("temporalio.workflow")
    level = source.level
    source.setLevel(logging.DEBUG)
    for handler in handlers:
        source.addHandler(handler)
    try:
        yield
    finally:
        for handler in handlers:
            source.removeHandler(handler)
        source.setLevel(level)


def _about(announcement: Announcement) -> dict[str, str]:
    return {"canary": announcement.spec.tail, "notice": announcement.notice.message}
