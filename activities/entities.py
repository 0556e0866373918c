"""Talking to other workflows from within one, by Updates that answer."""

import asyncio
from typing import Any

from pydantic import Field
from temporalio import activity
from temporalio.client import (
    Client,
    WithStartWorkflowOperation,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.common import (
    SearchAttributeKey,
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
)
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from activities.heartbeat import heartbeating
from canary.stored import Stored


class EntityUpdate(Stored):
    """An Update of an entity; the same id is carried out once, however often it is sent."""

    workflow: str
    update: str
    id: str
    argument: dict[str, Any] = Field(default_factory=dict)


class EntityStart(EntityUpdate):
    """An Update of an entity that is started if it does not run."""

    type: str
    task_queue: str
    memo: dict[str, Any] = Field(default_factory=dict)
    keywords: dict[str, str] = Field(default_factory=dict)
    """Its search attributes."""


class EntityAnswer(Stored):
    """What an entity answered; nothing if it does not run."""

    is_there: bool
    answer: dict[str, Any] = Field(default_factory=dict)


class EntityActivities:
    """Sends Updates through a Temporal client."""

    def __init__(self, client: Client) -> None:
        self._client = client

    @activity.defn
    async def start_and_update(self, wanted: EntityStart) -> EntityAnswer:
        """Send an Update to an entity, starting it where it does not run."""
        operation: WithStartWorkflowOperation[Any, Any] = WithStartWorkflowOperation(
            wanted.type,
            id=wanted.workflow,
            task_queue=wanted.task_queue,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            static_summary=wanted.workflow,
            memo=wanted.memo,
            search_attributes=TypedSearchAttributes(
                [
                    SearchAttributePair(SearchAttributeKey.for_keyword(name), value)
                    for name, value in wanted.keywords.items()
                ]
            ),
        )
        async with heartbeating():
            try:
                answer = await self._client.execute_update_with_start_workflow(
                    wanted.update, wanted.argument, start_workflow_operation=operation, id=wanted.id
                )
            except WorkflowUpdateFailedError as error:
                raise _refused(wanted, error) from error
            except (RPCError, WorkflowUpdateRPCTimeoutOrCancelledError):
                # It is kept for who wants the handle as well; where nobody reads it there, asyncio logs it.
                await asyncio.gather(operation.workflow_handle(), return_exceptions=True)
                raise
        return EntityAnswer(is_there=True, answer=answer)

    @activity.defn
    async def update_entity(self, wanted: EntityUpdate) -> EntityAnswer:
        """Send an Update to an entity that runs, and wait for its answer."""
        handle = self._client.get_workflow_handle(wanted.workflow)
        async with heartbeating():
            try:
                answer = await handle.execute_update(wanted.update, wanted.argument, id=wanted.id)
            except WorkflowUpdateFailedError as error:
                raise _refused(wanted, error) from error
            except RPCError as error:
                if error.status is not RPCStatusCode.NOT_FOUND:
                    raise
                return EntityAnswer(is_there=False)
        return EntityAnswer(is_there=True, answer=answer)


def _refused(wanted: EntityUpdate, error: WorkflowUpdateFailedError) -> ApplicationError:
    said = getattr(error.cause, "message", None) or type(error.cause).__name__
    return ApplicationError(
        f"{wanted.workflow} refused {wanted.update}: {said}", type="Refused", non_retryable=True
    )
