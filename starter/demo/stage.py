"""The stage of the demo: a sandbox and a worker as children, up before the play and gone after it."""

import asyncio
import json
import os
from collections.abc import Coroutine
from contextlib import ExitStack
from typing import Any, Self

from temporalio.client import Client
from temporalio.service import RPCError

from starter.connection import connect, worded
from starter.demo.folder import Place, clusters_file, remember_worker, take
from starter.errors import UnreachableError
from starter.options import Globals
from starter.processes import Child, Program
from starter.workers import has_workers

CLUSTERS = 2
HOST = "host"
"""The cluster of Kurator itself, which is no member."""
READY_WITHIN = 60.0
"""Seconds; a warm start takes three, the first one after an install reads everything from disk."""
ENDS_WITHIN = 5.0
LEAVES_WITHIN = 1.0
"""Seconds; a player who takes back what was begun does not hear that nobody is there."""
LOOK = 0.05
WORKER_PATIENCE = 2.0
"""Seconds; everything is over when the play is, and a rollout would survive a kill anyway."""


class Stage:
    """The running sandbox and worker, with a client to them."""

    client: Client
    endpoints: dict[str, Any]

    def __init__(self, place: Place) -> None:
        self._place = place
        self._children: list[Child] = []
        self._is_kept = False
        self._held = ExitStack()

    async def __aenter__(self) -> Self:
        try:
            held = await asyncio.to_thread(take, self._place.folder)
            self._held.callback(held.close)
            async with asyncio.timeout(READY_WITHIN):
                await self._raise()
        except TimeoutError as error:
            await self._strike()
            raise UnreachableError(f"Not up within {READY_WITHIN:g} s; see {self._place.folder}.") from error
        except BaseException as error:
            await self.__aexit__(None, error, None)
            raise
        return self

    async def __aexit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        try:
            if isinstance(error, RPCError):
                await self._explain(error)
        finally:
            if not self._is_kept:
                await self._strike()

    @property
    def clusters(self) -> list[str]:
        """The member clusters."""
        return sorted(name for name in self.endpoints["clusters"] if name != HOST)

    @property
    def gateways(self) -> dict[str, str]:
        """Where each member cluster's users come in."""
        return {name: self.endpoints["clusters"][name]["gateway"] for name in self.clusters}

    async def bear(self, play: Coroutine[Any, Any, None]) -> None:
        """Have something played to its end; where a part of the stage falls down meanwhile, say which.

        What is played may hang on that part: Temporal's client tries for ten seconds.
        """
        playing = asyncio.create_task(play)
        falls = [asyncio.create_task(child.ended()) for child in self._children]
        try:
            await asyncio.wait([playing, *falls], return_when=asyncio.FIRST_COMPLETED)
            self._require_alive()
            await playing
        finally:
            for task in (playing, *falls):
                task.cancel()
            await asyncio.wait([playing, *falls], timeout=LEAVES_WITHIN)

    def keep(self) -> None:
        """Leave everything running; from now on it is the sandbox that holds the folder."""
        self._is_kept = True
        self._held.close()

    async def _raise(self) -> None:
        folder = self._place.folder
        await self._start(
            Program(
                "sandbox",
                ["sandbox", "up", "--dir", str(folder), "--clusters", str(CLUSTERS)],
                folder / "sandbox.log",
                _surroundings(),
                is_kept=self._place.is_kept,
            )
        )
        while not await asyncio.to_thread((folder / "endpoints.json").exists):
            await self._look()
        self.endpoints = json.loads(await asyncio.to_thread((folder / "endpoints.json").read_text))
        environment = {
            **_surroundings(),
            "TEMPORAL_ADDRESS": self.endpoints["temporal"],
            "CANARY_CLUSTERS": str(clusters_file(folder)),
            "CANARY_REPORTS": str(folder / "reports"),
            "CANARY_CACHE": str(folder / "cache"),
        }
        worker = await self._start(
            Program(
                "worker",
                ["worker"],
                folder / "worker.log",
                environment,
                is_kept=self._place.is_kept,
                patience=WORKER_PATIENCE,
            )
        )
        await asyncio.to_thread(remember_worker, folder, worker.pid)
        self.client = await connect(Globals(sandbox=folder))
        while not await has_workers(self.client):
            await self._look()

    async def _start(self, program: Program) -> Child:
        child = await Child.start(program)
        self._children.append(child)
        return child

    def _require_alive(self) -> None:
        for child in self._children:
            child.require_alive()

    async def _look(self) -> None:
        self._require_alive()
        await asyncio.sleep(LOOK)

    async def _explain(self, error: RPCError) -> None:
        """Say who fell down when Temporal went away; a process ends a moment after its parts."""
        try:
            async with asyncio.timeout(ENDS_WITHIN):
                while True:
                    await self._look()
        except TimeoutError:
            raise worded(error) from error

    async def _strike(self) -> None:
        """Take everything down, the worker first; not even a second Ctrl-C leaves half of it standing."""
        for child in reversed(self._children):
            await asyncio.shield(child.stop())
        self._held.close()


def _surroundings() -> dict[str, str]:
    """Give our environment without what would lead elsewhere: everything here is local."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("TEMPORAL_", "CANARY_")) and not name.lower().endswith("_proxy")
    }
