"""Doorbells: signals without facts, after which a workflow looks for itself."""

import asyncio
from collections.abc import Iterable

from temporalio import activity
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

_GATHER = 0.05
"""Seconds in which the changes of one burst become one ring."""
_RETRY = 0.5


class Bells:
    """Rings workflows by their ids; one that is not there is left alone, a server that is away is awaited.

    Whoever is still to be rung when `run` is cancelled stays in *waiting*, for other bells to ring.
    """

    def __init__(self, client: Client, signal: str, waiting: set[str]) -> None:
        self._client = client
        self._signal = signal
        self._waiting = waiting
        self._has_waiting = asyncio.Event()
        self.ring(())

    def ring(self, workflows: Iterable[str]) -> None:
        """Have workflows rung soon, each once however often it is asked for until then."""
        self._waiting.update(workflows)
        if self._waiting:
            self._has_waiting.set()

    async def run(self) -> None:
        """Ring whoever is waiting, until cancelled."""
        while True:
            await self._has_waiting.wait()
            await asyncio.sleep(_GATHER)
            self._has_waiting.clear()
            if await self._ring_all():
                await asyncio.sleep(_RETRY)
                self._has_waiting.set()

    async def _ring_all(self) -> set[str]:
        """Ring whoever is waiting now; returns who could not be rung and goes on waiting."""
        missed = set(self._waiting)
        self._waiting.clear()
        try:
            answers = await asyncio.gather(*map(self._ring, sorted(missed)))
            missed = {one for one in answers if one}
        finally:
            self._waiting |= missed
        return missed

    async def _ring(self, workflow: str) -> str | None:
        """Ring one workflow; returns its id if that is to be tried again."""
        try:
            await self._client.get_workflow_handle(workflow).signal(self._signal)
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return None
            activity.logger.warning("bell not rung", extra={"bell": workflow, "status": error.status.name})
            return workflow
        return None
