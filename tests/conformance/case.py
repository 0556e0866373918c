"""One test's place in the world: a namespace of a member cluster, with the workload and its canary."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

import aiohttp
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowFailureError, WorkflowHandle
from temporalio.service import RPCError, RPCStatusCode

from canary.spec import CanarySpec
from canary.status import CanaryStatus, Phase, RolloutStatus
from sandbox.client import ApiError
from starter import offer
from starter.commands import command
from starter.evidence import Checked, Moved, evidence
from tests.conformance import workload
from tests.conformance.faults import ENGINE
from tests.conformance.ground import Need
from tests.conformance.load import Load, Way
from tests.conformance.waiting import NAMED, SLOWNESS, until
from tests.conformance.workload import NAME, PORT
from tests.conformance.world import Cluster, World
from workflows.contract import (
    DELETE,
    STATUS,
    Answer,
    ApplyCanary,
    ApplyResult,
    CanaryView,
    DeleteCommand,
    RolloutView,
    Verb,
    canary_id,
    rollout_id,
)

APPS, CORE = "/apis/apps/v1", "/api/v1"
ISTIO = "/apis/networking.istio.io/v1beta1"
GROUPS = {
    **dict.fromkeys(("deployments", "daemonsets"), APPS),
    **dict.fromkeys(("virtualservices", "destinationrules"), ISTIO),
    "horizontalpodautoscalers": "/apis/autoscaling/v2",
}
READY_WITHIN = 60.0
INITIALISED_WITHIN = 60.0
DELIVERED_WITHIN = 60.0
ENDED_WITHIN = 90.0
"""Seconds, far more than it takes: a busy machine is no failure."""

_numbers = count(1)


@dataclass(frozen=True)
class Ended:
    """A rollout that has come to its end: how, and everything it went through."""

    outcome: str
    message: str
    rows: list[tuple[str, int]]
    """Every phase and weight, one after the other, as lists showed them."""
    checks: list[Checked]
    view: RolloutView


class Case:
    """The workload of one test."""

    def __init__(self, world: World, cluster: str, name: str) -> None:
        self.world = world
        self.cluster: Cluster = world.clusters[cluster]
        self.namespace = f"{name}-{next(_numbers)}"
        self.name = NAME
        self.spec: CanarySpec
        self._runs: set[str] = set()

    @property
    def client(self) -> Client:
        return self.world.client

    @property
    def canary(self) -> WorkflowHandle[Any, Any]:
        return self.client.get_workflow_handle(canary_id(self.spec.tail))

    @property
    def rollout(self) -> WorkflowHandle[Any, Any]:
        return self.client.get_workflow_handle(rollout_id(self.spec.tail))

    @property
    def weights(self) -> list[int]:
        return self.cluster.trail.weights(self.namespace)

    # The cluster.

    def path(self, kind: str, name: str | None = None) -> str:
        return f"{GROUPS.get(kind, CORE)}/namespaces/{self.namespace}/{kind}/{name or self.name}"

    async def get(self, kind: str, name: str | None = None) -> dict[str, Any]:
        return await self.cluster.api.get(self.path(kind, name))

    async def find(self, kind: str, name: str | None = None) -> dict[str, Any] | None:
        try:
            return await self.get(kind, name)
        except ApiError as error:
            if error.status != 404:
                raise
            return None

    async def apply_object(self, kind: str, body: dict[str, Any]) -> None:
        await self.cluster.api.apply(self.path(kind, body["metadata"]["name"]), body, manager="kubectl")

    async def deploy(self, **changes: Any) -> None:
        """Bring the workload into a namespace of its own, with routes at the gateway, until it serves."""
        await self._settle_in()
        await self.apply_object("services", workload.service(self.namespace))
        await self.apply_object("deployments", workload.deployment(self.namespace, **changes))
        if "envFrom" not in changes:  # what is named there may be yet to come
            await self.is_ready(NAME)
            if not self.world.lacks(Need.MESH):
                await self.is_served(*self.ways()[1:])

    async def deploy_daemons(self) -> None:
        """Bring the workload as a DaemonSet, without routes at the gateway, until it serves."""
        await self._settle_in()
        await self.apply_object("services", workload.service(self.namespace))
        await self.apply_object("daemonsets", workload.daemon_set(self.namespace))
        await self.is_served(*self.ways()[1:])

    async def deploy_versions(self, *tags: str) -> None:
        """Bring a workload for each version, and a Service that leads to the first, until it serves."""
        await self._settle_in()
        for tag in tags:
            await self.deploy_version(tag)
        await self.lead(tags[0])
        await self.is_served(*self.ways()[1:])

    async def deploy_version(self, tag: str) -> None:
        """Bring a workload of its own for a version, until it is ready."""
        body = workload.versioned(self.namespace, tag)
        await self.apply_object("deployments", body)
        await self.is_ready(body["metadata"]["name"])

    async def lead(self, tag: str) -> None:
        """Let the Service lead to the pods of a version."""
        await self.apply_object("services", workload.service(self.namespace, version=tag))

    async def version(self, name: str) -> str:
        """The version that a Service leads to."""
        return str((await self.get("services", name))["spec"]["selector"]["version"])

    async def _settle_in(self) -> None:
        body = workload.namespace(self.namespace)
        await self.cluster.api.apply(f"{CORE}/namespaces/{self.namespace}", body, manager="kubectl")

    async def is_ready(self, name: str) -> None:
        async def ready() -> bool:
            found = await self.get("deployments", name)
            status, wanted = found["status"], found["spec"]["replicas"]
            observed = status.get("observedGeneration") == found["metadata"]["generation"]
            counted = {status.get(key, 0) for key in ("availableReplicas", "replicas", "updatedReplicas")}
            return observed and counted == {wanted}

        await until(ready, READY_WITHIN, f"{name} in {self.namespace} is ready")

    async def is_routed(self) -> None:
        """Wait until the workload's users are served at the gateway."""
        await self.is_served(self.ways()[0])

    async def is_served(self, *ways: Way) -> None:
        """Wait until users who come by these ways are served: the mesh learns of a Service later."""

        async def served() -> bool:
            async with Load(list(ways)) as load:
                await asyncio.sleep(0.1)
            return all(tally.served for tally in load.tallies.values()) and not load.failures

        await until(served, READY_WITHIN, f"users of {self.namespace} are served")

    async def release(self, tag: str, kind: str = "deployments", **annotations: str | None) -> None:
        """Write another image into the target as `kubectl set image` does, and annotations (None: off)."""
        container = {"name": "podinfod", "image": workload.image(tag)}
        template = {"metadata": {"annotations": annotations}, "spec": {"containers": [container]}}
        body = {"spec": {"template": template}}
        await self.cluster.api.patch(self.path(kind), body, kind="strategic")

    async def image(self, name: str) -> str:
        template = (await self.get("deployments", name))["spec"]["template"]
        return str(template["spec"]["containers"][0]["image"])

    async def is_away(self, name: str) -> bool:
        """Whether a Deployment has no pod that serves."""
        return not (await self.get("deployments", name))["status"].get("readyReplicas")

    async def _counts(self, quota: str) -> bool:
        """Whether a quota is enforced: before its controller has seen it, it is not."""
        return "hard" in (await self.cluster.api.get(quota)).get("status", {})

    async def pods(self, app: str) -> list[str]:
        """The pods of an app, by name."""
        found = await self.cluster.api.list(
            f"{CORE}/namespaces/{self.namespace}/pods", labelSelector=f"app={app}"
        )
        return [pod["metadata"]["name"] for pod in found["items"]]

    async def images(self, app: str) -> set[str]:
        """What the pods of an app run, but for those that go."""
        found = await self.cluster.api.list(
            f"{CORE}/namespaces/{self.namespace}/pods", labelSelector=f"app={app}"
        )
        staying = [pod for pod in found["items"] if "deletionTimestamp" not in pod["metadata"]]
        return {pod["spec"]["containers"][0]["image"] for pod in staying}

    async def tell_pod(self, pod: str, path: str) -> None:
        """Post something to a pod, through the API server."""
        url = f"{self.cluster.endpoints['api']}{self.path('pods', f'{pod}:{PORT}')}/proxy{path}"
        async with aiohttp.ClientSession() as session, session.post(url) as answer:
            assert answer.ok, answer

    async def replicas(self, name: str | None = None) -> int:
        return int((await self.get("deployments", name))["spec"]["replicas"])

    async def asked(self, since: int) -> list[dict[str, Any]]:
        """What the engine asked of this namespace's objects; watches and lists of many are not counted."""
        place = f"/namespaces/{self.namespace}/"
        return [
            entry
            for entry in await self.cluster.requests(since)
            if entry["userAgent"] == ENGINE and place in entry["path"] and "watch=" not in entry["path"]
        ]

    async def writes(self, since: int) -> list[str]:
        """The objects that the engine wrote, as `plural/name`, a collection for what was created in it."""
        place = f"/namespaces/{self.namespace}/"
        return [
            entry["path"].partition(place)[2].partition("?")[0]
            for entry in await self.asked(since)
            if entry["method"] != "GET" and 200 <= (entry["status"] or 0) < 300  # none while it is under way
        ]

    async def write_weight(self, weight: int, manager: str) -> None:
        """Write the canary's weight as somebody else."""
        path = self.path("virtualservices")
        (route,) = (await self.cluster.api.get(path))["spec"]["http"]
        for part in route["route"]:
            is_canary = part["destination"]["host"].endswith("-canary")
            part["weight"] = weight if is_canary else 100 - weight
        await self.cluster.api.patch(path, {"spec": {"http": [route]}}, fieldManager=manager)

    def ways(self) -> list[Way]:
        """How users come: by the gateway, in the mesh by the apex host, and past the mesh."""
        host = f"{self.name}.{self.namespace}:{PORT}"
        urls = self.cluster.endpoints
        return [
            Way("gateway", urls["gateway"], f"{self.namespace}.example.com"),
            Way("mesh", urls["mesh"], host),
            Way("service", urls["services"], host),
        ]

    def load(self, *, rate: float = 25, is_routed: bool = True) -> Load:
        """Users on all three ways, or on those that need no routes at the gateway."""
        return Load(self.ways()[0 if is_routed else 1 :], rate)

    def canary_load(self, rate: float = 25, *, path: str = "/") -> Load:
        """Requests that reach the canary whatever its weight, as a load tester sends them."""
        host = f"{self.name}-canary.{self.namespace}:{PORT}"
        return Load([Way("canary", self.cluster.endpoints["services"].rstrip("/") + path, host)], rate)

    @asynccontextmanager
    async def no_more_pods(self) -> AsyncIterator[None]:
        """Have pods refused, as by a quota; where the front does not see who makes them, by a quota."""
        if NAMED:
            path = f"{CORE}/namespaces/{self.namespace}/resourcequotas"
            quota = {"metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}}
            self.world.require(Need.QUOTA)
            await self.cluster.api.create(path, quota)
            try:
                await until(lambda: self._counts(f"{path}/none"), READY_WITHIN, "the quota is in force")
                yield
            finally:
                await self.cluster.api.delete(f"{path}/none")
        else:
            place = f"/namespaces/{self.namespace}/pods"
            async with self.cluster.faults.of_api(do="status", status=403, method="POST", path=place):
                yield

    # The engine.

    async def apply(self, *, others: Iterable[dict[str, Any]] = (), **analysis: Any) -> ApplyResult:
        """Hand a Canary and what it refers to over, as `canary apply` does."""
        document = workload.document(self.namespace, **analysis)
        return await self.apply_spec(workload.spec_of(document, self.cluster.name, *others))

    async def apply_spec(self, spec: CanarySpec) -> ApplyResult:
        """Hand over what no Canary of Flagger's can say."""
        self.spec = spec
        request = ApplyCanary(spec=self.spec, command=command("test", "a test"))
        return await offer.make(self.client, offer.of_canary(request))

    async def initialise(self, **wanted: Any) -> None:
        """Hand a Canary over and wait until it is initialised."""
        result = await self.apply(**wanted)
        assert result.accepted, result
        await self.canary_is(Phase.INITIALIZED, within=INITIALISED_WITHIN)

    async def status(self) -> CanaryStatus:
        view: CanaryView = await self.canary.query(STATUS, result_type=CanaryView)
        return view.status

    async def is_there(self) -> bool:
        """Whether the canary's workflow runs and has its spec."""
        return await self._view() is not None

    async def is_in(self, phase: Phase) -> bool:
        """Whether it is there, and tells this phase."""
        view = await self._view()
        return view is not None and view.status.phase is phase

    async def _view(self) -> CanaryView | None:
        try:
            view: CanaryView | None = await self.canary.query(STATUS, result_type=CanaryView)
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
            return None
        return view

    async def is_gone(self) -> bool:
        """Whether the canary's workflow has ended."""
        return (await self.canary.describe()).status is not WorkflowExecutionStatus.RUNNING

    async def canary_is(self, *phases: Phase, within: float = ENDED_WITHIN) -> CanaryStatus:
        async def reached() -> CanaryStatus | None:
            status = await self.status()
            return status if status.phase in phases else None

        try:
            return await until(reached, within, f"{self.spec.tail} is {phases}")
        except AssertionError as error:
            raise AssertionError(f"{error}; it is {await self.status()}") from None

    async def view(self) -> RolloutView:
        view: RolloutView = await self.rollout.query(STATUS, result_type=RolloutView)
        return view

    async def rollout_begins(self, within: float = 20.0) -> str:
        """Wait for a rollout that was not there before and give its run."""

        async def begun() -> str | None:
            found = await self._latest_rollout()
            return None if found in self._runs else found

        run: str = await until(begun, within, f"a rollout of {self.spec.tail} begins")
        self._runs.add(run)
        return run

    async def has_new_rollout(self) -> bool:
        """Whether a rollout has begun beside those that were waited for."""
        return await self._latest_rollout() not in {None, *self._runs}

    async def _latest_rollout(self) -> str | None:
        try:
            return (await self.rollout.describe()).run_id
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
            return None

    async def rollout_is(
        self, condition: Callable[[RolloutStatus], bool], what: str, within: float = ENDED_WITHIN
    ) -> RolloutStatus:
        """Wait until the status of the running rollout fulfils a condition."""

        async def fulfilled() -> RolloutStatus | None:
            status = (await self.view()).status
            return status if condition(status) else None

        try:
            return await until(fulfilled, within, what)
        except AssertionError as error:
            raise AssertionError(f"{error}; it is {(await self.view()).status}") from None

    async def is_quiet(self) -> None:
        """Wait until the engine has asked nothing of this namespace for a second."""

        async def quiet() -> bool:
            before = await self.asked(0)
            await asyncio.sleep(1)
            return await self.asked(0) == before

        await until(quiet, READY_WITHIN, f"nothing is asked of {self.namespace}")

    async def weight_is(self, weight: int, within: float = ENDED_WITHIN) -> None:
        """Wait until the routes in the cluster give the canary this weight."""

        async def stands() -> bool:
            return self.weights[-1:] == [weight]

        await until(stands, within, f"weight {weight} in {self.namespace}, after {self.weights}")

    async def weights_are(self, weights: list[int]) -> None:
        """Wait until these weights have stood in the routes one after the other."""

        async def stood() -> bool:
            return self.weights == weights

        try:
            await until(stood, READY_WITHIN, f"the weights were {weights}")
        except AssertionError as error:
            raise AssertionError(f"{error}; they were {self.weights}") from None

    async def rollout_ends(self, run: str, within: float = ENDED_WITHIN) -> Ended:
        """Wait for the end of a rollout and tell its story."""
        handle = self.client.get_workflow_handle(self.rollout.id, run_id=run)
        outcome, message = "Promoted", ""
        try:
            async with asyncio.timeout(within * SLOWNESS):
                await handle.result()
        except WorkflowFailureError as error:
            outcome = getattr(error.cause, "type", None) or type(error.cause).__name__
            message = getattr(error.cause, "message", str(error.cause))
        except TimeoutError:
            raise AssertionError(f"not over within {within:g} s: {(await self.view()).status}") from None
        rows: list[tuple[str, int]] = []
        checks: list[Checked] = []
        async for item in evidence(self.client, handle):
            if isinstance(item, Moved) and (item.row.phase, item.row.weight) not in rows[-1:]:
                rows.append((item.row.phase, item.row.weight))
            if isinstance(item, Checked):
                checks.append(item)
        view = await handle.query(STATUS, result_type=RolloutView)
        return Ended(outcome, message, rows, checks, view)

    async def roll_out(self, tag: str, within: float = ENDED_WITHIN) -> Ended:
        """Release a version and follow its rollout to the end."""
        await self.release(tag)
        return await self.rollout_ends(await self.rollout_begins(), within)

    async def wish(self, verb: Verb, workflow: WorkflowHandle[Any, Any] | None = None) -> Answer:
        """Give a command as the command line does, by an Update."""
        handle = workflow or self.rollout
        wanted = command("test", "because")
        answer: Answer = await handle.execute_update(str(verb), wanted, id=wanted.id, result_type=Answer)
        return answer

    async def delete(self) -> None:
        """Take the canary out, as `canary delete` does."""
        async with asyncio.timeout(ENDED_WITHIN * SLOWNESS):
            answer: Answer = await self.canary.execute_update(
                DELETE, DeleteCommand(command=command("test", "over")), result_type=Answer
            )
        assert answer.is_done, answer
