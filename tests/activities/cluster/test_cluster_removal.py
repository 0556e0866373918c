"""The way out: everything as it was, whatever is missing by then."""

from typing import Any

import pytest
from temporalio.exceptions import ApplicationError

from activities.cluster import marks
from activities.cluster.initialisation import EstablishRequest, InitialisationActivities
from activities.cluster.primary import PrimaryActivities, count_as_promoted
from activities.cluster.removal import RemovalActivities, RemovalRequest
from activities.cluster.scaling import ScaleRequest, ScalingActivities
from activities.cluster.traffic import ShiftRequest, TrafficActivities, Written
from canary.revision import SCALE_TO_ZERO
from canary.routing import Routing
from canary.spec import CanarySpec, ObjectMetadata, WorkloadKind
from sandbox.installed import install
from tests.activities.cluster.member import Member
from tests.activities.cluster.routed import at, deployment, endpoints, spec, virtual_service, weights

Object = dict[str, Any]
KINDS = ("Service", "DestinationRule", "VirtualService", "ControllerRevision", "ConfigMap", "Deployment")
STATIC: Object = {"match": [{"uri": {"prefix": "/s"}}], "route": [{"destination": {"host": "static"}}]}
ROUTE: Object = {"route": [{"destination": {"host": "podinfo"}, "weight": 0}], "timeout": "3s"}
APEX: Object = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {
        "name": "podinfo",
        "labels": {"mine": "yes"},
        "annotations": {"kustomize.toolkit.fluxcd.io/reconcile": "enabled"},
    },
    "spec": {
        "type": "NodePort",
        "selector": {"app": "podinfo", "tier": "web"},
        "ports": [{"name": "web", "port": 9898, "targetPort": "http", "nodePort": 30080}],
    },
}


@pytest.fixture
async def cluster(member: Member) -> Member:
    """A member with a target, and endpoints for whatever is to come."""
    await install(member.kube, "http://127.0.0.1:9")
    await member.add(deployment("podinfo", "podinfo"))
    await member.add(endpoints("podinfo-primary"), endpoints("podinfo-canary"))
    return member


async def initialise(cluster: Member, document: CanarySpec) -> None:
    await cluster.run(PrimaryActivities(cluster).create_primary, document)
    await cluster.run(InitialisationActivities(cluster).establish_routes, EstablishRequest(spec=document))
    scale = ScaleRequest(spec=document, replicas=0, decided_at=at(0))
    await cluster.run(ScalingActivities(cluster).scale_target, scale)
    await count_as_promoted(cluster.api, document)
    shift = ShiftRequest(spec=document, routing=Routing(weight=20), decided_at=at(1))
    await cluster.run(TrafficActivities(cluster).shift_traffic, shift)


async def take_out(cluster: Member, document: CanarySpec) -> None:
    removal, request = RemovalActivities(cluster), RemovalRequest(spec=document, decided_at=at(9))
    await cluster.run(removal.restore_target, request)
    await get_ready(cluster)
    await cluster.run(removal.restore_routes, request)
    await cluster.run(removal.remove_objects, request)


async def get_ready(cluster: Member, available: int | None = None) -> None:
    """Do the controllers' work on the target."""
    target = await cluster.find("Deployment", "podinfo")
    if target is None:
        return
    size = target["spec"]["replicas"]
    ready = size if available is None else available
    counters = {"replicas": size, "updatedReplicas": size, "availableReplicas": ready, "readyReplicas": ready}
    status = {"status": {"observedGeneration": target["metadata"]["generation"], **counters}}
    await cluster.kube.patch("/apis/apps/v1/namespaces/default/deployments/podinfo/status", status)


def owned(found: Object) -> Object:
    """What of an object is its owner's to say."""
    metadata = found["metadata"]
    return {
        "labels": metadata.get("labels") or {},
        "annotations": metadata.get("annotations") or {},
        "spec": found["spec"],
    }


async def picture(cluster: Member) -> dict[str, Object]:
    return {
        f"{kind}/{body['metadata']['name']}": owned(body)
        for kind in KINDS
        for body in await cluster.all(kind)
    }


@pytest.mark.parametrize(
    "own",
    [
        pytest.param([], id="nothing"),
        pytest.param([APEX], id="Service"),
        pytest.param([{**APEX, "spec": {**APEX["spec"], "selector": {"tier": "web"}}}], id="other selector"),
        pytest.param([virtual_service(STATIC, ROUTE, exportTo=["."])], id="VirtualService"),
        pytest.param([APEX, virtual_service(ROUTE, gateways=["public"], hosts=["*"])], id="both"),
        pytest.param([virtual_service(tls=[{"match": [{"sniHosts": ["a"]}]}])], id="odd VirtualService"),
    ],
)
@pytest.mark.proves("C36", "D13")
async def test_everything_is_as_it_was(cluster: Member, own: list[Object]) -> None:
    """The way out gives workload, Services and routes back as they were found.

    C36, D13: Flagger's finalizer.go, docs/architecture.md.
    """
    await cluster.add(*own)
    before = await picture(cluster)
    apex = ObjectMetadata(labels={"mine": "no"}, annotations={"a": "1"})
    document = spec({"apex_metadata": apex, "port_discovery": True})
    await initialise(cluster, document)
    await take_out(cluster, document)

    assert await picture(cluster) == before


async def test_a_port_that_somebody_has_added_since_stays(cluster: Member) -> None:
    nameless = {**APEX, "spec": {**APEX["spec"], "ports": [{"port": 9898, "targetPort": "http"}]}}
    await cluster.add(nameless)
    document = spec({"port_discovery": True})
    await initialise(cluster, document)
    metrics = {"name": "metrics", "port": 9797, "targetPort": 9797}
    await cluster.change("Service", "podinfo", {"spec": {"ports": [metrics]}}, "strategic")
    await take_out(cluster, document)

    ports = (await cluster.read("Service", "podinfo"))["spec"]["ports"]
    assert [(port["name"], port["port"]) for port in ports] == [("http", 9898), ("metrics", 9797)]


@pytest.mark.parametrize(
    ("before", "now", "after"),
    [
        pytest.param([STATIC, ROUTE], ["ours", STATIC], [ROUTE, STATIC], id="moved"),
        pytest.param([STATIC, ROUTE], ["ours"], [ROUTE], id="removed"),
        pytest.param([ROUTE], [STATIC, "ours"], [STATIC, ROUTE], id="added"),
        pytest.param(
            [STATIC], [STATIC, "ours", STATIC], [STATIC, STATIC], id="added where none led to the apex"
        ),
        pytest.param([ROUTE, STATIC, ROUTE], [STATIC, "ours"], [ROUTE, STATIC, ROUTE], id="untouched"),
        pytest.param([ROUTE], [STATIC], [STATIC], id="ours removed"),
    ],
)
async def test_routes_that_others_have_changed_since_stay(
    cluster: Member, before: list[Object], now: list[Any], after: list[Object]
) -> None:
    await cluster.add(virtual_service(*before))
    await initialise(cluster, spec())
    live = (await cluster.read("VirtualService", "podinfo"))["spec"]["http"]
    (ours,) = (route for route in live if len(route["route"]) > 1)
    changed = [ours if route == "ours" else route for route in now]
    body = {"spec": {"http": changed, "exportTo": ["."]}}
    await cluster.change("VirtualService", "podinfo", body)
    await take_out(cluster, spec())

    found = (await cluster.read("VirtualService", "podinfo"))["spec"]
    assert found["http"] == after
    assert found["exportTo"] == ["."]


async def test_it_is_safe_to_repeat(cluster: Member) -> None:
    await cluster.add(APEX, virtual_service(ROUTE))
    before = await picture(cluster)
    await initialise(cluster, spec())
    await take_out(cluster, spec())
    await take_out(cluster, spec())

    assert await picture(cluster) == before


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("Deployment", "podinfo-primary"),
        ("Deployment", "podinfo"),
        ("Service", "podinfo"),
        ("Service", "podinfo-canary"),
        ("Service", "podinfo-primary"),
        ("VirtualService", "podinfo"),
        ("DestinationRule", "podinfo-canary"),
    ],
)
async def test_whatever_is_missing_does_not_matter(cluster: Member, kind: str, name: str) -> None:
    await cluster.add(APEX, virtual_service(ROUTE))
    await initialise(cluster, spec())
    await cluster.delete(kind, name)
    await take_out(cluster, spec())

    assert await cluster.names("DestinationRule") == []
    assert await cluster.names("ControllerRevision") == []
    assert set(await cluster.names("Service")) <= {"podinfo"}
    assert set(await cluster.names("Deployment")) <= {"podinfo"}


async def test_a_cluster_without_istio_any_more_is_left(cluster: Member) -> None:
    await initialise(cluster, spec())
    for plural in ("virtualservices", "destinationrules"):
        name = f"{plural}.networking.istio.io"
        await cluster.kube.delete(f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}")
    await take_out(cluster, spec())

    assert await cluster.names("Service") == []
    assert await cluster.names("Deployment") == ["podinfo"]


async def test_nothing_is_given_back_before_the_target_answers(cluster: Member) -> None:
    await cluster.add(APEX)
    await initialise(cluster, spec())
    await cluster.delete("Endpoints", "podinfo-canary")
    removal, request = RemovalActivities(cluster), RemovalRequest(spec=spec(), decided_at=at(9))
    await cluster.run(removal.restore_target, request)
    await get_ready(cluster)

    with pytest.raises(ApplicationError, match=r"podinfo-canary\.default has no ready endpoint"):
        await cluster.run(removal.restore_routes, request)
    assert (await cluster.read("Service", "podinfo"))["spec"]["selector"] == {"app": "podinfo-primary"}
    assert weights(await cluster.read("VirtualService", "podinfo"))[0][1] == ("podinfo-canary", 20)


async def test_a_target_that_cannot_bear_it_all_is_waited_for(cluster: Member) -> None:
    await initialise(cluster, spec())
    removal, request = RemovalActivities(cluster), RemovalRequest(spec=spec(), decided_at=at(9))
    await cluster.run(removal.restore_target, request)
    await get_ready(cluster, available=1)

    with pytest.raises(
        ApplicationError, match=r"Deployment podinfo in namespace default is not ready yet: .*1 of 2"
    ):
        await cluster.run(removal.restore_routes, request)


async def test_a_target_that_is_given_back_is_not_scaled_to_zero_by_a_write_that_comes_late(
    cluster: Member,
) -> None:
    """It hung while the canary was initialised: the target has its size still, so nothing else changes."""
    await cluster.run(PrimaryActivities(cluster).create_primary, spec())
    before = (await cluster.read("Deployment", "podinfo"))["metadata"]["resourceVersion"]
    request = RemovalRequest(spec=spec(), decided_at=at(9))
    await cluster.run(RemovalActivities(cluster).restore_target, request)

    found = await cluster.read("Deployment", "podinfo")
    scale = ScaleRequest(spec=spec(), replicas=0, decided_at=at(0))

    assert found["metadata"]["resourceVersion"] != before
    assert await cluster.run(ScalingActivities(cluster).scale_target, scale) is Written.SUPERSEDED


async def test_where_nothing_was_made_nothing_is_waited_for(cluster: Member) -> None:
    await cluster.add(APEX, virtual_service(ROUTE))
    await cluster.change("Deployment", "podinfo", {"spec": {"replicas": 0}})
    before = await picture(cluster)
    removal, request = RemovalActivities(cluster), RemovalRequest(spec=spec(), decided_at=at(9))
    for act in (removal.restore_target, removal.restore_routes, removal.remove_objects):
        await cluster.run(act, request)

    assert await picture(cluster) == before


async def test_without_a_primary_the_target_comes_back_at_its_last_size(cluster: Member) -> None:
    await initialise(cluster, spec())
    await cluster.delete("Deployment", "podinfo-primary")
    await take_out(cluster, spec())

    assert (await cluster.read("Deployment", "podinfo"))["spec"]["replicas"] == 2


@pytest.mark.proves("C36")
async def test_a_target_that_shall_stay_as_it_is_stays(cluster: Member) -> None:
    """D13, read the other way round: `revertOnDeletion: false` was said, and it was warned of.

    C36: Flagger's finalizer.go.
    """
    await cluster.add(APEX, virtual_service(ROUTE))
    before = await picture(cluster)
    document = spec(revert_on_deletion=False)
    await initialise(cluster, document)
    await cluster.delete("Endpoints", "podinfo-canary")
    await take_out(cluster, document)
    after = await picture(cluster)

    assert after["Deployment/podinfo"]["spec"]["replicas"] == 0
    assert {key: after[key] for key in after if key != "Deployment/podinfo"} == {
        key: before[key] for key in before if key != "Deployment/podinfo"
    }


async def test_an_apex_of_ours_leads_to_the_target_until_it_is_deleted(cluster: Member) -> None:
    await initialise(cluster, spec())
    removal, request = RemovalActivities(cluster), RemovalRequest(spec=spec(), decided_at=at(9))
    await cluster.run(removal.restore_target, request)
    await get_ready(cluster)
    await cluster.run(removal.restore_routes, request)

    assert (await cluster.read("Service", "podinfo"))["spec"]["selector"] == {"app": "podinfo"}
    assert await cluster.find("VirtualService", "podinfo") is None


@pytest.mark.parametrize("note", [None, "{", "[]", '{"spec": null}'])
async def test_without_a_readable_note_all_leads_to_the_target(cluster: Member, note: str | None) -> None:
    await cluster.add(APEX, virtual_service(STATIC, ROUTE))
    await initialise(cluster, spec())
    for kind in ("Service", "VirtualService"):
        await cluster.change(kind, "podinfo", {"metadata": {"annotations": {marks.ORIGINAL: note}}})
    await take_out(cluster, spec())
    apex, routes = await cluster.read("Service", "podinfo"), await cluster.read("VirtualService", "podinfo")

    assert apex["spec"]["selector"] == {"app": "podinfo"}
    assert weights(routes) == [[("static", 100)], [("podinfo", 100)]]


async def test_an_apex_that_leads_elsewhere_by_now_is_left_alone(cluster: Member) -> None:
    await cluster.add(APEX)
    await initialise(cluster, spec())
    edited = {"metadata": {"annotations": {marks.ORIGINAL: None}}, "spec": {"selector": {"app": "other"}}}
    await cluster.change("Service", "podinfo", edited)
    await take_out(cluster, spec())

    assert (await cluster.read("Service", "podinfo"))["spec"]["selector"]["app"] == "other"


async def test_what_another_canary_owns_is_left_alone(cluster: Member) -> None:
    await initialise(cluster, spec())
    theirs = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "web-primary"}}
    await cluster.add({**theirs, "metadata": {"name": "web-primary", "labels": {marks.CANARY: "web"}}})
    await take_out(cluster, spec())

    assert "web-primary" in await cluster.names("ConfigMap")


async def test_the_target_comes_back_at_the_primarys_size(cluster: Member) -> None:
    await initialise(cluster, spec())
    await cluster.change("Deployment", "podinfo-primary", {"spec": {"replicas": 5}})
    await take_out(cluster, spec())

    assert (await cluster.read("Deployment", "podinfo"))["spec"]["replicas"] == 5


@pytest.mark.proves("D13")
async def test_a_revision_that_was_never_promoted_does_not_come_to_every_user(cluster: Member) -> None:
    """The target comes back with what was promoted last, not with what failed (D13: docs/architecture.md)."""
    await initialise(cluster, spec())
    image = [{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "podinfo:bad"}]
    await cluster.change("Deployment", "podinfo", image, "json")
    await take_out(cluster, spec())
    template = (await cluster.read("Deployment", "podinfo"))["spec"]["template"]

    assert template["spec"]["containers"][0]["image"] == "podinfo:1"


@pytest.mark.parametrize(
    ("method", "path", "text"),
    [
        ("PATCH", "deployments/podinfo\\?", "deployments/podinfo: 403"),
        ("PATCH", "services/podinfo\\?", "services/podinfo: 403"),
        ("DELETE", "virtualservices/podinfo", "virtualservices/podinfo: 403"),
        ("DELETE", "deployments/podinfo-primary", "deployments/podinfo-primary: 403"),
        ("DELETE", "services/podinfo-canary", "services/podinfo-canary: 403"),
        ("GET", "destinationrules", "destinationrules: 403"),
    ],
)
async def test_a_refusal_is_permanent_and_names_the_object(
    cluster: Member, method: str, path: str, text: str
) -> None:
    await initialise(cluster, spec())
    await cluster.fault({"method": method, "path": path, "do": "status", "status": 403})

    with pytest.raises(ApplicationError, match=text) as caught:
        await take_out(cluster, spec())
    assert caught.value.non_retryable


@pytest.mark.proves("C18", "C36")
async def test_a_daemon_set_comes_back_to_its_nodes(cluster: Member) -> None:
    """The selector that kept a DaemonSet from its nodes is taken off again.

    C18, C36: Flagger's daemonset_controller.go, finalizer.go.
    """
    document = spec()
    target = document.target.model_copy(update={"kind": WorkloadKind.DAEMON_SET})
    document = document.model_copy(update={"target": target})
    body = {**deployment("podinfo", "podinfo"), "kind": "DaemonSet"}
    del body["spec"]["replicas"]
    await cluster.add(body)
    before = (await cluster.read("DaemonSet", "podinfo"))["spec"]
    await initialise(cluster, document)
    away = (await cluster.read("DaemonSet", "podinfo"))["spec"]["template"]["spec"]["nodeSelector"]
    removal, request = RemovalActivities(cluster), RemovalRequest(spec=document, decided_at=at(9))
    await cluster.run(removal.restore_target, request)

    assert away == {SCALE_TO_ZERO: "true"}
    assert (await cluster.read("DaemonSet", "podinfo"))["spec"] == before


async def test_a_service_as_the_target_is_left_as_it_is(cluster: Member) -> None:
    document = spec()
    target = document.target.model_copy(update={"kind": WorkloadKind.SERVICE})
    document = document.model_copy(update={"target": target})
    primary = {**APEX, "metadata": {"name": "podinfo-primary", "labels": {marks.CANARY: "podinfo"}}}
    primary["spec"] = {"selector": {"app": "podinfo", "version": "1"}, "ports": [{"port": 9898}]}
    await cluster.add(APEX)
    before = await picture(cluster)
    await cluster.add(primary)
    request = EstablishRequest(spec=document)
    await cluster.run(InitialisationActivities(cluster).establish_routes, request)
    await take_out(cluster, document)

    assert await picture(cluster) == before


async def test_a_stranger_in_the_primarys_place_is_left_alone(cluster: Member) -> None:
    """The canary was refused for it, and is deleted again."""
    await cluster.add(deployment("podinfo-primary", "other"))
    await take_out(cluster, spec())

    assert await cluster.find("Deployment", "podinfo-primary") is not None


async def test_a_pause_of_ours_ends_and_another_stays(cluster: Member) -> None:
    document = spec().model_copy(update={"revert_on_deletion": False})
    await initialise(cluster, document)
    ours = {"metadata": {"annotations": {marks.PAUSED: "true"}}, "spec": {"paused": True}}
    await cluster.change("Deployment", "podinfo", ours)
    await take_out(cluster, document)
    after = await cluster.read("Deployment", "podinfo")
    await cluster.change("Deployment", "podinfo", {"spec": {"paused": True}})
    await take_out(cluster, document)

    assert "paused" not in after["spec"]
    assert marks.PAUSED not in after["metadata"].get("annotations", {})
    assert (await cluster.read("Deployment", "podinfo"))["spec"]["paused"] is True


async def test_a_target_that_was_never_taken_from_its_users_stays_as_it_is(cluster: Member) -> None:
    """Its first template never got ready; by now it runs and serves another one."""
    await cluster.run(PrimaryActivities(cluster).create_primary, spec())
    path = "/apis/apps/v1/namespaces/default/deployments/podinfo"
    fixed = {"spec": {"replicas": 7, "template": {"metadata": {"annotations": {"version": "fixed"}}}}}
    before = await cluster.kube.patch(path, fixed)
    await take_out(cluster, spec())

    after = await cluster.read("Deployment", "podinfo")
    assert after["spec"] == before["spec"]
    assert await cluster.find("Deployment", "podinfo-primary") is None


async def test_a_second_look_finds_only_what_came_late(cluster: Member) -> None:
    await initialise(cluster, spec())
    removal, request = RemovalActivities(cluster), RemovalRequest(spec=spec(), decided_at=at(9))
    await cluster.run(removal.restore_target, request)
    await get_ready(cluster)
    found = [await cluster.run(removal.restore_routes, request) for _ in range(2)]
    await cluster.run(InitialisationActivities(cluster).establish_routes, EstablishRequest(spec=spec()))
    found += [await cluster.run(removal.restore_routes, request) for _ in range(2)]

    assert found == [True, False, True, False]
    assert await cluster.find("VirtualService", "podinfo") is None


async def test_a_target_that_somebody_took_away_comes_back(cluster: Member) -> None:
    """Flagger had, before this canary: nobody serves but the primary."""
    await cluster.run(PrimaryActivities(cluster).create_primary, spec())
    path = "/apis/apps/v1/namespaces/default/deployments/podinfo"
    await cluster.kube.patch(path, {"spec": {"replicas": 0}})
    removal, request = RemovalActivities(cluster), RemovalRequest(spec=spec(), decided_at=at(9))
    await cluster.run(removal.restore_target, request)

    assert (await cluster.read("Deployment", "podinfo"))["spec"]["replicas"] > 0


CONFIG: Object = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "settings"},
    "data": {"colour": "green"},
}


async def configured(cluster: Member, *configs: Object, is_optional: bool = False) -> None:
    """Initialise a canary whose target reads a config."""
    reference = {"name": "settings", "optional": is_optional}
    container = [{"op": "add", "path": "/spec/template/spec/containers/0/envFrom", "value": []}]
    container[0]["value"] = [{"configMapRef": reference}]  # type: ignore[assignment]
    await cluster.change("Deployment", "podinfo", container, "json")
    await cluster.add(*configs)
    await initialise(cluster, spec())


async def restore(cluster: Member) -> None:
    request = RemovalRequest(spec=spec(), decided_at=at(9))
    await cluster.run(RemovalActivities(cluster).restore_target, request)


@pytest.mark.proves("D13")
async def test_configs_that_were_never_promoted_do_not_come_to_every_user(cluster: Member) -> None:
    """What was not promoted is brought to nobody, be it in a config (D13: docs/architecture.md)."""
    await configured(cluster, CONFIG)
    await cluster.change("ConfigMap", "settings", {"data": {"colour": "red"}})
    with pytest.raises(
        ApplicationError, match=r"settings in namespace default is not what was promoted.*holds"
    ):
        await restore(cluster)

    assert (await cluster.read("Deployment", "podinfo"))["spec"]["replicas"] == 0
    await cluster.change("ConfigMap", "settings", {"data": {"colour": "green"}})
    await restore(cluster)
    assert (await cluster.read("Deployment", "podinfo"))["spec"]["replicas"] == 2


async def test_a_config_that_somebody_lets_through_is_let_through(cluster: Member) -> None:
    await configured(cluster, CONFIG)
    notes = {"metadata": {"annotations": {"flagger.app/config-tracking": "disabled"}}}
    await cluster.change("ConfigMap", "settings", {"data": {"colour": "red"}, **notes})
    await restore(cluster)

    assert (await cluster.read("Deployment", "podinfo"))["spec"]["replicas"] == 2


async def test_a_config_that_was_not_there_when_it_was_promoted_is_named(cluster: Member) -> None:
    await configured(cluster, is_optional=True)
    await cluster.add(CONFIG)

    with pytest.raises(ApplicationError, match="delete it, as it was not there then") as refused:
        await restore(cluster)
    assert refused.value.type == "NotReady"


async def test_a_config_that_was_pruned_is_there_again(cluster: Member) -> None:
    await configured(cluster, CONFIG)
    await cluster.delete("ConfigMap", "settings")
    await take_out(cluster, spec())

    assert (await cluster.read("ConfigMap", "settings"))["data"] == {"colour": "green"}
    assert await cluster.names("ConfigMap") == ["settings"]


async def test_a_config_is_brought_back_from_what_a_promotion_has_kept(cluster: Member) -> None:
    """A promotion was cut off: its copy holds what was never promoted."""
    await configured(cluster, CONFIG)
    kept = await cluster.read("ConfigMap", "settings-primary")
    await cluster.add(
        {**CONFIG, "metadata": {"name": "settings-primary-last", "labels": kept["metadata"]["labels"]}}
    )
    await cluster.change("ConfigMap", "settings-primary", {"data": {"colour": "red"}})
    await cluster.delete("ConfigMap", "settings")
    await restore(cluster)

    assert (await cluster.read("ConfigMap", "settings"))["data"] == {"colour": "green"}


async def test_a_config_that_is_promoted_nowhere_any_more_is_named(cluster: Member) -> None:
    await configured(cluster, CONFIG)
    await cluster.delete("ConfigMap", "settings")
    await cluster.delete("ConfigMap", "settings-primary")

    with pytest.raises(ApplicationError, match="settings-primary in namespace default no longer holds"):
        await restore(cluster)


async def test_giving_back_is_safe_to_repeat_for_a_target_that_was_never_taken(cluster: Member) -> None:
    """The answer to the first attempt is lost: the fence that it has left is no earlier decision of ours."""
    await cluster.run(PrimaryActivities(cluster).create_primary, spec())
    path = "/apis/apps/v1/namespaces/default/deployments/podinfo"
    await cluster.kube.patch(path, {"spec": {"replicas": 7}})
    await restore(cluster)
    await restore(cluster)

    assert (await cluster.read("Deployment", "podinfo"))["spec"]["replicas"] == 7


async def test_users_stay_with_a_primary_that_serves_where_the_target_is_gone(cluster: Member) -> None:
    await initialise(cluster, spec())
    status = {"replicas": 2, "updatedReplicas": 2, "availableReplicas": 2, "readyReplicas": 2}
    primary = "/apis/apps/v1/namespaces/default/deployments/podinfo-primary"
    await cluster.kube.patch(f"{primary}/status", {"status": {"observedGeneration": 1, **status}})
    await cluster.delete("Deployment", "podinfo")

    with pytest.raises(ApplicationError, match="Deployment podinfo in namespace default is gone") as refused:
        await restore(cluster)
    assert refused.value.type == "NotReady"
    await cluster.delete("Deployment", "podinfo-primary")
    await take_out(cluster, spec())
    assert await cluster.names("Deployment") == []
