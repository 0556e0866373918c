"""The objects around a primary: compared with Flagger's, and adopted where they were there before."""

import asyncio
import json
import re
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError

from activities.cluster import initialisation, marks, paths
from activities.cluster.adoption import original
from activities.cluster.api import SOURCE_MANAGER
from activities.cluster.errors import ApiError
from activities.cluster.initialisation import EstablishRequest, InitialisationActivities, LeadRequest, Led
from activities.cluster.observation import ObservationActivities, RestingCanary, revision_of
from activities.cluster.routes import read_routes
from canary.observation import Observation
from canary.routing import Routing
from canary.spec import CanarySpec, ObjectMetadata, TargetRef, TestLoader, UnmanagedMetadata, WorkloadKind
from canary.status import Revision
from tests.activities.cluster.member import NAMESPACE, Member
from tests.activities.cluster.recordings import bare, changed, created, given, spec_of
from tests.activities.cluster.routed import (
    deployment,
    endpoints,
    furnish,
    spec,
    virtual_service,
    weights,
)

Object = dict[str, Any]
APEX: Object = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "podinfo", "labels": {"mine": "yes"}},
    "spec": {
        "type": "NodePort",
        "selector": {"app": "podinfo"},
        "ports": [
            {"name": "web", "port": 9898, "targetPort": "http", "nodePort": 30080, "protocol": "TCP"},
            {"name": "metrics", "port": 9797, "targetPort": 9797, "nodePort": 30081, "protocol": "TCP"},
        ],
    },
}
ROUTE: Object = {"route": [{"destination": {"host": "podinfo"}}]}
STATIC: Object = {"match": [{"uri": {"prefix": "/s"}}], "route": [{"destination": {"host": "static"}}]}


@pytest.fixture
async def cluster(member: Member) -> Member:
    await furnish(member)
    return member


async def establish(cluster: Member, document: CanarySpec | None = None, weight: int = 0) -> None:
    request = EstablishRequest(spec=document or spec(), routing=Routing(weight=weight))
    await cluster.run(InitialisationActivities(cluster).establish_routes, request)


def comparable(found: Object) -> Object:
    """A live object as the recordings have it: without what an API server assigns."""
    body = bare(found)
    assigned = ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy")
    body["spec"] = {
        key: value
        for key, value in body["spec"].items()
        if key not in (*assigned, "internalTrafficPolicy", "sessionAffinity")
    }
    return body


def in_order(found: Object) -> Object:
    """Flagger lists discovered ports in any order."""
    if "ports" in found["spec"]:
        found["spec"]["ports"].sort(key=lambda port: int(port["port"]))
    return found


@pytest.mark.parametrize(
    "name",
    ["canary", "service-options", "delegation", "tcp", "ab", "match-weights", "mirror", "affinity"],
)
@pytest.mark.parametrize("kind", ["Service", "DestinationRule", "VirtualService"])
@pytest.mark.proves("C01", "D12")
async def test_what_is_made_is_what_flagger_made(member: Member, name: str, kind: str) -> None:
    """The objects around a primary are Flagger's, but for owners that may not be there.

    C01, D12: Flagger's scheduler.go, docs/architecture.md.
    """
    document = spec_of(name)
    target = given(name, "Deployment")
    await furnish(member)
    await member.delete("Deployment", "podinfo")
    for wanted in (target, endpoints(document.service.primary)):
        if wanted["metadata"]["name"] != "podinfo-primary":
            await member.add(wanted)
    await establish(member, document)
    made = {body["metadata"]["name"]: comparable(body) for body in await member.all(kind)}

    assert {key: in_order(body) for key, body in made.items()} == {
        key: in_order(body) for key, body in created(name, kind).items()
    }


@pytest.mark.parametrize("kind", ["Service", "VirtualService"])
@pytest.mark.proves("C02")
async def test_what_was_there_becomes_what_flagger_made_of_it(cluster: Member, kind: str) -> None:
    """What was there before is adopted as Flagger adopts it.

    But for foreign labels on the VirtualService, which Flagger takes off, and its note (T2, T13).

    C02: Flagger's istio.go.
    """
    routes = {**given("adopt", "VirtualService"), "apiVersion": "networking.istio.io/v1beta1"}
    await cluster.add(given("adopt", "Service"), routes)
    await establish(cluster, spec_of("adopt"))
    found = comparable(await cluster.read(kind, "podinfo"))

    assert found["spec"] == changed("adopt", kind)[0]
    assert found["metadata"]["labels"] == {"mine": "yes"}
    assert found["metadata"]["annotations"].items() >= marks.TOOLKIT.items()


async def test_it_is_safe_to_repeat(cluster: Member) -> None:
    await establish(cluster, weight=20)
    before = [await cluster.all(kind) for kind in ("Service", "DestinationRule", "VirtualService")]
    await establish(cluster, weight=20)

    assert [await cluster.all(kind) for kind in ("Service", "DestinationRule", "VirtualService")] == before


async def test_two_workers_at_once_make_the_same(cluster: Member) -> None:
    await cluster.add(APEX, virtual_service(STATIC, ROUTE))
    await asyncio.gather(establish(cluster), establish(cluster), return_exceptions=True)
    await establish(cluster)  # a conflict is tried again
    apex, routes = await cluster.read("Service", "podinfo"), await cluster.read("VirtualService", "podinfo")
    noted, kept = original(apex), original(routes)

    assert noted is not None
    assert kept is not None
    assert noted["spec"]["selector"] == {"app": "podinfo"}
    assert kept["spec"]["http"] == [STATIC, ROUTE]
    assert len(weights(routes)) == 2


NOTED = {"annotations": {"sidecar.istio.io/status": "{}"}}
PROXY = {"name": "istio-proxy", "image": "registry.example/proxyv2"}


def pod(name: str, metadata: Object | None = None, **spec: Any) -> Object:
    own = {"name": name, "labels": {"app": "podinfo-primary", marks.CANARY: "podinfo"}}
    given = metadata or {}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {**given, **own, "labels": {**own["labels"], **given.get("labels", {})}},
        "spec": {"containers": [{"name": "podinfod", "image": "registry.example/podinfo"}], **spec},
    }


async def led(cluster: Member, **status: int) -> Led:
    """Lead the users to a primary with these counters, each 2 if it is not said."""
    counters = ("replicas", "updatedReplicas", "availableReplicas", "readyReplicas")
    body = {"status": {"observedGeneration": 1} | dict.fromkeys(counters, 2) | status}
    path = f"{paths.one('Deployment', NAMESPACE, 'podinfo-primary')}/status"
    await cluster.kube.patch(path, body, kind="merge")
    target = await cluster.read("Deployment", "podinfo")
    request = LeadRequest(spec=spec(), made_from=revision_of(target, {}))
    found: Led = await cluster.run(InitialisationActivities(cluster).lead_to_primary, request)
    return found


async def begin(cluster: Member) -> None:
    assert (await led(cluster)).is_done


async def test_users_are_led_to_a_primary_that_is_ready(cluster: Member) -> None:
    found = await led(cluster)

    assert found.is_done
    assert found.seen.primary is not None
    assert found.seen.primary.available == 2
    assert weights(await cluster.read("VirtualService", "podinfo")) == [
        [("podinfo-primary", 100), ("podinfo-canary", 0)]
    ]
    assert (await cluster.read("Service", "podinfo"))["spec"]["selector"] == {"app": "podinfo-primary"}


async def test_nobody_is_led_to_a_primary_that_is_not_ready(cluster: Member) -> None:
    found = await led(cluster, availableReplicas=1, readyReplicas=1)

    assert not found.is_done
    assert found.seen.primary is not None
    assert found.seen.primary.available == 1
    assert {one["method"] for one in cluster.asked()} == {"GET"}


async def test_nobody_is_led_to_a_primary_of_what_the_target_no_longer_is(cluster: Member) -> None:
    request = LeadRequest(spec=spec(), made_from=Revision(template="another"))
    await led(cluster)
    before = len(cluster.asked())
    found: Led = await cluster.run(InitialisationActivities(cluster).lead_to_primary, request)

    assert not found.is_done
    assert {one["method"] for one in cluster.asked()[before:]} == {"GET"}


@pytest.mark.parametrize("gone", ["podinfo", "podinfo-primary"])
async def test_a_workload_that_is_gone_is_seen_to_be(cluster: Member, gone: str) -> None:
    await cluster.delete("Deployment", gone)
    request = LeadRequest(spec=spec(), made_from=Revision(template=""))
    found: Led = await cluster.run(InitialisationActivities(cluster).lead_to_primary, request)

    assert not found.is_done
    assert (found.seen.target is None, found.seen.primary is None) == (gone == "podinfo", gone != "podinfo")


async def test_nobody_is_led_to_a_primary_without_sidecars(cluster: Member) -> None:
    """The last rule of reaching into a cluster: a primary is in the mesh before it is Initialized."""
    for one in (pod("b"), pod("a"), pod("c", NOTED)):
        await cluster.kube.create(paths.collection("Pod", NAMESPACE), one)
    before = len(cluster.asked())
    with pytest.raises(ApplicationError) as refused:
        await begin(cluster)

    assert refused.value.message == (
        "Pod a in namespace default has no Istio sidecar, as 2 of 3 pods of podinfo-primary: "
        "kubectl label namespace default istio-injection=enabled --overwrite "
        "(or istio.io/rev=<revision>, where Istio is installed by revisions), then "
        "kubectl delete pods -n default -l 'app=podinfo-primary,durable-canary.dev/canary=podinfo' "
        "(no user is led there yet); "
        "or say requireSidecars: false of the cluster in the clusters file"
    )
    asked = cluster.asked()[before:]
    assert {one["method"] for one in asked} == {"GET"}
    assert sum("/pods" in one["path"] for one in asked) == 1


@pytest.mark.parametrize(
    "meshed",
    [
        pytest.param(pod("p", NOTED), id="injected"),
        pytest.param(pod("p", containers=[{"name": "app", "image": "a"}, PROXY]), id="written out"),
        pytest.param(pod("p", initContainers=[{**PROXY, "restartPolicy": "Always"}]), id="a native sidecar"),
        pytest.param(pod("p", {"annotations": {"ambient.istio.io/redirection": "enabled"}}), id="redirected"),
        pytest.param(pod("p", {"labels": {"istio.io/dataplane-mode": "ambient"}}), id="ambient by its label"),
    ],
)
async def test_a_primary_is_in_the_mesh_by(cluster: Member, meshed: Object) -> None:
    await cluster.kube.create(paths.collection("Pod", NAMESPACE), meshed)
    await begin(cluster)

    assert (await cluster.read("VirtualService", "podinfo"))["spec"]["http"]


@pytest.mark.parametrize(
    ("bare", "remedy"),
    [
        pytest.param(
            pod("p", {"labels": {"sidecar.istio.io/inject": "false"}}),
            "take sidecar.istio.io/inject out of the labels of the pod template; or",
            id="its label says so",
        ),
        pytest.param(
            pod("p", {"annotations": {"sidecar.istio.io/inject": "false"}}),
            "take sidecar.istio.io/inject out of the annotations of the pod template; or",
            id="its annotation says so",
        ),
        pytest.param(
            pod("p", hostNetwork=True), "none into pods with hostNetwork: take that out", id="hostNetwork"
        ),
        pytest.param(
            pod("p", initContainers=[PROXY]),
            "kubectl label namespace default",
            id="an init container",
        ),
    ],
)
async def test_how_a_pod_gets_its_sidecar_is_told(cluster: Member, bare: Object, remedy: str) -> None:
    await cluster.kube.create(paths.collection("Pod", NAMESPACE), bare)

    with pytest.raises(ApplicationError, match=remedy):
        await begin(cluster)


async def test_what_has_routes_of_ours_serves_users_with_or_without_sidecars(cluster: Member) -> None:
    await begin(cluster)
    await cluster.kube.create(paths.collection("Pod", NAMESPACE), pod("bare"))
    await begin(cluster)


async def test_adopted_routes_that_we_have_written_serve_users_as_well(cluster: Member) -> None:
    await cluster.add(virtual_service(http=[ROUTE]))
    await begin(cluster)
    await cluster.kube.create(paths.collection("Pod", NAMESPACE), pod("bare"))
    await begin(cluster)


async def test_a_pod_that_was_evicted_is_not_waited_for(cluster: Member) -> None:
    await cluster.kube.create(paths.collection("Pod", NAMESPACE), pod("evicted"))
    place = f"{paths.one('Pod', NAMESPACE, 'evicted')}/status"
    await cluster.kube.patch(place, {"status": {"phase": "Failed"}}, fieldManager="kubelet")
    await begin(cluster)


async def test_routes_are_put_back_with_or_without_sidecars(cluster: Member) -> None:
    await cluster.kube.create(paths.collection("Pod", NAMESPACE), pod("bare"))
    await establish(cluster)

    assert (await cluster.read("VirtualService", "podinfo"))["spec"]["http"]


async def test_a_clusters_file_may_say_that_there_are_no_sidecars(cluster: Member) -> None:
    await cluster.kube.create(paths.collection("Pod", NAMESPACE), pod("bare"))
    cluster.api.settings = replace(cluster.api.settings, requires_sidecars=False)
    await begin(cluster)

    assert (await cluster.read("VirtualService", "podinfo"))["spec"]["http"]


async def test_renewed_routes_say_what_they_shall(cluster: Member) -> None:
    await establish(cluster, weight=30)
    changed = spec({"timeout": "5s", "apex_metadata": ObjectMetadata(labels={"l": "apex"})})
    await establish(cluster, changed)
    found = await cluster.read("VirtualService", "podinfo")
    seen = read_routes(changed, found)

    assert seen is not None
    assert (seen.canary, seen.is_intact) == (30, True)
    assert found["metadata"]["labels"]["l"] == "apex"
    assert (await cluster.read("Service", "podinfo"))["metadata"]["labels"]["l"] == "apex"


@pytest.mark.proves("T2")
@pytest.mark.parametrize(
    ("given", "kept"),
    [
        pytest.param((70, 30), (70, 30), id="weights that somebody gave"),
        pytest.param((70, 60), (100, 0), id="what is no whole"),
    ],
)
async def test_routes_are_put_back_around_the_weights_that_stand(
    cluster: Member, given: tuple[int, int], kept: tuple[int, int]
) -> None:
    """Flagger writes its own weights wherever routes differ; while nothing runs they are somebody's.

    T2: Flagger's istio.go.
    """
    await establish(cluster)
    routed = await cluster.read("VirtualService", "podinfo")
    route = routed["spec"]["http"][-1] | {"timeout": "1s"}
    for side, weight in zip(route["route"], given, strict=True):
        side["weight"] = weight
    await cluster.change("VirtualService", "podinfo", {"spec": {"http": [route]}})

    await establish(cluster)

    mended = read_routes(spec(), await cluster.read("VirtualService", "podinfo"))
    assert mended is not None
    assert ((mended.primary, mended.canary), mended.is_intact) == (kept, True)


@pytest.mark.proves("C02", "D21")
async def test_an_apex_is_adopted_with_its_ports_and_kept_in_a_note(cluster: Member) -> None:
    """A Service that is there becomes the apex; what it was is noted on it for the way out.

    Its other ports stay (D21: docs/architecture.md). C02: Flagger's istio.go.
    """
    await cluster.add(APEX)
    await establish(cluster)
    found = await cluster.read("Service", "podinfo")
    kept = original(found)

    assert found["spec"]["selector"] == {"app": "podinfo-primary"}
    assert found["spec"]["ports"] == APEX["spec"]["ports"]
    assert found["metadata"]["labels"] == {"mine": "yes"}
    assert kept is not None
    assert kept["spec"] == {"selector": {"app": "podinfo"}, "ports": APEX["spec"]["ports"]}


async def test_ports_stay_when_their_owner_hands_them_over(cluster: Member) -> None:
    """The source stops to apply what a rollout owns; what nobody owned would then be gone."""
    path = paths.one("Service", NAMESPACE, "podinfo")
    body = {**APEX, "spec": {**APEX["spec"], "ports": [{**APEX["spec"]["ports"][0], "appProtocol": "http"}]}}
    made = await cluster.api.apply(path, body, manager=SOURCE_MANAGER)
    await establish(cluster)
    handed = {**body, "spec": {"type": "NodePort"}}
    after = await cluster.api.apply(path, handed, manager=SOURCE_MANAGER)

    assert after["spec"]["ports"] == made["spec"]["ports"]
    assert after["spec"]["selector"] == {"app": "podinfo-primary"}


async def test_a_port_that_a_person_adds_is_taken_up_with_its_target(cluster: Member) -> None:
    await cluster.add(APEX)
    await establish(cluster)
    added = {"name": "http-8080", "port": 8080, "targetPort": "http"}
    await cluster.change("Service", "podinfo", {"spec": {"ports": [added]}}, "strategic")
    await establish(cluster, spec({"port": 8080}))

    side, *_ = (await cluster.read("Service", "podinfo-primary"))["spec"]["ports"]
    apex = (await cluster.read("Service", "podinfo"))["spec"]["ports"]
    assert (side["port"], side["targetPort"]) == (8080, "http")
    assert [port["port"] for port in apex] == [8080, 9898, 9797]


@pytest.mark.parametrize(
    ("service", "others"),
    [
        pytest.param({}, [("metrics", 9797, 9797)], id="a sidecar asks a side for the apex's port"),
        pytest.param({"gateways": ("a/public", "mesh")}, [], id="a gateway finds a side by its only port"),
        pytest.param({"delegation": True}, [], id="a gateway may delegate"),
        pytest.param({"hosts": ("a.example.com",)}, [], id="the routes name the port"),
    ],
)
@pytest.mark.proves("D28")
async def test_the_sides_have_the_other_ports_where_a_sidecar_asks_for_them(
    cluster: Member, service: Object, others: list[tuple[str, int, int]]
) -> None:
    """What leads to a port that a side does not have is answered 503 (D28: docs/architecture.md)."""
    await cluster.add(APEX)
    await establish(cluster, spec(service))

    for side in ("podinfo-primary", "podinfo-canary"):
        ports = (await cluster.read("Service", side))["spec"]["ports"]
        assert [(port["name"], port["port"], port["targetPort"]) for port in ports] == [
            ("http", 9898, "http"),
            *others,
        ]
        assert not any("nodePort" in port for port in ports)


async def test_the_document_renames_a_port_only_where_it_names_it(cluster: Member) -> None:
    await cluster.add(APEX)
    await establish(cluster, spec({"port_name": "grpc-web", "target_port": "grpc", "app_protocol": "grpc"}))
    first = (await cluster.read("Service", "podinfo"))["spec"]["ports"][0]

    assert (first["name"], first["targetPort"], first["appProtocol"]) == ("grpc-web", "grpc", "grpc")
    assert first["nodePort"] == 30080


@pytest.mark.proves("C02")
async def test_a_virtual_service_is_adopted_and_kept_in_a_note(cluster: Member) -> None:
    """A VirtualService that is there is taken over; what it was is noted on it for the way out.

    C02: Flagger's istio.go.
    """
    own = virtual_service(STATIC, ROUTE, exportTo=["."])
    own["metadata"] |= {"labels": {"mine": "yes"}, "annotations": {"a": "1"}}
    await cluster.add(own)
    await establish(cluster)
    found = await cluster.read("VirtualService", "podinfo")
    kept = original(found)

    assert found["spec"]["exportTo"] == ["."]
    assert found["spec"]["http"][0] == STATIC
    assert weights(found)[1] == [("podinfo-primary", 100), ("podinfo-canary", 0)]
    assert found["metadata"]["labels"] == {"mine": "yes"}
    assert found["metadata"]["annotations"].items() >= {"a": "1", **marks.TOOLKIT}.items()
    assert kept is not None
    assert kept["spec"] == own["spec"]


@pytest.mark.proves("T13")
async def test_the_original_is_noted_once_and_never_over(cluster: Member) -> None:
    """Flagger writes `original-configuration` anew at every reconciliation, with its own routes in it.

    T13: Flagger's istio.go.
    """
    await cluster.add(APEX, virtual_service(ROUTE))
    await establish(cluster)
    for kind in ("Service", "VirtualService"):
        note = (await cluster.read(kind, "podinfo"))["metadata"]["annotations"][marks.ORIGINAL]
        edited = {"spec": {"http": [STATIC]} if kind == "VirtualService" else {"selector": {"x": "y"}}}
        await cluster.change(kind, "podinfo", edited)
        await establish(cluster)
        await establish(cluster, spec({"timeout": "1s"}))

        assert (await cluster.read(kind, "podinfo"))["metadata"]["annotations"][marks.ORIGINAL] == note


@pytest.mark.proves("T13")
async def test_what_we_made_is_never_noted_as_the_original(cluster: Member) -> None:
    """Flagger notes what it generated itself as the original, once somebody changed it.

    T13: Flagger's istio.go.
    """
    await cluster.add(APEX, virtual_service(ROUTE))
    await establish(cluster)
    for kind in ("Service", "VirtualService"):
        await cluster.change(kind, "podinfo", {"metadata": {"annotations": {marks.ORIGINAL: None}}})
    await establish(cluster)

    for kind in ("Service", "VirtualService"):
        assert marks.ORIGINAL not in (await cluster.read(kind, "podinfo"))["metadata"]["annotations"]


async def test_what_kubectl_last_applied_is_not_the_original(cluster: Member) -> None:
    applied = json.dumps({"spec": {"selector": {"app": "long-ago"}, "ports": [{"port": 1}]}})
    apex = {**APEX, "metadata": {"name": "podinfo"}}
    apex["metadata"]["annotations"] = {"kubectl.kubernetes.io/last-applied-configuration": applied}
    await cluster.add(apex)
    await establish(cluster)
    kept = original(await cluster.read("Service", "podinfo"))

    assert kept is not None
    assert kept["spec"]["selector"] == {"app": "podinfo"}


@pytest.mark.parametrize(
    ("kind", "metadata", "text"),
    [
        pytest.param(
            "VirtualService",
            {
                "ownerReferences": [
                    {
                        "apiVersion": "flagger.app/v1beta1",
                        "kind": "Canary",
                        "name": "other",
                        "uid": "1",
                        "controller": True,
                    }
                ]
            },
            "VirtualService podinfo in namespace default is controlled by Canary other",
            id="a controller",
        ),
        pytest.param(
            "Service",
            {"labels": {marks.CANARY: "web"}},
            "Service podinfo in namespace default belongs to the canary of web",
            id="another canary",
        ),
    ],
)
async def test_a_foreign_owner_is_named_and_nothing_is_written(
    cluster: Member, kind: str, metadata: Object, text: str
) -> None:
    body = virtual_service(ROUTE) if kind == "VirtualService" else APEX
    await cluster.add({**body, "metadata": {"name": "podinfo", **metadata}})

    with pytest.raises(ApplicationError, match=text) as caught:
        await establish(cluster)
    assert caught.value.non_retryable
    assert {entry["method"] for entry in cluster.asked()} == {"GET"}


@pytest.mark.parametrize(
    "podless", [{"type": "ExternalName", "externalName": "a.example.com"}, {"ports": [{"port": 9898}]}]
)
async def test_an_apex_without_pods_is_named(cluster: Member, podless: Object) -> None:
    await cluster.add({**APEX, "spec": podless})

    with pytest.raises(ApplicationError, match="Service podinfo in namespace default has no selector"):
        await establish(cluster)


async def lead(cluster: Member) -> tuple[str, ...]:
    mended: tuple[str, ...] = await cluster.run(InitialisationActivities(cluster).lead_services, spec())
    return mended


async def serve(cluster: Member, ready: int = 2) -> None:
    """Do the controllers' work on the primary."""
    counters = {"replicas": 2, "updatedReplicas": 2, "availableReplicas": ready, "readyReplicas": ready}
    path = "/apis/apps/v1/namespaces/default/deployments/podinfo-primary/status"
    await cluster.kube.patch(path, {"status": {"observedGeneration": 1, **counters}})


async def is_misled(cluster: Member, *, is_new: bool = False, is_asked: bool = True) -> bool:
    observation = ObservationActivities(cluster)
    seen: Observation = await cluster.run(observation.observe, spec())
    assert seen.target is not None
    known = () if is_new else (seen.target.revision,)
    seen = await cluster.run(
        observation.observe_at_rest, RestingCanary(spec=spec(), known=known, are_services_asked=is_asked)
    )
    return seen.is_misled


SERVICES = ["podinfo", "podinfo-canary", "podinfo-primary"]


@pytest.mark.parametrize("name", SERVICES)
async def test_a_service_that_somebody_rewrites_is_seen_at_rest(cluster: Member, name: str) -> None:
    await establish(cluster)
    before = await is_misled(cluster)
    await cluster.change("Service", name, {"spec": {"selector": {"app": "other"}}})

    assert (before, await is_misled(cluster)) == (False, True)


@pytest.mark.parametrize(("name", "is_seen"), [(SERVICES[0], True), (SERVICES[1], False)])
async def test_what_rings_for_no_service_costs_a_look_at_the_apex(
    cluster: Member, name: str, *, is_seen: bool
) -> None:
    await establish(cluster)
    await cluster.delete("Service", name)
    before = len(cluster.asked())

    assert await is_misled(cluster, is_asked=False) is is_seen
    asked = cluster.asked()[before:]
    assert sum("/services/" in one["path"] for one in asked) == 1


@pytest.mark.parametrize("name", SERVICES)
async def test_a_service_that_is_gone_is_seen_at_rest(cluster: Member, name: str) -> None:
    await establish(cluster)
    await cluster.delete("Service", name)

    assert await is_misled(cluster)


async def test_the_apex_of_a_target_that_runs_something_new_is_not_asked_for(cluster: Member) -> None:
    await establish(cluster)
    await cluster.change("Service", "podinfo", {"spec": {"selector": {"app": "podinfo"}}})

    assert await is_misled(cluster, is_new=True) is False


@pytest.mark.parametrize("own", [[], [APEX]], ids=["ours", "adopted"])
@pytest.mark.parametrize(
    ("elsewhere", "by"), [({"app": "podinfo"}, "sandbox"), (None, "someone")], ids=["target", "nowhere"]
)
async def test_an_apex_that_somebody_led_elsewhere_is_led_back(
    cluster: Member, own: list[Object], elsewhere: Object | None, by: str
) -> None:
    await cluster.add(*own)
    await establish(cluster)
    await serve(cluster)
    before = await cluster.read("Service", "podinfo")
    await cluster.change("Service", "podinfo", {"spec": {"selector": elsewhere}})
    mended = await lead(cluster)
    after = await cluster.read("Service", "podinfo")

    assert mended == (f"{by} led Service podinfo.default elsewhere: it leads where it did again",)
    assert after["spec"] == before["spec"]
    assert after["metadata"]["annotations"] == before["metadata"]["annotations"]


async def test_services_that_stand_are_not_written(cluster: Member) -> None:
    await establish(cluster)
    await serve(cluster)
    before = [await cluster.read("Service", name) for name in SERVICES]

    assert await lead(cluster) == ()
    assert [await cluster.read("Service", name) for name in SERVICES] == before


@pytest.mark.parametrize("name", SERVICES)
async def test_a_service_that_was_deleted_is_made_again(cluster: Member, name: str) -> None:
    await establish(cluster)
    before = (await cluster.read("Service", name))["spec"]["selector"]
    await cluster.delete("Service", name)

    assert await lead(cluster) == (f"Service {name}.default was gone: it is there again",)
    assert (await cluster.read("Service", name))["spec"]["selector"] == before


async def test_a_side_that_somebody_led_elsewhere_is_led_back(cluster: Member) -> None:
    await establish(cluster)
    await serve(cluster)
    await cluster.change("Service", "podinfo-primary", {"spec": {"selector": {"app": "podinfo"}}})

    text = "sandbox led Service podinfo-primary.default elsewhere: it leads where it did again"
    assert await lead(cluster) == (text,)
    selector = (await cluster.read("Service", "podinfo-primary"))["spec"]["selector"]
    assert selector == {"app": "podinfo-primary"}


async def test_users_who_were_led_away_from_a_primary_that_does_not_serve_are_let_be(cluster: Member) -> None:
    await establish(cluster)
    await serve(cluster, ready=0)
    await cluster.change("Service", "podinfo", {"spec": {"selector": {"app": "podinfo"}}})

    assert await lead(cluster) == ()
    assert (await cluster.read("Service", "podinfo"))["spec"]["selector"] == {"app": "podinfo"}


async def test_a_service_that_only_has_the_name_of_a_side_is_left_alone(cluster: Member) -> None:
    body = {**APEX, "metadata": {"name": "podinfo-canary"}, "spec": {**APEX["spec"], "type": "ClusterIP"}}
    body["spec"] = {"selector": {"app": "other"}, "ports": [{"port": 80}]}
    await cluster.add(body)

    with pytest.raises(ApplicationError, match="Service podinfo-canary in namespace default is somebody"):
        await establish(cluster)
    assert (await cluster.read("Service", "podinfo-canary"))["spec"]["selector"] == {"app": "other"}


async def test_a_side_that_another_tool_left_behind_is_taken_over(cluster: Member) -> None:
    left = {"selector": {"app": "podinfo"}, "ports": [{"name": "http", "port": 9898}]}
    await cluster.add({**APEX, "metadata": {"name": "podinfo-canary"}, "spec": left})
    await establish(cluster)

    assert (await cluster.read("Service", "podinfo-canary"))["metadata"]["labels"][marks.CANARY] == "podinfo"


async def test_nothing_is_routed_to_a_primary_without_endpoints(cluster: Member) -> None:
    await cluster.delete("Endpoints", "podinfo-primary")

    with pytest.raises(ApplicationError, match=r"Service podinfo-primary.default has no ready endpoint"):
        await establish(cluster)
    assert await cluster.find("VirtualService", "podinfo") is None
    assert await cluster.find("Service", "podinfo") is None


@pytest.mark.parametrize(
    ("delay", "gathered"), [pytest.param(0.4, 10, id="as told"), pytest.param(30, 0.4, id="istiod's longest")]
)
async def test_proxies_hear_of_the_sides_before_users_are_led_there(
    cluster: Member, monkeypatch: pytest.MonkeyPatch, delay: float, gathered: float
) -> None:
    """A proxy that is told of both at once answers 503 until it has the addresses."""
    monkeypatch.setattr(initialisation, "GATHERED", timedelta(seconds=gathered))
    cluster.api.settings = replace(cluster.api.settings, scale_down_delay=timedelta(seconds=delay))
    await establish(cluster)
    written = [entry for entry in cluster.asked() if entry["method"] != "GET"]
    sides = [each["time"] for each in written if re.search("services/podinfo-(canary|primary)", each["path"])]
    (routed,) = [each["time"] for each in written if "/virtualservices" in each["path"]]

    assert 0.4 <= routed - max(sides) < 5


async def establish_anew(cluster: Member, delay: float, age: float) -> float:
    """As after a worker died with the sides made and no routes; gives the seconds until there are routes."""
    await establish(cluster)
    await cluster.delete("VirtualService", "podinfo")
    made = (await cluster.read("Service", "podinfo-primary"))["metadata"]["creationTimestamp"]
    cluster.api.settings = replace(cluster.api.settings, scale_down_delay=timedelta(seconds=delay))
    now = datetime.fromisoformat(made) + timedelta(seconds=age)
    act = InitialisationActivities(cluster).establish_routes
    since = cluster.asked()[-1]["n"]
    await cluster.run(act, EstablishRequest(spec=spec()), started=now)
    asked = cluster.asked(since)
    (routed,) = [
        each["time"] for each in asked if each["method"] == "POST" and "/virtualservices" in each["path"]
    ]
    return float(routed - asked[0]["time"])


async def test_sides_that_an_attempt_before_has_made_are_heard_of_first(cluster: Member) -> None:
    assert 0.4 <= await establish_anew(cluster, delay=0.4, age=1.2) < 5


async def test_sides_that_have_stood_for_long_have_been_heard_of(cluster: Member) -> None:
    assert await establish_anew(cluster, delay=8, age=9.1) < 5


async def test_routes_that_lead_users_already_are_put_back_at_once(cluster: Member) -> None:
    await establish(cluster)
    await cluster.delete("Service", "podinfo-canary")
    cluster.api.settings = replace(cluster.api.settings, scale_down_delay=timedelta(seconds=30))
    async with asyncio.timeout(5):
        await establish(cluster)

    assert await cluster.find("Service", "podinfo-canary")


async def test_a_headless_service_is_made_and_stays_as_it_was_made(cluster: Member) -> None:
    await establish(cluster, spec({"headless": True, "traffic_distribution": "PreferClose"}))
    made = [(await cluster.read("Service", f"podinfo{side}"))["spec"] for side in ("", "-primary", "-canary")]
    await establish(cluster, spec())
    then = [(await cluster.read("Service", f"podinfo{side}"))["spec"] for side in ("", "-primary", "-canary")]

    assert [one["clusterIP"] for one in made] == ["None"] * 3
    assert [one["trafficDistribution"] for one in made] == ["PreferClose"] * 3
    assert [one["clusterIP"] for one in then] == ["None"] * 3


async def test_a_service_with_an_address_is_not_made_headless(cluster: Member) -> None:
    await establish(cluster)
    before = (await cluster.read("Service", "podinfo"))["spec"]["clusterIP"]
    await establish(cluster, spec({"headless": True}))

    assert (await cluster.read("Service", "podinfo"))["spec"]["clusterIP"] == before != "None"


async def test_unmanaged_and_foreign_metadata_of_services_is_left_to_others(cluster: Member) -> None:
    own = ObjectMetadata(labels={"theirs": "1", "ours": "1"}, annotations={"theirs": "1"})
    document = spec(
        {
            "apex_metadata": own,
            "unmanaged": UnmanagedMetadata(labels=("theirs",), annotations=("theirs", "absent")),
        }
    )
    await establish(cluster, document)
    edited = {"labels": {"theirs": "2", "ours": "2", "foreign": "2"}, "annotations": {"theirs": "2"}}
    await cluster.change("Service", "podinfo", {"metadata": edited})
    await establish(cluster, document)
    metadata = (await cluster.read("Service", "podinfo"))["metadata"]

    assert {key: metadata["labels"][key] for key in ("theirs", "ours", "foreign")} == {
        "theirs": "2",
        "ours": "1",
        "foreign": "2",
    }
    assert metadata["annotations"]["theirs"] == "2"


def ported(*containers: Object) -> Object:
    target = deployment("podinfo", "podinfo")
    target["spec"]["template"]["spec"]["containers"] = list(containers)
    return target


@pytest.mark.proves("C13", "D23")
async def test_ports_of_containers_are_discovered(cluster: Member) -> None:
    """With `portDiscovery` the ports of the containers are in the Services as well.

    C13: Flagger's istio.go. To Flagger all are of TCP (D23: docs/architecture.md).
    """
    target = ported(
        {"name": "app", "image": "a", "ports": [{"containerPort": 9898}, {"containerPort": 9999}]},
        {"name": "dns", "image": "a", "ports": [{"name": "dns", "containerPort": 53, "protocol": "UDP"}]},
        {"name": "twin", "image": "a", "ports": [{"name": "dns", "containerPort": 5353}]},
        {"name": "istio-proxy", "image": "a", "ports": [{"name": "stats", "containerPort": 15090}]},
        {"name": "x" * 63, "image": "a", "ports": [{"containerPort": 81}]},
        {"name": "none", "image": "a"},
    )
    await cluster.delete("Deployment", "podinfo")
    await cluster.add(target)
    await establish(cluster, spec({"port_discovery": True}))

    for side in ("", "-primary", "-canary"):
        ports = (await cluster.read("Service", f"podinfo{side}"))["spec"]["ports"]
        assert [(port["name"], port["protocol"], port["port"], port["targetPort"]) for port in ports] == [
            ("http", "TCP", 9898, 9898),
            ("tcp-app-1", "TCP", 9999, 9999),
            ("dns", "UDP", 53, 53),
            ("tcp-5353", "TCP", 5353, 5353),
            (f"tcp-{'x' * 57}-0", "TCP", 81, 81),
        ]


async def test_a_container_port_that_the_document_names_is_not_discovered_again(cluster: Member) -> None:
    await cluster.delete("Deployment", "podinfo")
    named = {"name": "web", "containerPort": 8080}
    await cluster.add(ported({"name": "app", "image": "a", "ports": [named, {"containerPort": 80}]}))
    await establish(cluster, spec({"port_discovery": True, "port": 80, "target_port": "web"}))
    ports = (await cluster.read("Service", "podinfo"))["spec"]["ports"]

    assert [(port["name"], port["port"], port["targetPort"]) for port in ports] == [("http", 80, "web")]


async def test_a_discovered_port_that_has_gone_goes_at_the_next_renewal(cluster: Member) -> None:
    document = spec({"port_discovery": True})
    await establish(cluster, document)
    await cluster.delete("Deployment", "podinfo")
    await cluster.add(ported({"name": "app", "image": "a", "ports": [{"containerPort": 9898}]}))
    await establish(cluster, document)

    for side in ("", "-primary", "-canary"):
        ports = (await cluster.read("Service", f"podinfo{side}"))["spec"]["ports"]
        assert [port["port"] for port in ports] == [9898]


@pytest.mark.proves("K10")
async def test_a_name_at_the_limit_has_a_canary(member: Member) -> None:
    """Kurator cuts names at 63 characters, so that those of two clusters may be one.

    K10: Kurator's helper.go.
    """
    name = "p" * 55
    await furnish(member, name)
    await establish(member, spec(name=name))

    assert await member.names("VirtualService") == [name]


@pytest.mark.proves("K10")
async def test_a_name_past_the_limit_is_refused_by_name(cluster: Member) -> None:
    """A name too long for its `-primary` is refused; Kurator cuts it, and may meet another.

    K10: Kurator's helper.go.
    """
    name = "p" * 56
    with pytest.raises(ApplicationError, match=rf"services/{name}-primary: 422") as caught:
        await establish(cluster, spec({"name": name}))
    assert caught.value.non_retryable


async def test_a_target_with_a_name_longer_than_a_label_has_a_canary_too(member: Member) -> None:
    long = "d" * 70
    await furnish(member)
    target, primary = deployment(long, "podinfo"), deployment(f"{long}-primary", "podinfo-primary")
    await member.add(target, primary)
    document = spec()
    document = document.model_copy(update={"target": document.target.model_copy(update={"name": long})})
    await establish(member, document)
    labels = (await member.read("Service", "podinfo-canary"))["metadata"]["labels"]

    assert len(labels[marks.CANARY]) == 63


@pytest.mark.parametrize(
    ("method", "path", "status", "text"),
    [
        ("GET", "deployments/podinfo$", 403, "deployments/podinfo: 403"),
        ("GET", "services/podinfo", 403, "services/podinfo"),
        ("PATCH", "services/podinfo-primary", 422, "services/podinfo-primary: 422"),
        ("PATCH", "destinationrules/podinfo-canary", 403, "destinationrules/podinfo-canary: 403"),
        ("PATCH", "destinationrules", 404, "destinationrules/podinfo-(canary|primary): 404"),
        ("GET", "endpoints", 403, "endpoints/podinfo-primary: 403"),
        ("POST", "virtualservices", 422, "virtualservices/podinfo: 422"),
        ("PATCH", "services/podinfo\\?", 403, "services/podinfo: 403"),
    ],
)
async def test_a_refusal_is_permanent_and_names_the_object(
    cluster: Member, method: str, path: str, status: int, text: str
) -> None:
    await cluster.fault({"method": method, "path": path, "do": "status", "status": status})

    with pytest.raises(ApplicationError, match=text) as caught:
        await establish(cluster)
    assert caught.value.non_retryable


async def test_what_is_missing_is_named(cluster: Member) -> None:
    await cluster.delete("Deployment", "podinfo-primary")

    with pytest.raises(ApplicationError, match="podinfo-primary in namespace default is gone") as caught:
        await establish(cluster)
    assert (caught.value.type, caught.value.non_retryable) == ("NotFound", True)


async def test_a_virtual_service_that_changes_under_the_hand_is_tried_again(cluster: Member) -> None:
    await cluster.add(virtual_service(ROUTE))
    await cluster.fault({"method": "PATCH", "path": "virtualservices", "do": "status", "status": 409})

    with pytest.raises(ApiError) as caught:
        await establish(cluster)
    assert not caught.value.is_permanent


async def test_a_load_tester_of_its_own_is_deployed_once(cluster: Member) -> None:
    document = spec(test_loader=TestLoader(name="podinfo-testloader"))
    for _ in range(2):
        await cluster.run(InitialisationActivities(cluster).deploy_load_tester, document)

    assert (await cluster.kube.get(paths.one("Service", NAMESPACE, "podinfo-testloader")))["spec"][
        "selector"
    ] == {"app": "podinfo-testloader"}
    assert await cluster.find("Deployment", "podinfo-testloader") is not None


async def test_without_a_load_tester_nothing_is_deployed(cluster: Member) -> None:
    await cluster.run(InitialisationActivities(cluster).deploy_load_tester, spec())

    assert cluster.asked() == []


def of_service() -> CanarySpec:
    document = spec()
    return document.model_copy(update={"target": TargetRef(kind=WorkloadKind.SERVICE, name="podinfo")})


def side(name: str, version: str) -> Object:
    selector = {"app": "podinfo", "version": version}
    ports = [{"name": "http", "port": 9898, "targetPort": 9898, "protocol": "TCP"}]
    labels = {marks.CANARY: "podinfo"} if name != "podinfo" else {}
    metadata = {"name": name, "labels": labels}
    return {**APEX, "metadata": metadata, "spec": {"selector": selector, "ports": ports}}


async def test_a_service_as_the_target_has_a_canary_beside_its_primary(cluster: Member) -> None:
    await cluster.add(side("podinfo", "2"), side("podinfo-primary", "1"))
    before = [await cluster.read("Service", name) for name in ("podinfo", "podinfo-primary")]
    await establish(cluster, of_service(), weight=10)

    assert [await cluster.read("Service", name) for name in ("podinfo", "podinfo-primary")] == before
    assert (await cluster.read("Service", "podinfo-canary"))["spec"]["selector"]["version"] == "2"
    routes = await cluster.read("VirtualService", "podinfo")
    assert weights(routes) == [[("podinfo-primary", 90), ("podinfo-canary", 10)]]
    assert await cluster.names("DestinationRule") == ["podinfo-canary", "podinfo-primary"]
