"""`canary delete`: the way out, after which the workload is as it was before."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta

from temporalio.client import (
    Client,
    WorkflowUpdateFailedError,
    WorkflowUpdateHandle,
    WorkflowUpdateRPCTimeoutOrCancelledError,
    WorkflowUpdateStage,
)
from temporalio.service import RPCError, RPCStatusCode

from starter.commands import command
from starter.errors import Exit, RefusedError, TimedOutError, UnreachableError, UsageError
from starter.failures import sentence
from starter.get import Wanted
from starter.lists import Kind
from starter.names import Reference, find_application, find_canary
from starter.offer import START_A_WORKER, require_worker
from workflows.contract import DELETE, Answer, Command, DeleteCommand

ACCEPTED_WITHIN = timedelta(seconds=10)


@dataclass(frozen=True)
class Request:
    """Who wants something deleted, why, and how long they wait."""

    who: str | None = None
    reason: str = ""
    limit: timedelta | None = None


@dataclass(frozen=True)
class Removal:
    """Which workflow is to go, by whose wish, and how long that may take."""

    id: str
    command: Command
    limit: timedelta | None = None


async def delete(client: Client, wanted: Wanted, request: Request) -> int:
    """Delete the canary or the Application that is meant."""
    if wanted.name is None or wanted.kind is Kind.ROLLOUT:
        raise UsageError("Say what to delete: canary NAME, or application NAME.")
    if wanted.kind is Kind.APPLICATION:
        found = await find_application(client, wanted.name, wanted.namespace)
    else:
        found = await find_canary(client, Reference(wanted.name, wanted.namespace, wanted.scope.cluster))
    return await remove(client, Removal(found.id, command(request.who, request.reason), request.limit))


async def remove(client: Client, removal: Removal) -> int:
    """Ask a canary or an Application to bring everything back and end, and wait until it has."""
    await require_worker(client)
    try:
        update = await _ask(client, removal)
        print(f"{removal.id} is being deleted", flush=True)
        async with asyncio.timeout(removal.limit.total_seconds() if removal.limit else None):
            answer = await update.result()
    except TimeoutError as error:
        text = f"{removal.id} is not deleted yet after {removal.limit}; it goes on."
        raise TimedOutError(text) from error
    except WorkflowUpdateFailedError as error:
        raise RefusedError(f"Cannot delete {removal.id}: {sentence(error)}") from error
    print(answer.message)
    return Exit.DONE


async def _ask(client: Client, removal: Removal) -> WorkflowUpdateHandle[Answer]:
    handle = client.get_workflow_handle(removal.id)
    try:
        async with asyncio.timeout(ACCEPTED_WITHIN.total_seconds()):
            return await handle.start_update(
                DELETE,
                DeleteCommand(command=removal.command),
                id=removal.command.id,
                wait_for_stage=WorkflowUpdateStage.ACCEPTED,
                result_type=Answer,
            )
    except (TimeoutError, WorkflowUpdateRPCTimeoutOrCancelledError) as error:
        raise UnreachableError(f"No worker took the deletion of {removal.id}; {START_A_WORKER}.") from error
    except RPCError as error:
        if error.status == RPCStatusCode.NOT_FOUND:
            raise RefusedError(f"{removal.id} is not there.") from error
        raise
