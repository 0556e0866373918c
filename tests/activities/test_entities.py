import asyncio
import gc
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from temporalio import workflow
from temporalio.client import Client, WorkflowUpdateRPCTimeoutOrCancelledError
from temporalio.common import SearchAttributeKey
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment, WorkflowEnvironment
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from activities.entities import EntityActivities, EntityAnswer, EntityStart, EntityUpdate

CLUSTER = SearchAttributeKey.for_keyword("CanaryCluster")
QUEUE = "entities"


@workflow.defn(name="Entity")
class Entity:
    def __init__(self) -> None:
        self.received: list[Any] = []

    @workflow.run
    async def run(self) -> list[Any]:
        await workflow.wait_condition(lambda: "end" in self.received)
        await workflow.wait_condition(workflow.all_handlers_finished)
        return self.received

    @workflow.update(name="tell")
    async def tell(self, argument: dict[str, Any]) -> dict[str, Any]:
        if argument.get("word") == "bad":
            raise ApplicationError("No such word.")
        self.received.append(argument["word"])
        return {"heard": len(self.received)}


@pytest.fixture(scope="module")
async def client() -> AsyncIterator[Client]:
    environment = await WorkflowEnvironment.start_local(
        dev_server_existing_path=str(Path(sys.executable).with_name("temporal")),
        data_converter=pydantic_data_converter,
        search_attributes=[CLUSTER],
    )
    async with (
        environment,
        Worker(
            environment.client,
            task_queue=QUEUE,
            workflows=[Entity],
            workflow_runner=UnsandboxedWorkflowRunner(),
        ),
    ):
        yield environment.client


@pytest.fixture
def name() -> str:
    return f"canary/{uuid4()}"


def start_of(name: str, word: str, update_id: str | None = None) -> EntityStart:
    return EntityStart(
        workflow=name,
        type="Entity",
        task_queue=QUEUE,
        update="tell",
        id=update_id or str(uuid4()),
        argument={"word": word},
        memo={"row": {"phase": "Initializing"}},
        keywords={CLUSTER.name: "one"},
    )


def update_of(name: str, word: str) -> EntityUpdate:
    return EntityUpdate(workflow=name, update="tell", id=str(uuid4()), argument={"word": word})


async def start(client: Client, wanted: EntityStart) -> EntityAnswer:
    return await ActivityEnvironment().run(EntityActivities(client).start_and_update, wanted)


async def update(client: Client, wanted: EntityUpdate) -> EntityAnswer:
    return await ActivityEnvironment().run(EntityActivities(client).update_entity, wanted)


async def test_an_entity_is_started_with_its_first_update(client: Client, name: str) -> None:
    answer = await start(client, start_of(name, "hello"))

    described = await client.get_workflow_handle(name).describe()
    assert answer == EntityAnswer(is_there=True, answer={"heard": 1})
    assert await described.memo_value("row") == {"phase": "Initializing"}
    assert described.typed_search_attributes[CLUSTER] == "one"


async def test_a_running_entity_is_not_started_again(client: Client, name: str) -> None:
    await start(client, start_of(name, "hello"))

    answer = await start(client, start_of(name, "again"))

    assert answer.answer == {"heard": 2}


async def test_the_same_update_is_carried_out_once(client: Client, name: str) -> None:
    await start(client, start_of(name, "hello", "first"))

    answer = await start(client, start_of(name, "hello", "first"))

    assert answer.answer == {"heard": 1}


async def test_a_running_entity_is_updated(client: Client, name: str) -> None:
    await start(client, start_of(name, "hello"))

    assert await update(client, update_of(name, "end")) == EntityAnswer(is_there=True, answer={"heard": 2})


async def test_an_entity_that_is_not_there_is_no_error(client: Client, name: str) -> None:
    assert await update(client, update_of(name, "end")) == EntityAnswer(is_there=False)


async def test_an_entity_that_has_ended_is_not_there(client: Client, name: str) -> None:
    await start(client, start_of(name, "end"))
    await client.get_workflow_handle(name).result()

    assert not (await update(client, update_of(name, "hello"))).is_there


@pytest.mark.parametrize("is_started", [True, False])
async def test_a_refusal_is_permanent_and_says_why(client: Client, name: str, *, is_started: bool) -> None:
    await start(client, start_of(name, "hello"))
    refused = start(client, start_of(name, "bad")) if is_started else update(client, update_of(name, "bad"))

    with pytest.raises(ApplicationError, match=f"{name} refused tell: No such word") as caught:
        await asyncio.wait_for(refused, 10)

    assert caught.value.non_retryable


async def test_an_update_that_is_cut_off_leaves_nothing_for_asyncio_to_log(
    client: Client, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    await _cut_off(client, start_of(name, "one").model_copy(update={"task_queue": "nobody's"}))
    await asyncio.sleep(0)  # the loop lets go of what it was woken by
    gc.collect()

    # What other tests have left behind may be collected here as well, and is logged otherwise.
    assert not [record for record in caplog.records if "never retrieved" in record.getMessage()]


async def _cut_off(client: Client, wanted: EntityStart) -> None:
    with pytest.raises(WorkflowUpdateRPCTimeoutOrCancelledError):
        async with asyncio.timeout(0.2):
            await EntityActivities(client).start_and_update(wanted)
