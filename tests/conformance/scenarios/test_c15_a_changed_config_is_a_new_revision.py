"""C15: a changed config is a new revision, unless it is not tracked; optional ones may be missing."""

import pytest

from tests.conformance import workload
from tests.conformance.case import Case
from tests.conformance.chorus import together
from tests.conformance.waiting import nothing_comes_of_it
from tests.conformance.world import World

UNTRACKED = {"flagger.app/config-tracking": "disabled"}


@pytest.mark.proves("C15")
@pytest.mark.conformance
@together
async def test_a_changed_config_is_a_new_revision(world: World) -> None:
    """A ConfigMap that the pods use is changed: the rollout judges it like a new image.

    C15: Flagger's config_tracker.go.
    """
    case = Case(world, "kurator-member1", "config")
    await case.deploy(envFrom=[{"configMapRef": {"name": "settings"}}])
    await case.apply_object("configmaps", workload.config_map(PODINFO_UI_MESSAGE="one"))
    await case.initialise(stepWeight=50)
    await case.apply_object("configmaps", workload.config_map(PODINFO_UI_MESSAGE="two"))
    ended = await case.rollout_ends(await case.rollout_begins())

    assert ended.outcome == "Promoted"
    assert (await case.get("configmaps", "settings-primary"))["data"] == {"PODINFO_UI_MESSAGE": "two"}


@pytest.mark.proves("C15")
@pytest.mark.conformance
@together
async def test_a_config_that_is_not_tracked_is_shared_and_an_optional_one_may_be_missing(
    world: World,
) -> None:
    """Untracked by its annotation, a ConfigMap has no copy and starts nothing; nor does a missing one hold.

    C15: Flagger's config_tracker.go.
    """
    case = Case(world, "kurator-member2", "untracked")
    used = [
        {"configMapRef": {"name": "settings"}},
        {"configMapRef": {"name": "nowhere", "optional": True}},
    ]
    await case.deploy(envFrom=used)
    await case.apply_object("configmaps", workload.config_map(UNTRACKED, PODINFO_UI_MESSAGE="one"))
    await case.initialise()
    await case.apply_object("configmaps", workload.config_map(UNTRACKED, PODINFO_UI_MESSAGE="two"))
    await nothing_comes_of_it()

    primary = await case.get("deployments", "podinfo-primary")
    assert primary["spec"]["template"]["spec"]["containers"][0]["envFrom"] == used
    assert await case.find("configmaps", "settings-primary") is None
    assert not await case.has_new_rollout()
