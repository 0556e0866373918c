"""Heartbeats from the background, so that a dead worker and a cancelled activity are noticed in two seconds.

The one module here that the others may import.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from temporalio import activity

INTERVAL = 0.5
HEARTBEAT_TIMEOUT = timedelta(seconds=2)
"""What workflows set beside `heartbeating()`."""


@asynccontextmanager
async def heartbeating(details: Callable[[], Sequence[Any]] = tuple) -> AsyncIterator[None]:
    """Heartbeat the running activity for as long as the block lasts, each time with *details*."""
    beats = asyncio.create_task(_beat(details))
    try:
        yield
    finally:
        beats.cancel()


async def _beat(details: Callable[[], Sequence[Any]]) -> None:
    while True:
        await asyncio.sleep(INTERVAL)  # what is over before costs no heartbeat
        activity.heartbeat(*details())
