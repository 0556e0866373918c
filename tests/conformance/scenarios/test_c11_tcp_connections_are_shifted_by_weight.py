"""C11: connections of TCP are shifted by weight."""

import pytest

from tests.conformance.case import Case
from tests.conformance.chorus import together
from tests.conformance.connections import connect
from tests.conformance.ground import Need
from tests.conformance.hooks import Hook
from tests.conformance.waiting import until
from tests.conformance.workload import BETTER, GOOD, NAME, PORT
from tests.conformance.world import World

CONNECTIONS = 200


@pytest.mark.proves("C11")
@pytest.mark.conformance
@together
async def test_connections_reach_the_canary_by_its_weight(world: World) -> None:
    """Connections of TCP are shared out by weight, as requests are (C11: Flagger's istio.go)."""
    world.require(Need.CONNECT)
    case = Case(world, "kurator-member1", "tcp")
    await case.deploy()
    service = {"port": PORT, "targetPort": "http", "appProtocol": "TCP", "gateways": ["mesh"]}
    async with Hook(is_closed=True) as gate:
        hooks = [gate.document(type_="confirm-promotion")]
        await case.initialise(stepWeight=25, maxWeight=25, webhooks=hooks, spec={"service": service})
        way = case.cluster.endpoints["mesh"], f"{NAME}.{case.namespace}:{PORT}"

        async def all_answer(version: str) -> bool:
            return (await connect(*way, 10)).keys() == {version}

        async def is_shared() -> bool:
            return (await connect(*way, 20)).keys() == {GOOD, BETTER}

        await until(lambda: all_answer(GOOD), 15, "the mesh takes connections")
        await case.release(BETTER)
        run = await case.rollout_begins()
        await case.rollout_is(lambda status: status.traffic_weight == 25, "a quarter goes to the canary")
        await until(is_shared, 10, "the mesh knows")
        shared = await connect(*way, CONNECTIONS)
        gate.is_closed = False
        ended = await case.rollout_ends(run)
    await until(lambda: all_answer(BETTER), 10, "every connection reaches the new version")

    assert shared.keys() == {GOOD, BETTER}
    assert 0.1 < shared[BETTER] / CONNECTIONS < 0.4  # five standard deviations to either side
    assert ended.outcome == "Promoted", ended
