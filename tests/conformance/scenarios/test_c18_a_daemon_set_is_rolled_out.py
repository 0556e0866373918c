"""C18: a DaemonSet is rolled out, and taken away by a selector."""

from typing import Any

import pytest

from tests.conformance import workload
from tests.conformance.case import Case
from tests.conformance.chorus import together
from tests.conformance.workload import BETTER, NAME
from tests.conformance.world import World
from workflows.contract import Verb

TARGET = {"apiVersion": "apps/v1", "kind": "DaemonSet", "name": NAME}


@pytest.mark.proves("C18", "D13")
@pytest.mark.conformance
@together
async def test_a_daemon_set_is_taken_and_given_back_without_a_failed_request(world: World) -> None:
    """A DaemonSet from its first primary to its way out, under load; each pod is there before another goes.

    C18, D13: Flagger's daemonset_controller.go, docs/architecture.md.
    """
    case = Case(world, "kurator-member1", "daemons")
    await case.deploy_daemons()
    before = (await case.get("daemonsets"))["spec"]
    async with case.load(is_routed=False) as users:
        await case.initialise(interval="1s", stepWeight=50, spec={"targetRef": TARGET})
        away = (await case.get("daemonsets"))["spec"]["template"]["spec"]
        await case.release(BETTER, "daemonsets")
        ended = await case.rollout_ends(await case.rollout_begins())
        await case.delete()

    assert away["nodeSelector"]
    assert ended.outcome == "Promoted", ended
    assert case.weights == [0, 50, 0]
    after = (await case.get("daemonsets"))["spec"]
    assert _without_image(after) == _without_image(before)
    assert await case.images(NAME) == {workload.image(BETTER)}
    assert await case.find("daemonsets", f"{NAME}-primary") is None
    assert users.failures == {}


@pytest.mark.proves("C18", "D30")
@pytest.mark.conformance
@together
async def test_nobody_is_led_to_pods_of_a_daemon_set_that_are_on_their_way_out(world: World) -> None:
    """An aborted rollout is restarted while its pods still end, which count as ready in the status.

    C18, D30: Flagger's daemonset_controller.go, docs/architecture.md.
    """
    case = Case(world, "kurator-member2", "daemons-ending")
    await case.deploy_daemons()
    async with case.load(is_routed=False) as users:
        await case.initialise(interval="1s", stepWeight=50, spec={"targetRef": TARGET})
        await case.release(BETTER, "daemonsets")
        run = await case.rollout_begins()
        await case.weight_is(50)
        await case.wish(Verb.ABORT)
        aborted = await case.rollout_ends(run)
        await case.wish(Verb.RESTART, case.canary)
        promoted = await case.rollout_ends(await case.rollout_begins())

    assert (aborted.outcome, promoted.outcome) == ("Aborted", "Promoted")
    assert users.failures == {}


def _without_image(spec: dict[str, Any]) -> dict[str, Any]:
    (container,) = spec["template"]["spec"]["containers"]
    template = {**spec["template"]["spec"], "containers": [{**container, "image": ""}]}
    return {**spec, "template": {**spec["template"], "spec": template}}
