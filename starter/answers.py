"""What the workflows of one canary or Application answer; only a worker can."""

import asyncio
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from pydantic import BaseModel
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from starter import flagger, listing
from starter.errors import RefusedError, StarterError, UnreachableError
from starter.flagger import Status
from starter.listing import RUNNING, Listed, Scope
from workflows.contract import ROLLOUT_WORKFLOW, STATUS, CanaryView, RolloutView, canary_id, rollout_id

ANSWER_WITHIN = timedelta(seconds=10)
AT_ONCE = 32
"""Canaries asked at the same time."""
UNANSWERED = (RPCStatusCode.DEADLINE_EXCEEDED, RPCStatusCode.CANCELLED, RPCStatusCode.FAILED_PRECONDITION)


async def ask(client: Client, workflow: str, model: type[BaseModel]) -> Any:
    """Query a workflow's status; only a worker can answer."""
    try:
        handle = client.get_workflow_handle(workflow)
        return await handle.query(STATUS, result_type=model, rpc_timeout=ANSWER_WITHIN)
    except RPCError as error:
        if error.status in UNANSWERED:
            text = f"No worker answers for {workflow}; `canary get` without a name lists what was recorded."
            raise UnreachableError(text) from error
        raise


async def canary_view(client: Client, tail: str) -> CanaryView:
    """Ask a canary and, while one runs, its rollout."""
    view: CanaryView | None = await ask(client, canary_id(tail), CanaryView)
    if view is None:
        raise RefusedError(f"{canary_id(tail)} has no document yet: its first one is being looked at.")
    rollout = await _rollout(client, tail)
    return view.model_copy(update={"rollout": rollout.status if rollout else None})


async def canary_statuses(client: Client, canaries: Iterable[Listed]) -> dict[str, Status]:
    """Ask canaries how they stand; one that gives no answer stands as it is listed, and says why."""
    slots = asyncio.Semaphore(AT_ONCE)

    async def stand(item: Listed) -> tuple[str, Status]:
        async with slots:
            return item.id, await _status(client, item)

    return dict(await asyncio.gather(*(stand(item) for item in canaries)))


async def _status(client: Client, item: Listed) -> Status:
    try:
        return flagger.status_of(await canary_view(client, item.tail))
    except StarterError as error:
        return flagger.status_of_row(item.row).model_copy(update={"message": str(error)})


async def _rollout(client: Client, tail: str) -> RolloutView | None:
    """Ask the running rollout; None where none runs."""
    scope = Scope(tail.split("/")[1])
    async for item in listing.workflows(client, ROLLOUT_WORKFLOW, RUNNING, scope):
        if item.tail == tail:
            view: RolloutView = await ask(client, rollout_id(tail), RolloutView)
            return view
    return None
