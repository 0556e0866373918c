"""Whether users notice: every request from before initialisation to after the canary is deleted."""

import asyncio
import json

from temporalio.client import WorkflowFailureError
from temporalio.service import RPCError, RPCStatusCode

from bench.crowd import Crowd, Tally
from bench.figure import Bound, Figure
from bench.stage import Options, stage
from bench.webapp import Webapp, available
from canary.status import Phase
from tests.conformance.waiting import until
from tests.conformance.world import World
from workflows.contract import STATUS, CanaryView, canary_id, rollout_id

REQUESTS = 50_000
RATE = 300
PROPAGATIONS = (0.0, 5.0)
GOOD, BAD = "6.2.0", "6.3.0-err10"
PATIENCE = 240.0
QUICK = 1_000


async def measure(options: Options) -> list[Figure]:
    """Live through all of a canary's life, with a mesh that is fast and with one that takes its time."""
    figures = []
    for propagation in PROPAGATIONS:
        async with stage(propagation) as world:
            tallies = await _life(world, options.many(REQUESTS, QUICK))
        figures += [_figure(name, tally, propagation) for name, tally in tallies.items()]
    return figures


def _figure(name: str, tally: Tally, propagation: float) -> Figure:
    failures = f"; failed: {json.dumps(tally.failures)}" if tally.failures else ""
    return Figure(
        f"user requests failed, {name}, propagation {propagation:g} s",
        "requests",
        [tally.failed],
        f"{RATE}/s from before the initialisation, through a promotion and a rollback, to after "
        "`canary delete`; a push for each version and one more in mid-rollout; "
        f"{tally.errors} errors were the bad version's own{failures}",
        bound=Bound(maximum=0),
        trials=tally.sent,
    )


async def _life(world: World, requests: int) -> dict[str, Tally]:
    app = await Webapp.clone(world)
    try:
        await app.make_room()
        await app.apply(with_rollout=False)
        await until(lambda: available(app.cluster), 30, "the workload is delivered")
        await app.route()
        await until(lambda: _is_served(app), 30, "users are served")
        async with Crowd(app.ways(), RATE) as crowd:
            await app.apply(with_rollout=True)
            await until(lambda: _is_initialised(world, app.tail), 60, "the canary is initialised")
            await _roll_out(world, app, GOOD, "Promoted")
            await _roll_out(world, app, BAD, "RolledBack")
            await app.delete()
            enough = crowd.least + requests // 10
            await until(lambda: _has(crowd, max(enough, requests)), PATIENCE, "enough requests")
    finally:
        app.close()
    return crowd.tallies


async def _is_served(app: Webapp) -> bool:
    async with Crowd(app.ways(), 50) as crowd:
        await asyncio.sleep(0.2)
    return all(tally.served and not tally.failed for tally in crowd.tallies.values())


async def _has(crowd: Crowd, requests: int) -> bool:
    return crowd.least >= requests


async def _is_initialised(world: World, tail: str) -> bool:
    try:
        handle = world.client.get_workflow_handle(canary_id(tail))
        view: CanaryView | None = await handle.query(STATUS, result_type=CanaryView)
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        return False
    return view is not None and view.status.phase is Phase.INITIALIZED


async def _roll_out(world: World, app: Webapp, tag: str, expected: str) -> None:
    """Push a version, and something beside it while its rollout runs; wait for the end."""
    before = await _run(world, app.tail)
    await app.push(tag)

    async def begun() -> str | None:
        run = await _run(world, app.tail)
        return run if run != before else None

    run = await until(begun, 30, f"{tag} is rolled out")
    await app.push_beside()
    outcome, message = "Promoted", ""
    try:
        async with asyncio.timeout(PATIENCE):
            await world.client.get_workflow_handle(rollout_id(app.tail), run_id=run).result()
    except WorkflowFailureError as error:
        outcome = getattr(error.cause, "type", None) or type(error.cause).__name__
        message = str(error.cause)
    assert outcome == expected, f"{tag}: {outcome} instead of {expected}: {message}"


async def _run(world: World, tail: str) -> str | None:
    try:
        return (await world.client.get_workflow_handle(rollout_id(tail)).describe()).run_id
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        return None
