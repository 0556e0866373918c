"""A worker's metrics over HTTP, over a real Temporal server."""

import asyncio
import sys
from pathlib import Path

import httpx
import pytest
from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.parser import text_string_to_metric_families
from temporalio import workflow
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from canary.status import ListRow, Phase
from worker.endpoint import EndpointError, SdkMetrics, metering, serving
from worker.gauges import standings
from workflows.contract import CANARY_WORKFLOW, ROW

TAIL = "member1/webapp/Deployment/backend"


@workflow.defn(name=CANARY_WORKFLOW)
class Canary:
    @workflow.run
    async def run(self) -> None:
        row = ListRow(cluster="member1", namespace="webapp", name="backend", phase=Phase.FAILED)
        workflow.upsert_memo({ROW: row.model_dump(mode="json")})
        await workflow.wait_condition(lambda: False)


async def seen_by_visibility(client: Client) -> None:
    """Wait until the canary stands in lists, which is a little later than it runs."""
    async with asyncio.timeout(10):
        while not await standings(client):  # noqa: ASYNC110 — Temporal tells nobody when a list is current
            await asyncio.sleep(0.05)


async def nothing() -> None:
    """Refresh nothing."""


async def text() -> bytes:
    return b"temporal_requests 1\n"


async def test_serves_ours_and_the_sdks() -> None:
    registry = CollectorRegistry()
    Gauge("ours", "One of ours.", registry=registry).set(2)
    async with serving("127.0.0.1:0", registry, nothing, text) as port, httpx.AsyncClient() as client:
        answer = await client.get(f"http://127.0.0.1:{port}/metrics")
        health = await client.get(f"http://127.0.0.1:{port}/healthz")

    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert answer.text == "# HELP ours One of ours.\n# TYPE ours gauge\nours 2.0\ntemporal_requests 1\n"
    assert (health.status_code, health.text) == (200, "OK")


async def test_names_an_address_that_is_taken() -> None:
    registry = CollectorRegistry()
    async with serving("127.0.0.1:0", registry, nothing, text) as port:
        address = f"127.0.0.1:{port}"
        with pytest.raises(EndpointError, match=f"CANARY_METRICS: {address}: "):
            async with serving(address, registry, nothing, text):
                pass


async def test_shows_what_visibility_knows_beside_the_sdks_own(unused_tcp_port: int) -> None:
    environment = await WorkflowEnvironment.start_local(
        dev_server_existing_path=str(Path(sys.executable).with_name("temporal")),
        data_converter=pydantic_data_converter,
    )
    sdk = SdkMetrics()
    async with environment:
        client = await Client.connect(
            environment.client.service_client.config.target_host,
            data_converter=pydantic_data_converter,
            runtime=sdk.runtime,
        )
        worker = Worker(
            client, task_queue="q", workflows=[Canary], workflow_runner=UnsandboxedWorkflowRunner()
        )
        async with worker, metering(f"127.0.0.1:{unused_tcp_port}", client, sdk):
            await client.start_workflow(CANARY_WORKFLOW, id=f"canary/{TAIL}", task_queue="q")
            await seen_by_visibility(client)
            async with httpx.AsyncClient() as http:
                answer = await http.get(f"http://127.0.0.1:{unused_tcp_port}/metrics")
    families = {family.name: family.samples for family in text_string_to_metric_families(answer.text)}
    (status,) = families["flagger_canary_status"]

    assert status.labels == {"name": "backend", "namespace": "webapp", "cluster": "member1"}
    assert status.value == 2
    assert families["canary_visibility_up"][0].value == 1
    assert "temporal_request" in families
