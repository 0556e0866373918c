"""Canaries that are taken out, and come back."""

import asyncio
from contextlib import suppress
from typing import Any

from canary.application import ApplicationSpec
from canary.status import Phase
from tests.conformance import delivery
from tests.conformance.source import Source
from tests.conformance.waiting import until
from tests.conformance.workload import GOOD, NAME
from tests.soak.subject import ANSWERED_WITHIN, IN_VAIN, SETTLED_WITHIN, Subject


class Returning(Subject):
    """A canary that is taken out and brought again; between those the gateway does not know it."""

    is_routed = False

    def __init__(self, *arguments: Any, **analysis: Any) -> None:
        super().__init__(*arguments, **analysis)
        self._place = self.case.namespace
        self.others = {self._leave_and_return: 4}

    async def _leave_and_return(self) -> str:
        await until(self._is_out, SETTLED_WITHIN, f"{self._place} is out")
        assert await self.image(NAME) in self.good, "the way out left a version that was never good"
        await until(self._is_in, SETTLED_WITHIN, f"{self._place} is in again")
        return "left, and came back"

    async def _is_out(self) -> bool:
        """Take it out, and say whether it is."""
        raise NotImplementedError

    async def _is_in(self) -> bool:
        """Bring it, and say whether it is there; what was pushed before that is what it begins with."""
        with suppress(*IN_VAIN):
            return await self.apply() and await self.case.is_in(Phase.INITIALIZED)
        return False


class Delivered(Returning):
    """What an Application brings from git; its rollout is taken out, and put in again."""

    def __init__(self, *arguments: Any, **analysis: Any) -> None:
        super().__init__(*arguments, **analysis)
        self.wanted = {"threshold": 5}
        self._source: Source

    async def begin(self) -> None:
        world = self.case.world
        self._source = await Source.clone(world.endpoints["git"], world.folder / self._place)
        await self._source.push(delivery.tree(self._place, GOOD))
        spec = self._application(has_rollout=True)
        self.case = delivery.case_of(world, self.case.cluster.name, self._place, spec)
        await until(self._is_in, SETTLED_WITHIN, f"{self._place} is in")

    async def release(self, *, is_good: bool) -> str:
        tag = self._next(is_good=is_good)
        await self._source.push(delivery.tree(self._place, tag))
        return tag

    async def go_back(self) -> str:
        tag = (await self.image(f"{NAME}-primary")).rpartition(":")[2]
        await self._source.push(delivery.tree(self._place, tag))
        return tag

    async def apply(self, *, suspend: bool = False) -> bool:
        """Apply its document; an Application knows no suspension."""
        del suspend
        async with asyncio.timeout(ANSWERED_WITHIN):
            await delivery.deliver(self.case.world, self._application(has_rollout=True))
        return True

    def _application(self, *, has_rollout: bool) -> ApplicationSpec:
        analysis = {"checkIntervalSeconds": 1, "checkFailedTimes": self.wanted["threshold"]}
        wanted = delivery.rollout(self._place, **analysis) if has_rollout else None
        return delivery.application(self.case.world, self._place, [self.case.cluster.name], wanted)

    async def _leave_and_return(self) -> str:
        await self.release(is_good=True)  # without a rollout every user gets what is pushed
        return await super()._leave_and_return()

    async def _is_out(self) -> bool:
        with suppress(*IN_VAIN):
            async with asyncio.timeout(ANSWERED_WITHIN):
                await delivery.deliver(self.case.world, self._application(has_rollout=False))
            return await self.case.is_gone()
        return False


class Leaving(Returning):
    """A Deployment whose canary is deleted and applied anew."""

    async def _is_out(self) -> bool:
        with suppress(*IN_VAIN):
            async with asyncio.timeout(ANSWERED_WITHIN):
                await self.case.delete()
        return await self.case.is_gone()
