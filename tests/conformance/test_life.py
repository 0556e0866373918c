"""A canary's life: initialised, rolled out, rolled back and taken out, under load."""

from tests.conformance.case import Case
from tests.conformance.chorus import together
from tests.conformance.workload import BAD, BETTER, GOOD, NAME, success_rate
from tests.conformance.world import World


@together
async def test_promotes_a_good_version(world: World) -> None:
    case = Case(world, "kurator-member1", "good")
    await case.deploy()
    await case.initialise(interval="2s", metrics=[success_rate()])
    async with case.canary_load(), case.load() as users:
        ended = await case.roll_out(BETTER)

    assert ended.outcome == "Promoted", ended
    assert ended.rows == []
    assert users.failures == {}
