"""Offers: judged by the engine, and never left behind without a worker."""

import gc
from typing import Any

import pytest
from temporalio.client import WorkflowExecutionStatus, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError

from canary.application import ApplicationSpec, GitSource
from starter import offer
from starter.errors import UnreachableError
from starter.failures import sentence
from starter.listing import Scope, canaries
from starter.workers import require_worker
from workflows.contract import ApplyCanary, Command, canary_id


def offered(spec: Any) -> offer.Offer:
    return offer.of_canary(ApplyCanary(spec=spec, command=Command(id="one", who="ada")))


async def test_a_first_apply_starts_the_canary(engine: Any) -> None:
    spec = engine.spec(namespace=engine.namespace())

    result = await offer.make(engine.client, offered(spec))

    assert result.accepted
    await engine.listed(canary_id(spec.tail))
    assert [item.tail for item in await canaries(engine.client, Scope(spec.namespace))] == [spec.tail]


async def test_a_second_apply_goes_to_the_running_canary(engine: Any) -> None:
    spec = engine.spec(namespace=engine.namespace())
    await offer.make(engine.client, offered(spec))
    handle = engine.client.get_workflow_handle(canary_id(spec.tail))
    first = (await handle.describe()).run_id

    again = spec.model_copy(update={"suspend": True})
    await offer.make(engine.client, offer.of_canary(ApplyCanary(spec=again, command=Command(id="two"))))

    assert (await handle.describe()).run_id == first


@pytest.mark.proves("T20")
async def test_a_refusal_names_the_field(engine: Any) -> None:
    """Flagger logs an invalid Canary, and its status stays empty: here its author is told.

    T20: Flagger's controller.go.
    """
    spec = engine.spec(namespace=engine.namespace(), name="refused")

    result = await offer.make(engine.client, offered(spec))

    assert not result.accepted
    assert result.problems[0].path == "spec.targetRef.name"


async def test_an_application_is_found_by_its_name(engine: Any) -> None:
    source = GitSource(url="http://git/app.git", branch="master")
    spec = ApplicationSpec(namespace=engine.namespace(), name="shop", source=source, policies=())

    result = await offer.make(engine.client, offer.of_application(spec, Command(id="one")))

    assert result.accepted
    described = await engine.client.get_workflow_handle(f"application/{spec.namespace}/shop").describe()
    assert described.typed_search_attributes[offer.APPLICATION] == f"{spec.namespace}/shop"


async def test_nothing_is_offered_while_nobody_polls(idle: Any) -> None:
    with pytest.raises(UnreachableError, match="No worker is running, so nothing was applied"):
        await require_worker(idle.client, "applied")


async def test_a_worker_that_polls_is_enough(engine: Any) -> None:
    await require_worker(engine.client, "applied")


async def test_a_start_that_no_worker_takes_is_taken_back(idle: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offer, "ACCEPTED_WITHIN", idle.seconds(0.5))
    spec = idle.spec(namespace=idle.namespace())

    with pytest.raises(UnreachableError, match="so nothing was applied"):
        await offer.make(idle.client, offered(spec))

    described = await idle.client.get_workflow_handle(canary_id(spec.tail)).describe()
    assert described.status is WorkflowExecutionStatus.TERMINATED


async def test_an_offer_without_an_answer_leaves_nothing_for_asyncio_to_print(
    idle: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Beside, that printing within an `ast.parse` is what Python 3.11.7 fails at."""
    monkeypatch.setattr(offer, "ACCEPTED_WITHIN", idle.seconds(0.2))

    with pytest.raises(UnreachableError):
        await offer.make(idle.client, offered(idle.spec(namespace=idle.namespace())))
    gc.collect()

    # What other tests have left behind may be collected here as well, and is logged otherwise.
    assert not [record for record in caplog.records if "never retrieved" in record.getMessage()]


async def test_a_canary_that_lives_is_never_taken_back(idle: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offer, "ACCEPTED_WITHIN", idle.seconds(0.5))
    spec = idle.spec(namespace=idle.namespace())
    canary = await idle.canary(spec)
    await canary.signal("bell")

    with pytest.raises(UnreachableError):
        await offer.make(idle.client, offered(spec))

    assert (await canary.describe()).status is WorkflowExecutionStatus.RUNNING


async def test_a_failure_is_told_by_its_innermost_cause() -> None:
    inner = ApplicationError("Kubeconfig of one runs a command.")
    outer = ApplicationError("Activity task failed")
    outer.__cause__ = inner

    assert sentence(WorkflowUpdateFailedError(outer)) == "Kubeconfig of one runs a command."
