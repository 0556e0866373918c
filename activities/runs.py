"""Other workflows, seen from one that cannot await them: orphaned rollouts, and a cluster's watch."""

from temporalio import activity
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowFailureError
from temporalio.service import RPCError, RPCStatusCode

from activities.heartbeat import heartbeating
from canary.stored import Stored


class SignalWithStart(Stored):
    """A signal for an entity that is started if it does not run."""

    workflow: str
    type: str
    task_queue: str
    signal: str
    argument: dict[str, object]


class Abandoned(Stored):
    """A rollout that nobody waits for: it is asked to end by this signal, and waited for."""

    workflow: str
    signal: str
    argument: dict[str, object]


class Terminated(Stored):
    """A workflow that does not come to its end, and why it is not waited for."""

    workflow: str
    reason: str


class RunActivities:
    """Reaches other workflows through a Temporal client."""

    def __init__(self, client: Client) -> None:
        self._client = client

    @activity.defn
    async def signal_with_start(self, wanted: SignalWithStart) -> None:
        """Send a signal to an entity, starting it where it does not run."""
        await self._client.start_workflow(
            wanted.type,
            id=wanted.workflow,
            task_queue=wanted.task_queue,
            start_signal=wanted.signal,
            start_signal_args=[wanted.argument],
            static_summary=wanted.workflow,
        )

    @activity.defn
    async def end_orphan(self, orphan: Abandoned) -> None:
        """Ask a rollout that is still running to end, and wait until it has."""
        handle = self._client.get_workflow_handle(orphan.workflow)
        async with heartbeating():
            try:
                running = (await handle.describe()).status is WorkflowExecutionStatus.RUNNING
                if running:
                    await handle.signal(orphan.signal, orphan.argument)
                    await handle.result()
            except WorkflowFailureError:
                return  # an aborted rollout ends as failed
            except RPCError as error:
                if error.status is not RPCStatusCode.NOT_FOUND:
                    raise

    @activity.defn
    async def terminate(self, run: Terminated) -> None:
        """Terminate a workflow; one that has ended meanwhile, or is not there, is fine."""
        try:
            await self._client.get_workflow_handle(run.workflow).terminate(run.reason)
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
