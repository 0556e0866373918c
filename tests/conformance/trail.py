"""The weights that stood in a cluster, as a watch of its VirtualServices saw them."""

import asyncio
import contextlib
import time
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from sandbox.client import KubeClient, Reflector

DECIDED_AT = "durable-canary.dev/decided-at"
ROUTES = "/apis/networking.istio.io/v1beta1/virtualservices"


@dataclass(frozen=True)
class Shift:
    """From this moment on the canary had this weight."""

    at: float
    weight: int
    decided: float = 0.0
    """When the engine decided it: what is read here late on a busy machine was not."""


class Trail:
    """Follows the first route of every VirtualService; a namespace has one."""

    def __init__(self, api: KubeClient) -> None:
        self._reflector = Reflector(api, ROUTES, self._changed)
        self._shifts: defaultdict[str, list[Shift]] = defaultdict(list)

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._reflector.run())
        await self._reflector.synced.wait()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    def of(self, namespace: str) -> list[Shift]:
        """Every change of the canary's weight, oldest first."""
        return list(self._shifts[namespace])

    def weights(self, namespace: str) -> list[int]:
        """The canary's weights one after the other."""
        return [shift.weight for shift in self._shifts[namespace]]

    async def _changed(self, kind: str, obj: dict[str, Any]) -> None:
        if kind == "DELETED":
            return
        shifts = self._shifts[obj["metadata"]["namespace"]]
        weight = _canary_weight(obj)
        if weight is not None and (not shifts or shifts[-1].weight != weight):
            shifts.append(Shift(time.time(), weight, _decided(obj)))


def _decided(virtual_service: dict[str, Any]) -> float:
    text = (virtual_service["metadata"].get("annotations") or {}).get(DECIDED_AT)
    return datetime.fromisoformat(text).timestamp() if text else 0.0


def _canary_weight(virtual_service: dict[str, Any]) -> int | None:
    for route in virtual_service["spec"].get("http", []):
        for part in route.get("route", []):
            if part["destination"]["host"].endswith("-canary"):
                return int(part.get("weight", 100))
    return None
