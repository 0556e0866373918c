"""What others do to a canary's objects while no rollout runs."""

import pytest

from canary.status import Phase
from tests.conformance import workload
from tests.conformance.case import Case
from tests.conformance.chorus import together
from tests.conformance.waiting import until
from tests.conformance.workload import BETTER, GOOD, NAME
from tests.conformance.world import World
from workflows.contract import Verb


@pytest.mark.proves("T14")
@pytest.mark.conformance
@together
async def test_a_deleted_primary_comes_back_as_it_was_promoted(world: World) -> None:
    """Not as the target is by now, as in Flagger: what was never promoted gets no users.

    T14: Flagger's deployment_controller.go.
    """
    case = Case(world, "kurator-member1", "lost-primary")
    await case.deploy()
    await case.initialise(interval="20s")
    await case.release(BETTER)
    run = await case.rollout_begins()
    await case.wish(Verb.ABORT)
    await case.rollout_ends(run)
    await case.canary_is(Phase.FAILED)
    await case.cluster.api.delete(case.path("deployments", f"{NAME}-primary"))

    await until(lambda: case.find("deployments", f"{NAME}-primary"), 15, "the primary is made anew")
    await case.is_ready(f"{NAME}-primary")
    assert await case.image(f"{NAME}-primary") == workload.image(GOOD)
    assert await case.image(NAME) == workload.image(BETTER)
    assert (await case.replicas(f"{NAME}-primary"), await case.replicas()) == (2, 0)


@pytest.mark.proves("T2")
@pytest.mark.conformance
@together
async def test_changed_and_lost_routes_are_put_back_without_a_rollout(world: World) -> None:
    """Drift between rollouts is put right; in Flagger it resets weights (T2: Flagger's istio.go)."""
    case = Case(world, "kurator-member2", "idle-drift")
    await case.deploy()
    await case.initialise()
    path = case.path("virtualservices")
    wanted = (await case.get("virtualservices"))["spec"]

    async def is_as_wanted() -> bool:
        found = await case.find("virtualservices")
        return found is not None and found["spec"] == wanted

    elsewhere = {"spec": {"hosts": ["elsewhere.example.com"]}}
    await case.cluster.api.patch(path, elsewhere, fieldManager="intruder")
    await until(is_as_wanted, 15, "the hosts are put back")
    await case.cluster.api.delete(path)
    await until(is_as_wanted, 15, "the routes are there again")

    assert (await case.status()).phase is Phase.INITIALIZED
    assert case.weights == [0]
