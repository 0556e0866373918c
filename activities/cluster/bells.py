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
    """Rings workflows by their ids; one that is not there is left alone, a server that is away is awaited."""

    def __init__(self, client: Client, signal: str) -> None:
        self._client = client
        self._signal = signal
        self._waiting: set[str] = set()
        self._has_waiting = asyncio.Event()

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
            waiting, self._waiting = sorted(self._waiting), set()
            self._has_waiting.clear()
            missed = [one for one in await asyncio.gather(*map(self._ring, waiting)) if one]
            if missed:
                await asyncio.sleep(_RETRY)
                self.ring(missed)

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
