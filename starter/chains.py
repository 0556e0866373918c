"""One rollout that was continued as new: all its executions, as far as Temporal still holds them."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime

from temporalio.api.history.v1 import HistoryEvent, WorkflowExecutionStartedEventAttributes
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from starter.evidence import Evidence, Kept, evidence
from starter.listing import Listed
from workflows.contract import RolloutStart


@dataclass(frozen=True)
class Chain:
    """The executions of one rollout, oldest first."""

    id: str
    runs: tuple[str, ...]
    started: datetime
    carried: tuple[Kept, ...] = ()
    """The checks of executions that Temporal has already deleted, as the oldest one left was given them."""


async def find_chain(client: Client, newest: Listed) -> Chain:
    """Walk from the newest execution of a rollout back to its first, or to the oldest that is left."""
    runs: list[str] = []
    first: HistoryEvent | None = None
    before = newest.run_id
    while before and (event := await _first_event(client, newest.id, before)) is not None:
        first = event
        runs.insert(0, before)
        before = _started(event).continued_execution_run_id
    carried = await _carried(client, first) if first is not None and before else ()
    started = newest.started if first is None else first.event_time.ToDatetime(tzinfo=UTC)
    return Chain(newest.id, tuple(runs), started, carried)


async def told(client: Client, chain: Chain) -> AsyncIterator[Evidence]:
    """Give the evidence of all executions, in order."""
    for kept in chain.carried:
        yield kept
    for run in chain.runs:
        async for item in evidence(client, client.get_workflow_handle(chain.id, run_id=run)):
            yield item


async def _first_event(client: Client, workflow: str, run: str) -> HistoryEvent | None:
    handle = client.get_workflow_handle(workflow, run_id=run)
    try:
        async for event in handle.fetch_history_events(page_size=1):
            return event
    except RPCError as error:
        if error.status != RPCStatusCode.NOT_FOUND:
            raise
    return None


async def _carried(client: Client, event: HistoryEvent) -> tuple[Kept, ...]:
    payloads = _started(event).input.payloads
    (start,) = await client.data_converter.decode(payloads, [RolloutStart])
    return tuple(Kept(start.spec, record) for record in start.checks)


def _started(event: HistoryEvent) -> WorkflowExecutionStartedEventAttributes:
    return event.workflow_execution_started_event_attributes
