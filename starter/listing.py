"""What Temporal's visibility knows of our workflows: rows for lists, without asking a worker."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime

from temporalio.client import Client, WorkflowExecution, WorkflowExecutionStatus

from canary.status import ListRow, Phase
from starter.errors import UsageError
from workflows import contract

# A workflow that was paused by the server's own (experimental) means breaks the SDK's iteration.
READABLE = "ExecutionStatus IN ('Running', 'Completed', 'Failed', 'Canceled', 'Terminated', 'TimedOut')"
RUNNING = "ExecutionStatus = 'Running'"


@dataclass(frozen=True)
class Listed:
    """One workflow as a list shows it."""

    id: str
    run_id: str
    status: WorkflowExecutionStatus | None
    started: datetime
    closed: datetime | None
    row: ListRow
    outcome: str = ""
    """How a rollout ended, where that was asked."""

    @property
    def tail(self) -> str:
        """What stands behind the workflow's kind: `<cluster>/<namespace>/<kind>/<target>`."""
        return self.id.partition("/")[2]

    @property
    def is_running(self) -> bool:
        """Whether it has not come to its end."""
        return self.status is WorkflowExecutionStatus.RUNNING


@dataclass(frozen=True)
class Scope:
    """Which part of the fleet is meant: one namespace or, where it is None, all; one cluster or all."""

    namespace: str | None
    cluster: str | None = None

    @property
    def query(self) -> str:
        """The scope as a visibility query, empty for everything."""
        parts = []
        if self.namespace is not None:
            parts.append(f" AND {contract.NAMESPACE.name} = {quoted(self.namespace)}")
        if self.cluster is not None:
            parts.append(f" AND {contract.CLUSTER.name} = {quoted(self.cluster)}")
        return "".join(parts)


def quoted(value: str) -> str:
    """Quote a value for a visibility query; names of Kubernetes objects hold no quotes."""
    if "'" in value or "\\" in value:
        raise UsageError(f"{value}: not a name a Kubernetes object can have.")
    return f"'{value}'"


async def canaries(client: Client, scope: Scope) -> list[Listed]:
    """Give every canary with what it does now: the row of its rollout where one runs, else its own."""
    running = {item.tail: item async for item in workflows(client, contract.ROLLOUT_WORKFLOW, RUNNING, scope)}
    found = [item async for item in workflows(client, contract.CANARY_WORKFLOW, RUNNING, scope)]
    merged = [_merge(item, running.get(item.tail)) for item in found]
    return sorted(merged, key=lambda item: (item.row.namespace, item.row.name, item.row.cluster))


async def workflows(client: Client, kind: str, status: str, scope: Scope) -> AsyncIterator[Listed]:
    """Give the workflows of one type, newest first."""
    async for execution in client.list_workflows(f"WorkflowType = '{kind}' AND {status}{scope.query}"):
        yield await listed(execution)


async def listed(execution: WorkflowExecution) -> Listed:
    """Read one workflow's row from its memo; one without a row yet is told from its id."""
    row = await execution.memo_value(contract.ROW, None, type_hint=ListRow)
    return Listed(
        id=execution.id,
        run_id=execution.run_id,
        status=execution.status,
        started=execution.start_time,
        closed=execution.close_time,
        row=row or _first_row(execution.id),
    )


def _first_row(workflow_id: str) -> ListRow:
    kind, _, tail = workflow_id.partition("/")
    parts = tail.split("/")
    if kind == "application":
        return ListRow(cluster="", namespace=parts[0], name=parts[-1], phase="")
    return ListRow(cluster=parts[0], namespace=parts[1], name=parts[-1], phase=Phase.INITIALIZING)


def _merge(canary: Listed, rollout: Listed | None) -> Listed:
    if rollout is None:
        return canary
    return Listed(canary.id, canary.run_id, canary.status, canary.started, canary.closed, rollout.row)
