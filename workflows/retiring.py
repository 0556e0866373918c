"""Taking back what an Application brought to a cluster: a canary first, then what a policy brought."""

from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError

from activities.entities import EntityActivities
from activities.heartbeat import HEARTBEAT_TIMEOUT
from activities.source.delivery import RetireInput, SourceActivities, SyncResult
from canary.delivery import Delivery
from canary.spec import CanarySpec
from workflows import contract
from workflows.contract import Answer
from workflows.entrusting import delete_of, way_out_of
from workflows.errand import MARGIN, Errand, Outcome, said, within
from workflows.options import ActivityOptions

WITHOUT_END = RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(seconds=30))
WAY_OUT = ActivityOptions(
    task_queue=contract.QUEUE,
    start_to_close_timeout=timedelta(hours=1),
    heartbeat_timeout=HEARTBEAT_TIMEOUT,
    retry_policy=WITHOUT_END,
)
"""The canary's own workflow knows when to give up."""


async def take_out(errand: Errand, delivery: Delivery, canary: CanarySpec) -> Outcome:
    """Have a canary take its way out; one that was left behind is tried again, if that is not the last."""
    answer = await _way_out(canary)
    if answer.is_done:
        return Outcome(delivery.model_copy(update={"canary": None, "failures": 0}))
    if errand.is_last:
        return Outcome(delivery.model_copy(update={"canary": None, "failures": 0}), left=answer.message)
    return Outcome(delivery.failed(errand.revision, answer.message, workflow.now()))


async def _way_out(canary: CanarySpec) -> Answer:
    """Tell the canary's workflow, in each of its histories, and wait until it has left."""
    while (answer := await _asked(canary)).goes_on:
        workflow.logger.info("way out in a new history", extra={"canary": canary.tail})
    return answer


async def _asked(canary: CanarySpec) -> Answer:
    """Tell the canary's workflow; where that was terminated another one takes out what it left."""
    found = await workflow.execute_activity_method(
        EntityActivities.update_entity,
        delete_of(canary),
        summary=f"way out of canary {canary.tail}",
        **WAY_OUT,
    )
    if not found.is_there:
        found = await workflow.execute_activity_method(
            EntityActivities.start_and_update,
            way_out_of(canary),
            summary=f"way out of canary {canary.tail}, which nobody delivers",
            **WAY_OUT,
        )
    return Answer.model_validate({"message": "", **found.answer})


async def retire(errand: Errand, delivery: Delivery) -> Outcome:
    """Take a policy back; a cluster that does not answer for long is left as it is."""
    result = await _taken_back(errand, delivery)
    told = {"policy": delivery.key, "note": result.message}
    if result.is_needed:
        return Outcome(delivery.kept(result.message, workflow.now()))
    if result.is_done:
        workflow.logger.info("policy taken back", extra=told)
        return Outcome(None, left=result.message if result.is_waiting else "")
    tried = delivery.tried_to_retire(workflow.now(), is_answered=not result.is_unreachable)
    if tried.is_given_up(workflow.now()):
        workflow.logger.error("policy left behind", extra=told)
        return Outcome(None, left=result.message)
    return Outcome(tried.failed(tried.applied_revision, result.message, workflow.now()))


async def _taken_back(errand: Errand, delivery: Delivery) -> SyncResult:
    """Take a policy back; that nobody knows how it went is as if the cluster did not answer."""
    try:
        return await workflow.execute_activity_method(
            SourceActivities.retire_policy,
            RetireInput(
                application=errand.application,
                policy=delivery.policy.name,
                cluster=delivery.cluster.name,
                prune=delivery.policy.prune,
                siblings=errand.siblings,
            ),
            summary=f"{delivery.key} taken back",
            **within(delivery, delivery.policy.timeout + MARGIN),
        )
    except ActivityError as error:
        message = said(error, delivery.cluster.task_queue)
        return SyncResult(is_done=False, is_unreachable=True, message=message)
