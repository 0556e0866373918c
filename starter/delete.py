"""`canary delete`: the way out, after which the workload is as it was before."""

import asyncio
from collections.abc import Sequence
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
from starter.documents import Documents
from starter.durations import within
from starter.errors import Exit, RefusedError, TimedOutError, UnreachableError, UsageError
from starter.failures import sentence
from starter.get import Wanted
from starter.listing import Listed, Scope
from starter.lists import Kind
from starter.names import Reference, find_application, find_canary
from starter.options import Output
from starter.workers import START_ONE, require_worker
from workflows.contract import DELETE, Answer, Command, DeleteCommand

ACCEPTED_WITHIN = timedelta(seconds=10)
REFUSED_WITHIN = 0.1
"""Seconds; a refusal comes with the acceptance, and is only to be read out of it."""


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


async def delete(client: Client, targets: Sequence[Wanted], request: Request) -> int:
    """Delete the canaries and Applications that are meant, one after the other."""
    await require_worker(client, "deleted")
    for wanted in targets:
        found = await _find(client, wanted)
        await remove(client, Removal(found.id, command(request.who, request.reason), request.limit))
    return Exit.DONE


def described(documents: Documents) -> list[Wanted]:
    """Give what documents describe: their Applications and canaries."""
    resolution = documents.resolution
    applications = [
        Wanted(Kind.APPLICATION, each.spec.name, Scope(each.spec.namespace), Output.TABLE)
        for each in resolution.applications
    ]
    canaries = [
        Wanted(Kind.CANARY, each.spec.name, Scope(each.spec.namespace, each.spec.cluster), Output.TABLE)
        for each in resolution.canaries
    ]
    return applications + canaries


async def _find(client: Client, wanted: Wanted) -> Listed:
    if wanted.name is None or wanted.kind is Kind.ROLLOUT:
        raise UsageError("Say what to delete: canary NAME, application NAME, or -f FILE.")
    if wanted.kind is Kind.APPLICATION:
        return await find_application(client, wanted.name, wanted.namespace)
    return await find_canary(client, Reference(wanted.name, wanted.namespace, wanted.scope.cluster))


async def remove(client: Client, removal: Removal) -> None:
    """Ask a canary or an Application to bring everything back and end, and wait until it has."""
    try:
        update = await _ask(client, removal)
        answering = asyncio.create_task(update.result())
        if await _has_begun(answering):
            print(f"{removal.id} is being deleted", flush=True)
        async with within(removal.limit):
            answer = await answering
            while answer.goes_on:
                answer = await (await _ask(client, removal)).result()
    except (TimeoutError, WorkflowUpdateRPCTimeoutOrCancelledError) as error:  # the latter also on Ctrl-C
        waited = "" if removal.limit is None else f" after {removal.limit}"
        raise TimedOutError(f"{removal.id} is not deleted yet{waited}; it goes on.") from error
    except WorkflowUpdateFailedError as error:
        raise RefusedError(f"Cannot delete {removal.id}: {sentence(error)}") from error
    if not answer.is_done:
        raise RefusedError(answer.message)
    print(answer.message, flush=True)


async def _has_begun(answering: asyncio.Task[Answer]) -> bool:
    """Whether what was asked for is under way or done, and was not refused outright."""
    await asyncio.wait([answering], timeout=REFUSED_WITHIN)
    return not answering.done() or answering.exception() is None


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
        raise UnreachableError(f"No worker took the deletion of {removal.id}; {START_ONE}.") from error
    except RPCError as error:
        if error.status == RPCStatusCode.NOT_FOUND:
            raise RefusedError(f"{removal.id} is not there.") from error
        raise
