"""What dies or is away while rollouts run: nothing is lost, no step early, none skipped."""

import asyncio

import pytest

from tests.conformance import workload
from tests.conformance.case import Case
from tests.conformance.chorus import afterwards, together
from tests.conformance.faults import ENGINE
from tests.conformance.hooks import Hook
from tests.conformance.pace import assert_no_step_was_early
from tests.conformance.workload import BEST, BETTER, NAME
from tests.conformance.world import World
from workflows.contract import Verb


@pytest.mark.proves("T22", "C29")
@pytest.mark.conformance
@afterwards
async def test_what_is_pushed_while_the_engine_is_dead_gets_no_pods(world: World) -> None:
    """The target is paused while it is judged, so nothing that nobody judged gets the canary's share.

    C29, T22: Flagger's scheduler.go, job.go.
    """
    case = Case(world, "kurator-member2", "pushed")
    await case.deploy()
    await case.initialise(interval="15s", stepWeight=50)
    await case.release(BETTER)
    run = await case.rollout_begins()
    await case.weight_is(50)
    async with world.surgery:
        await world.kill_worker()
        await case.release(BEST)
        await asyncio.sleep(2)  # what is measured is that nothing happens
        images, weight = await case.images(NAME), case.weights[-1]
        await world.start_worker()
    await case.weight_is(0)
    await case.rollout_is(lambda status: status.restarts == 1, "the analysis begins again")
    await case.wish(Verb.ABORT)
    ended = await case.rollout_ends(run)

    assert (images, weight) == ({workload.image(BETTER)}, 50)
    assert ended.view.status.restarts == 1
    assert case.weights == [0, 50, 0]


@pytest.mark.conformance
@together
async def test_an_api_server_that_is_away_holds_a_rollout_and_no_more(world: World) -> None:
    case = Case(world, "kurator-member2", "api-away")
    await case.deploy()
    await case.initialise(interval="2s", stepWeight=25)
    await case.release(BETTER)
    run = await case.rollout_begins()
    await case.weight_is(25)
    place = f"/namespaces/{case.namespace}/"
    async with case.cluster.faults.of_api(do="status", status=503, path=place, userAgent=ENGINE):
        await asyncio.sleep(4)
    async with case.cluster.faults.of_api(do="latency", seconds=0.5, path=place, userAgent=ENGINE):
        ended = await case.rollout_ends(run)

    assert ended.outcome == "Promoted"
    assert case.weights == [0, 25, 50, 0]
    assert ended.view.status.failed_checks == 0
    assert_no_step_was_early(case, ended)


@pytest.mark.conformance
@together
async def test_a_load_tester_that_is_away_is_a_failed_check(world: World) -> None:
    case = Case(world, "kurator-member1", "no-load-tester")
    await case.deploy()
    async with Hook() as hook:
        gone = hook.document(timeout="2s")
    await case.initialise(webhooks=[gone], threshold=1)
    ended = await case.roll_out(BETTER)

    assert ended.outcome == "RolledBack"
    assert "external check check failed" in ended.message
    assert case.weights == [0, 10, 0]
