"""C13: destinations name their port where it is wanted."""

from typing import Any

import pytest

from tests.conformance.case import Case
from tests.conformance.chorus import together
from tests.conformance.waiting import until
from tests.conformance.workload import PORT
from tests.conformance.world import World


@pytest.mark.proves("C13")
@pytest.mark.conformance
@together
async def test_a_gateway_is_told_the_port_of_a_service_with_discovered_ports(world: World) -> None:
    """A Service of several ports leaves a gateway no choice but to be told; inside the mesh none is named.

    C13: Flagger's istio.go.
    """
    case = Case(world, "kurator-member2", "ports")
    await case.deploy()
    service: dict[str, Any] = {"port": PORT, "targetPort": "http", "portDiscovery": True}
    host = {"hosts": [f"{case.namespace}.example.com"]}

    async def named() -> list[int | None]:
        (route,) = (await case.get("virtualservices"))["spec"]["http"]
        return [part["destination"].get("port", {}).get("number") for part in route["route"]]

    async def is_unnamed() -> bool:
        return await named() == [None, None]

    await case.initialise(spec={"service": service | host | {"gateways": ["istio-system/public-gateway"]}})
    at_a_gateway = await named()
    await case.is_routed()
    await case.apply(spec={"service": service | {"gateways": ["mesh"]}})
    await until(is_unnamed, 15, "no port is named in the mesh")

    assert at_a_gateway == [PORT, PORT]
