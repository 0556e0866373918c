"""C31: a changed annotation of the pod template tries a failed revision again."""

import pytest

from tests.conformance.case import Case
from tests.conformance.chorus import together
from tests.conformance.waiting import nothing_comes_of_it
from tests.conformance.workload import BETTER, GOOD, NAME
from tests.conformance.world import World

REFUSED = [{"name": "fails", "type": "rollout", "url": "http://127.0.0.1:9/", "timeout": "1s"}]
"""A hook at an address where nobody listens."""


@pytest.mark.proves("C30", "C31")
@pytest.mark.conformance
@together
async def test_a_failed_revision_is_tried_again_once_its_annotations_change(world: World) -> None:
    """And a return to what was promoted starts no rollout (C30, C31: Flagger's spec.go)."""
    case = Case(world, "kurator-member2", "again")
    await case.deploy()
    await case.initialise(interval="1s", threshold=1, stepWeight=50, webhooks=REFUSED)
    first = await case.roll_out(BETTER)
    await case.release(BETTER, tried="again")
    second = await case.rollout_ends(await case.rollout_begins())
    await case.release(GOOD, tried=None)
    await nothing_comes_of_it()

    assert [first.outcome, second.outcome] == ["RolledBack", "RolledBack"]
    assert first.view.status.revision != second.view.status.revision
    assert not await case.has_new_rollout()
    assert await case.replicas(f"{NAME}-primary") == 2
    assert await case.is_away(NAME)
