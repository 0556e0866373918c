"""Bringing one policy of an Application to one cluster, and handing its canary to a workflow of its own."""

from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError

from activities.entities import EntityActivities
from activities.heartbeat import HEARTBEAT_TIMEOUT
from activities.source.delivery import SourceActivities, SyncInput, SyncResult
from canary.delivery import Delivery
from workflows import contract
from workflows.contract import ApplyResult
from workflows.entrusting import apply_of
from workflows.errand import FEW, MARGIN, Errand, Outcome, said, within
from workflows.options import ActivityOptions
from workflows.retiring import retire, take_out

HAND_OVER = ActivityOptions(
    task_queue=contract.QUEUE,
    start_to_close_timeout=timedelta(minutes=2),
    heartbeat_timeout=HEARTBEAT_TIMEOUT,
    retry_policy=FEW,
)


async def deliver(errand: Errand, delivery: Delivery) -> Outcome:
    """Take the next step of a delivery; nothing is left of it once it has been taken back."""
    try:
        if delivery.canary is not None and delivery.has_canary_too_many:
            return await take_out(errand, delivery, delivery.canary)
        if delivery.retired_at is not None:
            return await retire(errand, delivery)
        return Outcome(await _bring(errand, delivery))
    except ActivityError as error:
        text = said(error, delivery.cluster.task_queue)
        return Outcome(delivery.failed(errand.revision, text, workflow.now()))


async def _bring(errand: Errand, delivery: Delivery) -> Delivery:
    result = await _sync(errand, delivery)
    if not result.is_done:
        return delivery.failed(errand.revision, result.message, workflow.now())
    brought = delivery.brought(errand.revision, is_waiting=result.is_waiting)
    told = {"inventory": result.inventory, "message": result.message}
    return await _hand_over(brought.model_copy(update=told), errand.revision)


async def _sync(errand: Errand, delivery: Delivery) -> SyncResult:
    policy, source = delivery.policy, errand.spec.source
    others = max((each.timeout for each in errand.siblings), default=timedelta(0))  # built beside each other
    return await workflow.execute_activity_method(
        SourceActivities.sync_policy,
        SyncInput(
            application=errand.application,
            namespace=errand.spec.namespace,
            source=source,
            revision=errand.revision,
            policy=policy,
            cluster=delivery.cluster.name,
            siblings=errand.siblings,
        ),
        summary=f"{delivery.key} {_short(errand.revision)}",
        **within(delivery, policy.timeout + others + source.timeout + MARGIN),
    )


async def _hand_over(delivery: Delivery, revision: str) -> Delivery:
    wanted = delivery.wanted_canary
    done = delivery.succeeded(revision, workflow.now())
    if wanted is None or (delivery.canary == wanted and delivery.is_current(revision)):
        return done
    try:
        answer = await workflow.execute_activity_method(
            EntityActivities.start_and_update,
            apply_of(wanted, delivery),
            summary=f"canary {wanted.tail}",
            **HAND_OVER,
        )
    except ActivityError as error:
        # It may have been started: from now on it has to be deleted before the policy can go.
        failed = delivery.failed(revision, said(error, ""), workflow.now())
        return failed.model_copy(update={"canary": delivery.canary or wanted})
    result = ApplyResult.model_validate(answer.answer)
    message = " ".join((delivery.message, *(problem.message for problem in result.problems))).strip()
    if not result.accepted:
        return delivery.failed(revision, message, workflow.now())
    return done.model_copy(update={"canary": wanted, "message": message})


def _short(revision: str) -> str:
    name, _, commit = revision.rpartition("@sha1:")
    return f"{name}@{commit[:8]}" if name else commit[:8]
