"""What happens in each act, in all clusters at once."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import TypeVar

from temporalio.client import Client

from canary.application import ApplicationSpec
from starter import offer
from starter.commands import command
from starter.demo.timeline import Timeline
from starter.endings import outcome
from starter.errors import RefusedError
from starter.evidence import evidence
from starter.follow import RESTING, find, state
from starter.listing import Listed
from workflows.contract import canary_id, rollout_id

Result = TypeVar("Result")

LOOK = 0.1
"""Seconds between two looks for something that is about to appear."""


class Actors:
    """The engine's part of the play, told as it happens."""

    def __init__(self, client: Client, timeline: Timeline) -> None:
        self._client = client
        self._timeline = timeline
        self._seen: set[str] = set()

    async def deliver(self, spec: ApplicationSpec) -> list[str]:
        """Apply an Application and follow its canaries until they are initialised; gives their tails."""
        result = await offer.make(self._client, offer.of_application(spec, command("demo", "the first act")))
        if not result.accepted:
            raise RefusedError("; ".join(problem.message for problem in result.problems))
        tails = [canary.tail for policy in spec.policies for canary in policy.canaries]
        self._timeline.begin()
        await together(self._initialise, tails)
        return tails

    async def roll_out(self, tails: Sequence[str]) -> list[str]:
        """Follow the next rollout of every canary to its end; gives how they ended."""
        self._timeline.begin()
        return await together(self._follow, tails)

    async def _initialise(self, tail: str) -> None:
        last = None
        await self._appear(canary_id(tail))
        while last not in RESTING:
            row = (await state(self._client, tail)).row
            if row.phase != last:
                self._timeline.row(row)
                last = row.phase
            await asyncio.sleep(LOOK)

    async def _follow(self, tail: str) -> str:
        rollout = await self._appear(rollout_id(tail))
        handle = self._client.get_workflow_handle(rollout.id, run_id=rollout.run_id)
        cluster = tail.partition("/")[0]
        async for item in evidence(self._client, handle, is_live=True):
            self._timeline.show(cluster, item)
        ended = await find(self._client, rollout.id)
        return "" if ended is None else await outcome(self._client, ended)

    async def _appear(self, workflow: str) -> Listed:
        """Wait for a run of a workflow that was not there before."""
        while True:
            found = await find(self._client, workflow)
            if found is not None and found.run_id not in self._seen:
                self._seen.add(found.run_id)
                return found
            await asyncio.sleep(LOOK)


async def together(act: Callable[[str], Coroutine[None, None, Result]], tails: Sequence[str]) -> list[Result]:
    """Play the same in every cluster; where it fails in one, the others stop."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(act(tail)) for tail in tails]
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from failed
    return [task.result() for task in tasks]
