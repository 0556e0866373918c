"""Tests that run beside each other: most of a rollout is waiting, and many can wait at the same time."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import pytest

from tests.conformance.proof import SECONDS
from tests.conformance.waiting import IS_OURS, SLOWNESS
from tests.conformance.world import World

AT_ONCE = 8 if IS_OURS else 4
PATIENCE = 240.0 * SLOWNESS

Story = Callable[[World], Awaitable[None]]


class Chorus:
    """All stories of the chosen tests, begun together; each test awaits its own."""

    def __init__(self, world: World, stories: Iterable[Story]) -> None:
        self._world = world
        self._room = asyncio.Semaphore(AT_ONCE)
        self.seconds: dict[Story, float] = {}
        """How long each story took, its waiting for others not counted."""
        self._first: dict[Story, asyncio.Task[None]] = {}
        self._last: dict[Story, asyncio.Task[None]] = {}
        for story in stories:
            if story in _DISTURBING:
                self._last[story] = asyncio.create_task(self._tell_later(story))
            else:
                self._first[story] = asyncio.create_task(self._tell(story))

    async def hear(self, story: Story) -> None:
        """Await one story; it fails where the story fails."""
        await (self._first | self._last)[story]

    async def stop(self) -> None:
        """End the stories that nobody waited for."""
        tasks = [*self._first.values(), *self._last.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _tell(self, story: Story) -> None:
        async with self._room, asyncio.timeout(PATIENCE):
            begun = time.monotonic()
            try:
                await story(self._world)
            finally:
                self.seconds[story] = time.monotonic() - begun

    async def _tell_later(self, story: Story) -> None:
        await asyncio.gather(*self._first.values(), return_exceptions=True)
        await self._tell(story)


_DISTURBING: set[Story] = set()


def together(story: Story) -> Callable[[Chorus], Awaitable[None]]:
    """Make a test of a story that may run beside others: it keeps to a namespace of its own."""

    @pytest.mark.timeout(3 * PATIENCE)  # a story has its own limit; this is for those told before it
    async def test(chorus: Chorus, record_property: Callable[[str, object], None]) -> None:
        try:
            await chorus.hear(story)
        finally:
            record_property(SECONDS, chorus.seconds.get(story, 0.0))

    test.__name__, test.__doc__ = story.__name__, story.__doc__
    test.__dict__["story"] = story
    return test


def afterwards(story: Story) -> Callable[[Chorus], Awaitable[None]]:
    """Make a test of a story that disturbs others: it is told with its like once they are over."""
    _DISTURBING.add(story)
    return together(story)


def stories_of(items: Iterable[Any]) -> list[Story]:
    """The stories of pytest's items, in their order."""
    return [item.function.story for item in items if hasattr(getattr(item, "function", None), "story")]
