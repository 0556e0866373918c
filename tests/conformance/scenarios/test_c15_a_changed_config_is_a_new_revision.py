"""C15: a changed config is a new revision."""

from typing import Any

import pytest

from tests.conformance.case import Case
from tests.conformance.chorus import together
from tests.conformance.world import World


@pytest.mark.proves("C15")
@pytest.mark.conformance
@together
async def test_a_changed_config_is_a_new_revision(world: World) -> None:
    """A ConfigMap that the pods use is changed: the rollout judges it like a new image.

    C15: Flagger's config_tracker.go.
    """
    case = Case(world, "kurator-member1", "config")
    settings: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "settings"},
        "data": {"PODINFO_UI_MESSAGE": "one"},
    }
    await case.deploy(envFrom=[{"configMapRef": {"name": "settings"}}])
    await case.apply_object("configmaps", settings)
    await case.initialise(stepWeight=50)
    await case.apply_object("configmaps", {**settings, "data": {"PODINFO_UI_MESSAGE": "two"}})
    ended = await case.rollout_ends(await case.rollout_begins())

    assert ended.outcome == "Promoted"
    assert (await case.get("configmaps", "settings-primary"))["data"] == {"PODINFO_UI_MESSAGE": "two"}
