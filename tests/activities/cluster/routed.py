"""A member cluster with a target, its primary, endpoints, and Istio's kinds."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from activities.cluster import marks
from canary.spec import AnalysisSpec, CanarySpec, ServiceSpec, TargetRef
from sandbox.installed import install
from tests.activities.cluster.member import NAMESPACE, Member

Object = dict[str, Any]
START = datetime(2026, 1, 1, 12, tzinfo=UTC)


def at(seconds: float) -> datetime:
    """A moment of a decision."""
    return START + timedelta(seconds=seconds)


async def until(is_so: Callable[[], Awaitable[object]]) -> None:
    """Await a condition."""
    async with asyncio.timeout(5):
        while True:
            if await is_so():
                return
            await asyncio.sleep(0.01)


async def held(member: Member) -> list[Object]:
    """The requests that a fault holds back."""
    found: list[Object] = member.server.log.since(0)["held"]
    return found


def spec(service: Object | None = None, name: str = "podinfo", **fields: Any) -> CanarySpec:
    wanted = {"name": name, "port": 9898, **(service or {})}
    return CanarySpec(
        cluster="member1",
        namespace=NAMESPACE,
        name=name,
        target=TargetRef(name=name),
        service=ServiceSpec(**wanted),
        analysis=AnalysisSpec(),
    ).model_copy(update=fields)


def deployment(name: str, app: str, replicas: int = 2) -> Object:
    labels = {"app": app}
    ports = [{"name": "http", "containerPort": 9898}, {"name": "grpc", "containerPort": 9999}]
    container = {"name": "podinfod", "image": "podinfo:1", "ports": ports}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }


def endpoints(name: str) -> Object:
    subsets = [{"addresses": [{"ip": "10.0.0.1"}], "ports": [{"port": 9898}]}]
    return {"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": name}, "subsets": subsets}


def virtual_service(*http: Object, name: str = "podinfo", **spec: Any) -> Object:
    return {
        "apiVersion": "networking.istio.io/v1beta1",
        "kind": "VirtualService",
        "metadata": {"name": name},
        "spec": {"hosts": [name], "http": list(http), **spec},
    }


async def furnish(member: Member, name: str = "podinfo") -> None:
    """Bring Istio's kinds, target and primary, and endpoints for both sides."""
    await install(member.kube, "http://127.0.0.1:9")
    primary = deployment(f"{name}-primary", f"{name}-primary")
    primary["metadata"]["labels"][marks.CANARY] = name
    await member.add(
        deployment(name, name),
        primary,
        endpoints(f"{name}-primary"),
        endpoints(f"{name}-canary"),
    )


def weights(found: Object, protocol: str = "http") -> list[list[tuple[str, int]]]:
    """Destinations and weights of every route."""
    return [
        [(part["destination"]["host"], part.get("weight", 100)) for part in route.get("route", [])]
        for route in found["spec"].get(protocol, [])
    ]
