"""A member cluster to write to: the sandbox's API server, the engine's client, and somebody with kubectl."""

import asyncio
import dataclasses
import json
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from kubernetes.aio.client import ApiClient
from temporalio.testing import ActivityEnvironment

from activities.cluster import paths
from activities.cluster.api import ClusterApi
from activities.cluster.errors import ClusterUnreachableError
from activities.cluster.settings import ClusterSettings
from canary.application import ClusterRef
from canary.spec import AnalysisSpec, CanarySpec, ServiceSpec, TargetRef, WorkloadKind
from sandbox.apiserver.server import ApiServer
from sandbox.client import ApiError, KubeClient, PatchKind

Object = dict[str, Any]
NAMESPACE = "default"
RECORDED = Path(__file__).parents[2] / "recorded" / "flagger"


class DyingApi(ClusterApi):
    """A client whose worker dies: after so many writes nothing more reaches the server."""

    writes_left: int | None = None

    async def _json(self, method: str, path: str, *arguments: Any, **options: Any) -> Object:
        if method != "GET" and self.writes_left is not None:
            if self.writes_left == 0:
                raise ClusterUnreachableError(self.name, ConnectionError())
            self.writes_left -= 1
        return await super()._json(method, path, *arguments, **options)


class Member:
    """One member cluster, and the object that activities are given as their clusters."""

    def __init__(self, server: ApiServer, kube: KubeClient, client: ApiClient) -> None:
        self.server = server
        self.kube = kube
        self.api = DyingApi(ClusterSettings("member1", scale_down_delay=timedelta(0)), client)

    async def get(self, name: str) -> ClusterApi:
        assert name == "member1"
        return self.api

    async def attach(self, cluster: ClusterRef) -> None:
        raise AssertionError(f"{cluster.name} is to be attached to")

    async def run(
        self,
        act: Callable[..., Any],
        *arguments: Any,
        started: datetime | None = None,
        scheduled: datetime | None = None,
    ) -> Any:
        """Run an activity as a worker does, begun at some moment by Temporal's clock after some waiting."""
        environment = ActivityEnvironment()
        if started is not None:
            moments = {"started_time": started, "current_attempt_scheduled_time": scheduled or started}
            environment.info = dataclasses.replace(environment.info, **moments)
        return await environment.run(act, *arguments)

    async def add(self, *objects: Object) -> None:
        for body in objects:
            await self.kube.create(paths.collection(body["kind"], NAMESPACE), body)

    async def read(self, kind: str, name: str) -> Object:
        return await self.kube.get(paths.one(kind, NAMESPACE, name))

    async def find(self, kind: str, name: str) -> Object | None:
        try:
            return await self.read(kind, name)
        except ApiError as error:
            if error.status != 404:
                raise
            return None

    async def all(self, kind: str) -> list[Object]:
        items: list[Object] = (await self.kube.list(paths.collection(kind, NAMESPACE)))["items"]
        return items

    async def names(self, kind: str) -> list[str]:
        return sorted(item["metadata"]["name"] for item in await self.all(kind))

    async def change(self, kind: str, name: str, body: Any, how: PatchKind = "merge") -> Object:
        return await self.kube.patch(paths.one(kind, NAMESPACE, name), body, kind=how)

    async def delete(self, kind: str, name: str) -> None:
        await self.kube.delete(paths.one(kind, NAMESPACE, name))

    async def fault(self, *rules: Object) -> None:
        """Put these faults in force; a request that hangs by one that goes is let go."""
        async with KubeClient(self.server.url) as switches:
            await switches.replace("/_sandbox/faults", list(rules))

    def asked(self, since: int = 0) -> list[Object]:
        found = self.server.log.since(since)["requests"]
        return [entry for entry in found if entry["userAgent"] == "durable-canary"]

    async def holds(self) -> bool:
        """Whether a fault holds a request back."""
        return bool(self.server.log.since(0)["held"])

    async def is_free(self) -> bool:
        return not await self.holds()

    async def until(self, condition: Callable[[], Awaitable[bool]]) -> None:
        """Wait until the cluster is so."""
        async with asyncio.timeout(10):
            while not await condition():  # noqa: ASYNC110 — the server is asked: nothing here could ring
                await asyncio.sleep(0.01)


class Providers:
    """Providers of metrics of which *errors* tells what is wrong with them."""

    def __init__(self, *errors: str) -> None:
        self._errors = errors
        self.hangs = asyncio.Event()
        self.hangs.set()
        self.asked: list[CanarySpec] = []

    async def errors(self, spec: CanarySpec) -> tuple[str, ...]:
        self.asked.append(spec)
        await self.hangs.wait()
        return self._errors


ONLINE = Providers()


def spec(kind: WorkloadKind = WorkloadKind.DEPLOYMENT, **fields: Any) -> CanarySpec:
    return CanarySpec(
        cluster="member1",
        namespace=NAMESPACE,
        name="podinfo",
        target=TargetRef(kind=kind, name="podinfo"),
        service=ServiceSpec(name="podinfo", port=9898),
        analysis=AnalysisSpec(),
    ).model_copy(update=fields)


def recorded(name: str) -> list[Object]:
    """The lines of a recording of Flagger's."""
    return [json.loads(line) for line in (RECORDED / f"{name}.jsonl").read_text().splitlines()]


def given(name: str, *kinds: str) -> list[Object]:
    """What a recording begins with."""
    lines = (line["object"] for line in recorded(name) if line["what"] == "given")
    return [body for body in lines if body["kind"] in kinds]


WORKLOADS = ("ConfigMap", "Secret", "Deployment", "DaemonSet", "HorizontalPodAutoscaler")
