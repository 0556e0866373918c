"""C14: hosts and gateways have their defaults."""

from typing import Any

import pytest

from tests.conformance.case import Case
from tests.conformance.chorus import together
from tests.conformance.waiting import until
from tests.conformance.workload import NAME, PORT
from tests.conformance.world import World

GATEWAY = "istio-system/public-gateway"
PORTS: dict[str, Any] = {"port": PORT, "targetPort": "http"}


@pytest.mark.proves("C14")
@pytest.mark.conformance
@together
async def test_the_mesh_and_the_services_own_name_unless_a_document_says_others(world: World) -> None:
    """Without gateways the mesh alone, beside others it is not added; the apex is a host beside all others.

    C14: Flagger's istio.go.
    """
    case = Case(world, "kurator-member1", "defaults")
    await case.deploy()

    async def said() -> tuple[list[str], list[str]]:
        routes = (await case.get("virtualservices"))["spec"]
        return routes["hosts"], routes["gateways"]

    async def become(*wanted: list[str], **service: list[str]) -> None:
        async def are_as_wanted() -> bool:
            return await said() == wanted

        await case.apply(spec={"service": {**PORTS, **service}})
        await until(are_as_wanted, 15, f"hosts and gateways are {wanted}")

    await case.initialise(spec={"service": PORTS})
    assert await said() == ([NAME], ["mesh"])
    host = f"{case.namespace}.example.com"
    await become([host, NAME], [GATEWAY], hosts=[host], gateways=[GATEWAY])
    await become([NAME], [GATEWAY, "mesh"], hosts=[NAME], gateways=[GATEWAY, "mesh"])
