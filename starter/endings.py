"""How closed rollouts ended: read from the last event of each."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client, WorkflowHistoryEventFilterType

from canary.status import Outcome
from starter.listing import Listed

AT_ONCE = 32
"""Histories asked for at the same time."""


async def with_outcomes(client: Client, items: Sequence[Listed]) -> list[Listed]:
    """Say of each rollout how it ended; of a running one nothing."""
    slots = asyncio.Semaphore(AT_ONCE)

    async def add(item: Listed) -> Listed:
        async with slots:
            return replace(item, outcome=await outcome(client, item))

    return list(await asyncio.gather(*(add(item) for item in items)))


async def outcome(client: Client, item: Listed) -> str:
    """Give the type of the error a rollout closed with, or `Promoted`."""
    if item.is_running:
        return ""
    handle = client.get_workflow_handle(item.id, run_id=item.run_id)
    last = WorkflowHistoryEventFilterType.CLOSE_EVENT
    async for event in handle.fetch_history_events(event_filter_type=last):
        return _ending(event)
    return ""


def _ending(event: HistoryEvent) -> str:
    if event.HasField("workflow_execution_completed_event_attributes"):
        return Outcome.PROMOTED
    if event.HasField("workflow_execution_failed_event_attributes"):
        failure = event.workflow_execution_failed_event_attributes.failure
        return failure.application_failure_info.type or failure.message
    if event.HasField("workflow_execution_terminated_event_attributes"):
        return "Terminated"
    return "Canceled" if event.HasField("workflow_execution_canceled_event_attributes") else "TimedOut"
