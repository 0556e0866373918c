"""Bringing one policy of an Application to one cluster, and handing its canary to a workflow of its own."""

from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError

from activities.entities import EntityActivities, EntityAnswer, EntityStart, EntityUpdate
from activities.heartbeat import HEARTBEAT_TIMEOUT
from activities.source.delivery import RetireInput, SourceActivities, SyncInput, SyncResult
from canary.application import ApplicationSpec, SyncPolicy
from canary.delivery import Delivery
from canary.spec import CanarySpec
from canary.status import ListRow, Phase
from workflows import contract
from workflows.contract import ApplyCanary, ApplyResult, Command, DeleteCommand
from workflows.options import ActivityOptions
from workflows.serving import at, is_untaken, worded

MARGIN = timedelta(seconds=60)
"""For the requests of a sync, beside its build and its fetch, which have limits of their own."""
FEW = RetryPolicy(initial_interval=timedelta(seconds=1), maximum_attempts=3)
"""What keeps failing becomes a message, and is tried again with a longer back-off."""
WITHOUT_END = RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(seconds=30))
SYNC = ActivityOptions(
    task_queue=contract.CHECKS_QUEUE, heartbeat_timeout=HEARTBEAT_TIMEOUT, retry_policy=FEW
)
"""A build is applied where it was made: manifests may hold what no history may."""
HAND_OVER = ActivityOptions(
    task_queue=contract.QUEUE,
    start_to_close_timeout=timedelta(minutes=2),
    heartbeat_timeout=HEARTBEAT_TIMEOUT,
    retry_policy=FEW,
)
WAY_OUT = ActivityOptions(
    task_queue=contract.QUEUE,
    start_to_close_timeout=timedelta(hours=1),
    heartbeat_timeout=HEARTBEAT_TIMEOUT,
    retry_policy=WITHOUT_END,
)
"""The canary's own workflow knows when to give up."""


async def deliver(
    spec: ApplicationSpec, delivery: Delivery, revision: str, siblings: tuple[SyncPolicy, ...] = ()
) -> Delivery | None:
    """Take the next step of a delivery; nothing is left of it once it has been taken back.

    The *siblings* of its policy are what the Application brings to the same cluster beside it.
    """
    now = workflow.now
    try:
        if delivery.has_canary_too_many:
            await _delete_canary(delivery)
            return delivery.model_copy(update={"canary": None, "failures": 0})
        if delivery.retired_at is not None:
            return await _retire(spec, delivery)
        result = await _sync(spec, delivery, revision, siblings)
        if not result.is_done:
            return delivery.failed(revision, result.message, now())
        told = {"inventory": result.inventory, "message": result.message}
        brought = delivery.brought(revision, is_waiting=result.is_waiting)
        return await _hand_over(brought.model_copy(update=told), revision)
    except ActivityError as error:
        return delivery.failed(revision, _worded(error, delivery.cluster.task_queue), now())


async def _sync(
    spec: ApplicationSpec, delivery: Delivery, revision: str, siblings: tuple[SyncPolicy, ...]
) -> SyncResult:
    others = max((policy.timeout for policy in siblings), default=timedelta(0))  # built beside each other
    return await workflow.execute_activity_method(
        SourceActivities.sync_policy,
        SyncInput(
            application=_name(spec),
            namespace=spec.namespace,
            source=spec.source,
            revision=revision,
            policy=delivery.policy,
            cluster=delivery.cluster.name,
            siblings=siblings,
        ),
        summary=f"{delivery.key} {_short(revision)}",
        **_within(delivery, delivery.policy.timeout + others + spec.source.timeout + MARGIN),
    )


def _within(delivery: Delivery, limit: timedelta) -> ActivityOptions:
    return {**at(delivery.cluster.task_queue, SYNC), "start_to_close_timeout": limit}


async def _retire(spec: ApplicationSpec, delivery: Delivery) -> Delivery | None:
    result = await _taken_back(spec, delivery)
    told = {"policy": delivery.key, "note": result.message}
    if result.is_done:
        workflow.logger.info("policy taken back", extra=told)
        return None
    if delivery.is_given_up(workflow.now()):
        workflow.logger.error("policy left behind", extra=told)
        return None
    return delivery.failed(delivery.applied_revision, result.message, workflow.now())


async def _taken_back(spec: ApplicationSpec, delivery: Delivery) -> SyncResult:
    """Take a policy back; that nobody knows how it went is as if the cluster did not answer."""
    try:
        return await workflow.execute_activity_method(
            SourceActivities.retire_policy,
            RetireInput(
                application=_name(spec),
                policy=delivery.policy.name,
                cluster=delivery.cluster.name,
                prune=delivery.policy.prune,
            ),
            summary=f"{delivery.key} taken back",
            **_within(delivery, delivery.policy.timeout + MARGIN),
        )
    except ActivityError as error:
        message = _worded(error, delivery.cluster.task_queue)
        return SyncResult(is_done=False, is_unreachable=True, message=message)


async def _hand_over(delivery: Delivery, revision: str) -> Delivery:
    wanted = delivery.wanted_canary
    done = delivery.succeeded(revision, workflow.now())
    if wanted is None or (delivery.canary == wanted and delivery.is_current(revision)):
        return done
    try:
        answer = await workflow.execute_activity_method(
            EntityActivities.start_and_update,
            _start(wanted, delivery),
            summary=f"canary {wanted.tail}",
            **HAND_OVER,
        )
    except ActivityError as error:
        # It may have been started: from now on it has to be deleted before the policy can go.
        failed = delivery.failed(revision, _worded(error, ""), workflow.now())
        return failed.model_copy(update={"canary": delivery.canary or wanted})
    result = ApplyResult.model_validate(answer.answer)
    said = " ".join((delivery.message, *(problem.message for problem in result.problems))).strip()
    if not result.accepted:
        return delivery.failed(revision, said, workflow.now())
    return done.model_copy(update={"canary": wanted, "message": said})


def _start(canary: CanarySpec, delivery: Delivery) -> EntityStart:
    row = ListRow(
        application=canary.application,
        cluster=canary.cluster,
        namespace=canary.namespace,
        name=canary.name,
        phase=Phase.INITIALIZING,
    )
    command = Command(id=str(workflow.uuid4()), who=f"application {canary.application}", at=workflow.now())
    return EntityStart(
        workflow=contract.canary_id(canary.tail),
        type=contract.CANARY_WORKFLOW,
        task_queue=contract.QUEUE,
        update=contract.APPLY,
        id=command.id,
        argument=_json(ApplyCanary(spec=canary, cluster=delivery.cluster, command=command)),
        memo={contract.ROW: _json(row)},
        keywords={
            contract.CLUSTER.name: canary.cluster,
            contract.NAMESPACE.name: canary.namespace,
            contract.TARGET.name: canary.target.name,
            contract.APPLICATION.name: canary.application or "",
        },
    )


async def _delete_canary(delivery: Delivery) -> EntityAnswer | None:
    canary = delivery.canary
    if canary is None:
        return None
    command = Command(
        id=str(workflow.uuid4()),
        who=f"application {canary.application}",
        reason="taken out of the Application",
        at=workflow.now(),
    )
    return await workflow.execute_activity_method(
        EntityActivities.update_entity,
        EntityUpdate(
            workflow=contract.canary_id(canary.tail),
            update=contract.DELETE,
            id=command.id,
            argument=_json(DeleteCommand(command=command, document=canary.document)),
        ),
        summary=f"way out of canary {canary.tail}",
        **WAY_OUT,
    )


def _json(model: ApplyCanary | DeleteCommand | ListRow) -> dict[str, Any]:
    return model.model_dump(mode="json")


def _name(spec: ApplicationSpec) -> str:
    return f"{spec.namespace}/{spec.name}"


def _short(revision: str) -> str:
    name, _, commit = revision.rpartition("@sha1:")
    return f"{name}@{commit[:8]}" if name else commit[:8]


def _worded(error: ActivityError, task_queue: str) -> str:
    said = getattr(error.cause, "message", "")
    return said if said and not is_untaken(error) else worded(error, task_queue)
