"""Whether workers poll the engine's queues, as the server knows it."""

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import PollerInfo, TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client

from starter.errors import UnreachableError
from workflows.contract import CHECKS_QUEUE, QUEUE, WATCH_QUEUE

START_ONE = "start one with `canary-worker`"
START_INSIDE = "start one inside the cluster with `canary-worker --task-queue {}`"
QUEUES = {
    QUEUE: TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
    CHECKS_QUEUE: TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY,
    WATCH_QUEUE: TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY,
}


async def pollers(client: Client, queue: str) -> list[PollerInfo]:
    """Give who polls a queue, or did until a few minutes ago: a killed worker is listed that long."""
    kind = QUEUES.get(queue, TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY)
    request = DescribeTaskQueueRequest(
        namespace=client.namespace, task_queue=TaskQueue(name=queue), task_queue_type=kind
    )
    return list((await client.workflow_service.describe_task_queue(request)).pollers)


async def has_workers(client: Client) -> bool:
    """Whether every queue is polled."""
    found = [await pollers(client, queue) for queue in QUEUES]
    return all(found)


async def require_worker(client: Client, done: str) -> None:
    """Refuse to start anything while nobody polls for it: nothing was *done*, such as applied."""
    if not await pollers(client, QUEUE):
        raise UnreachableError(f"No worker is running, so nothing was {done}; {START_ONE}.")
