"""What in a cluster speaks against a canary, and how it is told."""

from dataclasses import replace
from typing import Any
from unittest.mock import AsyncMock

import pytest
from temporalio.testing import ActivityEnvironment

from activities.cluster import marks, paths, preflight
from activities.cluster.api import ROLLOUT_MANAGER, SOURCE_MANAGER
from activities.cluster.errors import ApiError, ClusterUnreachableError
from activities.cluster.observation import ObservationActivities
from activities.cluster.preflight import ATTEMPTS, Preflight, PreflightActivities
from canary.observation import Observation
from canary.problem import Problem
from canary.spec import CanarySpec, TargetRef, WorkloadKind
from sandbox.istio import DEFINITIONS
from tests.activities.cluster.member import NAMESPACE, ONLINE, Member, Object, Providers, given, spec
from tests.activities.cluster.story import Story

DAEMON_SET = spec(WorkloadKind.DAEMON_SET)
OF_AN_APPLICATION = spec(application="default/podinfo")


@pytest.fixture
async def meshed(member: Member) -> Member:
    """A cluster with Istio, Flagger's kinds and the recorded workload."""
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    for body in [*DEFINITIONS, definition("flagger.app", "canaries", "Canary")]:
        await member.kube.create(path, body)
    await member.add(*given("canary", "Deployment"))
    return member


def definition(group: str, plural: str, kind: str) -> Object:
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": plural, "kind": kind, "singular": kind.lower(), "listKind": f"{kind}List"},
            "versions": [
                {
                    "name": "v1beta1" if group == "flagger.app" else "v1",
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": schema},
                }
            ],
        },
    }


async def look(member: Member, wanted: CanarySpec | None = None) -> Preflight:
    found: Preflight = await member.run(PreflightActivities(member, ONLINE).preflight, wanted or spec())
    return found


async def problem(member: Member, wanted: CanarySpec | None = None) -> Problem:
    """The only problem there is."""
    (found,) = (await look(member, wanted)).problems
    return found


def named(kind: str, name: str, version: str, **fields: Any) -> Object:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name}, "spec": fields}


async def test_nothing_speaks_against_a_workload_by_itself(meshed: Member) -> None:
    found = await look(meshed)

    assert found.model_copy(update={"seen": None}) == Preflight(
        scale_down_delay=meshed.api.settings.scale_down_delay, provider_errors=()
    )


async def told_of(member: Member, providers: Providers, **fields: Any) -> tuple[str, ...] | None:
    """Which providers are told not to answer."""
    act = PreflightActivities(member, providers).preflight
    found: Preflight = await member.run(act, spec(**fields))
    return found.provider_errors


async def test_a_canary_that_is_about_to_begin_is_told_whose_metrics_are_not_to_be_had(
    meshed: Member,
) -> None:
    assert await told_of(meshed, Providers("Prometheus prom:9090 is away")) == (
        "Prometheus prom:9090 is away",
    )


async def test_providers_are_asked_for_nobody_else(meshed: Member) -> None:
    providers = Providers()
    unwatched = await told_of(meshed, providers, skip_analysis=True)
    refused = await told_of(meshed, providers, target=TargetRef(name="gone"))
    (primary,) = given("canary", "Deployment")
    primary["metadata"]["name"] = "podinfo-primary"
    await meshed.add(primary)
    begun = await told_of(meshed, providers)

    assert (unwatched, refused, begun) == (None, None, None)
    assert providers.asked == []


async def test_whoever_applies_does_not_wait_for_a_provider_that_hangs(
    meshed: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight, "ANSWERED_WITHIN", 0.05)
    providers = Providers()
    providers.hangs.clear()

    assert await told_of(meshed, providers) is None
    assert providers.asked == [spec()]


async def told_twice(member: Member, providers: Providers, **second: Any) -> int:
    """How often providers are asked by one canary and, a moment later, by another."""
    act = PreflightActivities(member, providers).preflight
    for fields in ({}, second):
        await member.run(act, spec(**fields))
    return len(providers.asked)


async def test_a_provider_that_has_just_answered_is_not_asked_by_every_canary(
    meshed: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await told_twice(meshed, Providers()) == 1
    assert await told_twice(meshed, Providers("it is away")) == 2
    assert await told_twice(meshed, Providers(), metrics_server="http://prom:9090") == 2
    monkeypatch.setattr(preflight, "STILL_ANSWERING", 0.0)
    assert await told_twice(meshed, Providers()) == 2


async def test_a_secret_of_a_provider_that_cannot_be_read_speaks_against_no_document(meshed: Member) -> None:
    providers = Providers()
    providers.errors = AsyncMock(side_effect=ApiError(503, "", "later", "GET secrets"))  # type: ignore[method-assign]

    assert await told_of(meshed, providers) is None


async def test_what_it_sees_is_what_a_canary_begins_with(meshed: Member) -> None:
    observed: Observation = await meshed.run(ObservationActivities(meshed).observe, spec())
    seen = (await look(meshed)).seen

    assert seen is not None
    assert seen.found_at is not None
    assert seen.target is not None
    assert seen.target.revision.configs
    moments = {"at": None, "found_at": None}
    assert seen.model_copy(update=moments) == observed.model_copy(update=moments)


async def test_what_may_not_be_read_is_seen_by_whoever_begins(meshed: Member) -> None:
    await meshed.fault({"do": "status", "status": 403, "path": "/secrets/"})
    found = await look(meshed)

    assert (found.problems, found.seen) == ((), None)


async def test_a_cluster_without_a_mesh_is_looked_at_all_the_same(member: Member) -> None:
    await member.add(*given("canary", "Deployment"))

    assert (await look(member)).problems == ()


async def test_a_workload_that_is_not_there_is_named(meshed: Member) -> None:
    await meshed.delete("Deployment", "podinfo")
    found = await problem(meshed)

    assert found.message == "Deployment podinfo in namespace default of member1 not found"
    assert (found.path, found.is_missing) == ("spec.targetRef.name", True)


async def test_of_an_application_what_is_missing_is_a_condition(meshed: Member) -> None:
    await meshed.delete("Deployment", "podinfo")
    found = await look(meshed, OF_AN_APPLICATION.model_copy(update={"autoscaler": "podinfo"}))

    assert found.problems == ()
    assert found.conditions == (
        "Deployment podinfo in namespace default of member1 not found",
        "Service podinfo in namespace default of member1 not found",
        "HorizontalPodAutoscaler podinfo in namespace default of member1 not found",
    )


async def test_a_selector_without_a_known_label_is_refused(meshed: Member) -> None:
    await meshed.delete("Deployment", "podinfo")
    (body,) = given("canary", "Deployment")
    body["spec"]["selector"]["matchLabels"] = {"tier": "web"}
    await meshed.add(body)

    assert "spec.selector.matchLabels must contain one of app, name" in (await problem(meshed)).message


async def test_a_label_that_leaves_no_room_for_the_primarys_is_refused(meshed: Member) -> None:
    await meshed.delete("Deployment", "podinfo")
    (body,) = given("canary", "Deployment")
    long = {"app": "x" * 56}
    body["spec"]["selector"]["matchLabels"] = body["spec"]["template"]["metadata"]["labels"] = long
    await meshed.add(body)

    assert "it may have 55 characters" in (await problem(meshed)).message


async def test_an_update_strategy_that_does_not_update_is_refused(meshed: Member) -> None:
    (body,) = given("daemonset", "DaemonSet")
    body["spec"]["updateStrategy"] = {"type": "OnDelete"}
    await meshed.add(body)
    found = await problem(meshed, DAEMON_SET)

    assert (found.is_warning, "use RollingUpdate" in found.message) == (False, True)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        pytest.param({"strategy": {"type": "Recreate", "rollingUpdate": None}}, "Recreate", id="recreate"),
        pytest.param({"paused": True}, "kubectl rollout resume deployment/podinfo -n default", id="paused"),
    ],
)
async def test_a_workload_that_updates_oddly_is_warned_of(meshed: Member, change: Object, text: str) -> None:
    await meshed.change("Deployment", "podinfo", {"spec": change})
    found = await problem(meshed)

    assert found.is_warning
    assert text in found.message


async def test_a_port_that_its_service_lacks_is_refused(meshed: Member) -> None:
    await meshed.add(named("Service", "podinfo", "v1", ports=[{"port": 80}]))
    found = await problem(meshed)

    assert (found.path, found.message) == (
        "spec.service.port",
        "Service podinfo has no port 9898; it has 80",
    )


MAIN = {"name": "http", "port": 9898}
METRICS = {"name": "http-metrics", "port": 9797}
BOTH = ("istio-system/public-gateway", "mesh")


@pytest.mark.parametrize(
    ("fields", "others", "expected"),
    [
        pytest.param({}, [METRICS], "", id="the sides have them too"),
        pytest.param(
            {"gateways": BOTH},
            [METRICS, {"port": 81, "name": "web"}],
            "(http-metrics 9797, web 81) lead nowhere in the mesh",
            id="a gateway finds a side by its only port",
        ),
        pytest.param(
            {"gateways": BOTH, "hosts": ("app.example.com",)},
            [METRICS],
            "(http-metrics 9797) lead to port 9898 in the mesh",
            id="the routes name a port",
        ),
        pytest.param(
            {"gateways": BOTH, "port_discovery": True},
            [METRICS],
            "(http-metrics 9797) lead to port 9898 in the mesh",
            id="the routes name a port for the gateway",
        ),
        pytest.param({"gateways": BOTH[:1]}, [METRICS], "", id="sidecars have no routes"),
        pytest.param(
            {"gateways": BOTH},
            [{"name": "dns", "port": 53, "protocol": "UDP"}],
            "",
            id="nothing of the mesh's",
        ),
        pytest.param({"gateways": BOTH}, [], "", id="one port"),
    ],
)
async def test_other_ports_of_the_service_are_warned_of(
    meshed: Member, fields: Object, others: list[Object], expected: str
) -> None:
    await meshed.add(named("Service", "podinfo", "v1", ports=[MAIN, *others]))
    service = spec().service.model_copy(update=fields)
    found = (await look(meshed, spec(service=service))).problems

    text = f"Requests for other ports of Service podinfo {expected}: give them a Service of their own"
    told = [text] if expected else []
    assert [(one.path, one.message) for one in found] == [("spec.service.port", text) for text in told]
    assert all(one.is_warning for one in found)


async def test_the_sides_of_a_service_as_target_lack_its_other_ports(meshed: Member) -> None:
    await meshed.add(named("Service", "podinfo", "v1", selector={"app": "a"}, ports=[MAIN, METRICS]))
    (found,) = (await look(meshed, spec(WorkloadKind.SERVICE))).problems

    assert "(http-metrics 9797) lead nowhere in the mesh" in found.message


async def test_an_autoscaler_that_is_not_there_is_named(meshed: Member) -> None:
    found = await problem(meshed, spec(autoscaler="podinfo"))

    assert found.path == "spec.autoscalerRef.name"
    assert "HorizontalPodAutoscaler podinfo in namespace default of member1 not found" in found.message


async def test_a_target_of_flaggers_is_refused(meshed: Member) -> None:
    reference = {"kind": "Deployment", "name": "podinfo"}
    await meshed.add(named("Canary", "theirs", "flagger.app/v1beta1", targetRef=reference))
    found = await problem(meshed)

    assert found.message.endswith("(kubectl delete canary theirs -n default)")
    assert not found.is_warning


async def test_what_stands_where_the_primary_shall_be_is_refused(meshed: Member) -> None:
    (body,) = given("canary", "Deployment")
    body["metadata"]["name"] = "podinfo-primary"
    await meshed.add(body)

    assert (
        "Deployment podinfo-primary in namespace default is there already" in (await problem(meshed)).message
    )


async def test_our_own_primary_is_no_obstacle(meshed: Member) -> None:
    await meshed.add(*given("canary", "ConfigMap", "Secret"))
    await Story(meshed).create()

    assert (await look(meshed)).problems == ()


@pytest.mark.parametrize(
    ("namespace", "hosts", "is_refused"),
    [
        pytest.param("default", ["podinfo"], True, id="by its short name"),
        pytest.param("default", ["podinfo.default.svc.cluster.local"], True, id="by its full name"),
        pytest.param("kube-system", ["podinfo.default"], True, id="from another namespace"),
        pytest.param("kube-system", ["podinfo"], False, id="another namespace's own"),
        pytest.param("default", ["other"], False, id="another host"),
    ],
)
async def test_another_route_for_the_same_host_is_refused(
    meshed: Member, namespace: str, hosts: list[str], *, is_refused: bool
) -> None:
    route = {"route": [{"destination": {"host": "x"}}]}
    body = named("VirtualService", "other", "networking.istio.io/v1beta1", hosts=hosts, http=[route])
    await meshed.kube.create(paths.collection("VirtualService", namespace), body)
    found = (await look(meshed)).problems

    assert [one.path for one in found] == ["spec.service.hosts"] * is_refused


POLICIES = [
    pytest.param(
        "AuthorizationPolicy", "security.istio.io/v1beta1", {"selector": {"matchLabels": {"app": "podinfo"}}}
    ),
    pytest.param(
        "PeerAuthentication", "security.istio.io/v1beta1", {"selector": {"matchLabels": {"app": "podinfo"}}}
    ),
    pytest.param(
        "RequestAuthentication",
        "security.istio.io/v1beta1",
        {"selector": {"matchLabels": {"app": "podinfo"}}},
    ),
    pytest.param(
        "NetworkPolicy", "networking.k8s.io/v1", {"podSelector": {"matchLabels": {"app": "podinfo"}}}
    ),
    pytest.param(
        "NetworkPolicy",
        "networking.k8s.io/v1",
        {"podSelector": {}, "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "podinfo"}}}]}]},
        id="a neighbour's NetworkPolicy that lets it in",
    ),
    pytest.param(
        "NetworkPolicy",
        "networking.k8s.io/v1",
        {"podSelector": {"matchExpressions": [{"key": "app", "operator": "In", "values": ["podinfo", "b"]}]}},
        id="by an expression",
    ),
]


@pytest.mark.parametrize(("kind", "version", "fields"), POLICIES)
async def test_a_policy_that_would_stop_matching_is_refused_unless_accepted(
    meshed: Member, kind: str, version: str, fields: Object
) -> None:
    await meshed.add(named(kind, "guard", version, **fields))
    refused = await problem(meshed)
    accepted = await problem(meshed, spec(accepted_policies=(f"{kind}/guard",)))

    assert refused.message == (
        f"{kind} guard in namespace default selects the pods of podinfo, but will not select those of "
        "podinfo-primary, which carry app=podinfo-primary and serve the users: "
        f"select by another label, or accept it: acceptedPolicies: [{kind}/guard]"
    )
    assert (refused.is_warning, accepted.is_warning) == (False, True)


ROOT = "istio-system"
WEB = {"selector": {"matchLabels": {"app": "podinfo"}}}


async def add_to(member: Member, namespace: str, body: Object) -> None:
    await member.kube.create(paths.collection(body["kind"], namespace), body)


@pytest.fixture
async def rooted(meshed: Member) -> Member:
    """A cluster whose mesh has a root namespace."""
    for name in (ROOT, "mesh"):
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        await meshed.kube.create("/api/v1/namespaces", body)
    return meshed


@pytest.mark.parametrize("kind", ["AuthorizationPolicy", "PeerAuthentication", "RequestAuthentication"])
async def test_a_policy_of_the_mesh_that_would_stop_matching_is_refused_unless_accepted(
    rooted: Member, kind: str
) -> None:
    await add_to(rooted, ROOT, named(kind, "guard", "security.istio.io/v1beta1", **WEB))
    refused = await problem(rooted)
    own = await problem(rooted, spec(accepted_policies=(f"{kind}/guard",)))
    accepted = await problem(rooted, spec(accepted_policies=(f"{kind}/{ROOT}/guard",)))

    assert refused.message.startswith(f"{kind} guard in namespace {ROOT} selects the pods of podinfo, but ")
    assert refused.message.endswith(f"or accept it: acceptedPolicies: [{kind}/{ROOT}/guard]")
    assert [one.is_warning for one in (refused, own, accepted)] == [False, False, True]


async def test_a_filter_of_the_mesh_that_would_be_missed_is_told(rooted: Member) -> None:
    selector = {"labels": {"app": "podinfo"}}
    body = named("EnvoyFilter", "mine", "networking.istio.io/v1alpha3", workloadSelector=selector)
    await add_to(rooted, ROOT, body)
    found = await problem(rooted)

    assert found.is_warning
    assert found.message.startswith(f"EnvoyFilter mine in namespace {ROOT} selects ")


async def test_policies_of_another_namespace_or_for_everybody_are_none_of_our_business(
    rooted: Member,
) -> None:
    await add_to(rooted, "mesh", named("AuthorizationPolicy", "a", "security.istio.io/v1beta1", **WEB))
    await add_to(rooted, ROOT, named("AuthorizationPolicy", "b", "security.istio.io/v1beta1"))
    network = named("NetworkPolicy", "c", "networking.k8s.io/v1", podSelector=WEB["selector"])
    await add_to(rooted, ROOT, network)

    assert (await look(rooted)).problems == ()


BY_LABEL = {"podSelector": {"matchLabels": {"app": "podinfo"}}}
HERE = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": NAMESPACE}}}
OF_A_TEAM = {"namespaceSelector": {"matchLabels": {"team": "web"}}}


def database(*peers: Object, way: str = "ingress") -> Object:
    """A policy of a database, elsewhere, that lets these peers in, or itself out to them."""
    rule = {"from" if way == "ingress" else "to": list(peers)}
    return named("NetworkPolicy", "database", "networking.k8s.io/v1", podSelector={}, **{way: [rule]})


@pytest.mark.parametrize(
    "policy",
    [
        pytest.param(database(BY_LABEL | HERE), id="lets it in by the name of its namespace"),
        pytest.param(database(BY_LABEL | OF_A_TEAM), id="by another label of its namespace"),
        pytest.param(database(BY_LABEL | HERE, way="egress"), id="goes to it"),
        pytest.param(database({"ipBlock": {"cidr": "10.0.0.0/8"}}, BY_LABEL | HERE), id="among others"),
    ],
)
async def test_a_database_elsewhere_that_would_shut_the_primary_out_is_named(
    rooted: Member, policy: Object
) -> None:
    """The canary's pods could ask it, and the primary's, which serve the users, could not."""
    labels = {"metadata": {"labels": {"team": "web"}}}
    await rooted.kube.patch(f"/api/v1/namespaces/{NAMESPACE}", labels, fieldManager="test")
    await add_to(rooted, "mesh", policy)
    refused = await problem(rooted)
    accepted = await problem(rooted, spec(accepted_policies=("NetworkPolicy/mesh/database",)))

    assert refused.message.startswith(
        "NetworkPolicy database in namespace mesh selects the pods of podinfo, "
    )
    assert (refused.is_warning, accepted.is_warning) == (False, True)


@pytest.mark.parametrize(
    "policy",
    [
        pytest.param(database(BY_LABEL), id="peers of its own namespace"),
        pytest.param(database(BY_LABEL | OF_A_TEAM), id="peers of others' namespaces"),
        pytest.param(database(HERE), id="everybody of our namespace"),
        pytest.param(database({"namespaceSelector": {}}), id="everybody"),
    ],
)
async def test_a_database_elsewhere_that_means_others_is_none_of_our_business(
    rooted: Member, policy: Object
) -> None:
    await add_to(rooted, "mesh", policy)

    assert (await look(rooted)).problems == ()


async def test_policies_of_one_namespace_are_looked_at_where_those_of_all_may_not_be(rooted: Member) -> None:
    await rooted.add(named("NetworkPolicy", "guard", "networking.k8s.io/v1", **BY_LABEL))
    await rooted.fault({"do": "status", "status": 403, "path": "networking.k8s.io/v1/networkpolicies"})
    hidden, refused = (await look(rooted)).problems

    assert hidden.is_warning
    assert hidden.message.startswith(
        "The worker may not look at NetworkPolicy of other namespaces in member1"
    )
    assert refused.message.startswith("NetworkPolicy guard in namespace default selects the pods of podinfo")


async def test_a_namespace_whose_labels_may_not_be_read_is_told(rooted: Member) -> None:
    """A policy may mean it by them; the label that Kubernetes gives it is known all the same."""
    await add_to(rooted, "mesh", database(BY_LABEL | OF_A_TEAM))
    await rooted.fault({"do": "status", "status": 403, "path": f"/api/v1/namespaces/{NAMESPACE}$"})
    (hidden,) = (await look(rooted)).problems
    await add_to(rooted, ROOT, database(BY_LABEL | HERE))
    _, refused = (await look(rooted)).problems

    assert hidden.is_warning
    assert hidden.message.startswith(f"The worker may not look at Namespace {NAMESPACE} in member1")
    assert refused.message.startswith(f"NetworkPolicy database in namespace {ROOT} selects the pods of")


async def test_the_root_namespace_is_the_clusters_to_name(rooted: Member) -> None:
    await add_to(rooted, "mesh", named("AuthorizationPolicy", "guard", "security.istio.io/v1beta1", **WEB))
    rooted.api.settings = replace(rooted.api.settings, root_namespace="mesh")

    assert "AuthorizationPolicy guard in namespace mesh" in (await problem(rooted)).message


async def test_a_canary_in_the_root_namespace_is_told_once(meshed: Member) -> None:
    await meshed.add(named("AuthorizationPolicy", "guard", "security.istio.io/v1beta1", **WEB))
    meshed.api.settings = replace(meshed.api.settings, root_namespace=NAMESPACE)

    assert "[AuthorizationPolicy/guard]" in (await problem(meshed)).message


async def test_what_may_not_be_listed_of_the_mesh_is_told_with_the_missing_right(rooted: Member) -> None:
    await add_to(rooted, ROOT, named("AuthorizationPolicy", "guard", "security.istio.io/v1beta1", **WEB))
    await rooted.fault({"do": "status", "status": 403, "path": f"/namespaces/{ROOT}/authorizationpolicies"})
    found = await problem(rooted)

    assert found.is_warning
    assert found.message.startswith(
        f"The worker may not look at AuthorizationPolicy of namespace {ROOT} in member1: whether one of them"
    )


async def test_an_autoscaler_that_may_not_be_looked_for_is_not_missing(meshed: Member) -> None:
    await meshed.fault({"do": "status", "status": 403, "path": "horizontalpodautoscalers"})
    found = await problem(meshed, spec(autoscaler="podinfo"))

    assert found.message.startswith("The worker may not look at HorizontalPodAutoscaler in member1")


@pytest.mark.parametrize(
    "selector",
    [
        pytest.param({}, id="all pods"),
        pytest.param({"matchLabels": {"tier": "web"}}, id="by a label that stays"),
        pytest.param({"matchLabels": {"app": "other"}}, id="other pods"),
        pytest.param({"matchExpressions": [{"key": "app", "operator": "Exists"}]}, id="by any value"),
        pytest.param(
            {"matchExpressions": [{"key": "x", "operator": "DoesNotExist"}]}, id="by what is missing"
        ),
        pytest.param(
            {"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["x"]}]},
            id="by what it is not",
        ),
    ],
)
async def test_a_policy_that_goes_on_matching_is_none_of_our_business(
    meshed: Member, selector: Object
) -> None:
    await meshed.add(named("NetworkPolicy", "guard", "networking.k8s.io/v1", podSelector=selector))

    assert (await look(meshed)).problems == ()


@pytest.mark.parametrize(
    ("kind", "version", "fields"),
    [
        pytest.param("PodDisruptionBudget", "policy/v1", {"selector": {"matchLabels": {"app": "podinfo"}}}),
        pytest.param(
            "PodMonitor", "monitoring.coreos.com/v1", {"selector": {"matchLabels": {"app": "podinfo"}}}
        ),
        pytest.param(
            "Sidecar", "networking.istio.io/v1beta1", {"workloadSelector": {"labels": {"app": "podinfo"}}}
        ),
        pytest.param(
            "EnvoyFilter",
            "networking.istio.io/v1alpha3",
            {"workloadSelector": {"labels": {"app": "podinfo"}}},
        ),
        pytest.param(
            "DestinationRule",
            "networking.istio.io/v1beta1",
            {"host": "podinfo.default.svc.cluster.local", "trafficPolicy": {"tls": {"mode": "DISABLE"}}},
        ),
    ],
)
async def test_what_would_be_missed_is_told(meshed: Member, kind: str, version: str, fields: Object) -> None:
    if kind == "PodMonitor":
        path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        await meshed.kube.create(path, definition("monitoring.coreos.com", "podmonitors", kind))
    await meshed.add(named(kind, "mine", version, **fields))
    found = await problem(meshed)

    assert found.is_warning
    assert found.message.startswith(f"{kind} mine ")


async def test_what_may_not_be_listed_is_told(meshed: Member) -> None:
    await meshed.fault({"do": "status", "status": 403, "path": "networkpolicies|/virtualservices"})
    found = await problem(meshed)

    assert found.is_warning
    assert found.message.startswith("The worker may not look at VirtualService, NetworkPolicy in member1")


async def test_a_cluster_that_refuses_is_a_problem(meshed: Member) -> None:
    await meshed.fault({"do": "status", "status": 403, "path": "deployments"})
    found = await problem(meshed)

    assert (found.path, found.is_unreachable) == ("cluster", False)
    assert found.message.startswith("Cluster member1 refuses to be looked at: GET /apis/apps/v1")


async def test_a_cluster_that_fails_is_asked_again_and_then_told(meshed: Member) -> None:
    await meshed.fault({"do": "status", "status": 503, "path": "deployments"})
    environment = ActivityEnvironment()
    with pytest.raises(ApiError):
        await environment.run(PreflightActivities(meshed, ONLINE).preflight, spec())
    last = ActivityEnvironment()
    last.info = replace(last.info, attempt=ATTEMPTS)
    (found,) = (await last.run(PreflightActivities(meshed, ONLINE).preflight, spec())).problems

    assert found.is_unreachable


@pytest.mark.parametrize(
    ("cause", "attempt", "is_told"),
    [(OSError(), 1, False), (OSError(), ATTEMPTS, True), (TimeoutError(), 1, True)],
)
async def test_a_connection_that_is_not_made_is_tried_again_and_silence_told(
    meshed: Member, monkeypatch: pytest.MonkeyPatch, *, cause: Exception, attempt: int, is_told: bool
) -> None:
    """Whoever applies waits: not three times as long as an answer may take."""
    monkeypatch.setattr(meshed, "get", AsyncMock(side_effect=ClusterUnreachableError("member1", cause)))
    environment = ActivityEnvironment()
    environment.info = replace(environment.info, attempt=attempt)
    asked = environment.run(PreflightActivities(meshed, ONLINE).preflight, spec())
    if not is_told:
        with pytest.raises(ClusterUnreachableError):
            await asked
        return

    (found,) = (await asked).problems
    assert found.is_unreachable


async def test_who_applies_what_a_rollout_changes_is_told(meshed: Member) -> None:
    await meshed.delete("Deployment", "podinfo")
    (body,) = given("canary", "Deployment")
    service = named("Service", "podinfo", "v1", selector={"app": "podinfo"}, ports=[{"port": 9898}])
    await meshed.kube.apply(paths.one("Deployment", NAMESPACE, "podinfo"), body, manager="argocd-controller")
    await meshed.kube.create(
        paths.collection("Service", NAMESPACE), service, fieldManager="kubectl-client-side-apply"
    )
    found = (await look(meshed)).problems

    assert [one.is_warning for one in found] == [True, True]
    assert [one.message for one in found] == [
        (
            "argocd-controller sets spec.replicas of Deployment podinfo, which a rollout changes, and would "
            "undo it: give its Application ignoreDifferences with jsonPointers [/spec/replicas], and "
            "RespectIgnoreDifferences=true"
        ),
        (
            "kubectl-client-side-apply sets spec.selector of Service podinfo, which a rollout changes, and "
            "would undo it: leave selector out of the manifest"
        ),
    ]


@pytest.mark.parametrize("manager", [ROLLOUT_MANAGER, SOURCE_MANAGER])
async def test_we_are_nobody_else(meshed: Member, manager: str) -> None:
    await meshed.delete("Deployment", "podinfo")
    (body,) = given("canary", "Deployment")
    await meshed.kube.apply(paths.one("Deployment", NAMESPACE, "podinfo"), body, manager=manager)

    assert (await look(meshed)).problems == ()


async def test_a_second_service_in_front_of_the_pods_is_told(meshed: Member) -> None:
    """It would lead to nobody once the target is at zero, and to un-judged pods in a rollout."""
    ports = [{"port": 9797}]
    for name, selector in (("metrics", {"app": "podinfo"}), ("other", {"app": "other"})):
        await meshed.add(named("Service", name, "v1", selector=selector, ports=ports))
    await meshed.add(named("Service", "podinfo-canary", "v1", selector={"app": "podinfo"}, ports=ports))
    found = await problem(meshed)

    assert found.is_warning
    assert found.message == (
        "Service metrics in namespace default selects the pods of podinfo, but will not select those of "
        "podinfo-primary, which carry app=podinfo-primary and serve the users: it would lead to nobody, "
        "and in a rollout to the canary alone; let it select app=podinfo-primary"
    )


async def test_a_service_that_we_made_gets_another_port(meshed: Member) -> None:
    body = named("Service", "podinfo", "v1", ports=[{"port": 80}])
    body["metadata"]["labels"] = {marks.CANARY: "podinfo"}
    await meshed.add(body)

    assert (await look(meshed)).problems == ()
