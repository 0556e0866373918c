"""A Service as the target: two Services that lead to others' pods, between which the weights shift."""

from typing import Any

import pytest

from canary.status import Phase
from tests.conformance import workload
from tests.conformance.case import Case
from tests.conformance.chorus import together
from tests.conformance.hooks import Hook
from tests.conformance.workload import BETTER, GOOD, NAME
from tests.conformance.world import World

TARGET = {"apiVersion": "v1", "kind": "Service", "name": NAME}


@pytest.mark.conformance
@together
async def test_users_follow_a_service_to_other_pods_step_by_step(world: World) -> None:
    """What the target leads to gets users by its weight; a rollback leaves them where they were."""
    case = Case(world, "kurator-member1", "service-target")
    await _deploy(case)
    async with Hook() as check, case.load(is_routed=False) as users:
        wanted = {"stepWeight": 50, "threshold": 1, "webhooks": [check.document()]}
        await case.initialise(spec={"targetRef": TARGET}, **wanted)
        await _lead(case, "green")
        promoted = await case.rollout_ends(await case.rollout_begins())
        after_promotion = await _led(case, f"{NAME}-primary")
        check.is_closed = True
        await _lead(case, "blue")
        rolled_back = await case.rollout_ends(await case.rollout_begins())
        await case.canary_is(Phase.FAILED)
        after_rollback = await _led(case, f"{NAME}-primary")
        await case.delete()

    assert (promoted.outcome, rolled_back.outcome) == ("Promoted", "RolledBack")
    assert case.weights == [0, 50, 0, 50, 0]
    assert after_promotion == after_rollback == {"version": "green"}
    assert await _led(case, NAME) == {"version": "blue"}
    assert await case.find("services", f"{NAME}-primary") is None
    assert users.failures == {}


async def _deploy(case: Case) -> None:
    place = case.namespace
    await case.cluster.api.apply(f"/api/v1/namespaces/{place}", workload.namespace(place), manager="kubectl")
    for name, tag in (("blue", GOOD), ("green", BETTER)):
        await case.apply_object("deployments", _versioned(place, name, tag))
    await case.apply_object("services", _leading(place, "blue"))
    for name in ("blue", "green"):
        await case.is_ready(name)
    await case.is_served(*case.ways()[1:])


def _versioned(place: str, name: str, tag: str) -> dict[str, Any]:
    body = workload.deployment(place, tag=tag)
    labels = {"version": name}
    body["metadata"] |= {"name": name, "labels": labels}
    body["spec"]["selector"] = {"matchLabels": labels}
    body["spec"]["template"]["metadata"]["labels"] = labels
    return body


def _leading(place: str, version: str) -> dict[str, Any]:
    body = workload.service(place)
    body["spec"]["selector"] = {"version": version}
    return body


async def _lead(case: Case, version: str) -> None:
    await case.apply_object("services", _leading(case.namespace, version))


async def _led(case: Case, name: str) -> dict[str, str]:
    selector: dict[str, str] = (await case.get("services", name))["spec"]["selector"]
    return selector
