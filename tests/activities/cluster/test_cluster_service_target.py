"""A canary whose target is a Service: no pods of its own, two Services that lead to others' pods."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError

from activities.cluster import records
from activities.cluster.observation import ObservationActivities
from activities.cluster.preflight import PreflightActivities
from activities.cluster.scaling import ScaleRequest, ScalingActivities
from activities.cluster.traffic import Written
from canary.observation import Observation
from canary.readiness import judge_readiness
from canary.spec import ServiceSpec, TargetRef, WorkloadKind
from canary.status import Outcome
from tests.activities.cluster.member import ONLINE, Member, Object, spec
from tests.activities.cluster.story import Story

TARGET = TargetRef(kind=WorkloadKind.SERVICE, name="podinfo", api_version="v1")
SPEC = spec(target=TARGET, service=ServiceSpec(name="podinfo", port=80))
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def service(name: str = "podinfo", **selector: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "labels": {"team": "a"}},
        "spec": {
            "type": "NodePort",
            "selector": selector,
            "ports": [{"port": 80, "targetPort": 9898, "nodePort": 30080}],
        },
    }


@pytest.fixture
async def forwarded(member: Member) -> Story:
    await member.add(service(app="blue"))
    story = Story(member, SPEC)
    await story.create()
    await story.count()
    return story


async def lead(story: Story, **selector: Any) -> None:
    """Let the target lead to other pods."""
    await story.member.change("Service", "podinfo", {"spec": {"selector": {"app": None, **selector}}})


async def test_the_primary_leads_where_the_target_does(forwarded: Story) -> None:
    found = await forwarded.primary()

    assert found["spec"]["selector"] == {"app": "blue"}
    assert found["spec"]["type"] == "ClusterIP"
    assert [(port["port"], port["targetPort"], port.get("nodePort")) for port in found["spec"]["ports"]] == [
        (80, 9898, None)
    ]
    assert (
        found["spec"]["clusterIP"] != (await forwarded.member.read("Service", "podinfo"))["spec"]["clusterIP"]
    )
    assert found["metadata"]["labels"]["team"] == "a"


async def test_another_selector_is_another_revision_and_is_promoted(forwarded: Story) -> None:
    before, address = await forwarded.revision(), (await forwarded.primary())["spec"]["clusterIP"]
    await lead(forwarded, version="green")
    after = await forwarded.revision()
    unpromoted = (await forwarded.primary())["spec"]["selector"]
    await forwarded.roll()
    found = (await forwarded.primary())["spec"]

    assert before != after
    assert unpromoted == {"app": "blue"}
    assert (found["selector"], found["clusterIP"]) == ({"version": "green"}, address)


async def test_one_without_the_port_of_the_routes_is_not_promoted(forwarded: Story) -> None:
    await forwarded.member.change("Service", "podinfo", {"spec": {"ports": [{"port": 8080}]}})

    with pytest.raises(ApplicationError, match=r"Service podinfo has no port 80, .* it has 8080: give it"):
        await forwarded.promote()
    assert [port["port"] for port in (await forwarded.primary())["spec"]["ports"]] == [80]


async def test_what_was_promoted_is_put_back_and_made_anew(forwarded: Story) -> None:
    await lead(forwarded, version="green")
    await forwarded.promote()
    await forwarded.restore()
    await forwarded.conclude(Outcome.ABORTED)
    restored = (await forwarded.primary())["spec"]["selector"]
    await forwarded.member.delete("Service", "podinfo-primary")
    await forwarded.create()

    assert restored == {"app": "blue"}
    assert (await forwarded.primary())["spec"]["selector"] == {"app": "blue"}
    assert len(await forwarded.member.all(records.KIND)) == 2


async def test_what_is_assigned_is_no_revision(forwarded: Story) -> None:
    before = await forwarded.revision()
    await forwarded.member.change(
        "Service", "podinfo", {"spec": {"type": "ClusterIP"}, "metadata": {"labels": {"a": "b"}}}
    )

    assert await forwarded.revision() == before


@pytest.mark.parametrize("count", [0, 2])
async def test_it_is_ready_by_its_endpoints(forwarded: Story, count: int) -> None:
    addresses = [{"ip": f"10.0.0.{number}"} for number in range(1, count + 1)]
    body = {"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "podinfo"}}
    await forwarded.member.add(body | {"subsets": [{"addresses": addresses}] if addresses else []})
    seen: Observation = await forwarded.member.run(ObservationActivities(forwarded.member).observe, SPEC)

    assert seen.target is not None
    assert seen.primary is not None
    assert (seen.target.ready, seen.target.is_serving, seen.primary.is_serving) == (count, bool(count), False)
    verdict = judge_readiness(seen.target, 100, timedelta(60), None, NOW)
    assert verdict.is_ready is bool(count)


async def test_brought_up_the_canary_leads_where_the_target_does(forwarded: Story) -> None:
    member = forwarded.member
    await member.add(
        service("podinfo-canary", app="blue")
        | {"spec": {"selector": {"app": "blue"}, "ports": [{"port": 80}]}}
    )
    await lead(forwarded, version="green")
    await scale(member, 0)
    before = (await member.read("Service", "podinfo-canary"))["spec"]["selector"]
    await scale(member, None, NOW + timedelta(seconds=1))
    after = (await member.read("Service", "podinfo-canary"))["spec"]["selector"]
    await lead(forwarded, version="red")
    late = await scale(member, None)

    assert (before, after) == ({"app": "blue"}, {"version": "green"})
    assert late is Written.SUPERSEDED


async def scale(member: Member, replicas: int | None, at: datetime = NOW) -> Written:
    request = ScaleRequest(spec=SPEC, replicas=replicas, decided_at=at)
    written: Written = await member.run(ScalingActivities(member).scale_target, request)
    return written


async def test_nothing_speaks_against_a_service(forwarded: Story) -> None:
    found = await forwarded.member.run(
        PreflightActivities(forwarded.member, ONLINE).preflight,
        SPEC,
    )

    assert found.problems == ()
