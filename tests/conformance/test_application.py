"""An Application from git to two clusters: delivered, rolled out by a push, and its rollout taken away."""

import asyncio
import json
from contextlib import AsyncExitStack, closing
from typing import Any

import pytest

from canary.status import Phase
from tests.conformance import delivery, workload
from tests.conformance.case import DELIVERED_WITHIN, INITIALISED_WITHIN, Case
from tests.conformance.chorus import together
from tests.conformance.ground import Need
from tests.conformance.load import Load
from tests.conformance.source import Source
from tests.conformance.waiting import until
from tests.conformance.workload import BETTER, GOOD, NAME
from tests.conformance.world import World
from workflows.contract import STATUS, application_id

CLUSTERS = ("kurator-member1", "kurator-member2")
PLACE = "from-git"


@pytest.mark.proves("K13", "K3")
@pytest.mark.conformance
@together
async def test_git_push_rolls_out_in_every_cluster_and_without_rollout_all_is_as_it_was(world: World) -> None:
    """Kurator tries no rollout end to end, and leaves one behind that its document no longer has.

    K3, K13: Kurator's rollout_helper.go, e2e.
    """
    world.require(Need.MEMBERS, Need.SCRAPES)
    with closing(await Source.clone(world.endpoints["git"], world.folder / "clone")) as source:
        await _deliver_and_take_away(world, source)


async def _deliver_and_take_away(world: World, source: Source) -> None:
    await source.push(delivery.tree(PLACE, GOOD))
    spec = delivery.application(world, PLACE, CLUSTERS, delivery.rollout(PLACE))
    await delivery.deliver(world, spec)
    cases = [delivery.case_of(world, cluster, PLACE, spec) for cluster in CLUSTERS]
    for case in cases:
        try:
            await until(case.is_there, INITIALISED_WITHIN, "the canary is there")
        except AssertionError as error:
            handle = world.client.get_workflow_handle(application_id("default", PLACE))
            raise AssertionError(f"{error}; {await handle.query(STATUS)}") from None
        await case.canary_is(Phase.INITIALIZED, within=INITIALISED_WITHIN)
    async with AsyncExitStack() as stack:
        loads = [await stack.enter_async_context(_load(case)) for case in cases]
        await source.push(delivery.tree(PLACE, BETTER))
        runs = [await case.rollout_begins(within=DELIVERED_WITHIN) for case in cases]
        await cases[0].weight_is(25)
        await source.push({f"{delivery.folder(PLACE)}/more.yaml": json.dumps(_settings("more"))})
        ends = await asyncio.gather(*(case.rollout_ends(run) for case, run in zip(cases, runs, strict=True)))
        for case in cases:
            await until(lambda case=case: case.find("configmaps", "more"), 15, "the later push is there too")
        weights = [case.weights for case in cases]
        await delivery.deliver(world, delivery.application(world, PLACE, CLUSTERS, None))
        for case in cases:
            await until(case.is_gone, 30, "the canary is gone")

    assert [ended.outcome for ended in ends] == ["Promoted", "Promoted"]
    assert weights == [[0, 25, 50, 0]] * 2
    assert all(check.check.hooks[0].passed for ended in ends for check in ended.checks)
    assert [load.failures for load in loads] == [{}, {}]
    for case in cases:
        assert await case.image(NAME) == workload.image(BETTER)
        assert await case.replicas() == 2
        assert (await case.get("services"))["spec"]["selector"] == {"app": NAME}
        for gone in (f"{NAME}-primary", f"{NAME}-testloader"):
            assert await case.find("deployments", gone) is None


def _settings(name: str) -> dict[str, Any]:
    metadata = {"name": name, "namespace": PLACE}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"a": "b"}}


def _load(case: Case) -> Load:
    """Users in the cluster: at the gateway the host is the canary's own."""
    return case.load(is_routed=False)
