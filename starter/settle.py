"""Waiting after an `apply`: the source synced to every cluster, and every canary at rest."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from temporalio.client import Client

from canary.application import ApplicationSpec
from starter import status
from starter.answers import ask
from starter.durations import within
from starter.errors import TimedOutError
from starter.offer import Offer
from workflows.contract import ApplicationStatus, ApplyApplication

REFRESH = 0.5
"""Seconds between two questions."""


async def settle(client: Client, offers: Sequence[Offer], limit: timedelta | None, *, color: bool) -> int:
    """Wait for all that was applied, then follow its canaries to their rest."""
    try:
        async with within(limit):
            tails = [tail for each in offers for tail in await _canaries(client, each)]
            return await status.follow(client, tails, None, color=color)
    except TimeoutError as error:
        raise TimedOutError(f"Not at rest within {limit}; it goes on.") from error


async def _canaries(client: Client, offer: Offer) -> list[str]:
    if not isinstance(offer.request, ApplyApplication):
        return [offer.id.partition("/")[2]]
    synced = await _synced(client, offer.id, offer.request.spec)
    return [each.canary.partition("/")[2] for each in synced.progress if each.canary]


async def _synced(client: Client, workflow: str, spec: ApplicationSpec) -> ApplicationStatus:
    last = ""
    while True:
        now: ApplicationStatus = await ask(client, workflow, ApplicationStatus)
        if now.spec == spec and now.progress and all(each.is_ready for each in now.progress):
            return now
        message = next((each.message for each in now.progress if not each.is_ready), now.message)
        if message and message != last:
            print(f"{workflow} {message}", flush=True)
            last = message
        await asyncio.sleep(REFRESH)
