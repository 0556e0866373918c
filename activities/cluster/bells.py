"""Doorbells: signals without facts, after which a workflow looks for itself."""

import asyncio
from collections.abc import Iterable
from typing import NamedTuple

from temporalio import activity
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

_GATHER = 0.05
"""Seconds in which the changes of one burst become one ring."""
_RETRY = 0.5


class Ring(NamedTuple):
    """Which workflow is rung, and where it has to look if that is not where it looks anyway."""

    workflow: str
    kind: str = ""
    instead: str = ""
    """Whom to ring where that workflow is not there."""


class Bells:
    """Rings workflows by their ids; one that is not there is left alone, a server that is away is awaited.

    Whoever is still to be rung when `run` is cancelled stays in *waiting*, for other bells to ring.
    """

    def __init__(self, client: Client, signal: str, waiting: set[Ring]) -> None:
        self._client = client
        self._signal = signal
        self._waiting = waiting
        self._ringing: set[Ring] = set()
        self._has_waiting = asyncio.Event()
        self.ring(())

    def ring(self, rings: Iterable[Ring]) -> None:
        """Have workflows rung soon, each once however often it is asked for until then."""
        self._waiting.update(rings)
        if self._waiting:
            self._has_waiting.set()

    @property
    def are_silent(self) -> bool:
        """Whether everybody has been rung."""
        return not self._waiting and not self._ringing

    async def run(self) -> None:
        """Ring whoever is waiting, until cancelled."""
        while True:
            await self._has_waiting.wait()
            await asyncio.sleep(_GATHER)
            self._has_waiting.clear()
            if await self._ring_all():
                await asyncio.sleep(_RETRY)
                self._has_waiting.set()

    async def _ring_all(self) -> set[Ring]:
        """Ring whoever is waiting now; returns who could not be rung and goes on waiting."""
        missed = self._ringing = set(self._waiting)
        self._waiting.clear()
        try:
            answers = await asyncio.gather(*map(self._ring, sorted(missed)))
            missed = {one for one in answers if one}
        finally:
            self._waiting |= missed
            self._ringing = set()
        return missed

    async def _ring(self, ring: Ring) -> Ring | None:
        """Ring one workflow; returns what is to be tried again."""
        hint = (ring.kind,) if ring.kind else ()
        try:
            await self._client.get_workflow_handle(ring.workflow).signal(self._signal, *hint)
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return await self._ring(Ring(ring.instead)) if ring.instead else None
            activity.logger.warning(
                "bell not rung", extra={"bell": ring.workflow, "status": error.status.name}
            )
            return ring
        return None
