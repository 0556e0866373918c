"""Abort and restart: within a moment, in every phase, and whatever hangs."""

import pytest
from temporalio.client import WorkflowUpdateFailedError

from canary.status import Phase
from tests.conformance import workload
from tests.conformance.case import Case
from tests.conformance.chorus import together
from tests.conformance.faults import ENGINE
from tests.conformance.hooks import Hook
from tests.conformance.waiting import until
from tests.conformance.workload import BETTER, GOOD, NAME
from tests.conformance.world import World
from workflows.contract import Verb

AT_ONCE = 4.0
"""Seconds; the bench says how much below that it is on a machine that does nothing else."""


@together
async def test_aborts_at_once(world: World) -> None:
    case = Case(world, "kurator-member1", "abort")
    await case.deploy()
    await case.initialise(interval="10s")
    await case.release(BETTER)
    run = await case.rollout_begins()
    await case.weight_is(10)
    await case.wish(Verb.ABORT)
    await case.weight_is(0, within=AT_ONCE)
    ended = await case.rollout_ends(run)

    assert (ended.outcome, ended.message) == ("Aborted", "Aborted by test: because")
    assert await case.replicas() == 0


@pytest.mark.conformance
@together
async def test_aborts_while_a_check_hangs_by_a_signal_without_an_argument(world: World) -> None:
    case = Case(world, "kurator-member2", "hanging-check")
    await case.deploy()
    async with Hook() as hook:
        await case.initialise(webhooks=[hook.document(timeout="60s")])
        hook.hang()
        await case.release(BETTER)
        run = await case.rollout_begins()
        await case.weight_is(10)
        await hook.called.wait()
        await case.rollout.signal("abort")
        await case.weight_is(0, within=AT_ONCE)
        ended = await case.rollout_ends(run)

    assert (ended.outcome, ended.message) == ("Aborted", "Aborted by unknown (signal)")
    assert ended.checks == []


@together
async def test_a_write_that_hung_until_after_an_abort_changes_nothing(world: World) -> None:
    case = Case(world, "kurator-member1", "fenced")
    await case.deploy()
    await case.initialise()
    path = f"/namespaces/{case.namespace}/virtualservices"
    async with case.cluster.faults.of_api(do="hang", method="PATCH", path=path, userAgent=ENGINE, times=1):
        before = await case.cluster.asked_so_far()
        await case.release(BETTER)
        run = await case.rollout_begins()
        await until(lambda: case.cluster.is_held(path), 20, "a write of the weights hangs")
        await case.wish(Verb.ABORT)
        ended = await case.rollout_ends(run)
        assert case.weights == [0]

    assert ended.outcome == "Aborted"
    await until(lambda: _are_answered(case, before, path), 20, "the late write is answered")
    assert await _answers(case, before, path) == [409, 200]
    assert case.weights == [0]


@pytest.mark.conformance
@together
async def test_an_abort_of_an_initialisation_leaves_the_target_serving(world: World) -> None:
    case = Case(world, "kurator-member2", "abort-initialising")
    await case.deploy()
    async with case.no_more_pods(), case.load(is_routed=False) as users:
        await case.apply()
        await case.canary_is(Phase.INITIALIZING)
        await until(lambda: case.find("deployments", f"{NAME}-primary"), 10, "the primary is there")
        await case.wish(Verb.ABORT, case.canary)
        status = await case.canary_is(Phase.FAILED)

    assert "aborted by test" in status.message
    assert await case.replicas() == 2
    assert await case.find("virtualservices") is None
    assert users.failures == {}


@pytest.mark.conformance
@together
async def test_an_abort_in_promotion_puts_the_promoted_template_back_first(world: World) -> None:
    case = Case(world, "kurator-member1", "abort-promotion")
    await case.deploy()
    await case.initialise(interval="3s", stepWeight=50)
    async with case.canary_load() as users:
        await case.release(BETTER)
        run = await case.rollout_begins()
        await case.rollout_is(lambda status: status.phase is Phase.PROMOTING, "it is promoted")
        await case.wish(Verb.ABORT)
        ended = await case.rollout_ends(run)

    assert ended.outcome == "Aborted"
    assert case.weights == [0, 50, 0]
    assert await case.image(f"{NAME}-primary") == workload.image(GOOD)
    # Once it has been scaled down: no pod is there, or the one that answered went.
    assert users.tallies["canary"].failures.keys() <= {"502", "503"}


@pytest.mark.conformance
@together
async def test_refuses_to_abort_what_is_finalising(world: World) -> None:
    case = Case(world, "kurator-member2", "abort-finalising")
    await case.deploy()
    await case.initialise(interval="3s", stepWeight=50)
    await case.release(BETTER)
    run = await case.rollout_begins()
    await case.rollout_is(lambda status: status.phase is Phase.FINALISING, "it is finalising")
    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await case.wish(Verb.ABORT)
    ended = await case.rollout_ends(run)

    assert "too late to abort it" in str(refused.value.cause)
    assert ended.outcome == "Promoted"


@pytest.mark.conformance
@together
async def test_leaves_the_traffic_where_it_is_served(world: World) -> None:
    case = Case(world, "kurator-member1", "lost-primary")
    await case.deploy()
    await case.initialise(interval="8s", stepWeight=50, maxWeight=100)
    await case.release(BETTER)
    run = await case.rollout_begins()
    await case.weight_is(50)
    pods = await case.pods(f"{NAME}-primary")
    for pod in pods:
        await case.tell_pod(pod, "/readyz/disable")
    await until(lambda: case.is_away(f"{NAME}-primary"), 15, "the primary does not serve")
    await case.wish(Verb.ABORT)
    status = await case.rollout_is(lambda status: "stays where it is" in status.message, "it asks")
    weights = case.weights
    for pod in pods:
        await case.tell_pod(pod, "/readyz/enable")
    ended = await case.rollout_ends(run)

    assert weights == [0, 50]
    assert "podinfo-primary" in status.message
    assert ended.outcome == "Aborted"
    assert case.weights == [0, 50, 0]


@pytest.mark.conformance
@together
async def test_restarts_by_command(world: World) -> None:
    case = Case(world, "kurator-member2", "restart")
    await case.deploy()
    await case.initialise(interval="2s", stepWeight=25)
    await case.release(BETTER)
    run = await case.rollout_begins()
    await case.weight_is(25)
    await case.wish(Verb.RESTART)
    ended = await case.rollout_ends(run)

    assert case.weights == [0, 25, 0, 25, 50, 0]
    assert (ended.outcome, ended.view.status.restarts) == ("Promoted", 1)


async def _are_answered(case: Case, since: int, path: str) -> bool:
    return None not in await _answers(case, since, path)


async def _answers(case: Case, since: int, path: str) -> list[int | None]:
    """The answers to the engine's patches of *path*, in the order in which they were asked."""
    asked = await case.asked(since)
    return [each["status"] for each in asked if path in each["path"] and each["method"] == "PATCH"]
