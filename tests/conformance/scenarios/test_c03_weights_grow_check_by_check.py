"""C03: weights grow tick by tick, each after a check, to promotion, finalising, success."""

from typing import Any

import pytest

from tests.conformance import workload
from tests.conformance.case import Case
from tests.conformance.chorus import together
from tests.conformance.ground import Need
from tests.conformance.waiting import until
from tests.conformance.workload import BETTER, GOOD, success_rate
from tests.conformance.world import World

STEPS = [0, 10, 20, 30, 40, 50]
ROWS = [*(("Progressing", weight) for weight in STEPS), ("Promoting", 0), ("Finalising", 0), ("Succeeded", 0)]


@pytest.mark.proves("C01", "C03", "D2")
@together
async def test_initialises_and_promotes_a_good_version_without_a_failed_request(world: World) -> None:
    """The whole way under load, with an interval that Flagger would make ten seconds of.

    C01, C03, D2: Flagger's scheduler.go, docs/architecture.md.
    """
    world.require(Need.SCRAPES)
    case = Case(world, "kurator-member1", "good")
    await case.deploy()
    await case.apply_object("virtualservices", workload.routes(case.namespace))
    await case.is_routed()
    async with case.load() as users:
        await case.initialise(interval="2s", threshold=10, metrics=[success_rate()])
        async with case.canary_load():
            ended = await case.roll_out(BETTER)
        await until(lambda: _all_answer(users.tallies, BETTER), 10, "everybody gets the new version")

    assert ended.outcome == "Promoted", ended
    assert ended.rows == ROWS
    assert case.weights == [*STEPS, 0]
    assert users.failures == {}
    assert all(tally.versions[GOOD] for tally in users.tallies.values())
    assert await case.image("podinfo-primary") == workload.image(BETTER)
    assert (await case.replicas(), await case.replicas("podinfo-primary")) == (0, 2)
    assert len(ended.view.checks) >= len(STEPS) - 1


async def _all_answer(tallies: dict[str, Any], version: str) -> bool:
    return all(tally.versions[version] for tally in tallies.values())
