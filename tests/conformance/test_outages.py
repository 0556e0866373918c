"""What dies or is away while rollouts run: nothing is lost, no step early, none skipped."""

import asyncio
import random
from datetime import timedelta
from itertools import pairwise

import pytest

from tests.conformance import workload
from tests.conformance.case import Case, Ended
from tests.conformance.chorus import afterwards, together
from tests.conformance.faults import ENGINE
from tests.conformance.ground import Need
from tests.conformance.hooks import Hook
from tests.conformance.workload import BEST, BETTER, NAME, success_rate
from tests.conformance.world import World
from workflows.contract import Verb

STEPS = [0, 10, 20, 30, 40, 50, 0]
KILLS = 2


def assert_no_step_was_early(case: Case, ended: Ended) -> None:
    """Every increase is an interval away from the one before, with a check between the two."""
    interval = case.spec.analysis.interval / timedelta(seconds=1)
    shifts = case.cluster.trail.of(case.namespace)
    increases = [after.decided for before, after in pairwise(shifts) if after.weight > before.weight]
    checks = [check.at.timestamp() for check in ended.checks]
    for before, after in pairwise(increases):
        assert after - before >= interval
        assert any(before < check < after for check in checks)


@pytest.mark.proves("C39", "T1", "D8")
@pytest.mark.conformance
@afterwards
async def test_workers_and_temporal_die_in_mid_rollout(world: World) -> None:
    """Flagger takes a step early at each start: here every weight has its whole interval.

    C39, T1, D8: Flagger's job.go, docs/architecture.md.
    """
    cases = [Case(world, "kurator-member1", "killed") for _ in range(3)]
    async with Hook() as hook:
        for case in cases:
            await case.deploy()
            await case.initialise(interval="2s", webhooks=[hook.document()])
        for case in cases:
            await case.release(BETTER)
        runs = [await case.rollout_begins() for case in cases]
        for _ in range(KILLS):
            await asyncio.sleep(random.uniform(0.5, 3))  # at any moment
            async with world.surgery:
                await world.kill_worker()
                await world.start_worker()
        await asyncio.sleep(random.uniform(0, 1))
        await world.restart_temporal()
        ends = await asyncio.gather(
            *(case.rollout_ends(run, within=90) for case, run in zip(cases, runs, strict=True))
        )

    for case, ended in zip(cases, ends, strict=True):
        assert ended.outcome == "Promoted"
        assert case.weights == STEPS
        assert_no_step_was_early(case, ended)


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


@pytest.mark.proves("C26")
@pytest.mark.conformance
@together
async def test_a_prometheus_that_is_away_is_a_failed_check(world: World) -> None:
    """A query without an answer counts as a failed check, and no more.

    C26: Flagger's scheduler_metrics.go.
    """
    world.require(Need.SCRAPES, Need.METRICS_FAULTS)
    case = Case(world, "kurator-member3", "no-metrics")
    await case.deploy()
    await case.initialise(interval="2s", threshold=5, stepWeight=50, metrics=[success_rate()])
    async with case.canary_load():
        await case.release(BETTER)
        run = await case.rollout_begins()
        await case.weight_is(50)
        async with case.cluster.faults.of_metrics(refused=True):
            await case.rollout_is(lambda status: status.failed_checks == 1, "a check has failed")
        ended = await case.rollout_ends(run)

    first = ended.checks[0].check.measurements[0]
    assert first.value is None
    assert first.error
    assert ended.outcome == "Promoted"
    assert case.weights == [0, 50, 0]


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
