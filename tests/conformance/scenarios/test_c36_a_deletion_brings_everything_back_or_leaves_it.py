"""C36: a deletion brings everything back, or leaves it, as the document says."""

from typing import Any

import pytest

from tests.conformance.case import Case
from tests.conformance.chorus import together
from tests.conformance.workload import NAME
from tests.conformance.world import World


@pytest.mark.proves("C36", "D13")
@together
async def test_delete_brings_the_workload_back_without_a_failed_request(world: World) -> None:
    """`canary delete` under load: the workload as it was.

    C36, D13: Flagger's finalizer.go, docs/architecture.md.
    """
    case = Case(world, "kurator-member1", "delete")
    await case.deploy()
    before = await _as_it_is(case)
    await case.initialise()
    async with case.load(is_routed=False) as users:
        await case.delete()

    assert users.failures == {}
    assert await _as_it_is(case) == before
    assert await case.find("virtualservices") is None
    for kind, name in [("deployments", "primary"), ("services", "primary"), ("services", "canary")]:
        assert await case.find(kind, f"{NAME}-{name}") is None


@pytest.mark.proves("C36")
@pytest.mark.conformance
@together
async def test_a_target_that_is_to_be_left_stays_at_zero(world: World) -> None:
    """`revertOnDeletion: false`: what was made is deleted, and the target is its owner's to scale up.

    C36: Flagger's finalizer.go.
    """
    case = Case(world, "kurator-member2", "left")
    await case.deploy()
    service = await case.get("services")
    await case.initialise(spec={"revertOnDeletion": False})
    await case.delete()

    assert await case.replicas() == 0
    assert await case.find("deployments", f"{NAME}-primary") is None
    assert await case.find("virtualservices") is None
    assert (await case.get("services"))["spec"]["selector"] == service["spec"]["selector"]


async def _as_it_is(case: Case) -> dict[str, Any]:
    """What of a workload is its owner's."""
    deployment, service = await case.get("deployments"), await case.get("services")
    return {
        "deployment": deployment["spec"],
        "annotations": {
            key: value
            for key, value in deployment["metadata"].get("annotations", {}).items()
            if not key.startswith("deployment.kubernetes.io/")
        },
        "service": service["spec"],
        "labels": service["metadata"].get("labels"),
    }
