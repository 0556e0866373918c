"""What a document names and was not given with is read where the canary runs."""

from typing import Any

import pytest

from activities.cluster.preflight import Preflight, PreflightActivities
from activities.cluster.references import Referenced
from canary.alert import AlertProvider, AlertSpec, AlertType
from canary.reference import ObjectRef
from canary.spec import AnalysisSpec, CanarySpec, MetricProvider, MetricSpec, MetricTemplate
from tests.activities.cluster.member import NAMESPACE, ONLINE, Member, Object, given, spec

PATH = "spec.analysis.metrics[0].templateRef"
FLAGGER = "flagger.app/v1beta1"
QUERY = "sum(rate(errors{app='{{ target }}'}[{{ interval }}]))"
KINDS = {"MetricTemplate": "metrictemplates", "AlertProvider": "alertproviders"}


def metered(**fields: Any) -> CanarySpec:
    reference = ObjectRef(namespace=NAMESPACE, name="errors", path=PATH)
    metric = MetricSpec(name="client errors", template_ref=reference)
    return spec(analysis=AnalysisSpec(metrics=(metric, metric)), **fields)


def alerting() -> CanarySpec:
    reference = ObjectRef(namespace=NAMESPACE, name="chat", path="spec.analysis.alerts[0].providerRef")
    return spec(analysis=AnalysisSpec(alerts=(AlertSpec(name="team", provider_ref=reference),)))


def found_in(kind: str, name: str, **fields: Any) -> Object:
    return {"apiVersion": FLAGGER, "kind": kind, "metadata": {"name": name}, "spec": fields}


SECRET = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "metrics"}}


@pytest.fixture
async def equipped(member: Member) -> Member:
    """A cluster with the recorded workload and Flagger's kinds."""
    for kind, plural in KINDS.items():
        await member.kube.create(
            "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition(plural, kind)
        )
    await member.add(*given("canary", "Deployment"))
    return member


def definition(plural: str, kind: str) -> Object:
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    names = {"plural": plural, "kind": kind, "singular": kind.lower(), "listKind": f"{kind}List"}
    version = {"name": "v1beta1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.flagger.app"},
        "spec": {"group": "flagger.app", "scope": "Namespaced", "names": names, "versions": [version]},
    }


async def look(member: Member, wanted: CanarySpec) -> Preflight:
    found: Preflight = await member.run(PreflightActivities(member, ONLINE).preflight, wanted)
    return found


async def test_a_template_of_the_cluster_is_taken_into_the_spec(equipped: Member) -> None:
    provider = {"type": "prometheus", "address": "http://p:9090", "secretRef": {"name": "metrics"}}
    await equipped.add(found_in("MetricTemplate", "errors", query=QUERY, provider=provider), SECRET)
    found = await look(equipped, metered())

    assert (found.problems, found.missing) == ((), ())
    assert found.spec is not None
    metric = found.spec.analysis.metrics[1]
    assert metric.template == MetricTemplate(
        name="errors",
        namespace=NAMESPACE,
        query=QUERY,
        provider=MetricProvider(address="http://p:9090", secret_ref="metrics"),
    )


async def test_an_alert_provider_s_secret_stays_a_reference(equipped: Member) -> None:
    await equipped.add(found_in("AlertProvider", "chat", type="slack", secretRef={"name": "chat"}))
    found = await look(equipped, alerting())

    assert found.spec is not None
    assert found.spec.analysis.alerts[0].provider == AlertProvider(
        type=AlertType.SLACK,
        name="chat",
        namespace=NAMESPACE,
        secret_ref="chat",
    )


async def test_what_was_read_is_read_again_as_it_stands_by_then(equipped: Member) -> None:
    """As Flagger reads it at every check; here when a rollout begins."""
    await equipped.add(found_in("MetricTemplate", "errors", query=QUERY, provider={"type": "prometheus"}))
    before = (await look(equipped, metered())).spec
    assert before is not None
    path = f"/apis/{FLAGGER}/namespaces/{NAMESPACE}/metrictemplates/errors"
    await equipped.kube.patch(path, {"spec": {"query": "up"}}, fieldManager="test")
    found: Referenced = await equipped.run(PreflightActivities(equipped, ONLINE).read_references, before)

    queries = [metric.template and metric.template.query for metric in found.spec.analysis.metrics]
    assert (queries, found.problems, found.missing) == (["up", "up"], (), ())
    assert before.analysis.has_references


async def test_what_has_gone_meanwhile_is_missing(equipped: Member) -> None:
    await equipped.add(found_in("MetricTemplate", "errors", query=QUERY, provider={"type": "prometheus"}))
    before = (await look(equipped, metered())).spec
    await equipped.kube.delete(f"/apis/{FLAGGER}/namespaces/{NAMESPACE}/metrictemplates/errors")
    found: Referenced = await equipped.run(PreflightActivities(equipped, ONLINE).read_references, before)

    assert {one.message for one in found.missing} == {
        "MetricTemplate default/errors not found in member1; pass it with -f"
    }


async def test_each_object_is_asked_for_once(equipped: Member) -> None:
    await look(equipped, metered())

    assert len([one for one in equipped.asked() if one["path"].endswith("metrictemplates/errors")]) == 1


@pytest.mark.parametrize("application", [None, "default/podinfo"])
async def test_what_is_not_there_is_missing_with_its_path_and_remedy(
    equipped: Member, application: str | None
) -> None:
    found = await look(equipped, metered(application=application))

    assert (found.problems, found.spec) == ((), None)
    assert {(one.path, one.message) for one in found.missing} == {
        (PATH, "MetricTemplate default/errors not found in member1; pass it with -f")
    }


async def test_a_cluster_that_does_not_know_the_kind_has_no_such_object(member: Member) -> None:
    await member.add(*given("canary", "Deployment"))
    (missing,) = (await look(member, alerting())).missing

    assert missing.message == "AlertProvider default/chat not found in member1; pass it with -f"


async def test_mistakes_of_the_cluster_s_object_are_named(equipped: Member) -> None:
    await equipped.add(found_in("AlertProvider", "chat", type="pager", address="ftp://x"))
    found = await look(equipped, alerting())

    assert [one.message for one in found.problems] == [
        (
            "AlertProvider default/chat in member1: spec.type: must be slack, msteams, discord, rocket, "
            "gchat or webhook, is pager"
        ),
    ]


async def test_what_may_not_be_read_is_refused_with_the_missing_right(equipped: Member) -> None:
    await equipped.fault({"do": "status", "status": 403, "path": "/alertproviders/"})
    (refused,) = (await look(equipped, alerting())).problems

    assert refused.path == "spec.analysis.alerts[0].providerRef"
    assert refused.message == (
        "The worker may not get AlertProvider default/chat in member1: allow it (deploy/rbac.yaml) or pass "
        "it with -f"
    )


@pytest.mark.parametrize(
    ("kind", "name", "fields", "wanted"),
    [
        pytest.param(
            "AlertProvider",
            "chat",
            {"type": "slack", "address": "https://hooks.slack.com/services/T0/B0/MARKER"},
            alerting(),
            id="a provider's address",
        ),
        pytest.param(
            "MetricTemplate",
            "errors",
            {"query": QUERY, "provider": {"type": "prometheus", "address": "https://u:MARKER@prom"}},
            metered(),
            id="a template's address",
        ),
        pytest.param(
            "MetricTemplate",
            "errors",
            {"query": QUERY, "provider": {"type": "prometheus", "headers": {"Authorization": ["MARKER"]}}},
            metered(),
            id="a template's headers",
        ),
    ],
)
async def test_what_is_refused_for_a_secret_in_it_does_not_go_into_histories(
    equipped: Member, kind: str, name: str, fields: Object, wanted: CanarySpec
) -> None:
    await equipped.add(found_in(kind, name, **fields))
    found = await look(equipped, wanted)
    again: Referenced = await equipped.run(PreflightActivities(equipped, ONLINE).read_references, wanted)

    assert found.problems
    assert again.problems
    assert "MARKER" not in found.model_dump_json()
    assert "MARKER" not in again.model_dump_json()
