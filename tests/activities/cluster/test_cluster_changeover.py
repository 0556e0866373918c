"""A document that changes while the routes of its canary carry traffic."""

from typing import Any

import pytest

from activities.cluster import marks
from activities.cluster.initialisation import EstablishRequest, InitialisationActivities
from activities.cluster.preflight import PreflightActivities
from canary.spec import CanarySpec
from tests.activities.cluster.member import ONLINE, Member
from tests.activities.cluster.routed import furnish, spec

GATEWAY = {"gateways": ("istio-system/public-gateway",), "hosts": ("app.example.com",)}
REMEDY = "take the canary out first (canary delete), and apply it anew"


async def establish(member: Member, document: CanarySpec) -> None:
    await member.run(InitialisationActivities(member).establish_routes, EstablishRequest(spec=document))


@pytest.fixture
async def cluster(member: Member) -> Member:
    await furnish(member)
    return member


async def told(cluster: Member, **service: Any) -> list[tuple[str, str]]:
    """What speaks against a document whose Service is so, warnings apart."""
    found = await cluster.run(PreflightActivities(cluster, ONLINE).preflight, spec(service))
    return [(one.path, one.message) for one in found.problems if not one.is_warning]


@pytest.mark.proves("D31")
async def test_a_port_that_no_route_leads_to_yet_is_refused(cluster: Member) -> None:
    """Flagger writes routes to it at once, and users get 503 (D31: docs/architecture.md)."""
    await establish(cluster, spec(GATEWAY))

    assert await told(cluster, port=8080, **GATEWAY) == [
        (
            "spec.service.port",
            f"is 8080 now, and the routes lead to Service podinfo-primary (9898): {REMEDY}",
        )
    ]
    assert await told(cluster, **GATEWAY) == []


async def test_a_port_that_only_the_primary_has_is_refused(cluster: Member) -> None:
    """A Service as target brings its own ports to its primary with a promotion, and to nobody else."""
    await establish(cluster, spec())
    ports = [{"name": "http", "port": 8080}]
    await cluster.change("Service", "podinfo-primary", {"spec": {"ports": ports}})

    assert await told(cluster, port=8080) == [
        ("spec.service.port", f"is 8080 now, and the routes lead to Service podinfo-canary (9898): {REMEDY}")
    ]


async def test_a_port_that_was_discovered_may_become_the_first(cluster: Member) -> None:
    discovering = {**GATEWAY, "port_discovery": True}
    await establish(cluster, spec({**discovering, "target_port": 9898}))

    assert await told(cluster, port=9999, **discovering) == []


async def test_before_there_are_routes_a_mistaken_port_can_be_put_right(cluster: Member) -> None:
    await establish(cluster, spec(GATEWAY))
    path = {"metadata": {"annotations": {marks.GENERATED: None}}}
    await cluster.change("VirtualService", "podinfo", path)

    assert await told(cluster, port=8080, **GATEWAY) == []


@pytest.mark.parametrize(("before", "now"), [("http", "tcp"), ("tcp", "http")])
async def test_requests_and_connections_are_not_exchanged(cluster: Member, before: str, now: str) -> None:
    await establish(cluster, spec({"app_protocol": before}))

    text = f"is for {now} routes now, and those that carry traffic are {before}"
    assert await told(cluster, app_protocol=now) == [("spec.service.appProtocol", f"{text}: {REMEDY}")]


async def test_routes_that_somebody_has_taken_out_are_no_reason_to_refuse(cluster: Member) -> None:
    await establish(cluster, spec())
    elsewhere = [{"route": [{"destination": {"host": "elsewhere"}}]}]
    await cluster.change("VirtualService", "podinfo", {"spec": {"http": elsewhere}})

    assert await told(cluster) == []


async def test_who_delivers_by_an_application_is_told_what_to_do_there(cluster: Member) -> None:
    await establish(cluster, spec(GATEWAY))
    wanted = spec({**GATEWAY, "port": 8080}, application="default/podinfo")
    found = await cluster.run(PreflightActivities(cluster, ONLINE).preflight, wanted)

    (message,) = (one.message for one in found.problems if not one.is_warning)
    assert message.endswith(
        ": take rollout out of its policy first, and put it in again once the canary is gone"
    )


async def test_gateways_are_not_left_to_choose_a_port(cluster: Member) -> None:
    await establish(cluster, spec({**GATEWAY, "port_discovery": True, "target_port": 9898}))

    (found,) = await told(cluster, target_port=9898, **GATEWAY)

    assert found[0] == "spec.service.portDiscovery"
    assert found[1] == (
        "is off now, and routes that name no port could not choose one of Service podinfo-primary "
        f"(9898, 9999): {REMEDY}"
    )


async def test_routes_name_their_port_before_there_are_more(cluster: Member) -> None:
    await establish(cluster, spec({**GATEWAY, "target_port": 9898}))
    since = cluster.asked()[-1]["n"]
    await establish(cluster, spec({**GATEWAY, "port_discovery": True, "target_port": 9898}))
    written = [entry["path"] for entry in cluster.asked(since) if entry["method"] == "PATCH"]

    (routes,) = (place for place, path in enumerate(written) if "virtualservices" in path)
    (primary,) = (place for place, path in enumerate(written) if "services/podinfo-primary" in path)
    assert routes < primary
