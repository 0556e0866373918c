"""A canary whose document asks for another port of its Service."""

from typing import Any

import pytest

from canary.spec import CanarySpec
from canary.status import Phase
from tests.conformance import workload
from tests.conformance.case import Case
from tests.conformance.chorus import together
from tests.conformance.waiting import until
from tests.conformance.workload import BETTER, NAME
from tests.conformance.world import World

ANOTHER = 9999


@pytest.mark.proves("D31")
@pytest.mark.conformance
@together
async def test_users_lose_no_request_where_a_document_asks_for_another_port(world: World) -> None:
    """It is refused in mid-run, and the remedy that is told leads there without a failed request.

    D31: docs/architecture.md.
    """
    case = Case(world, "kurator-member1", "another-port")
    await case.deploy()
    await case.apply_object("virtualservices", workload.routes(case.namespace))
    await case.is_routed()
    async with case.load() as users:
        await case.initialise(stepWeight=25)
        await case.release(BETTER)
        run = await case.rollout_begins()
        await case.weight_is(25)
        ports = [{"name": "another", "port": ANOTHER, "targetPort": "http"}]
        await case.cluster.api.patch(case.path("services"), {"spec": {"ports": ports}}, kind="strategic")
        refused = await case.apply_spec(_document(case))
        promoted = await case.rollout_ends(run)
        await case.delete()
        await until(case.is_gone, 15, "the canary has ended")
        accepted = await case.apply_spec(_document(case))
        await case.canary_is(Phase.INITIALIZED)

    assert [problem.path for problem in refused.problems if not problem.is_warning] == ["spec.service.port"]
    assert promoted.outcome == "Promoted", promoted
    assert accepted.accepted, accepted
    assert await _ports_led_to(case) == {ANOTHER}
    assert users.failures == {}


def _document(case: Case) -> CanarySpec:
    body: dict[str, Any] = workload.document(case.namespace, stepWeight=25)
    body["spec"]["service"]["port"] = ANOTHER
    return workload.spec_of(body, case.cluster.name)


async def _ports_led_to(case: Case) -> set[int]:
    (route,) = (await case.get("virtualservices", NAME))["spec"]["http"]
    return {part["destination"]["port"]["number"] for part in route["route"]}
