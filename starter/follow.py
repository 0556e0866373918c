"""Following one canary: the state it is in now, whichever of its workflows knows it, change by change."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime

from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from canary.status import ListRow, Phase
from starter.errors import RefusedError
from starter.listing import Listed, listed
from workflows.contract import canary_id, rollout_id

REFRESH = 0.5
"""Seconds between two looks."""

RESTING = (Phase.INITIALIZED, Phase.SUCCEEDED, Phase.FAILED)


@dataclass(frozen=True)
class State:
    """A canary's row, and whether it came to rest."""

    row: ListRow
    is_resting: bool
    """Nothing runs, and nothing is about to."""

    @property
    def has_failed(self) -> bool:
        """Whether the last rollout did not end in a promotion."""
        return self.is_resting and self.row.phase == Phase.FAILED


async def state(client: Client, tail: str) -> State:
    """Look at a canary once: at its rollout while one runs, else at the later word of the two."""
    rollout = await find(client, rollout_id(tail))
    if rollout is not None and rollout.is_running:
        return State(rollout.row, is_resting=False)
    canary = await find(client, canary_id(tail))
    if canary is None or not canary.is_running:
        raise RefusedError(f"The canary {tail} is no longer there.")
    return _resting(canary.row, rollout.row if rollout else None)


def _resting(canary: ListRow, rollout: ListRow | None) -> State:
    """Take the canary's row, unless it has yet to hear how its last rollout ended."""
    if rollout is not None and _moment(rollout) > _moment(canary):
        return State(rollout, is_resting=False)
    return State(canary, is_resting=canary.phase in RESTING)


async def changes(client: Client, tail: str) -> AsyncIterator[State]:
    """Give every new state, for as long as the consumer likes."""
    last: State | None = None
    while True:
        now = await state(client, tail)
        if now != last:
            last = now
            yield now
        await asyncio.sleep(REFRESH)


async def find(client: Client, workflow: str) -> Listed | None:
    """Give the newest run of a workflow, if there was any."""
    try:
        return await listed(await client.get_workflow_handle(workflow).describe())
    except RPCError as error:
        if error.status == RPCStatusCode.NOT_FOUND:
            return None
        raise


def _moment(row: ListRow) -> datetime:
    return row.last_transition_time or datetime.min.replace(tzinfo=UTC)
