"""Tests that run beside each other: most of a rollout is waiting, and many can wait at the same time."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import pytest

from tests.conformance.world import World

AT_ONCE = 8
PATIENCE = 120.0

Story = Callable[[World], Awaitable[None]]


class Chorus:
    """All stories of the chosen tests, begun together; each test awaits its own."""

    def __init__(self, world: World, stories: Iterable[Story]) -> None:
        self._room = asyncio.Semaphore(AT_ONCE)
        self._tasks = {story: asyncio.create_task(self._tell(story, world)) for story in stories}

    async def hear(self, story: Story) -> None:
        """Await one story; it fails where the story fails."""
        await self._tasks[story]

    async def silence(self) -> None:
        """Wait until every story is over, however it ended."""
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def stop(self) -> None:
        """End the stories that nobody waited for."""
        for task in self._tasks.values():
            task.cancel()
        await self.silence()

    async def _tell(self, story: Story, world: World) -> None:
        async with self._room, asyncio.timeout(PATIENCE):
            await story(world)


def together(story: Story) -> Callable[[Chorus], Awaitable[None]]:
    """Make a test of a story that may run beside others: it keeps to a namespace of its own."""

    @pytest.mark.timeout(PATIENCE + 60)  # the first one heard waits for the world as well
    async def test(chorus: Chorus) -> None:
        await chorus.hear(story)

    test.__name__, test.__doc__ = story.__name__, story.__doc__
    test.__dict__["story"] = story
    return test


def stories_of(items: Iterable[Any]) -> list[Story]:
    """The stories of pytest's items, in their order."""
    return [item.function.story for item in items if hasattr(getattr(item, "function", None), "story")]
