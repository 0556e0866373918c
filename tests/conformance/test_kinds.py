"""What else there is to roll out: connections of TCP, a workload with an autoscaler, a DaemonSet."""

from typing import Any

import pytest

from tests.conformance import workload
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


@pytest.mark.proves("C17")
@pytest.mark.conformance
@together
async def test_an_autoscaler_gets_a_twin_and_the_primary_keeps_its_size(world: World) -> None:
    """The twin scales the primary, within `primaryScalerReplicas` (C17: Flagger's hpa_reconciler.go)."""
    case = Case(world, "kurator-member2", "autoscaled")
    await case.deploy()
    await case.apply_object("horizontalpodautoscalers", _autoscaler(2, 5))
    reference = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "name": NAME}
    async with case.load(is_routed=False) as users:
        await case.initialise(interval="1s", stepWeight=50, spec={"autoscalerRef": reference})
        twin = (await case.get("horizontalpodautoscalers", f"{NAME}-primary"))["spec"]
        # It grows under its users' load, as by the autoscaler.
        path = case.path("deployments", f"{NAME}-primary")
        await case.cluster.api.patch(path, {"spec": {"replicas": 4}}, fieldManager="autoscaler")
        await case.is_ready(f"{NAME}-primary")
        ended = await case.roll_out(BETTER)

    assert twin["scaleTargetRef"]["name"] == f"{NAME}-primary"
    assert (twin["minReplicas"], twin["maxReplicas"]) == (2, 5)
    assert ended.outcome == "Promoted", ended
    assert (await case.replicas(f"{NAME}-primary"), await case.replicas()) == (4, 0)
    assert users.failures == {}


@pytest.mark.proves("C18", "D13")
@pytest.mark.conformance
@together
async def test_a_daemon_set_is_taken_and_given_back_without_a_failed_request(world: World) -> None:
    """A DaemonSet from its first primary to its way out, under load.

    In between, where there is one node, the primary's only pod makes way for its new one.

    C18, D13: Flagger's daemonset_controller.go, docs/architecture.md.
    """
    case = Case(world, "kurator-member1", "daemons")
    place = case.namespace
    await case.cluster.api.apply(f"/api/v1/namespaces/{place}", workload.namespace(place), manager="kubectl")
    await case.apply_object("services", workload.service(place))
    await case.apply_object("daemonsets", workload.daemon_set(place))
    await case.is_served(*case.ways()[1:])
    before = (await case.get("daemonsets"))["spec"]
    target = {"apiVersion": "apps/v1", "kind": "DaemonSet", "name": NAME}
    async with case.load(is_routed=False) as comers:
        await case.initialise(interval="1s", stepWeight=50, spec={"targetRef": target})
    away = (await case.get("daemonsets"))["spec"]["template"]["spec"]
    await case.release(BETTER, "daemonsets")
    ended = await case.rollout_ends(await case.rollout_begins())
    async with case.load(is_routed=False) as leavers:
        await case.delete()

    assert away["nodeSelector"]
    assert ended.outcome == "Promoted", ended
    assert case.weights == [0, 50, 0]
    after = (await case.get("daemonsets"))["spec"]
    assert _without_image(after) == _without_image(before)
    assert await case.images(NAME) == {workload.image(BETTER)}
    assert await case.find("daemonsets", f"{NAME}-primary") is None
    assert (comers.failures, leavers.failures) == ({}, {})


def _autoscaler(smallest: int, largest: int) -> dict[str, Any]:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": NAME}
    metric = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 99}}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": NAME},
        "spec": {
            "scaleTargetRef": target,
            "minReplicas": smallest,
            "maxReplicas": largest,
            "metrics": [{"type": "Resource", "resource": metric}],
        },
    }


def _without_image(spec: dict[str, Any]) -> dict[str, Any]:
    (container,) = spec["template"]["spec"]["containers"]
    template = {**spec["template"]["spec"], "containers": [{**container, "image": ""}]}
    return {**spec, "template": {**spec["template"], "spec": template}}
