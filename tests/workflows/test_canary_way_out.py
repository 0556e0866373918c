"""A canary's way out, and whose document it is that a target is delivered by."""

import asyncio

from temporalio.exceptions import ApplicationError

from tests.workflows.conftest import Serve
from tests.workflows.test_canary import apply, initialised, leave, settled, until
from workflows.contract import DELETE, STATUS, Answer, CanaryView, DeleteCommand


async def test_a_target_is_delivered_by_one_document(serve: Serve) -> None:
    client, handle, spec = await initialised(serve, settled())
    _, refused = await apply(client, spec.model_copy(update={"application": "default/shop"}))
    known = (await handle.query(STATUS, result_type=CanaryView)).spec

    assert not refused.accepted
    (problem,) = refused.problems
    whose = f"Canary {spec.namespace}/{spec.name}"
    assert (
        problem.message == f"Deployment {spec.target.name} is delivered by {whose}: take it out of that first"
    )
    assert known == spec
    await leave(handle)


async def test_a_way_out_waits_for_a_target_that_is_not_ready_and_says_so(serve: Serve) -> None:
    cluster = settled()
    _, handle, _ = await initialised(serve, cluster)
    cluster.refusals["restore_routes"] = ApplicationError(
        "backend is not ready yet", type="NotReady", non_retryable=True
    )
    deletion = asyncio.create_task(handle.execute_update(DELETE, DeleteCommand(), result_type=Answer))
    told = await until(handle, lambda status: status.needs_person)
    cluster.refusals.clear()

    assert told.message == "The way out waits: backend is not ready yet"
    assert await deletion == Answer(message="Taken out; the workload is as it was")
    assert cluster.log[-1] == "remove objects"
    await handle.result()


async def test_a_way_out_that_is_given_up_is_no_success(serve: Serve) -> None:
    cluster = settled()
    _, handle, _ = await initialised(serve, cluster)
    cluster.refusals["restore_routes"] = ApplicationError(
        "patch of services", type="Forbidden", non_retryable=True
    )
    answer = await handle.execute_update(DELETE, DeleteCommand(), result_type=Answer)

    assert not answer.is_done
    assert answer.message.startswith("Left behind in ")
    assert "remove objects" not in cluster.log
    await handle.result()


async def test_routes_that_come_late_are_given_back_before_the_primary_goes(serve: Serve) -> None:
    """A write that was called off may still arrive."""
    cluster = settled()
    _, handle, _ = await initialised(serve, cluster)
    cluster.log.clear()
    cluster.late_routes = [False, True, True]
    await leave(handle)

    assert cluster.log == ["restore target", *["restore routes"] * 3, "remove objects"]
