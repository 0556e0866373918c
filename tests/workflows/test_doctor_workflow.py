"""The doctor's workflow: one look, and its answer."""

from temporalio import activity

from canary.examination import Examination, Finding, Findings
from tests.workflows.conftest import Serve
from workflows.contract import DOCTOR_WORKFLOW, QUEUE, doctor_id

SEEN = Finding(cluster="one", what="Istio", seen="fine")


@activity.defn(name="examine_clusters")
async def examine(examination: Examination) -> Findings:
    assert examination.clusters == ("one",)
    return Findings(findings=(SEEN,))


async def test_answers_what_was_seen(serve: Serve) -> None:
    client = await serve([examine])
    found = await client.execute_workflow(
        DOCTOR_WORKFLOW,
        Examination(clusters=("one",)),
        id=doctor_id("ada"),
        task_queue=QUEUE,
        result_type=Findings,
    )

    assert found == Findings(findings=(SEEN,))
