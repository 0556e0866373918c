"""C07: blue/green: iterations without users, then all of them; mirrored if wished."""

from typing import Any

import pytest

from canary.status import Phase, RolloutStatus
from tests.conformance.case import Case
from tests.conformance.chorus import together
from tests.conformance.ground import Need
from tests.conformance.workload import BETTER, GOOD, success_rate
from tests.conformance.world import World


@pytest.mark.proves("C06", "C07")
@pytest.mark.conformance
@together
async def test_users_get_a_mirrored_blue_green_canary_only_once_it_is_judged(world: World) -> None:
    """Through all iterations the canary gets copies only; then everybody gets it.

    C06, C07: Flagger's scheduler.go.
    """
    world.require(Need.SCRAPES)
    case = Case(world, "kurator-member1", "blue-green")
    await case.deploy()
    wanted: dict[str, Any] = {"iterations": 3, "mirror": True, "metrics": [success_rate()]}
    await case.initialise(interval="3s", threshold=10, **wanted)
    await case.is_routed()
    async with case.load() as users:
        await case.release(BETTER)
        run = await case.rollout_begins()
        await case.rollout_is(_is_iterated, "the last iteration is under way")
        judged_on = {version for tally in users.tallies.values() for version in tally.versions}
        weights = case.weights
        ended = await case.rollout_ends(run)

    assert judged_on == {GOOD}
    assert weights == [0]
    assert ended.outcome == "Promoted", ended
    assert any(each.value is not None for check in ended.checks for each in check.check.measurements)
    assert case.weights == [0, 100, 0]
    assert users.failures == {}


def _is_iterated(status: RolloutStatus) -> bool:
    return status.phase is Phase.PROGRESSING and status.iterations == 3
