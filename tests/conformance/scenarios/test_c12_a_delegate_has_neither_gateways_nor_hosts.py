"""C12: a delegate VirtualService has neither gateways nor hosts."""

from typing import Any

import pytest

from tests.conformance import workload
from tests.conformance.case import Case
from tests.conformance.chorus import together
from tests.conformance.load import Load
from tests.conformance.waiting import until
from tests.conformance.workload import BETTER, NAME, PORT
from tests.conformance.world import World


@pytest.mark.proves("C12")
@pytest.mark.conformance
@together
async def test_a_root_virtual_service_delegates_to_a_rollout(world: World) -> None:
    """The gateway's VirtualService is its owner's; weights move in the delegate (C12: Flagger's istio.go)."""
    case = Case(world, "kurator-member2", "delegated")
    await case.deploy()
    await case.apply_object("virtualservices", _root(case))
    service = {"port": PORT, "targetPort": "http", "delegation": True}
    await case.initialise(interval="2s", stepWeight=50, spec={"service": service})
    await case.is_routed()
    async with Load(case.ways()[:1], 25) as users:
        through_root = users.tallies["gateway"]
        await case.release(BETTER)
        run = await case.rollout_begins()
        await case.weight_is(50)
        await until(lambda: through_root.has(BETTER), 10, "some get the canary through the root")
        ended = await case.rollout_ends(run)

    routes = (await case.get("virtualservices"))["spec"]
    assert not routes.get("gateways")
    assert not routes.get("hosts")
    assert ended.outcome == "Promoted", ended
    assert users.failures == {}


def _root(case: Case) -> dict[str, Any]:
    """A VirtualService at the gateway that leaves its routes to another."""
    root = workload.routes(case.namespace)
    root["metadata"]["name"] = "root"
    root["spec"]["http"] = [{"delegate": {"name": NAME, "namespace": case.namespace}}]
    return root
