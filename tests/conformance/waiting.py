"""Waiting for what other processes do."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import TypeVar

NAMED = os.environ.get("CONFORMANCE_KUBECONFIG")
"""The kubeconfig of clusters to tell the stories in, instead of the sandbox."""
SLOWNESS = 3.0 if NAMED else 1.0
"""How much longer everything may take there: images are pulled and routes are pushed."""
LOOK = 0.05

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
