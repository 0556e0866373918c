"""Changes of a target in mid-run, of its configs, and back again."""

from typing import Any

import pytest

from tests.conformance import workload
from tests.conformance.case import Case
from tests.conformance.chorus import together
from tests.conformance.workload import BEST, BETTER, GOOD, NAME
from tests.conformance.world import World


@pytest.mark.proves("C29", "T22")
@together
async def test_restarts_the_analysis_for_a_new_revision(world: World) -> None:
    """A push in mid-run: 100/0 at once, then the new revision from its first step.

    C29, T22: Flagger's scheduler.go, job.go.
    """
    case = Case(world, "kurator-member1", "change")
    await case.deploy()
    await case.initialise(interval="2s", stepWeight=25)
    await case.release(BETTER)
    run = await case.rollout_begins()
    await case.weight_is(25)
    await case.release(BEST)
    await case.weight_is(0, within=5)
    ended = await case.rollout_ends(run)

    assert ended.outcome == "Promoted"
    assert ended.view.status.restarts == 1
    assert case.weights == [0, 25, 0, 25, 50, 0]
    assert await case.image(f"{NAME}-primary") == workload.image(BEST)


@pytest.mark.proves("D6")
@pytest.mark.conformance
@together
async def test_a_target_that_returns_to_what_was_promoted_ends_the_run(world: World) -> None:
    """Flagger goes on with the run and calls it promoted (D6: docs/architecture.md)."""
    case = Case(world, "kurator-member2", "revert")
    await case.deploy()
    await case.initialise(interval="3s", stepWeight=25)
    await case.release(BETTER)
    run = await case.rollout_begins()
    await case.weight_is(25)
    await case.release(GOOD)
    ended = await case.rollout_ends(run)

    assert ended.outcome == "Reverted"
    assert case.weights == [0, 25, 0]
    assert await case.replicas() == 0


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


@pytest.mark.proves("T3")
@pytest.mark.conformance
@together
async def test_what_is_pushed_during_a_promotion_is_rolled_out_right_after(world: World) -> None:
    """Flagger swallows it: no run begins before the next change (T3: Flagger's scheduler.go)."""
    case = Case(world, "kurator-member2", "push-in-promotion")
    await case.deploy()
    await case.initialise(interval="2s", stepWeight=50)
    await case.release(BETTER)
    run = await case.rollout_begins()
    await case.rollout_is(lambda status: status.phase == "Promoting", "it is promoted")
    await case.release(BEST)
    first = await case.rollout_ends(run)
    second = await case.rollout_ends(await case.rollout_begins())

    assert (first.outcome, second.outcome) == ("Promoted", "Promoted")
    assert await case.image(f"{NAME}-primary") == workload.image(BEST)
