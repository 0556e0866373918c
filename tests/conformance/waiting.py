"""Waiting for what other processes do."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import TypeVar

NAMED = os.environ.get("CONFORMANCE_KUBECONFIG")
"""The kubeconfig of clusters to tell the stories in, instead of the sandbox."""
IS_OURS = not NAMED and "KUBEBUILDER_ASSETS" not in os.environ
"""Whether the API server is the sandbox's own."""
SLOWNESS = 1.0 if IS_OURS else 3.0
"""How much longer all may take elsewhere: images are pulled, routes pushed, or etcd shares our cores."""
LOOK = 0.05
LONG_ENOUGH = 3.0
"""Seconds; a change is noticed within one."""

Answer = TypeVar("Answer")


async def until(condition: Callable[[], Awaitable[Answer | None]], within: float, what: str) -> Answer:
    """Await a condition and give what it answered; fail with the last answer when the time is over."""
    last: Answer | None = None
    try:
        async with asyncio.timeout(within * SLOWNESS):
            while not (last := await condition()):  # noqa: ASYNC110 — other processes tell no event
                await asyncio.sleep(LOOK)
    except TimeoutError:
        raise AssertionError(f"not within {within * SLOWNESS:g} s: {what} (last: {last!r})") from None
    return last


async def nothing_comes_of_it() -> None:
    """Give the engine time to notice a change: what is measured is that nothing happens."""
    await asyncio.sleep(LONG_ENOUGH * SLOWNESS)
