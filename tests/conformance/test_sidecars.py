"""A workload in a namespace that nobody labelled: its canary waits for sidecars, its users for nothing."""

import pytest

from canary.status import Phase
from tests.conformance import workload
from tests.conformance.case import INITIALISED_WITHIN, Case
from tests.conformance.chorus import together
from tests.conformance.waiting import until
from tests.conformance.workload import NAME
from tests.conformance.world import World

CORE = "/api/v1"
INJECTION = "istio-injection"


@pytest.mark.conformance
@together
async def test_nobody_is_led_to_a_primary_outside_the_mesh(world: World) -> None:
    """Istio counts what sidecars answer: without them a canary would be judged by nothing."""
    case = Case(world, "kurator-member2", "no-sidecars")
    await case.deploy()
    place = f"{CORE}/namespaces/{case.namespace}"
    await case.cluster.api.patch(place, {"metadata": {"labels": {INJECTION: None}}}, fieldManager="test")

    async def is_held() -> bool:
        return "has no Istio sidecar" in (await case.status()).message

    async with case.load(is_routed=False) as load:
        assert (await case.apply()).accepted
        await until(is_held, INITIALISED_WITHIN, "the canary waits for sidecars")
        held = await case.status()
        assert (held.phase, held.needs_person) == (Phase.INITIALIZING, True)
        assert await case.find("virtualservices") is None
        assert await case.replicas() == workload.deployment(case.namespace)["spec"]["replicas"]

        labels = {"metadata": {"labels": {INJECTION: "enabled"}}}
        await case.cluster.api.patch(place, labels, fieldManager="test")
        for pod in await case.pods(f"{NAME}-primary"):
            await case.cluster.api.delete(f"{place}/pods/{pod}")
        done = await case.canary_is(Phase.INITIALIZED, within=INITIALISED_WITHIN)
        assert not done.needs_person
    assert load.failures == {}
