"""The queue that controllers work from."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from sandbox.client import ApiError
from sandbox.controllers.workqueue import WorkQueue

Start = Callable[[Callable[[str], Awaitable[None]]], WorkQueue]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    tasks = []

    def begin(work: Callable[[str], Awaitable[None]]) -> WorkQueue:
        queue = WorkQueue("test", work)
        tasks.append(asyncio.ensure_future(queue.run()))
        return queue

    yield begin
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_key_added_while_it_is_worked_on_is_worked_on_again_but_never_twice_at_once(
    start: Start,
) -> None:
    began, go_on, active = asyncio.Event(), asyncio.Event(), 0
    passes: list[int] = []

    async def work(_key: str) -> None:
        nonlocal active
        active += 1
        passes.append(active)
        began.set()
        await go_on.wait()
        active -= 1

    queue = start(work)
    queue.add("a")
    await began.wait()
    queue.add("a")
    queue.add("a")
    await asyncio.sleep(0)
    go_on.set()
    async with asyncio.timeout(5):
        while len(passes) < 2:  # noqa: ASYNC110 — what is awaited is a list
            await asyncio.sleep(0)

    assert passes == [1, 1]


@pytest.mark.parametrize("error", [ApiError(409, {}), KeyError("spec")], ids=["refused", "a bug"])
async def test_work_that_fails_is_tried_again(start: Start, error: Exception) -> None:
    done = asyncio.Event()
    calls: list[str] = []

    async def work(key: str) -> None:
        calls.append(key)
        if len(calls) < 4:
            raise error
        done.set()

    start(work).add("a")
    async with asyncio.timeout(5):
        await done.wait()

    assert calls == ["a"] * 4


async def test_the_sooner_of_two_times_counts(start: Start) -> None:
    done = asyncio.Event()

    async def work(_key: str) -> None:
        done.set()

    queue = start(work)
    queue.add_after("a", 60)
    queue.add_after("a", 0.01)
    queue.add_after("a", 60)

    async with asyncio.timeout(5):
        await done.wait()
