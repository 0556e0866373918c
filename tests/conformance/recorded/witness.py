"""Watching our own engine at work: objects and Events of one namespace, and the rows of its workflows."""

import asyncio
from typing import Any, Self

from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client, WorkflowHandle
from temporalio.service import RPCError

from canary.status import ListRow
from sandbox.client import KubeClient, Reflector
from tests.conformance.recorded.essence import Object
from tests.conformance.recorded.story import Status, Story
from workflows.contract import ROW

ENGINE = "durable-canary"
AWAY = 0.2
"""Seconds before Temporal is asked again."""
PLURALS = {
    "ConfigMap": ("v1", "configmaps"),
    "Secret": ("v1", "secrets"),
    "Service": ("v1", "services"),
    "Deployment": ("apps/v1", "deployments"),
    "DaemonSet": ("apps/v1", "daemonsets"),
    "HorizontalPodAutoscaler": ("autoscaling/v2", "horizontalpodautoscalers"),
    "DestinationRule": ("networking.istio.io/v1beta1", "destinationrules"),
    "VirtualService": ("networking.istio.io/v1beta1", "virtualservices"),
}


def collection(kind: str, namespace: str, version: str = "") -> str:
    """The path of a kind's collection in a namespace, in the version that we watch unless one is given."""
    usual, plural = PLURALS[kind]
    version = version or usual
    return f"/{'apis' if '/' in version else 'api'}/{version}/namespaces/{namespace}/{plural}"


class Witness:
    """Tells the story of one namespace as it happens."""

    def __init__(self, api: KubeClient, client: Client, namespace: str, story: Story) -> None:
        self._api = api
        self._client = client
        self._namespace = namespace
        self._story = story
        self._counts: dict[str, int] = {}
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        watches = [Reflector(self._api, collection(kind, self._namespace), self._object) for kind in PLURALS]
        events = f"/api/v1/namespaces/{self._namespace}/events"
        watches.append(Reflector(self._api, events, self._event))
        for watch in watches:
            self._tasks.append(asyncio.create_task(watch.run()))
            await watch.synced.wait()
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def follow(self, workflow: WorkflowHandle[Any, Any]) -> None:
        """Read a workflow's rows, and those of the rollouts it starts, from its history as it grows."""
        self._tasks.append(asyncio.create_task(self._follow(workflow)))

    async def _object(self, change: str, found: Object) -> None:
        kind, name = found["kind"], found["metadata"]["name"]
        self._story.saw_object(kind, name, None if change == "DELETED" else found)

    async def _event(self, change: str, found: Object) -> None:
        if change == "DELETED" or ENGINE not in found.get("source", {}).get("component", ""):
            return
        uid, count = found["metadata"]["uid"], found.get("count", 1)
        for _ in range(count - self._counts.get(uid, 0)):
            self._story.saw_event(found["type"], found["message"])
        self._counts[uid] = count

    async def _follow(self, workflow: WorkflowHandle[Any, Any]) -> None:
        """Read on where another story has restarted Temporal."""
        seen = 0
        while True:
            try:
                async for event in workflow.fetch_history_events(wait_new_event=True):
                    if event.event_id > seen:
                        seen = event.event_id
                        await self._take(event)
            except RPCError:
                await asyncio.sleep(AWAY)
            else:
                return

    async def _take(self, event: HistoryEvent) -> None:
        if event.HasField("child_workflow_execution_started_event_attributes"):
            child = event.child_workflow_execution_started_event_attributes.workflow_execution
            self.follow(self._client.get_workflow_handle(child.workflow_id, run_id=child.run_id))
        elif (row := await self._row(event)) is not None:
            self._story.saw_status(Status(row.phase, row.weight, row.iterations, row.failed_checks))

    async def _row(self, event: HistoryEvent) -> ListRow | None:
        fields = event.workflow_properties_modified_event_attributes.upserted_memo.fields
        if ROW not in fields:
            return None
        (row,) = await self._client.data_converter.decode([fields[ROW]], [ListRow])
        assert isinstance(row, ListRow)
        return row
