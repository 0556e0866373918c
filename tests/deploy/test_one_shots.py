"""What docker-compose.yml runs once: against a real Temporal server, and a tool that only takes notes."""

from datetime import timedelta
from pathlib import Path

import pytest
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from starter.doctor import KEYS, findings
from tests.deploy.conftest import Ended, run_script
from workflows import contract

KEYWORD = IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD
INT = IndexedValueType.INDEXED_VALUE_TYPE_INT


async def prepare(server: WorkflowEnvironment, namespace: str, **settings: str) -> Ended:
    address = server.client.service_client.config.target_host
    environment = {"TEMPORAL_ADDRESS": address, "TEMPORAL_NAMESPACE": namespace, **settings}
    return await run_script("prepare-temporal.sh", environment)


async def retention(server: WorkflowEnvironment, namespace: str) -> timedelta:
    request = DescribeNamespaceRequest(namespace=namespace)
    answer = await server.client.workflow_service.describe_namespace(request)
    return answer.config.workflow_execution_retention_ttl.ToTimedelta()


async def attributes(server: WorkflowEnvironment, namespace: str) -> dict[str, "IndexedValueType.ValueType"]:
    request = ListSearchAttributesRequest(namespace=namespace)
    answer = await server.client.operator_service.list_search_attributes(request)
    return {name: kind for name, kind in answer.custom_attributes.items() if name.startswith("Canary")}


async def test_prepares_a_new_namespace_and_changes_nothing_the_second_time(
    temporal: WorkflowEnvironment,
) -> None:
    for _ in range(2):
        ended = await prepare(temporal, "rollouts")

        assert ended.code == 0, ended.output
        assert await retention(temporal, "rollouts") == timedelta(days=30)
        assert await attributes(temporal, "rollouts") == {
            key.name: INT if key is contract.WEIGHT else KEYWORD for key in KEYS
        }


async def test_keeps_histories_of_a_namespace_that_was_there_for_longer(
    temporal: WorkflowEnvironment,
) -> None:
    assert await retention(temporal, "default") < timedelta(days=30)

    ended = await prepare(temporal, "default")

    assert ended.code == 0, ended.output
    assert await retention(temporal, "default") == timedelta(days=30)


async def test_the_doctor_misses_nothing_but_workers(temporal: WorkflowEnvironment) -> None:
    await prepare(temporal, "examined")
    config = temporal.client.service_client.config
    client = await Client.connect(config.target_host, namespace="examined")

    found = [finding async for finding in findings(client)]

    queues = (contract.QUEUE, contract.CHECKS_QUEUE, contract.WATCH_QUEUE)
    # Without a worker nobody looks at clusters.
    assert [one.name for one in found if one.remedy] == [*(f"workers of {one}" for one in queues), "clusters"]


async def test_takes_the_wished_retention(temporal: WorkflowEnvironment) -> None:
    await prepare(temporal, "wished", CANARY_RETENTION="90d")

    assert await retention(temporal, "wished") == timedelta(days=90)


async def test_gives_up_on_a_server_that_is_not_there() -> None:
    ended = await run_script(
        "prepare-temporal.sh", {"TEMPORAL_ADDRESS": "127.0.0.1:1", "CANARY_PATIENCE": "0"}
    )

    assert ended.code == 1
    assert ended.output.startswith("Cannot reach Temporal at 127.0.0.1:1: ")


@pytest.fixture
def noting(tmp_path: Path) -> Path:
    """A folder whose `temporal-sql-tool` notes its database and arguments."""
    tool = tmp_path / "temporal-sql-tool"
    tool.write_text(
        f'#!/bin/sh\necho "$SQL_PLUGIN $SQL_HOST:$SQL_PORT $SQL_DATABASE $*" >> {tmp_path}/notes\n'
    )
    tool.chmod(0o755)
    return tmp_path


async def test_brings_both_databases_up_to_date(noting: Path) -> None:
    ended = await run_script("create-schema.sh", {"SQL_HOST": "db", "SQL_PASSWORD": "secret"}, path=noting)

    folder = "/etc/temporal/schema/postgresql/v12"
    assert ended == Ended(0, "")
    assert (noting / "notes").read_text().splitlines() == [
        "postgres12 db:5432 temporal create",
        "postgres12 db:5432 temporal setup-schema -v 0.0",
        f"postgres12 db:5432 temporal update-schema -d {folder}/temporal/versioned",
        "postgres12 db:5432 temporal_visibility create",
        "postgres12 db:5432 temporal_visibility setup-schema -v 0.0",
        f"postgres12 db:5432 temporal_visibility update-schema -d {folder}/visibility/versioned",
    ]


async def test_creates_no_schema_without_a_password(noting: Path) -> None:
    ended = await run_script("create-schema.sh", {"SQL_HOST": "db"}, path=noting)

    assert ended.code != 0
    assert "SQL_PASSWORD" in ended.output
    assert not (noting / "notes").exists()
