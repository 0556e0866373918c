"""What the Temporal UI shows of a workflow, as the server gives it out."""

from typing import Any

from temporalio.api.sdk.v1 import WorkflowMetadata
from temporalio.client import Client, WorkflowHandle

from canary.status import Phase
from tests.workflows.cluster import NEW, Cluster, seed_spec
from tests.workflows.conftest import Serve
from tests.workflows.test_canary import in_phase, initialised, leave, settled, until
from tests.workflows.test_rollout import outcome, start
from workflows.contract import BELL, rollout_id

METADATA = "__temporal_workflow_metadata"
"""The query that the UI asks for current details."""


async def current_details(handle: WorkflowHandle[Any, Any]) -> list[str]:
    metadata: WorkflowMetadata = await handle.query(METADATA, result_type=WorkflowMetadata)
    return metadata.current_details.splitlines()


async def summaries(client: Client, handle: WorkflowHandle[Any, Any]) -> list[str]:
    """What stands beside the activities of a history."""
    events = (await handle.fetch_history()).events
    payloads = [
        event.user_metadata.summary
        for event in events
        if event.HasField("activity_task_scheduled_event_attributes") and event.HasField("user_metadata")
    ]
    return [str(text) for text in await client.data_converter.decode(payloads)]


async def test_a_rollouts_details_say_where_it_stands_and_what_its_checks_came_to(serve: Serve) -> None:
    cluster = Cluster(values=[99.5, None, 97.25])
    handle = await start(await serve(cluster.activities()), seed_spec())

    ended = await outcome(handle)

    head, _, message, *checks = await current_details(handle)
    assert head == (
        "**Failed** of `backend` in `webapp` of `member1`: "
        "0 % of the traffic on the canary, 2 of 2 failed checks"
    )
    assert message == ended.message
    assert [line.partition(" at ")[2].split(" request")[0] for line in checks] == [
        "10 %: Successful",
        "20 %: Inconclusive",
        "20 %: Failed",
    ]
    assert [line.split("success-rate ")[1].split()[0] for line in checks] == ["99.50", "no", "97.25"]


async def test_a_rollouts_activities_say_what_they_are_for(serve: Serve) -> None:
    cluster = Cluster()
    client = await serve(cluster.activities())
    handle = await start(client, seed_spec())

    await handle.result()

    told = await summaries(client, handle)
    assert {f"canary weight {weight}" for weight in (10, 20, 30, 40, 50, 0)} <= set(told)
    assert {f"check {number} at weight {10 * number}" for number in range(1, 6)} <= set(told)
    assert f"copy {NEW.template} into the primary" in told


async def test_a_rollout_is_summed_up_by_its_target_and_revision(serve: Serve) -> None:
    cluster = settled()
    client, handle, spec = await initialised(serve, cluster)
    cluster.target = NEW
    await handle.signal(BELL)
    await in_phase(handle, Phase.SUCCEEDED)
    rollout = await client.get_workflow_handle(rollout_id(spec.tail)).describe()

    assert await rollout.static_summary() == f"{spec.tail} to {NEW.template}"
    await leave(handle)


async def test_a_canarys_details_say_where_it_stands(serve: Serve) -> None:
    """Details, for a summary that it was started with would not outlive its first history."""
    _, handle, _ = await initialised(serve, settled(), suspend=True)
    found = await until(handle, lambda status: "Suspended" in status.message)

    assert await current_details(handle) == [f"**Initialized** {found.message}"]
    await leave(handle)
