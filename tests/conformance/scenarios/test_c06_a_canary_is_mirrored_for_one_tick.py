"""C06: a mirrored canary is asked for one tick before its first weight and answers nobody."""

import asyncio

import pytest

from tests.conformance.case import Case
from tests.conformance.chorus import together
from tests.conformance.ground import Need
from tests.conformance.load import Load
from tests.conformance.waiting import until
from tests.conformance.workload import BETTER, GOOD, success_rate
from tests.conformance.world import World


@pytest.mark.proves("C06")
@pytest.mark.conformance
@together
async def test_copies_are_judged_for_one_tick_before_the_first_user_gets_the_canary(world: World) -> None:
    """With `mirror` a canary of weights gets copies, is judged on them, and only then a weight.

    C06: Flagger's scheduler.go.
    """
    world.require(Need.SCRAPES)
    case = Case(world, "kurator-member2", "mirror")
    await case.deploy()
    wanted = {"stepWeight": 50, "mirror": True, "metrics": [success_rate()]}
    await case.initialise(interval="3s", threshold=10, **wanted)

    async def mirror() -> str:
        (route,) = (await case.get("virtualservices"))["spec"]["http"]
        return str(route.get("mirror", {}).get("host", ""))

    in_the_mesh = case.ways()[1]
    async with Load([in_the_mesh], 25) as users:
        await case.release(BETTER)
        run = await case.rollout_begins()
        mirrored = await until(mirror, 15, "the canary is mirrored")
        await asyncio.sleep(1)  # what is measured is that nothing happens
        answered = set(users.tallies[in_the_mesh.name].versions)
        await case.weight_is(50)
        ended = await case.rollout_ends(run)

    copied = [check.check.measurements[0].value for check in ended.checks if check.weight == 0]
    assert mirrored == "podinfo-canary"
    assert answered == {GOOD}
    assert copied[-1] == 100  # percent of the copies
    assert ended.outcome == "Promoted", ended
    assert case.weights == [0, 50, 0]
    assert await mirror() == ""
    assert users.failures == {}
