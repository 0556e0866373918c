"""Canaries whose rollouts ask and tell others."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any

from canary.spec import HookType
from tests.conformance.hooks import Hook
from tests.conformance.waiting import until
from tests.soak.subject import SETTLED_WITHIN, Subject

GATES = (HookType.CONFIRM_ROLLOUT, HookType.CONFIRM_TRAFFIC_INCREASE, HookType.CONFIRM_PROMOTION)


class Gated(Subject):
    """A Deployment whose rollouts wait at gates, and are rolled back by one."""

    def __init__(self, *arguments: Any, **analysis: Any) -> None:
        super().__init__(*arguments, **analysis)
        self._gates = [Hook() for _ in GATES]
        self._rollback = Hook(is_closed=True)
        self._servers = AsyncExitStack()
        self.others = {self._turn_a_gate: 8, self._demand_rollback: 1}

    async def deploy(self) -> None:
        for hook in (*self._gates, self._rollback):
            await self._servers.enter_async_context(hook)
        gates = [hook.document(type_=str(type_)) for type_, hook in zip(GATES, self._gates, strict=True)]
        self.wanted["webhooks"] = [*gates, self._rollback.document(type_=str(HookType.ROLLBACK))]
        await super().deploy()

    async def settle(self) -> None:
        for gate in self._gates:
            gate.is_closed = False
        async with self._servers:
            await super().settle()

    async def _turn_a_gate(self) -> str:
        number = self.random.randrange(len(GATES))
        gate = self._gates[number]
        gate.is_closed = not gate.is_closed
        return f"{'closes' if gate.is_closed else 'opens'} {GATES[number]}"

    async def _demand_rollback(self) -> str:
        self._rollback.is_closed = False
        await asyncio.sleep(self.random.uniform(1, 4))
        self._rollback.is_closed = True
        return "demanded a rollback"


class Announced(Subject):
    """A Deployment whose rollouts are told to two: one always listens, one hangs and refuses."""

    def __init__(self, *arguments: Any, **analysis: Any) -> None:
        super().__init__(*arguments, **analysis)
        self._steady, self._moody = Hook(), Hook()
        self._servers = AsyncExitStack()
        self.others = {self._turn: 5}

    async def deploy(self) -> None:
        providers = {"steady": self._steady, "moody": self._moody}
        for hook in providers.values():
            await self._servers.enter_async_context(hook)
        self.wanted["alerts"] = [{"name": name, "providerRef": {"name": name}} for name in providers]
        self.wanted["webhooks"] = [self._moody.document(type_=str(HookType.EVENT))]
        self.wanted["others"] = [hook.provider(self.case.namespace, name) for name, hook in providers.items()]
        await super().deploy()

    async def settle(self) -> None:
        async with self._servers:
            await super().settle()
            await until(self._is_told, SETTLED_WITHIN, f"{self.case.namespace} tells of its promotion")

    async def _is_told(self) -> bool:
        return "promotion finished" in str(self._steady.calls[-1:])

    async def _turn(self) -> str:
        mood = self.random.choice(["hangs", "refuses", "listens"])
        self._moody.let_go()
        self._moody.is_closed = mood == "refuses"
        if mood == "hangs":
            self._moody.hang()
        return f"has a listener that {mood}"
