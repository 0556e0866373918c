"""What Temporal's own list of workflows shows of rollouts."""

from typing import Any

import pytest
from temporalio.client import WorkflowExecution, WorkflowExecutionStatus, WorkflowFailureError

from tests.conformance.case import Case
from tests.conformance.chorus import together
from tests.conformance.waiting import until
from tests.conformance.workload import BEST, BETTER, NAME
from tests.conformance.world import World
from workflows.contract import PHASE, REVISION, ROW, TARGET, WEIGHT, Verb


@pytest.mark.conformance
@together
async def test_each_rollout_is_one_execution_whose_outcome_can_be_read(world: World) -> None:
    case = Case(world, "kurator-member1", "listing")
    await case.deploy()
    await case.initialise(interval="1s", stepWeight=50)
    promoted = await case.roll_out(BETTER)
    await case.release(BEST)
    run = await case.rollout_begins()
    await case.weight_is(50)
    await case.wish(Verb.ABORT)
    aborted = await case.rollout_ends(run)

    async def listed() -> list[WorkflowExecution]:
        query = f"WorkflowType = 'RolloutWorkflow' AND CanaryNamespace = '{case.namespace}'"
        found = [one async for one in case.client.list_workflows(query)]
        return found if all(one.close_time for one in found) else []

    newest, first = await until(listed, 10, "the list shows both rollouts as ended")
    assert (promoted.outcome, aborted.outcome) == ("Promoted", "Aborted")
    assert (first.status, newest.status) == (
        WorkflowExecutionStatus.COMPLETED,
        WorkflowExecutionStatus.FAILED,
    )
    assert newest.run_id == run
    assert [await _shown(one) for one in (first, newest)] == [
        (NAME, "Succeeded", 0, "Succeeded"),
        (NAME, "Failed", 0, "Failed"),
    ]
    assert first.typed_search_attributes[REVISION] != newest.typed_search_attributes[REVISION]
    with pytest.raises(WorkflowFailureError) as failure:
        await case.client.get_workflow_handle(newest.id, run_id=run).result()
    assert getattr(failure.value.cause, "type", None) == "Aborted"


async def _shown(found: WorkflowExecution) -> tuple[Any, ...]:
    """What a row of the list says: by its search attributes, and by its memo."""
    attributes = found.typed_search_attributes
    row = await found.memo_value(ROW)
    return attributes[TARGET], attributes[PHASE], attributes[WEIGHT], row["phase"]
