"""A canary that things are done to, and what was released of it."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from temporalio.client import WorkflowUpdateFailedError
from temporalio.service import RPCError

from canary.status import Phase
from sandbox.client import NotFoundError
from starter.errors import StarterError
from tests.conformance import workload
from tests.conformance.case import Case
from tests.conformance.load import Load
from tests.conformance.waiting import until
from tests.conformance.workload import GOOD, NAME, success_rate
from tests.conformance.world import World

Object = dict[str, Any]

INTERVAL = 1.0
RATE = 5
"""Requests a second on each way."""
SETTLED_WITHIN = 90.0
ANSWERED_WITHIN = 15.0
"""Seconds; while no worker runs a command is not answered."""
IN_VAIN = (RPCError, WorkflowUpdateFailedError, StarterError, TimeoutError)
"""Nothing runs that could be told, or there is no worker at the moment."""


class Subject:
    """One canary of a Deployment, and what was released of it."""

    workload = "deployments"
    is_routed = True
    """Whether users come by the gateway as well."""

    def __init__(self, world: World, name: str, place: str, seed: int, **analysis: Any) -> None:
        self.case = Case(world, place, f"soak-{name}")
        self.random = random.Random(f"{seed} {name}")
        self.good = {workload.image(GOOD)}
        """What the primary may run: nothing else that was released may be promoted."""
        self.wanted: Object = {"metrics": [success_rate("3s")], "interval": f"{INTERVAL:g}s", **analysis}
        self.spec: Object = {}
        self.others: dict[Callable[[], Awaitable[str]], int] = {}
        """What else is done to it, and how often beside the rest."""
        self._releases = 0

    async def begin(self) -> None:
        """Initialise it."""
        await self.deploy()
        await self.case.initialise(spec=self.spec, **self.wanted)
        if self.is_routed:
            await self.case.is_routed()

    async def deploy(self) -> None:
        """Bring its workload."""
        await self.case.deploy()

    @asynccontextmanager
    async def asked(self) -> AsyncIterator[Load]:
        """Have users ask for it; beside them somebody asks the canary itself, for metrics of its versions."""
        async with (
            self.case.load(rate=RATE, is_routed=self.is_routed) as users,
            self.case.canary_load(rate=RATE),
        ):
            yield users

    async def release(self, *, is_good: bool) -> str:
        """Push a version that was never there before; gives its tag."""
        tag = self._next(is_good=is_good)
        await self.case.release(tag, self.workload)
        return tag

    def _next(self, *, is_good: bool) -> str:
        self._releases += 1
        tag = f"6.2.{self._releases}" if is_good else f"6.3.{self._releases}-err50"
        if is_good:
            self.good.add(workload.image(tag))
        return tag

    async def go_back(self) -> str:
        """Push what the primary runs; gives its tag."""
        tag = (await self.image(f"{NAME}-primary")).rpartition(":")[2]
        await self.case.release(tag, self.workload)
        return tag

    async def image(self, name: str) -> str:
        """What a workload is to run."""
        template = (await self.case.get(self.workload, name))["spec"]["template"]
        return str(template["spec"]["containers"][0]["image"])

    async def is_away(self) -> bool:
        """Whether no pods of the target are wanted."""
        return await self.case.replicas() == 0

    async def apply(self, **spec: Any) -> bool:
        """Apply its document; whether it was accepted."""
        async with asyncio.timeout(ANSWERED_WITHIN):
            return (await self.case.apply(spec=self.spec | spec, **self.wanted)).accepted

    async def settle(self) -> None:
        """Have a last good version promoted, whatever was done before; fails if that does not come about."""
        self.wanted["threshold"] = 5  # on a slow mesh the first checks find no data
        await self.apply()
        last = workload.image(await self.release(is_good=True))

        async def is_promoted() -> bool:
            is_at_rest = (await self.case.status()).phase in (Phase.INITIALIZED, Phase.SUCCEEDED)
            with suppress(NotFoundError):  # a primary that is not there yet
                is_primary = await self.image(f"{NAME}-primary") == last
                return is_at_rest and is_primary and self.case.weights[-1] == 0 and await self.is_away()
            return False

        await until(is_promoted, SETTLED_WITHIN, f"{self.case.namespace} promotes {last}")
