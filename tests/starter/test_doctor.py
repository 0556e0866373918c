"""The doctor: what is missing, and the command that mends it."""

import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from starter import clusters
from starter.doctor import examine, findings
from starter.errors import Exit


@pytest.fixture
async def bare() -> AsyncIterator[Client]:
    """A server without our search attributes."""
    environment = await WorkflowEnvironment.start_local(
        dev_server_existing_path=str(Path(sys.executable).with_name("temporal")), dev_server_log_level="error"
    )
    async with environment:
        yield environment.client


async def test_names_missing_search_attributes_and_their_command(bare: Client, capsys: Any) -> None:
    assert await examine(bare, is_fixing=False) is Exit.REFUSED

    output = capsys.readouterr().out
    assert "CanaryCluster, CanaryNamespace" in output
    assert "run: canary doctor --fix" in output


async def test_registers_them_on_request(bare: Client) -> None:
    await examine(bare, is_fixing=True)

    seen = [str(finding) async for finding in findings(bare)]
    assert "ok    search attributes: all 7 registered" in seen


async def test_warns_of_a_short_retention(bare: Client) -> None:
    seen = [str(finding) async for finding in findings(bare)]

    assert any(line.startswith("warn  retention: 1 days; evidence is lost after that") for line in seen)


async def test_a_queue_nobody_polls_fails(bare: Client) -> None:
    seen = [str(finding) async for finding in findings(bare)]

    assert "FAIL  workers of canary: none; start one with `canary-worker`" in seen


async def test_a_queue_with_a_worker_is_fine(engine: Any) -> None:
    seen = [str(finding) async for finding in findings(engine.client)]

    assert any(line.startswith("ok    workers of canary: 1, which last polled at 2") for line in seen)


async def test_tells_what_a_worker_sees_of_the_clusters(engine: Any, capsys: Any) -> None:
    await engine.canary(engine.spec(namespace=engine.namespace(), cluster="used"))

    assert await examine(engine.client, is_fixing=False) is Exit.REFUSED
    output = capsys.readouterr().out
    assert "FAIL  rights of one: may not list pods; run: kubectl …" in output
    assert "ok    Istio of used: fine" in output


async def test_names_each_queue_of_a_cluster_that_nobody_serves(engine: Any) -> None:
    await engine.canary(engine.spec(namespace=engine.namespace(), cluster="inside"))

    seen = [str(finding) async for finding in findings(engine.client)]

    remedy = "start one inside the cluster with `canary-worker --task-queue queue-of-inside`"
    assert [line for line in seen if "queue-of-inside" in line] == [
        f"FAIL  workers of queue-of-inside: none; {remedy}",
        f"FAIL  workers of queue-of-inside-checks: none; {remedy}",
        f"FAIL  workers of queue-of-inside-watch: none; {remedy}",
    ]


async def test_without_a_worker_clusters_are_not_looked_at(bare: Client) -> None:
    seen = [str(finding) async for finding in findings(bare)]

    assert seen[-1] == "FAIL  clusters: not looked at: no worker is running; start one with `canary-worker`"


async def test_a_worker_that_does_not_answer_is_told(engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clusters, "ANSWERED_WITHIN", timedelta(0))

    (found,) = (await clusters.look(engine.client)).findings
    assert found.seen == "no worker has looked at them within 0 s"
