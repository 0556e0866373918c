"""Events, as `kubectl describe` shows them."""

import asyncio
import contextlib
import itertools
from collections import OrderedDict

from sandbox.client import FAILURES, KubeClient
from sandbox.controllers.pods import format_time, utc_now
from sandbox.objects import Object

REMEMBERED = 1000


class Recorder:
    """Writes events in the background; a repeated one is counted, not written anew."""

    def __init__(self, client: KubeClient, component: str) -> None:
        self._client = client
        self._component = component
        self._queue: asyncio.Queue[tuple[Object, str, str, str]] = asyncio.Queue(REMEMBERED)
        self._known: OrderedDict[tuple[str, str, str], Object] = OrderedDict()
        self._numbers = itertools.count(int(utc_now().timestamp() * 1e6))

    def record(self, obj: Object, reason: str, message: str, *, kind: str = "Normal") -> None:
        """Say about `obj` that something happened; when too much happens at once the rest is dropped."""
        with contextlib.suppress(asyncio.QueueFull):
            self._queue.put_nowait((obj, reason, message, kind))

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            obj, reason, message, kind = await self._queue.get()
            # An event is best effort: its namespace may be going, its server away.
            with contextlib.suppress(*FAILURES):
                await self._write(obj, reason, message, kind)

    async def _write(self, obj: Object, reason: str, message: str, kind: str) -> None:
        token = (obj["metadata"]["uid"], reason, message)
        namespace = obj["metadata"].get("namespace", "default")
        path = f"/api/v1/namespaces/{namespace}/events"
        known = self._known.get(token)
        now = format_time(utc_now())
        if known:
            known["count"] += 1
            change = {"count": known["count"], "lastTimestamp": now}
            await self._client.patch(f"{path}/{known['metadata']['name']}", change)
            return
        event = self._event(obj, namespace, now)
        self._known[token] = await self._client.create(
            path, event | {"reason": reason, "message": message, "type": kind}
        )
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)

    def _event(self, obj: Object, namespace: str, now: str) -> Object:
        meta = obj["metadata"]
        involved = {"apiVersion": obj["apiVersion"], "kind": obj["kind"], "name": meta["name"]}
        involved |= {"uid": meta["uid"], "resourceVersion": meta["resourceVersion"]}
        if "namespace" in meta:
            involved["namespace"] = meta["namespace"]
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"{meta['name']}.{next(self._numbers):x}", "namespace": namespace},
            "involvedObject": involved,
            "source": {"component": self._component},
            "reportingComponent": self._component,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
