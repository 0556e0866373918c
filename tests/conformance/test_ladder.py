"""When something goes wrong in the cluster: which way the traffic goes, and what a person is asked."""

import asyncio

import pytest

from canary.status import Outcome, Phase
from tests.conformance import workload
from tests.conformance.case import Case
from tests.conformance.chorus import together
from tests.conformance.waiting import until
from tests.conformance.workload import BEST, BETTER, GOOD, NAME
from tests.conformance.world import World
from workflows.contract import Verb


@pytest.mark.proves("D10", "D3")
@together
async def test_a_canary_that_does_not_serve_loses_its_traffic_until_it_is_ready_again(world: World) -> None:
    """Flagger leaves it its weight until the deadline; here users are with the primary at once.

    D3, D10: docs/architecture.md.
    """
    case = Case(world, "kurator-member1", "lost-canary")
    await case.deploy()
    await case.initialise(interval="8s", stepWeight=50)
    await case.release(BETTER)
    run = await case.rollout_begins()
    await case.weight_is(50)
    pods = await case.pods(NAME)
    for pod in pods:
        await case.tell_pod(pod, "/readyz/disable")
    await until(lambda: case.is_away(NAME), 15, "the canary does not serve")
    await case.weight_is(0, within=4)
    retreated = (await case.view()).status
    for pod in pods:
        await case.tell_pod(pod, "/readyz/enable")
    await case.weight_is(50)
    await case.wish(Verb.ABORT)
    await case.rollout_ends(run)

    assert (retreated.phase, retreated.canary_weight, retreated.traffic_weight) == (Phase.PROGRESSING, 50, 0)
    assert case.weights == [0, 50, 0, 50, 0]


@pytest.mark.proves("T4", "C35")
@pytest.mark.conformance
@together
async def test_what_is_pushed_after_a_failed_promotion_gets_no_users(world: World) -> None:
    """Flagger gives everybody to what is pushed then, un-judged.

    Everybody is with the canary: what nobody judged must not take its pods, or the primary's.

    C35, T4: Flagger's scheduler.go.
    """
    case = Case(world, "kurator-member1", "pushed-on-halt")
    await case.deploy()
    await case.initialise(interval="2s", stepWeight=50, spec={"progressDeadlineSeconds": 8})
    await case.release(BETTER)
    run = await case.rollout_begins()
    await case.weight_is(50)
    async with case.no_more_pods():
        ended = await case.rollout_ends(run)
        await case.canary_is(Phase.FAILED)
    await case.release(BEST)
    await asyncio.sleep(4)  # what is measured is that nothing happens
    images, weights = await case.images(NAME), case.weights
    await case.wish(Verb.ABORT, case.canary)
    given_up = await case.rollout_ends(await case.rollout_begins())

    assert (ended.outcome, weights) == ("Halted", [0, 50, 100])
    assert images == {workload.image(BETTER)}
    assert given_up.outcome == "Aborted", given_up
    assert case.weights == [0, 50, 100, 0]
    assert await case.image(f"{NAME}-primary") == workload.image(GOOD)


@pytest.mark.proves("T14")
@pytest.mark.conformance
@together
async def test_a_primary_deleted_in_its_promotion_comes_back_and_is_promoted_again(world: World) -> None:
    """From what was promoted last, where Flagger takes the target; once more when it has everybody.

    T14: Flagger's deployment_controller.go.
    """
    case = Case(world, "kurator-member2", "lost-twice")
    await case.deploy()
    await case.initialise(interval="3s", stepWeight=50)
    await case.release(BETTER)
    run = await case.rollout_begins()
    for phase in (Phase.PROMOTING, Phase.FINALISING):
        await case.rollout_is(lambda status, phase=phase: status.phase is phase, f"it is {phase}", 40)
        await case.cluster.api.delete(case.path("deployments", f"{NAME}-primary"))
        await case.rollout_is(lambda status: status.phase is Phase.PROGRESSING, "it is judged again", 15)
    ended = await case.rollout_ends(run)

    assert ended.outcome == "Promoted", ended
    assert await case.image(f"{NAME}-primary") == workload.image(BETTER)
    assert case.weights[-1] == 0


@pytest.mark.proves("T21")
@pytest.mark.conformance
@together
async def test_a_rollback_says_why_the_pods_did_not_get_ready(world: World) -> None:
    """Flagger says only that they did not (T21: Flagger's events.go)."""
    case = Case(world, "kurator-member2", "no-image")
    await case.deploy()
    await case.initialise(spec={"progressDeadlineSeconds": 8})  # by then its pods are not only starting
    ended = await case.roll_out(f"{BETTER}-missing")

    image = workload.image(f"{BETTER}-missing")
    assert ended.message.endswith(f"cannot pull image {image} (ImagePullBackOff)"), ended


@pytest.mark.proves("T2")
@pytest.mark.conformance
@together
async def test_puts_foreign_weights_right_three_times_and_then_stands_back(world: World) -> None:
    """In Flagger drift of the routes starts the analysis again, for ever (T2: Flagger's istio.go)."""
    case = Case(world, "kurator-member2", "drift")
    await case.deploy()
    await case.initialise(interval="20s", stepWeight=50)
    await case.release(BETTER)
    run = await case.rollout_begins()
    await case.weight_is(50)
    for times in range(1, 4):
        await case.write_weight(70, "intruder")
        await case.weights_are([0, 50] + times * [70, 50])
    await case.write_weight(70, "intruder")
    status = await case.rollout_is(lambda status: "Standing back" in status.message, "it stands back", 20)
    await case.wish(Verb.ABORT)
    ended = await case.rollout_ends(run)

    assert "intruder" in status.message
    assert case.weights == [0, 50, 70, 50, 70, 50, 70, 50, 70, 0]
    assert ended.outcome == "Aborted"


@pytest.mark.conformance
@together
async def test_a_terminated_rollout_leaves_no_traffic_on_the_canary(world: World) -> None:
    case = Case(world, "kurator-member1", "terminated")
    await case.deploy()
    await case.initialise(interval="4s", stepWeight=25)
    await case.release(BETTER)
    await case.rollout_begins()
    await case.weight_is(25)
    await case.rollout.terminate("by hand")
    status = await case.canary_is(Phase.FAILED)

    assert status.outcome is Outcome.ABORTED
    assert "terminated" in status.message
    assert case.weights == [0, 25, 0]
    assert await case.replicas() == 0


@pytest.mark.proves("T4")
@pytest.mark.conformance
@together
async def test_a_rollout_that_is_terminated_in_promotion_holds_and_asks(world: World) -> None:
    """Nobody vouches for a half-promoted primary: the users stay where they are served.

    T4: Flagger's scheduler.go.
    """
    case = Case(world, "kurator-member2", "terminated-promotion")
    await case.deploy()
    await case.initialise(interval="4s", stepWeight=50)
    await case.release(BETTER)
    await case.rollout_begins()
    await case.rollout_is(lambda status: status.phase is Phase.PROMOTING, "it is promoted")
    await case.rollout.terminate("by hand")
    halted = await case.canary_is(Phase.FAILED)
    weights = case.weights
    await case.wish(Verb.ABORT, case.canary)
    ended = await case.rollout_ends(await case.rollout_begins())

    assert (halted.outcome, halted.traffic_weight, weights) == (Outcome.HALTED, 50, [0, 50])
    assert ended.outcome == "Aborted"
    assert await case.image(f"{NAME}-primary") == workload.image(GOOD)
    assert case.weights == [0, 50, 0]


@pytest.mark.conformance
@together
async def test_a_terminated_canary_is_adopted_without_a_new_rollout(world: World) -> None:
    case = Case(world, "kurator-member1", "adopted")
    await case.deploy()
    await case.initialise(stepWeight=50)
    await case.roll_out(BETTER)
    before = await case.get("deployments", f"{NAME}-primary")
    promoted = (await case.status()).last_promoted
    async with case.load() as users:
        await case.canary.terminate("by hand")
        await case.initialise(stepWeight=50)
        after = await case.get("deployments", f"{NAME}-primary")
    status = await case.status()
    ended = await case.roll_out("6.4.0")

    assert status.last_promoted == promoted
    assert after["spec"] == before["spec"]
    assert ended.outcome == "Promoted"
    assert case.weights == [0, 50, 0, 50, 0]
    assert users.failures == {}
