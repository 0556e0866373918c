from collections.abc import Callable
from copy import deepcopy
from datetime import timedelta
from typing import Any

import pytest

from canary.application import ApplicationSpec, ClusterRef, GitSource, SecretKey
from canary.documents.resolve import resolve
from canary.spec import (
    AnalysisSpec,
    CanarySpec,
    ObjectMetadata,
    StepPlan,
    TestLoader,
    ThresholdRange,
    WorkloadKind,
)
from tests.canary.examples import GONE, change, read

Object = dict[str, Any]
ROUTING = "rolloutPolicy.trafficRouting"
ANALYSIS = "rolloutPolicy.trafficAnalysis"
MISSING_CLUSTER = (
    "spec.syncPolicies[0].destination.fleet: warning: AttachedCluster default/kurator-member2 of this fleet "
    "not found: pass it with -f, unless the workers know the cluster by its name"
)


@pytest.fixture
def application() -> Object:
    return deepcopy(read("canary.yaml")[0])


@pytest.fixture
def rollout(application: Object) -> Object:
    return application["spec"]["syncPolicies"][0]["rollout"]


@pytest.fixture
def fleet() -> list[Any]:
    return read("fleet.yaml")


def spec_of(*documents: Any) -> ApplicationSpec:
    resolution = resolve(documents)

    assert [str(mistake) for mistake in resolution.mistakes if not mistake.is_warning] == []
    return resolution.applications[0].spec


def canary_of(*documents: Any) -> CanarySpec:
    return spec_of(*documents).policies[0].canaries[0]


def test_follows_the_branch_of_the_repository(application: Object, fleet: list[Object]) -> None:
    assert spec_of(application, *fleet).source == GitSource(
        url="https://git.example.com/shop.git",
        branch="main",
        interval=timedelta(minutes=1),
        timeout=timedelta(minutes=1),
    )


def test_follows_master_where_no_revision_is_named(application: Object, fleet: list[Object]) -> None:
    del application["spec"]["source"]["gitRepository"]["ref"]

    assert spec_of(application, *fleet).source.branch == "master"


def test_follows_a_tag_without_a_branch(application: Object, fleet: list[Object]) -> None:
    application["spec"]["source"]["gitRepository"]["ref"] = {"tag": "v1.2.0"}

    source = spec_of(application, *fleet).source

    assert (source.branch, source.tag) == (None, "v1.2.0")


def test_delivers_every_policy_to_every_cluster_of_the_fleet(
    application: Object, fleet: list[Object]
) -> None:
    clusters = tuple(
        ClusterRef(name=name, kubeconfig=SecretKey(namespace="default", name=name, key=f"{name}.config"))
        for name in ("kurator-member1", "kurator-member2")
    )

    spec = spec_of(application, *fleet)

    assert [policy.clusters for policy in spec.policies] == [clusters, clusters]


def test_names_policies_after_the_application_unless_they_have_a_name(
    application: Object, fleet: list[Object]
) -> None:
    application["spec"]["syncPolicies"][1]["name"] = "extras"

    assert [policy.name for policy in spec_of(application, *fleet).policies] == ["shop-0", "extras"]


def test_reads_how_a_folder_is_applied(application: Object, fleet: list[Object]) -> None:
    first, second = spec_of(application, *fleet).policies

    assert (first.path, first.interval, first.prune) == ("./deploy/webapp", timedelta(0), True)
    assert (second.target_namespace, second.interval) == ("default", timedelta(minutes=5))


@pytest.mark.proves("K1")
def test_makes_one_canary_for_each_cluster_named_after_the_workload(
    application: Object, fleet: list[Object]
) -> None:
    """Kurator makes a Canary by the workload's name and looks for it by its Service's.

    K1: Kurator's rollout_helper.go.
    """
    canaries = spec_of(application, *fleet).policies[0].canaries

    assert [canary.tail for canary in canaries] == [
        "kurator-member1/webapp/Deployment/backend",
        "kurator-member2/webapp/Deployment/backend",
    ]
    assert {(canary.name, canary.application) for canary in canaries} == {("backend", "default/shop")}


def test_reads_the_strategy_and_the_analysis(application: Object, fleet: list[Object]) -> None:
    canary = canary_of(application, *fleet)

    assert canary.analysis.steps == StepPlan(step_weight=10, max_weight=50)
    assert (canary.analysis.interval, canary.analysis.threshold) == (timedelta(seconds=90), 2)
    assert canary.progress_deadline == timedelta(seconds=600)
    assert [(metric.name, metric.threshold_range) for metric in canary.analysis.metrics] == [
        ("request-success-rate", ThresholdRange(min=99)),
        ("request-duration", ThresholdRange(max=500)),
        ("busy-workers", ThresholdRange(max=20)),
    ]


def test_reads_the_service(application: Object, fleet: list[Object]) -> None:
    service = canary_of(application, *fleet).service

    assert (service.name, service.port, service.timeout) == ("backend", 9898, "60s")
    assert (service.gateways, service.hosts) == (("istio-system/public-gateway",), ("backend.webapp",))


def test_leaves_the_target_port_to_the_service_in_the_cluster(
    application: Object, fleet: list[Object]
) -> None:
    assert canary_of(application, *fleet).service.target_port is None


def test_passes_istios_structures_on_as_written(
    application: Object, rollout: Object, fleet: list[Object]
) -> None:
    routing = rollout["rolloutPolicy"]["trafficRouting"]
    routing["retries"] = {"attempts": 3, "perTryTimeout": "2s"}
    routing["headers"] = {"request": {"add": {"x-some-header": "value"}}}
    routing["corsPolicy"] = {"allowOrigins": [{"exact": "https://example.com"}], "maxAge": "24h"}

    service = canary_of(application, *fleet).service

    assert service.retries == routing["retries"]
    assert service.headers == routing["headers"]
    assert service.cors_policy == routing["corsPolicy"]


@pytest.mark.proves("K4")
def test_sets_no_timeout_where_none_is_given(
    application: Object, rollout: Object, fleet: list[Object]
) -> None:
    """Kurator writes `0s`, or panics, where an optional timeout is left out.

    K4: Kurator's rollout_helper.go.
    """
    del rollout["rolloutPolicy"]["trafficRouting"]["timeoutSeconds"]

    assert canary_of(application, *fleet).service.timeout is None


def test_calls_each_command_through_the_private_load_tester(
    application: Object, rollout: Object, fleet: list[Object]
) -> None:
    rollout["rolloutPolicy"]["trafficAnalysis"]["webhooks"] = {"command": ["hey -z 1m", "wrk"]}

    canary = canary_of(application, *fleet)

    assert [(hook.name, hook.url, hook.metadata, hook.timeout) for hook in canary.analysis.webhooks] == [
        (f"generated-testload-{index}", "http://backend-testloader.webapp/", metadata, timedelta(seconds=60))
        for index, metadata in enumerate(({"type": "cmd", "cmd": "hey -z 1m"}, {"type": "cmd", "cmd": "wrk"}))
    ]


@pytest.mark.proves("K2")
def test_names_the_load_tester_after_the_workload_also_where_the_service_differs(
    application: Object, rollout: Object, fleet: list[Object]
) -> None:
    """Kurator calls it by the Service's name, at an address where nothing listens.

    K2: Kurator's rollout_helper.go.
    """
    rollout["serviceName"] = "front"

    canary = canary_of(application, *fleet)

    assert canary.test_loader == TestLoader(name="backend-testloader")
    assert canary.analysis.webhooks[0].url == "http://backend-testloader.webapp/"
    assert (canary.name, canary.service.name) == ("backend", "front")


def test_calls_the_public_load_tester_of_each_cluster_otherwise(
    application: Object, rollout: Object, fleet: list[Object]
) -> None:
    rollout["testLoader"] = False

    canaries = spec_of(application, *fleet).policies[0].canaries

    assert [canary.analysis.webhooks[0].url for canary in canaries] == [
        "http://istio-system-testloader-kurator-member1-loadtester.istio-system/",
        "http://istio-system-testloader-kurator-member2-loadtester.istio-system/",
    ]
    assert canaries[0].test_loader is None


@pytest.mark.parametrize(
    ("plugin", "expected"),
    [
        pytest.param({"flagger": {"publicTestloader": True}}, True, id="wanted"),
        pytest.param({"flagger": {"publicTestloader": False}}, False, id="not wanted"),
        pytest.param({"flagger": {}}, False, id="not said"),
        pytest.param({}, False, id="no rollout plugin"),
    ],
)
def test_a_public_load_tester_is_brought_with_every_policy_of_a_fleet_that_wants_one(
    application: Object,
    fleet: list[Object],
    plugin: Object,
    expected: bool,  # noqa: FBT001 — a column of the table
) -> None:
    for given in plugin.values():
        given["trafficRoutingProvider"] = "istio"
    fleet[0]["spec"]["plugin"] = plugin

    assert [policy.public_test_loader for policy in spec_of(application, *fleet).policies] == [expected] * 2


def test_without_a_fleet_there_is_no_public_load_tester(application: Object) -> None:
    for policy in application["spec"]["syncPolicies"]:
        del policy["destination"]

    assert not any(policy.public_test_loader for policy in spec_of(application).policies)


@pytest.mark.proves("K4")
def test_an_interval_that_is_left_out_is_a_minute(
    application: Object, rollout: Object, fleet: list[Object]
) -> None:
    """Kurator's API says that it defaults to 60, and its code dereferences nil.

    K4: Kurator's rollout_helper.go.
    """
    analysis = rollout["rolloutPolicy"]["trafficAnalysis"]
    del analysis["checkIntervalSeconds"], analysis["metrics"][0]["intervalSeconds"]

    spec = canary_of(application, *fleet).analysis

    assert (spec.interval, spec.metrics[0].interval) == (timedelta(minutes=1), timedelta(minutes=1))


@pytest.mark.proves("K4")
@pytest.mark.parametrize(
    ("place", "default"),
    [
        pytest.param("testLoader", lambda spec: spec.test_loader is None, id="testLoader"),
        pytest.param("trafficRoutingProvider", lambda spec: spec.name == "backend", id="provider"),
        pytest.param(
            "workload.apiVersion", lambda spec: spec.target.api_version == "apps/v1", id="apiVersion"
        ),
        pytest.param("primary", lambda spec: spec.service.primary_metadata == ObjectMetadata(), id="primary"),
        pytest.param("preview", lambda spec: spec.service.canary_metadata == ObjectMetadata(), id="preview"),
        pytest.param(f"{ROUTING}.gateways", lambda spec: spec.service.gateways == (), id="gateways"),
        pytest.param(f"{ROUTING}.hosts", lambda spec: spec.service.hosts == (), id="hosts"),
        pytest.param(f"{ROUTING}.retries", lambda spec: spec.service.retries is None, id="retries"),
        pytest.param(f"{ROUTING}.headers", lambda spec: spec.service.headers is None, id="headers"),
        pytest.param(f"{ROUTING}.corsPolicy", lambda spec: spec.service.cors_policy is None, id="corsPolicy"),
        pytest.param(f"{ROUTING}.match", lambda spec: spec.analysis.match == (), id="match"),
        pytest.param(
            f"{ROUTING}.canaryStrategy.maxWeight",
            lambda spec: spec.analysis.steps.max_weight == 100,
            id="maxWeight",
        ),
        pytest.param(
            f"{ROUTING}.canaryStrategy.stepWeightPromotion",
            lambda spec: not spec.analysis.steps.is_stepwise_back,
            id="stepWeightPromotion",
        ),
        pytest.param(f"{ANALYSIS}.metrics", lambda spec: spec.analysis.metrics == (), id="metrics"),
        pytest.param(
            f"{ANALYSIS}.metrics[0].thresholdRange",
            lambda spec: spec.analysis.metrics[0].threshold_range == ThresholdRange(),
            id="thresholdRange",
        ),
        pytest.param(f"{ANALYSIS}.webhooks", lambda spec: spec.analysis.webhooks == (), id="webhooks"),
        pytest.param(
            f"{ANALYSIS}.webhooks.timeoutSeconds",
            lambda spec: spec.analysis.webhooks[0].timeout == timedelta(minutes=1),
            id="webhooks.timeoutSeconds",
        ),
        pytest.param(
            f"{ANALYSIS}.webhooks.command", lambda spec: spec.analysis.webhooks == (), id="webhooks.command"
        ),
        pytest.param(
            f"{ANALYSIS}.sessionAffinity",
            lambda spec: spec.analysis.session_affinity is None,
            id="sessionAffinity",
        ),
        pytest.param(
            f"{ANALYSIS}.sessionAffinity.maxAge",
            lambda spec: spec.analysis.session_affinity.max_age == 86400,
            id="maxAge",
        ),
        pytest.param(
            "rolloutPolicy.skipTrafficAnalysis", lambda spec: not spec.skip_analysis, id="skipTrafficAnalysis"
        ),
        pytest.param("rolloutPolicy.suspend", lambda spec: not spec.suspend, id="suspend"),
    ],
)
def test_what_kurator_lets_out_has_its_default(
    application: Object, rollout: Object, fleet: list[Object], place: str, default: Callable[[Any], bool]
) -> None:
    """What Kurator's API lets out its controller crashes without.

    K4: Kurator's rollout_helper.go.
    """
    everything = {
        "preview": {"labels": {"a": "b"}},
        "primary": {"labels": {"a": "b"}},
        f"{ROUTING}.retries": {"attempts": 3},
        f"{ROUTING}.headers": {"request": {"remove": ["x"]}},
        f"{ROUTING}.corsPolicy": {"maxAge": "24h"},
        f"{ROUTING}.match": [{"headers": {"x": {"exact": "y"}}}],
        f"{ROUTING}.canaryStrategy.stepWeightPromotion": 20,
        f"{ANALYSIS}.sessionAffinity": {"cookieName": "x", "maxAge": 60},
        f"{ANALYSIS}.webhooks.timeoutSeconds": 30,
        "rolloutPolicy.skipTrafficAnalysis": True,
        "rolloutPolicy.suspend": True,
    }
    for where, value in everything.items():
        change(rollout, where, value)
    said = canary_of(application, *fleet)

    change(rollout, place, GONE)

    is_fixed = place in ("trafficRoutingProvider", "workload.apiVersion")  # there is one value
    assert (default(said), default(canary_of(application, *fleet))) == (is_fixed, True)


@pytest.mark.proves("K4")
def test_neither_routing_nor_analysis_is_needed_where_the_analysis_is_skipped(
    application: Object, rollout: Object, fleet: list[Object]
) -> None:
    """Without the two Kurator's controller crashes; where nothing is analysed they mean nothing.

    K4: Kurator's rollout_helper.go.
    """
    rollout["rolloutPolicy"] = {"skipTrafficAnalysis": True}
    resolution = resolve([application, *fleet])

    canary = resolution.applications[0].spec.policies[0].canaries[0]

    assert resolution.mistakes == ()
    assert (canary.skip_analysis, canary.service.hosts, canary.analysis) == (True, (), AnalysisSpec())


def test_holds_a_custom_metric_by_value(application: Object, fleet: list[Object]) -> None:
    template = canary_of(application, *fleet).analysis.metrics[2].template

    assert template is not None
    assert (template.name, template.namespace) == ("busy-workers", "webapp")
    assert template.provider.address == "http://prometheus.istio-system:9090"
    assert "shop_busy_workers" in template.query


@pytest.mark.proves("K9")
def test_two_applications_may_have_custom_metrics_of_one_name(
    application: Object, fleet: list[Object]
) -> None:
    """Kurator names a MetricTemplate by its metric only: the second overwrites the first.

    K9: Kurator's rollout_helper.go.
    """
    other = deepcopy(application)
    other["metadata"]["name"] = "other"
    other["spec"]["syncPolicies"][0]["rollout"]["workload"]["name"] = "frontend"
    other["spec"]["syncPolicies"][0]["rollout"]["rolloutPolicy"]["trafficAnalysis"]["metrics"][2][
        "customMetric"
    ]["query"] = "vector(1)"

    resolution = resolve([application, other, *fleet])

    first, second = (
        each.spec.policies[0].canaries[0].analysis.metrics[2] for each in resolution.applications
    )
    assert first.template is not None
    assert second.template is not None
    assert first.template.query != second.template.query


def test_finds_a_metric_without_a_query_among_the_metric_templates(
    application: Object, rollout: Object, fleet: list[Object]
) -> None:
    rollout["rolloutPolicy"]["trafficAnalysis"]["metrics"] = [
        {"name": "client-errors", "thresholdRange": {"max": 5}}
    ]
    template = read("metric-template.yaml")[0]
    template["spec"]["query"] = "vector(1)"

    metric = canary_of(application, *fleet, template).analysis.metrics[0]

    assert metric.template is not None
    assert metric.template.query == "vector(1)"


def test_a_built_in_metric_needs_no_template_of_its_name(application: Object, fleet: list[Object]) -> None:
    template = read("metric-template.yaml")[0]
    template["metadata"]["name"] = "request-duration"

    assert canary_of(application, *fleet, template).analysis.metrics[1].template is None


def test_a_policys_fleet_comes_before_the_applications(application: Object, fleet: list[Object]) -> None:
    for policy in application["spec"]["syncPolicies"]:
        del policy["destination"]
    application["spec"]["destination"] = {"fleet": "quickstart"}

    assert [cluster.name for cluster in spec_of(application, *fleet).clusters] == [
        "kurator-member1",
        "kurator-member2",
    ]


def test_goes_to_the_host_cluster_without_a_fleet(application: Object) -> None:
    for policy in application["spec"]["syncPolicies"]:
        del policy["destination"]

    spec = spec_of(application)

    assert spec.clusters == (ClusterRef(name="host"),)
    assert spec.policies[0].canaries[0].cluster == "host"


def test_a_cluster_that_was_not_given_is_known_by_its_name_only(
    application: Object, fleet: list[Object]
) -> None:
    resolution = resolve([application, fleet[0], fleet[1]])

    assert resolution.applications[0].spec.clusters[1] == ClusterRef(name="kurator-member2")
    assert [str(mistake) for mistake in resolution.mistakes] == [MISSING_CLUSTER]


def test_a_cluster_made_by_cluster_api_has_its_kubeconfig_in_a_secret_of_its_name(
    application: Object, fleet: list[Object]
) -> None:
    fleet[0]["spec"]["clusters"] = [{"name": "made", "kind": "Cluster"}]

    assert spec_of(application, fleet[0]).clusters[0].kubeconfig == SecretKey(
        namespace="default", name="made-kubeconfig", key="value"
    )


def test_a_kubeconfig_without_a_key_is_under_value(application: Object, fleet: list[Object]) -> None:
    del fleet[1]["spec"]["kubeconfig"]["key"]

    assert spec_of(application, *fleet).clusters[0].kubeconfig == SecretKey(
        namespace="default", name="kurator-member1", key="value"
    )


def test_reads_what_kubectl_prints_of_an_application(application: Object, fleet: list[Object]) -> None:
    application["metadata"] |= {"uid": "42ac8bce", "generation": 1, "finalizers": ["apps.kurator.dev"]}
    application["status"] = {"syncStatus": [{"name": "shop-0"}]}
    application["spec"]["source"]["gitRepository"]["gitImplementation"] = "go-git"
    application["spec"]["syncPolicies"][0]["kustomization"]["force"] = False

    assert spec_of(application, *fleet).name == "shop"


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        pytest.param({"skipTrafficAnalysis": True}, {"skip_analysis": True}, id="skips the analysis"),
        pytest.param({"suspend": True}, {"suspend": True}, id="is suspended"),
        pytest.param(
            {"rolloutTimeoutSeconds": 30}, {"progress_deadline": timedelta(seconds=30)}, id="deadline"
        ),
        pytest.param(
            {"rolloutTimeoutSeconds": None}, {"progress_deadline": timedelta(minutes=10)}, id="no deadline"
        ),
    ],
)
def test_reads_the_policy_of_a_rollout(
    application: Object, rollout: Object, fleet: list[Object], policy: Object, expected: Object
) -> None:
    rollout["rolloutPolicy"] |= policy

    canary = canary_of(application, *fleet)

    assert {name: getattr(canary, name) for name in expected} == expected


def test_no_failed_check_at_all_means_the_first_one(
    application: Object, rollout: Object, fleet: list[Object]
) -> None:
    rollout["rolloutPolicy"]["trafficAnalysis"]["checkFailedTimes"] = 0

    assert canary_of(application, *fleet).analysis.threshold == 1


def test_rolls_out_a_daemon_set(application: Object, rollout: Object, fleet: list[Object]) -> None:
    rollout["workload"]["kind"] = "DaemonSet"

    assert canary_of(application, *fleet).target.kind is WorkloadKind.DAEMON_SET
