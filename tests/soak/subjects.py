"""The canaries that things are done to, each with another strategy."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from canary.status import Phase
from tests.conformance import workload
from tests.conformance.case import Case
from tests.conformance.load import Load
from tests.conformance.waiting import until
from tests.conformance.workload import GOOD, NAME, success_rate
from tests.conformance.world import World

STRATEGIES: dict[str, dict[str, Any]] = {
    "weights": {},
    "list": {"stepWeights": [5, 20, 60]},
    "backwards": {"stepWeight": 25, "maxWeight": 75, "stepWeightPromotion": 40},
    "mirrored": {"mirror": True, "mirrorWeight": 50},
    "blue-green": {"iterations": 3},
    "sticky": {
        "stepWeight": 20,
        "maxWeight": 40,
        "sessionAffinity": {"cookieName": "version", "maxAge": 60},
    },
    "matched": {"iterations": 3, "match": [{"headers": {"x-insider": {"exact": "true"}}}]},
}
MEMBERS = ("kurator-member1", "kurator-member2")
INTERVAL = 1.0
RATE = 8
"""Requests a second on each way."""
SETTLED_WITHIN = 90.0


class Subject:
    """One canary, and what was released of it."""

    def __init__(self, world: World, strategy: str, seed: int) -> None:
        place = MEMBERS[list(STRATEGIES).index(strategy) % len(MEMBERS)]
        self.case = Case(world, place, f"soak-{strategy}")
        self.random = random.Random(f"{seed} {strategy}")
        self.good = {workload.image(GOOD)}
        """What the primary may run: nothing else that was released may be promoted."""
        self.wanted: dict[str, Any] = {"metrics": [success_rate("3s")], "interval": f"{INTERVAL:g}s"}
        self.wanted |= STRATEGIES[strategy]
        self._releases = 0

    async def begin(self) -> None:
        """Initialise it."""
        await self.case.deploy()
        await self.case.initialise(**self.wanted)
        await self.case.is_routed()

    @asynccontextmanager
    async def asked(self) -> AsyncIterator[Load]:
        """Have users ask for it; beside them somebody asks the canary itself, for metrics of its versions."""
        async with self.case.load(rate=RATE) as users, self.case.canary_load(rate=RATE):
            yield users

    async def release(self, *, is_good: bool) -> str:
        """Push a version that was never there before; gives its tag."""
        self._releases += 1
        tag = f"6.2.{self._releases}" if is_good else f"6.3.{self._releases}-err50"
        if is_good:
            self.good.add(workload.image(tag))
        await self.case.release(tag)
        return tag

    async def settle(self) -> None:
        """Have a last good version promoted, whatever was done before; fails if that does not come about."""
        await self.case.apply(**self.wanted)
        last = workload.image(await self.release(is_good=True))

        async def is_promoted() -> bool:
            is_at_rest = (await self.case.status()).phase in (Phase.INITIALIZED, Phase.SUCCEEDED)
            is_primary = await self.case.image(f"{NAME}-primary") == last
            is_alone = self.case.weights[-1] == 0 and await self.case.replicas() == 0
            return is_at_rest and is_primary and is_alone

        await until(is_promoted, SETTLED_WITHIN, f"{self.case.namespace} promotes {last}")
