"""C24: event hooks are told what Flagger tells."""

import pytest

from tests.conformance.case import Case
from tests.conformance.chorus import together
from tests.conformance.hooks import Hook
from tests.conformance.waiting import until
from tests.conformance.workload import BETTER
from tests.conformance.world import World

TOLD = [
    ("Initializing", "all the metrics providers are available!"),
    ("Initialized", "Initialization done! {name}"),
    ("Progressing", "New revision detected! Scaling up {name}"),
    ("Progressing", "Starting canary analysis for {name}"),
    ("Progressing", "Advance {name} canary weight 25"),
    ("Progressing", "Advance {name} canary weight 50"),
    ("Progressing", "Copying {name} template spec to {primary}"),
    ("Promoting", "Routing all traffic to primary"),
    ("Succeeded", "Promotion completed! Scaling down {name}"),
]


@pytest.mark.proves("C24")
@pytest.mark.conformance
@together
async def test_a_hook_hears_of_a_rollout_what_it_would_hear_from_flagger(world: World) -> None:
    """Every step with its phase, in Flagger's words and in their order, as its events_test.go has them.

    C24: Flagger's webhook.go.
    """
    case = Case(world, "kurator-member1", "events")
    await case.deploy()
    async with Hook() as hook:
        await case.initialise(stepWeight=25, webhooks=[hook.document(type_="event")])
        ended = await case.roll_out(BETTER)

        async def is_over() -> bool:
            return bool(hook.calls) and hook.calls[-1]["phase"] == "Succeeded"

        await until(is_over, 10, "the end is told")
        told = [call for call in hook.calls if "not ready" not in call["metadata"]["eventMessage"]]

    name, primary = f"podinfo.{case.namespace}", f"podinfo-primary.{case.namespace}"
    wanted = [(phase, text.format(name=name, primary=primary)) for phase, text in TOLD]
    assert ended.outcome == "Promoted", ended
    assert [(call["phase"], call["metadata"]["eventMessage"]) for call in told] == wanted
    assert {call["metadata"]["eventType"] for call in told} == {"Normal"}
    assert {(call["name"], call["namespace"]) for call in told} == {("podinfo", case.namespace)}
