"""C02: a Service and a VirtualService that are there are adopted, and given back."""

import pytest

from tests.conformance import workload
from tests.conformance.case import Case
from tests.conformance.chorus import together
from tests.conformance.world import World


@pytest.mark.proves("C02")
@together
async def test_adopts_a_virtual_service_and_gives_it_back(world: World) -> None:
    """Routes and a Service that are there are used, and at the end as they were (C02: Flagger's istio.go)."""
    case = Case(world, "kurator-member2", "adopt")
    await case.deploy()
    own, service = workload.routes(case.namespace), await case.get("services")
    await case.apply_object("virtualservices", own)
    await case.is_routed()
    async with case.load() as users:
        await case.initialise()
        await case.delete()

    assert users.failures == {}
    assert (await case.get("services"))["spec"] == service["spec"]
    found = await case.get("virtualservices")
    assert found["spec"] == own["spec"]
    assert not [key for key in found["metadata"].get("annotations", {}) if "durable-canary" in key]
