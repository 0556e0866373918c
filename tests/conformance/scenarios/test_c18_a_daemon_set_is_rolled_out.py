"""C18: a DaemonSet is rolled out, and taken away by a selector."""

from typing import Any

import pytest

from tests.conformance import workload
from tests.conformance.case import Case
from tests.conformance.chorus import together
from tests.conformance.workload import BETTER, NAME
from tests.conformance.world import World


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


def _without_image(spec: dict[str, Any]) -> dict[str, Any]:
    (container,) = spec["template"]["spec"]["containers"]
    template = {**spec["template"]["spec"], "containers": [{**container, "image": ""}]}
    return {**spec, "template": {**spec["template"], "spec": template}}
