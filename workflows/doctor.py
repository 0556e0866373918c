"""`DoctorWorkflow`: one look at the clusters, for a person who asks what is missing."""

from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy

from activities.cluster.examination import ExaminationActivities
from activities.heartbeat import HEARTBEAT_TIMEOUT
from canary.examination import Examination, Findings
from workflows.contract import DOCTOR_WORKFLOW, QUEUE

LOOK = timedelta(seconds=45)
"""Several clusters at once, each within the time limits of its own requests."""
AGAIN = RetryPolicy(maximum_attempts=2)
"""For a worker that died meanwhile; whatever else goes wrong is a finding."""


@workflow.defn(name=DOCTOR_WORKFLOW)
class DoctorWorkflow:
    """Looks once and ends."""

    @workflow.run
    async def run(self, examination: Examination) -> Findings:
        """Give what a worker sees of the clusters."""
        return await workflow.execute_activity_method(
            ExaminationActivities.examine_clusters,
            examination,
            task_queue=QUEUE,
            start_to_close_timeout=LOOK,
            heartbeat_timeout=HEARTBEAT_TIMEOUT,
            retry_policy=AGAIN,
            summary="look at the clusters",
        )
