"""Offering a spec to its workflow: started where it is not there, and never left behind without a worker."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from temporalio.client import (
    Client,
    WithStartWorkflowOperation,
    WorkflowUpdateFailedError,
    WorkflowUpdateHandle,
    WorkflowUpdateRPCTimeoutOrCancelledError,
    WorkflowUpdateStage,
)
from temporalio.common import (
    SearchAttributeKey,
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
)
from temporalio.service import RPCError

from canary.application import ApplicationSpec
from canary.status import ListRow, Phase
from starter.errors import RefusedError, UnreachableError
from starter.failures import sentence
from starter.workers import START_ONE
from workflows.contract import (
    APPLICATION,
    APPLICATION_WORKFLOW,
    APPLY,
    CANARY_WORKFLOW,
    CLUSTER,
    NAMESPACE,
    QUEUE,
    ROW,
    TARGET,
    ApplyApplication,
    ApplyCanary,
    ApplyResult,
    Command,
    application_id,
    canary_id,
)

ACCEPTED_WITHIN = timedelta(seconds=10)
"""A worker that polls answers in milliseconds; one that was killed is listed as polling for minutes."""
JUDGED_WITHIN = timedelta(seconds=120)
"""Longer than the preflight's own time limits."""
UNTOUCHED = 2
"""The events of a workflow no worker has looked at: it was started, and its first task waits."""


@dataclass(frozen=True)
class Offer:
    """One `apply`: which workflow, what to hand it, and how a list shows it until it speaks for itself."""

    kind: str
    id: str
    request: ApplyApplication | ApplyCanary
    row: ListRow
    attributes: Sequence[tuple[SearchAttributeKey[str], str]]

    @property
    def command(self) -> Command:
        """Who applies it."""
        return self.request.command


def of_application(spec: ApplicationSpec, command: Command) -> Offer:
    """Offer an Application."""
    name = f"{spec.namespace}/{spec.name}"
    return Offer(
        APPLICATION_WORKFLOW,
        application_id(spec.namespace, spec.name),
        ApplyApplication(spec=spec, command=command),
        ListRow(application=name, cluster="", namespace=spec.namespace, name=spec.name, phase=""),
        ((NAMESPACE, spec.namespace), (APPLICATION, name)),
    )


def of_canary(request: ApplyCanary) -> Offer:
    """Offer a canary that no Application brings."""
    spec = request.spec
    row = ListRow(cluster=spec.cluster, namespace=spec.namespace, name=spec.name, phase=Phase.INITIALIZING)
    return Offer(
        CANARY_WORKFLOW,
        canary_id(spec.tail),
        request,
        row,
        ((CLUSTER, spec.cluster), (NAMESPACE, spec.namespace), (TARGET, spec.target.name)),
    )


async def make(client: Client, offer: Offer) -> ApplyResult:
    """Hand a spec over and give what the engine says to it."""
    try:
        async with asyncio.timeout(ACCEPTED_WITHIN.total_seconds()):
            update = await _start(client, offer)
    except (TimeoutError, WorkflowUpdateRPCTimeoutOrCancelledError) as error:
        await _withdraw(client, offer)
        limit = f"{ACCEPTED_WITHIN.seconds} s"
        text = f"No worker took {offer.id} within {limit}, so nothing was applied; {START_ONE}."
        raise UnreachableError(text) from error
    try:
        async with asyncio.timeout(JUDGED_WITHIN.total_seconds()):
            return await update.result()
    except (TimeoutError, WorkflowUpdateRPCTimeoutOrCancelledError) as error:
        text = f"{offer.id} is still being checked after {JUDGED_WITHIN.seconds} s; see `canary get`."
        raise UnreachableError(text) from error
    except WorkflowUpdateFailedError as error:
        raise RefusedError(f"{offer.id} refused: {sentence(error)}") from error


async def _start(client: Client, offer: Offer) -> WorkflowUpdateHandle[ApplyResult]:
    start: WithStartWorkflowOperation[object, object] = WithStartWorkflowOperation(
        offer.kind,
        id=offer.id,
        task_queue=QUEUE,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        memo={ROW: offer.row},
        search_attributes=TypedSearchAttributes(
            [SearchAttributePair(key, value) for key, value in offer.attributes]
        ),
        static_summary=offer.id,
    )
    try:
        return await client.start_update_with_start_workflow(
            APPLY,
            offer.request,
            start_workflow_operation=start,
            wait_for_stage=WorkflowUpdateStage.ACCEPTED,
            id=offer.command.id,
            result_type=ApplyResult,
        )
    except (RPCError, WorkflowUpdateRPCTimeoutOrCancelledError):
        # It is kept for who wants the handle as well; where nobody reads it there, asyncio prints it.
        await asyncio.gather(start.workflow_handle(), return_exceptions=True)
        raise


async def _withdraw(client: Client, offer: Offer) -> None:
    """Take back a start that no worker has seen, or it would begin on its own some day."""
    handle = client.get_workflow_handle(offer.id)
    if (await handle.describe()).history_length <= UNTOUCHED:
        await handle.terminate("No worker took its first apply.")
