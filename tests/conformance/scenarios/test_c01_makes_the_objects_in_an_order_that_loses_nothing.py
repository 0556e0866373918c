"""C01: initialisation makes Flagger's objects in an order that loses no request."""

import pytest

from tests.conformance import workload
from tests.conformance.case import Case
from tests.conformance.chorus import together
from tests.conformance.workload import NAME
from tests.conformance.world import World

ROUTED = {"podinfo-primary": 100, "podinfo-canary": 0}


@pytest.mark.proves("C01", "C14", "D12")
@together
async def test_makes_the_objects_of_a_canary_in_their_order(world: World) -> None:
    """Flagger's objects, in an order in which no request is lost, owned by nothing that is not there.

    C01, C14, D12: Flagger's scheduler.go, istio.go, docs/architecture.md.
    """
    case = Case(world, "kurator-member2", "objects")
    await case.deploy(envFrom=[{"configMapRef": {"name": "settings"}}])
    await case.apply_object("configmaps", workload.config_map(A="1"))
    before = await case.cluster.asked_so_far()
    await case.initialise()

    writes = await _first_writes(case, before)
    assert [*writes[:2], *sorted(writes[2:4]), *writes[4:]] == [
        "configmaps",  # what is created is named by its collection
        "deployments",
        "destinationrules/podinfo-primary",
        "services/podinfo-primary",
        "virtualservices",
        "services/podinfo",
        "deployments/podinfo",
    ]
    primary = await case.get("deployments", "podinfo-primary")
    assert primary["spec"]["selector"]["matchLabels"] == {"app": "podinfo-primary"}
    container = primary["spec"]["template"]["spec"]["containers"][0]
    assert container["envFrom"] == [{"configMapRef": {"name": "settings-primary"}}]
    selectors = {name: await _selector(case, name) for name in (NAME, f"{NAME}-primary", f"{NAME}-canary")}
    assert selectors == {
        "podinfo": "podinfo-primary",
        "podinfo-primary": "podinfo-primary",
        "podinfo-canary": "podinfo",
    }
    routes = (await case.get("virtualservices"))["spec"]
    assert routes["hosts"] == [f"{case.namespace}.example.com", "podinfo"]
    assert routes["gateways"] == ["istio-system/public-gateway", "mesh"]
    assert {part["destination"]["host"]: part["weight"] for part in routes["http"][0]["route"]} == ROUTED
    assert all("ownerReferences" not in each["metadata"] for each in (primary, await case.get("services")))
    assert await case.replicas() == 0


async def _selector(case: Case, name: str) -> str:
    return str((await case.get("services", name))["spec"]["selector"]["app"])


async def _first_writes(case: Case, since: int) -> list[str]:
    """What was written, in the order of the first writes: of the twins only the primary's, and no notes."""
    writes = dict.fromkeys(await case.writes(since))
    return [each for each in writes if not any(part in each for part in ("-canary", "revisions", "events"))]
