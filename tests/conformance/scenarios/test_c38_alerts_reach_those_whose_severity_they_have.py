"""C38: each alert reaches those whose severity it has."""

from typing import Any

import pytest

from canary.status import Phase
from tests.conformance.case import Case
from tests.conformance.chorus import together
from tests.conformance.hooks import Hook
from tests.conformance.waiting import until
from tests.conformance.workload import BETTER
from tests.conformance.world import World


@pytest.mark.proves("T5", "C38")
@pytest.mark.conformance
@together
async def test_a_bad_end_alerts_once_and_waits_for_no_address_that_hangs(world: World) -> None:
    """One alert for every bad end, to those whose severity it has, and no rollout waits for it.

    C38, T5: Flagger's events.go, scheduler.go.
    """
    case = Case(world, "kurator-member2", "alerted")
    await case.deploy()
    async with Hook(is_closed=True) as check, Hook() as alive, Hook() as dead:
        dead.hang()
        alerts = [_alert("alive", "error"), _alert("dead", "info")]
        providers = [alive.provider(case.namespace, "alive"), dead.provider(case.namespace, "dead")]
        wanted = {"webhooks": [check.document()], "threshold": 1, "alerts": alerts}
        await case.initialise(others=providers, **wanted)
        ended = await case.roll_out(BETTER)
        await until(lambda: alive.has_calls(1), 10, "the end is told")
        await case.canary_is(Phase.FAILED)
        is_hanging = dead.called.is_set()

    assert is_hanging
    assert ended.outcome == "RolledBack", ended
    assert case.weights == [0, 10, 0]
    (told,) = alive.calls
    (text,) = (attachment["text"] for attachment in told["attachments"])
    assert text == "Failed checks threshold reached 1"


def _alert(name: str, severity: str) -> dict[str, Any]:
    return {"name": name, "severity": severity, "providerRef": {"name": name}}
