"""`DoctorWorkflow`: one look at the clusters, for a person who asks what is missing."""

import asyncio
from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError

from activities.cluster.examination import ExaminationActivities
from activities.heartbeat import HEARTBEAT_TIMEOUT
from canary.examination import Examination, Finding, Findings
from workflows.contract import DOCTOR_WORKFLOW, QUEUE
from workflows.options import ActivityOptions
from workflows.serving import at, is_untaken

LOOK = timedelta(seconds=45)
"""Several clusters at once, each within the time limits of its own requests."""
AGAIN = RetryPolicy(maximum_attempts=2)
"""For a worker that died meanwhile; whatever else goes wrong is a finding."""
EXAMINATION = ActivityOptions(
    task_queue=QUEUE,
    start_to_close_timeout=LOOK,
    heartbeat_timeout=HEARTBEAT_TIMEOUT,
    retry_policy=AGAIN,
)


@workflow.defn(name=DOCTOR_WORKFLOW)
class DoctorWorkflow:
    """Looks once, from where each cluster is served, and ends."""

    @workflow.run
    async def run(self, examination: Examination) -> Findings:
        """Give what the workers see of the clusters."""
        seen = await _examined(examination)
        inside = await asyncio.gather(*(_seen_inside(*one) for one in seen.task_queues.items()))
        findings = (*seen.findings, *(finding for each in inside for finding in each))
        return seen.model_copy(update={"findings": findings})


async def _examined(examination: Examination, task_queue: str = "") -> Findings:
    return await workflow.execute_activity_method(
        ExaminationActivities.examine_clusters,
        examination,
        summary="look at the clusters",
        **at(task_queue, EXAMINATION),
    )


async def _seen_inside(cluster: str, task_queue: str) -> tuple[Finding, ...]:
    """What the workers inside a cluster see of it."""
    try:
        seen = await _examined(Examination(clusters=(cluster,), has_file=False), task_queue)
    except ActivityError as error:
        if not is_untaken(error):
            raise
        text = f"not looked at: no worker of task queue {task_queue} answers"
        remedy = f"run inside it: canary-worker --task-queue {task_queue}"
        return (Finding(cluster=cluster, what="API server", seen=text, remedy=remedy),)
    return seen.findings
