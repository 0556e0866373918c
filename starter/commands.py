"""`canary abort`, `restart` and `approve`: a person's wish, recorded whether or not a worker runs."""

import asyncio
import getpass
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import uuid4

from temporalio.client import (
    Client,
    WorkflowHandle,
    WorkflowUpdateFailedError,
    WorkflowUpdateHandle,
    WorkflowUpdateRPCTimeoutOrCancelledError,
    WorkflowUpdateStage,
)
from temporalio.service import RPCError, RPCStatusCode

from starter.errors import Exit, RefusedError
from starter.failures import sentence
from starter.names import Reference, find_canary
from workflows.contract import ACCEPTANCE, Answer, Command, Verb, canary_id, rollout_id

NO_WORKER = "recorded; no worker is running, it acts when one is"
ANSWER = 10.0
"""Seconds for an accepted command's answer: handlers only record a wish."""


@dataclass(frozen=True)
class Wish:
    """What a person wants done."""

    verb: Verb
    command: Command


def person(given: str | None) -> str:
    """Name who gives a command."""
    return given or os.environ.get("CANARY_USER") or getpass.getuser()


def wish(verb: str, who: str | None, reason: str) -> Wish:
    """Make a wish of a verb, who and why."""
    return Wish(Verb(verb), command(who, reason))


def command(who: str | None, reason: str) -> Command:
    """Make a command; its id makes one of the Update and the Signal that may replace it."""
    return Command(id=str(uuid4()), who=person(who), reason=reason, at=datetime.now(UTC))


async def send(client: Client, reference: Reference, wish: Wish) -> int:
    """Send a wish to the running rollout, and where none runs to the canary."""
    found = await find_canary(client, reference)
    for workflow in _takers(wish.verb, found.tail):
        answer = await _offer(client.get_workflow_handle(workflow), wish)
        if answer is not None:
            print(answer)
            return Exit.DONE
    if wish.verb is Verb.APPROVE:
        raise RefusedError(f"Cannot approve {reference}: no rollout is running, so no gate waits.")
    raise RefusedError(f"Cannot {wish.verb} {reference}: neither a rollout nor its canary is running.")


def _takers(verb: Verb, tail: str) -> tuple[str, ...]:
    """The workflows that take a verb, the first that runs; only a rollout has gates to approve."""
    rollout = rollout_id(tail)
    return (rollout,) if verb is Verb.APPROVE else (rollout, canary_id(tail))


async def _offer(handle: WorkflowHandle[object, object], wish: Wish) -> str | None:
    """Give the wish to one workflow: its answer, or None where it is not running."""
    try:
        return await _update(handle, wish)
    except WorkflowUpdateFailedError as error:
        raise RefusedError(f"Cannot {wish.verb} {handle.id}: {sentence(error)}") from error
    except (TimeoutError, WorkflowUpdateRPCTimeoutOrCancelledError):
        return await _signal(handle, wish)
    except RPCError as error:
        if error.status == RPCStatusCode.NOT_FOUND:
            return None
        raise


async def _update(handle: WorkflowHandle[object, object], wish: Wish) -> str:
    async with asyncio.timeout(ACCEPTANCE.total_seconds()):
        update: WorkflowUpdateHandle[Answer] = await handle.start_update(
            wish.verb.value,
            wish.command,
            id=wish.command.id,
            wait_for_stage=WorkflowUpdateStage.ACCEPTED,
            result_type=Answer,
        )
    async with asyncio.timeout(ANSWER):
        return (await update.result()).message


async def _signal(handle: WorkflowHandle[object, object], wish: Wish) -> str | None:
    """Record the same command durably; its id makes the two one."""
    try:
        await handle.signal(wish.verb.value, wish.command)
    except RPCError as error:
        if error.status == RPCStatusCode.NOT_FOUND:
            return None
        raise
    return f"{wish.verb} {NO_WORKER}"
