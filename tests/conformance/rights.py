"""Which rights the engine would have needed in the members, from the logs of their API servers."""

import asyncio
import contextlib
from collections.abc import Iterable
from typing import Self

from tests.conformance.world import Cluster
from tests.deploy.rbac import SOURCE, Role

LOOK = 5.0
"""Seconds: a log holds its last 20,000 requests only."""


class Ledger:
    """Reads the logs until its `async with` ends and keeps what deploy/rbac.yaml does not grant."""

    def __init__(self, clusters: Iterable[Cluster]) -> None:
        self.outside: dict[str, str] = {}
        """Each verb and resource that nothing grants, with an example."""
        self._read = dict.fromkeys(clusters, 0)
        self._role = Role.load()

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._follow())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        await self._look()

    async def _follow(self) -> None:
        while True:
            await self._look()
            await asyncio.sleep(LOOK)

    async def _look(self) -> None:
        for cluster, since in self._read.items():
            log = await cluster.requests(since)
            if not log:
                continue
            assert log[0]["n"] == since + 1, (
                f"{cluster.name} forgot requests {since + 1} to {log[0]['n'] - 1}"
            )
            self._read[cluster] = log[-1]["n"]
            self.outside |= self._role.outside(log, SOURCE)
