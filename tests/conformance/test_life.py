"""A canary's life: initialised, rolled out, rolled back and taken out, under load."""

from typing import Any

import pytest

from tests.conformance import workload
from tests.conformance.case import Case
from tests.conformance.chorus import together
from tests.conformance.ground import Need
from tests.conformance.waiting import until
from tests.conformance.workload import BAD, BETTER, FAILING, GOOD, NAME, success_rate
from tests.conformance.world import World

STEPS = [0, 10, 20, 30, 40, 50]
ROWS = [*(("Progressing", weight) for weight in STEPS), ("Promoting", 0), ("Finalising", 0), ("Succeeded", 0)]
ROUTED = {"podinfo-primary": 100, "podinfo-canary": 0}


@pytest.mark.proves("C01", "C03", "D2")
@together
async def test_initialises_and_promotes_a_good_version_without_a_failed_request(world: World) -> None:
    """The whole way under load, with an interval that Flagger would make ten seconds of.

    C01, C03, D2: Flagger's scheduler.go, docs/architecture.md.
    """
    world.require(Need.SCRAPES)
    case = Case(world, "kurator-member1", "good")
    await case.deploy()
    await case.apply_object("virtualservices", workload.routes(case.namespace))
    await case.is_routed()
    async with case.load() as users:
        await case.initialise(interval="2s", threshold=10, metrics=[success_rate()])
        async with case.canary_load():
            ended = await case.roll_out(BETTER)
        await until(lambda: _all_answer(users.tallies, BETTER), 10, "everybody gets the new version")

    assert ended.outcome == "Promoted", ended
    assert ended.rows == ROWS
    assert case.weights == [*STEPS, 0]
    assert users.failures == {}
    assert all(tally.versions[GOOD] for tally in users.tallies.values())
    assert await case.image("podinfo-primary") == workload.image(BETTER)
    assert (await case.replicas(), await case.replicas("podinfo-primary")) == (0, 2)
    assert len(ended.view.checks) >= len(STEPS) - 1


@pytest.mark.proves("C25", "D1")
@together
async def test_rolls_a_bad_version_back_at_the_very_check(world: World) -> None:
    """Flagger waits one interval more, in which users get the errors.

    C25, D1: Flagger's scheduler.go, docs/architecture.md.
    """
    world.require(Need.SCRAPES)
    case = Case(world, "kurator-member2", "bad")
    await case.deploy()
    await case.initialise(interval="2s", threshold=2, metrics=[success_rate()])
    async with case.canary_load(path=FAILING):
        ended = await case.roll_out(BAD)

    assert ended.outcome == "RolledBack", ended
    assert [row for row in ended.rows if row[0] != "Failed"] == [("Progressing", 0), ("Progressing", 10)]
    assert case.weights == [0, 10, 0]
    assert ended.view.status.failed_checks == 2
    assert await case.image("podinfo-primary") == workload.image(GOOD)
    assert await case.replicas() == 0
    # D1: what came after the second check's answer was the write, not another interval.
    put_back, decided = case.cluster.trail.of(case.namespace)[-1].at, ended.checks[-1].at.timestamp()
    assert put_back - decided < 1


@pytest.mark.proves("C01", "C14", "D12")
@together
async def test_makes_the_objects_of_a_canary_in_their_order(world: World) -> None:
    """Flagger's objects, in an order in which no request is lost, owned by nothing that is not there.

    C01, C14, D12: Flagger's scheduler.go, istio.go, docs/architecture.md.
    """
    case = Case(world, "kurator-member2", "objects")
    await case.deploy(envFrom=[{"configMapRef": {"name": "settings"}}])
    settings = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"A": "1"}}
    await case.apply_object("configmaps", settings)
    before = await case.cluster.asked_so_far()
    await case.initialise()

    writes = await _first_writes(case, before)
    assert [*writes[:2], *sorted(writes[2:4]), *writes[4:]] == [
        "configmaps",  # what is created is named by its collection
        "deployments",
        "destinationrules/podinfo-primary",
        "services/podinfo-primary",
        "virtualservices",
        "services/podinfo",
        "deployments/podinfo",
    ]
    primary = await case.get("deployments", "podinfo-primary")
    assert primary["spec"]["selector"]["matchLabels"] == {"app": "podinfo-primary"}
    container = primary["spec"]["template"]["spec"]["containers"][0]
    assert container["envFrom"] == [{"configMapRef": {"name": "settings-primary"}}]
    selectors = {name: await _selector(case, name) for name in (NAME, f"{NAME}-primary", f"{NAME}-canary")}
    assert selectors == {
        "podinfo": "podinfo-primary",
        "podinfo-primary": "podinfo-primary",
        "podinfo-canary": "podinfo",
    }
    routes = (await case.get("virtualservices"))["spec"]
    assert routes["hosts"] == [f"{case.namespace}.example.com", "podinfo"]
    assert routes["gateways"] == ["istio-system/public-gateway", "mesh"]
    assert {part["destination"]["host"]: part["weight"] for part in routes["http"][0]["route"]} == ROUTED
    assert all("ownerReferences" not in each["metadata"] for each in (primary, await case.get("services")))
    assert await case.replicas() == 0


@pytest.mark.proves("C36", "D13")
@together
async def test_delete_brings_the_workload_back_without_a_failed_request(world: World) -> None:
    """`canary delete` under load: the workload as it was.

    C36, D13: Flagger's finalizer.go, docs/architecture.md.
    """
    case = Case(world, "kurator-member1", "delete")
    await case.deploy()
    before = await _as_it_is(case)
    await case.initialise()
    async with case.load(is_routed=False) as users:
        await case.delete()

    assert users.failures == {}
    assert await _as_it_is(case) == before
    assert await case.find("virtualservices") is None
    for kind, name in [("deployments", "primary"), ("services", "primary"), ("services", "canary")]:
        assert await case.find(kind, f"{NAME}-{name}") is None


@pytest.mark.proves("C02")
@together
async def test_adopts_a_virtual_service_and_gives_it_back(world: World) -> None:
    """A VirtualService that is there is used, and at the end as it was (C02: Flagger's istio.go)."""
    case = Case(world, "kurator-member2", "adopt")
    await case.deploy()
    own = workload.routes(case.namespace)
    await case.apply_object("virtualservices", own)
    await case.is_routed()
    async with case.load() as users:
        await case.initialise()
        await case.delete()

    assert users.failures == {}
    found = await case.get("virtualservices")
    assert found["spec"] == own["spec"]
    assert not [key for key in found["metadata"].get("annotations", {}) if "durable-canary" in key]


async def _all_answer(tallies: dict[str, Any], version: str) -> bool:
    return all(tally.versions[version] for tally in tallies.values())


async def _selector(case: Case, name: str) -> str:
    return str((await case.get("services", name))["spec"]["selector"]["app"])


async def _as_it_is(case: Case) -> dict[str, Any]:
    """What of a workload is its owner's."""
    deployment, service = await case.get("deployments"), await case.get("services")
    return {
        "deployment": deployment["spec"],
        "annotations": {
            key: value
            for key, value in deployment["metadata"].get("annotations", {}).items()
            if not key.startswith("deployment.kubernetes.io/")
        },
        "service": service["spec"],
        "labels": service["metadata"].get("labels"),
    }


async def _first_writes(case: Case, since: int) -> list[str]:
    """What was written, in the order of the first writes: of the twins only the primary's, and no notes."""
    writes = dict.fromkeys(await case.writes(since))
    return [each for each in writes if not any(part in each for part in ("-canary", "revisions", "events"))]
