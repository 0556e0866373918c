from copy import deepcopy
from datetime import timedelta
from typing import Any

import pytest

from canary.application import ClusterRef, SecretKey
from canary.documents.reading import Key
from canary.documents.resolve import resolve
from canary.reference import ObjectRef
from canary.spec import (
    CanarySpec,
    HookType,
    MetricProvider,
    MetricSpec,
    MetricTemplate,
    StepPlan,
    TargetRef,
    ThresholdRange,
)
from tests.canary.examples import read

Object = dict[str, Any]


@pytest.fixture
def canary() -> Object:
    return deepcopy(read("flagger-canary.yaml")[0])


@pytest.fixture
def template() -> Object:
    return read("metric-template.yaml")[0]


def spec_of(*documents: Any) -> CanarySpec:
    resolution = resolve(documents, "member")

    assert [str(mistake) for mistake in resolution.mistakes if not mistake.is_warning] == []
    return resolution.canaries[0].spec


def test_reads_target_and_life_cycle(canary: Object, template: Object) -> None:
    spec = spec_of(canary, template)

    assert spec.tail == "member/webapp/Deployment/backend"
    assert spec.target == TargetRef(name="backend")
    assert (spec.name, spec.application, spec.autoscaler) == ("backend", None, "backend")
    assert (spec.progress_deadline, spec.skip_analysis, spec.suspend) == (timedelta(minutes=10), False, False)


def test_reads_the_analysis(canary: Object, template: Object) -> None:
    analysis = spec_of(canary, template).analysis

    assert (analysis.interval, analysis.threshold) == (timedelta(minutes=1), 2)
    assert (analysis.primary_ready_threshold, analysis.canary_ready_threshold) == (90, 100)
    assert analysis.steps == StepPlan(step_weights=(5, 10, 25, 50), max_weight=50, step_weight_promotion=50)


def test_reads_a_template_with_its_variables(canary: Object, template: Object) -> None:
    template["spec"]["provider"] |= {
        "address": "https://metrics.example.com",
        "secretRef": {"name": "metrics"},
        "headers": {"X-Scope": ["team"]},
    }

    assert spec_of(canary, template).analysis.metrics[2] == MetricSpec(
        name="client errors",
        threshold_range=ThresholdRange(max=5),
        variables={"codes": "4.."},
        template=MetricTemplate(
            name="client-errors",
            namespace="webapp",
            query=template["spec"]["query"],
            provider=MetricProvider(
                address="https://metrics.example.com", secret_ref="metrics", headers={"X-Scope": ("team",)}
            ),
        ),
    )


def test_finds_a_template_in_another_namespace(canary: Object, template: Object) -> None:
    template["metadata"]["namespace"] = "metrics"
    canary["spec"]["analysis"]["metrics"][2]["templateRef"]["namespace"] = "metrics"

    metric = spec_of(canary, template).analysis.metrics[2]

    assert metric.template is not None
    assert metric.template.namespace == "metrics"


def test_a_query_in_place_is_a_template_of_its_own(canary: Object) -> None:
    canary["spec"]["analysis"]["metrics"] = [
        {"name": "mine", "query": "up{{}}", "thresholdRange": {"min": 1}, "interval": "1m"}
    ]
    canary["spec"]["analysis"]["metrics"][0]["query"] = 'up{namespace="{{ namespace }}"}'

    metric = spec_of(canary).analysis.metrics[0]

    assert metric.template is not None
    assert metric.template.query == 'up{namespace="{{ namespace }}"}'


def test_passes_service_options_on(canary: Object, template: Object) -> None:
    canary["spec"]["service"] |= {
        "name": "front",
        "portName": "grpc",
        "appProtocol": "grpc",
        "match": [{"uri": {"prefix": "/api"}}],
        "rewrite": {"uri": "/"},
        "headers": {"response": {"remove": ["server"]}},
        "corsPolicy": {"allowOrigin": ["example.com"]},
    }

    service = spec_of(canary, template).service

    assert (service.name, service.port, service.target_port) == ("front", 9898, "http")
    assert (service.port_name, service.app_protocol) == ("grpc", "grpc")
    assert (service.match, service.rewrite) == (({"uri": {"prefix": "/api"}},), {"uri": "/"})
    assert service.retries == canary["spec"]["service"]["retries"]
    assert service.headers == {"response": {"remove": ["server"]}}
    assert service.cors_policy == {"allowOrigin": ["example.com"]}
    assert (service.timeout, service.gateways) == ("60s", ("istio-system/public-gateway",))
    assert service.traffic_policy == {"tls": {"mode": "ISTIO_MUTUAL"}}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param(None, 9898, id="left out"),
        pytest.param("0", 9898, id="zero as text"),
        pytest.param(0, 9898, id="zero"),
        pytest.param(8080, 8080, id="number"),
        pytest.param("web", "web", id="name"),
    ],
)
def test_the_target_port_is_the_port_unless_given(
    canary: Object, template: Object, given: object, expected: object
) -> None:
    canary["spec"]["service"]["targetPort"] = given

    assert spec_of(canary, template).service.target_port == expected


def test_reads_webhooks(canary: Object, template: Object) -> None:
    canary["spec"]["analysis"]["webhooks"][0] |= {"type": "", "retries": 2, "disableTLS": True}

    hook = spec_of(canary, template).analysis.webhooks[0]

    assert (hook.type, hook.timeout, hook.retries) == (HookType.ROLLOUT, timedelta(seconds=5), 2)
    assert hook.disable_tls
    assert hook.metadata["type"] == "cmd"


def test_a_template_that_was_not_given_is_left_to_be_read_from_the_cluster(canary: Object) -> None:
    resolution = resolve([canary], "member")

    assert [str(mistake) for mistake in resolution.mistakes] == [
        (
            "spec.analysis.metrics[2].templateRef: warning: MetricTemplate webapp/client-errors was not "
            "given: it is read from the cluster, or pass it with -f"
        )
    ]
    [canary_found] = resolution.canaries
    assert canary_found.spec.analysis.metrics[2].template is None
    assert canary_found.spec.analysis.metrics[2].template_ref == ObjectRef(
        namespace="webapp", name="client-errors", path="spec.analysis.metrics[2].templateRef"
    )
    assert [(each.key, each.document) for each in resolution.unresolved] == [
        (Key("MetricTemplate", "webapp", "client-errors"), 0)
    ]


def test_the_cluster_must_be_named(canary: Object, template: Object) -> None:
    assert [str(mistake) for mistake in resolve([canary, template]).mistakes] == [
        "does not say which cluster it is in: name it with --cluster"
    ]


def test_the_cluster_may_be_one_of_the_documents(canary: Object, template: Object) -> None:
    clusters = read("fleet.yaml")[1:]
    clusters[1]["metadata"]["namespace"] = "clusters"

    resolution = resolve([canary, template, *clusters], "kurator-member2")

    assert resolution.canaries[0].cluster == ClusterRef(
        name="kurator-member2",
        kubeconfig=SecretKey(namespace="clusters", name="kurator-member2", key="kurator-member2.config"),
    )
