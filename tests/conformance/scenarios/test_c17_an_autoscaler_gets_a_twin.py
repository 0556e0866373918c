"""C17: an autoscaler gets a twin for the primary.

KEDA's part is not to be had: a ScaledObject is refused by name.
"""

import pytest

from tests.conformance import workload
from tests.conformance.case import Case
from tests.conformance.chorus import together
from tests.conformance.workload import BETTER, NAME
from tests.conformance.world import World


@pytest.mark.proves("C17")
@pytest.mark.conformance
@together
async def test_an_autoscaler_gets_a_twin_and_the_primary_keeps_its_size(world: World) -> None:
    """The twin scales the primary, within `primaryScalerReplicas` (C17: Flagger's hpa_reconciler.go)."""
    case = Case(world, "kurator-member2", "autoscaled")
    await case.deploy()
    await case.apply_object("horizontalpodautoscalers", workload.autoscaler(2, 5))
    reference = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "name": NAME,
        "primaryScalerReplicas": {"minReplicas": 3},
    }
    async with case.load(is_routed=False) as users:
        await case.initialise(interval="1s", stepWeight=50, spec={"autoscalerRef": reference})
        twin = (await case.get("horizontalpodautoscalers", f"{NAME}-primary"))["spec"]
        # It grows under its users' load, as by the autoscaler.
        path = case.path("deployments", f"{NAME}-primary")
        await case.cluster.api.patch(path, {"spec": {"replicas": 4}}, fieldManager="autoscaler")
        await case.is_ready(f"{NAME}-primary")
        ended = await case.roll_out(BETTER)

    assert twin["scaleTargetRef"]["name"] == f"{NAME}-primary"
    assert (twin["minReplicas"], twin["maxReplicas"]) == (3, 5)
    assert ended.outcome == "Promoted", ended
    assert (await case.replicas(f"{NAME}-primary"), await case.replicas()) == (4, 0)
    assert users.failures == {}
