"""The canaries that things are done to: each with another strategy, or another thing about it."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

from temporalio.client import WorkflowUpdateFailedError
from temporalio.service import RPCError

from canary.application import ApplicationSpec
from canary.spec import HookType
from canary.status import Phase
from sandbox.client import NotFoundError
from starter.errors import StarterError
from tests.conformance import delivery, workload
from tests.conformance.case import Case
from tests.conformance.hooks import Hook
from tests.conformance.load import Load
from tests.conformance.source import Source
from tests.conformance.waiting import until
from tests.conformance.workload import GOOD, NAME, success_rate
from tests.conformance.world import World

Object = dict[str, Any]

MEMBERS = ("kurator-member1", "kurator-member2")
INTERVAL = 1.0
RATE = 5
"""Requests a second on each way."""
SETTLED_WITHIN = 90.0
ANSWERED_WITHIN = 15.0
"""Seconds; while no worker runs a command is not answered."""
IN_VAIN = (RPCError, WorkflowUpdateFailedError, StarterError, TimeoutError)
"""Nothing runs that could be told, or there is no worker at the moment."""
GATES = (HookType.CONFIRM_ROLLOUT, HookType.CONFIRM_TRAFFIC_INCREASE, HookType.CONFIRM_PROMOTION)


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


class Daemons(Subject):
    """A DaemonSet."""

    workload = "daemonsets"

    def __init__(self, *arguments: Any, **analysis: Any) -> None:
        super().__init__(*arguments, **analysis)
        self.spec = {"targetRef": {"apiVersion": "apps/v1", "kind": "DaemonSet", "name": NAME}}

    async def deploy(self) -> None:
        place = self.case.namespace
        namespaces = f"/api/v1/namespaces/{place}"
        await self.case.cluster.api.apply(namespaces, workload.namespace(place), manager="kubectl")
        await self.case.apply_object("services", workload.service(place))
        await self.case.apply_object("daemonsets", workload.daemon_set(place))
        await self.case.is_served(*self.case.ways()[1:])

    async def is_away(self) -> bool:
        template = (await self.case.get(self.workload))["spec"]["template"]["spec"]
        return bool(template.get("nodeSelector"))


class Autoscaled(Subject):
    """A Deployment with an autoscaler, whose primary grows and shrinks."""

    def __init__(self, *arguments: Any, **analysis: Any) -> None:
        super().__init__(*arguments, **analysis)
        kind = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler"}
        self.spec = {"autoscalerRef": {**kind, "name": NAME}}
        self.others = {self._scale: 2}

    async def deploy(self) -> None:
        await super().deploy()
        await self.case.apply_object("horizontalpodautoscalers", workload.autoscaler(2, 4))

    async def _scale(self) -> str:
        size = self.random.choice([2, 3, 4])
        path = self.case.path("deployments", f"{NAME}-primary")
        await self.case.cluster.api.patch(path, {"spec": {"replicas": size}}, fieldManager="autoscaler")
        return f"is scaled to {size}"


class Configured(Subject):
    """A Deployment with a ConfigMap that changes."""

    def __init__(self, *arguments: Any, **analysis: Any) -> None:
        super().__init__(*arguments, **analysis)
        self.others = {self._configure: 3}

    async def deploy(self) -> None:
        await self.case.deploy(envFrom=[{"configMapRef": {"name": "settings"}}])
        await self._configure()
        await self.case.is_ready(NAME)
        await self.case.is_served(*self.case.ways()[1:])

    async def _configure(self) -> str:
        text = f"{self.random.random()}"
        await self.case.apply_object("configmaps", workload.config_map(PODINFO_UI_MESSAGE=text))
        return f"changes its ConfigMap to {text}"


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


class Delivered(Subject):
    """What an Application brings from git; its rollout is taken out, and put in again."""

    is_routed = False

    def __init__(self, *arguments: Any, **analysis: Any) -> None:
        super().__init__(*arguments, **analysis)
        self.wanted = {"threshold": 5}
        self.others = {self._leave_and_return: 3}
        self._place = self.case.namespace
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
        await until(self._is_out, SETTLED_WITHIN, f"{self._place} is out")
        assert await self.image(NAME) in self.good, "the way out left a version that was never good"
        await until(self._is_in, SETTLED_WITHIN, f"{self._place} is in again")
        return "left, and came back"

    async def _is_out(self) -> bool:
        with suppress(*IN_VAIN):
            async with asyncio.timeout(ANSWERED_WITHIN):
                await delivery.deliver(self.case.world, self._application(has_rollout=False))
            return await self.case.is_gone()
        return False

    async def _is_in(self) -> bool:
        with suppress(*IN_VAIN):
            return await self.apply() and await self.case.is_in(Phase.INITIALIZED)
        return False


class Leaving(Subject):
    """A Deployment whose canary is taken out and applied anew; between those the gateway does not know it."""

    is_routed = False

    def __init__(self, *arguments: Any, **analysis: Any) -> None:
        super().__init__(*arguments, **analysis)
        self.others = {self._leave_and_return: 4}

    async def _leave_and_return(self) -> str:
        await until(self._is_out, SETTLED_WITHIN, f"{self.case.namespace} is out")
        assert await self.image(NAME) in self.good, "the way out left a version that was never good"
        await until(self._is_in, SETTLED_WITHIN, f"{self.case.namespace} is in again")
        return "left, and came back"

    async def _is_out(self) -> bool:
        with suppress(*IN_VAIN):
            async with asyncio.timeout(ANSWERED_WITHIN):
                await self.case.delete()
        return await self.case.is_gone()

    async def _is_in(self) -> bool:
        with suppress(*IN_VAIN):
            # What is pushed before that is what the canary begins with.
            return await self.apply() and await self.case.is_in(Phase.INITIALIZED)
        return False


def subjects(world: World, seed: int) -> dict[str, Subject]:
    """All of them, by name; each in a cluster that the next is not in."""
    made: dict[str, tuple[type[Subject], Object]] = {
        "weights": (Subject, {}),
        "list": (Subject, {"stepWeights": [5, 20, 60]}),
        "backwards": (Subject, {"stepWeight": 25, "maxWeight": 75, "stepWeightPromotion": 40}),
        "mirrored": (Subject, {"mirror": True, "mirrorWeight": 50}),
        "blue-green": (Subject, {"iterations": 3}),
        "sticky": (
            Subject,
            {"stepWeight": 20, "maxWeight": 40, "sessionAffinity": {"cookieName": "version", "maxAge": 60}},
        ),
        "matched": (Subject, {"iterations": 3, "match": [{"headers": {"x-insider": {"exact": "true"}}}]}),
        "daemons": (Daemons, {"stepWeight": 50}),
        "autoscaled": (Autoscaled, {"stepWeight": 20, "maxWeight": 40}),
        "configured": (Configured, {"stepWeight": 20, "maxWeight": 40}),
        "gated": (Gated, {"stepWeight": 20, "maxWeight": 40}),
        "delivered": (Delivered, {}),
        "leaving": (Leaving, {"stepWeight": 20, "maxWeight": 40}),
    }
    return {
        name: kind(world, name, MEMBERS[number % len(MEMBERS)], seed, **analysis)
        for number, (name, (kind, analysis)) in enumerate(made.items())
    }
