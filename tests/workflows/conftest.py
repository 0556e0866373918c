"""Workflows under test: a time-skipping server, the real workflows, fake activities."""

import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Replayer, Worker

from worker.assembly import WORKFLOWS
from worker.runner import build_runner
from workflows.contract import (
    APPLICATION,
    CHECKS_QUEUE,
    CLUSTER,
    NAMESPACE,
    PHASE,
    QUEUE,
    REVISION,
    TARGET,
    WATCH_QUEUE,
    WEIGHT,
)

TEMPORAL = str(Path(sys.executable).with_name("temporal"))
SEARCH_ATTRIBUTES = (APPLICATION, CLUSTER, NAMESPACE, PHASE, REVISION, TARGET, WEIGHT)
REPLAYED: set[str] = set()
SETTINGS = (
    "frontend.WorkflowTimeSkippingEnabled=true",
    'history.timerProcessorMaxTimeShift="10ms"',
    "history.timerProcessorMaxPollRPS=1000",
    "history.transferProcessorMaxPollRPS=1000",
)
FLAGS = [text for setting in SETTINGS for text in ("--dynamic-config-value", setting)]


@pytest.fixture(scope="session")
async def environment() -> AsyncIterator[WorkflowEnvironment]:
    """A server whose workflows' clocks skip ahead whenever all of a workflow waits for a timer."""
    async with await _server() as environment:
        yield environment


async def _server(*flags: str) -> WorkflowEnvironment:
    return await WorkflowEnvironment.start_time_skipping_v2(
        dev_server_existing_path=TEMPORAL,
        data_converter=pydantic_data_converter,
        search_attributes=SEARCH_ATTRIBUTES,
        dev_server_extra_args=[*FLAGS, *flags],
    )


Acts = list[Callable[..., Awaitable[Any]]]
Serve = Callable[[Acts], Awaitable[Client]]


@pytest.fixture
async def serve(environment: WorkflowEnvironment) -> AsyncIterator[Serve]:
    """Serve the real workflows with the given activities on all queues; histories are replayed after."""
    async with _serving(environment) as serve:
        yield serve


@pytest.fixture
async def serve_briefly() -> AsyncIterator[Serve]:
    """Serve from a server that suggests a new history after a few events."""
    flag = "limit.historyCount.suggestContinueAsNew=40"
    async with await _server("--dynamic-config-value", flag) as environment, _serving(environment) as serve:
        yield serve


@asynccontextmanager
async def _serving(environment: WorkflowEnvironment) -> AsyncIterator[Serve]:
    async with AsyncExitStack() as stack:

        async def start(acts: Acts) -> Client:
            for queue in (QUEUE, CHECKS_QUEUE, WATCH_QUEUE):
                worker = Worker(
                    environment.client,
                    task_queue=queue,
                    workflows=WORKFLOWS if queue == QUEUE else [],
                    activities=acts,
                    workflow_runner=build_runner(),
                )
                await stack.enter_async_context(worker)
            return environment.client

        yield start
        await stack.aclose()
        await replay_all(environment.client)


def without_traces(recorded: Any) -> Any:
    """A history without stack traces: they name folders of the machine it was recorded on."""
    if isinstance(recorded, dict):
        return {key: without_traces(value) for key, value in recorded.items() if key != "stackTrace"}
    return [without_traces(each) for each in recorded] if isinstance(recorded, list) else recorded


def record(history: WorkflowHistory) -> None:
    """Write a history where RECORD_HISTORIES says, if it says so."""
    if folder := os.environ.get("RECORD_HISTORIES"):
        recorded = json.dumps(without_traces(json.loads(history.to_json())), indent=2, ensure_ascii=False)
        Path(folder, f"{quote(history.workflow_id, safe='')}.json").write_text(recorded)


async def replay_all(client: Client) -> None:
    """Replay every history that has come to its end since, as a worker of a later version would."""
    replayer = Replayer(
        workflows=WORKFLOWS, workflow_runner=build_runner(), data_converter=pydantic_data_converter
    )
    async for execution in client.list_workflows():
        if execution.run_id in REPLAYED or execution.status is WorkflowExecutionStatus.RUNNING:
            continue
        REPLAYED.add(execution.run_id)
        history = await client.get_workflow_handle(execution.id, run_id=execution.run_id).fetch_history()
        record(history)
        await replayer.replay_workflow(history)
