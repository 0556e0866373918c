"""The Secrets that a document names are looked for before anything is begun."""

import pytest

from activities.cluster.preflight import Preflight, PreflightActivities
from canary.alert import AlertProvider, AlertSpec, AlertType
from canary.spec import CanarySpec, MetricProvider, MetricSpec, MetricTemplate, WebhookSpec
from tests.activities.cluster.member import NAMESPACE, ONLINE, Member, given, spec

SAID = {
    "spec.analysis.metrics[0].templateRef": "Secret metrics not found in namespace monitoring of member1",
    "spec.analysis.alerts[0].providerRef": "Secret chat not found in namespace default of member1",
    "spec.analysis.webhooks[0].secretRef": "Secret hook not found in namespace default of member1",
}


def naming(application: str | None = None) -> CanarySpec:
    """A document that names a Secret wherever one can be named."""
    template = MetricTemplate(
        name="errors", namespace="monitoring", query="up", provider=MetricProvider(secret_ref="metrics")
    )
    provider = AlertProvider(name="chat", namespace=NAMESPACE, type=AlertType.SLACK, secret_ref="chat")
    plain = spec()
    changes = {
        "metrics": (MetricSpec(name="errors", template=template),),
        "alerts": (AlertSpec(name="chat", provider=provider),),
        "webhooks": (WebhookSpec(name="load", url="http://tester", secret_ref="hook"),),
    }
    analysis = plain.analysis.model_copy(update=changes)
    return plain.model_copy(update={"analysis": analysis, "application": application})


@pytest.fixture
async def deployed(member: Member) -> Member:
    await member.add(*given("canary", "Deployment"))
    return member


async def look(member: Member, wanted: CanarySpec) -> Preflight:
    found: Preflight = await member.run(PreflightActivities(member, ONLINE).preflight, wanted)
    return found


async def test_missing_secrets_are_refused_by_path(deployed: Member) -> None:
    found = await look(deployed, naming())

    assert {one.path: one.message for one in found.problems if one.is_missing} == SAID


async def test_an_application_may_yet_bring_them(deployed: Member) -> None:
    found = await look(deployed, naming("default/podinfo"))

    assert set(SAID.values()) <= set(found.conditions)
    assert not [one for one in found.problems if one.is_missing]


async def test_those_that_are_there_are_not_read(deployed: Member) -> None:
    place = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "monitoring"}}
    await deployed.kube.create("/api/v1/namespaces", place)
    for namespace, name in (("monitoring", "metrics"), (NAMESPACE, "chat"), (NAMESPACE, "hook")):
        body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": namespace}}
        await deployed.kube.create(f"/api/v1/namespaces/{namespace}/secrets", body)
    before = len(deployed.asked())
    found = await look(deployed, naming())

    named = ("/secrets/metrics", "/secrets/chat", "/secrets/hook")
    asked = [one for one in (deployed.asked())[before:] if one["path"].endswith(named)]
    assert not [one for one in found.problems if one.is_missing]
    assert [one["method"] for one in asked] == ["GET"] * 3


async def test_one_that_may_not_be_read_is_left_to_whoever_needs_it(deployed: Member) -> None:
    await deployed.fault({"do": "status", "status": 403, "path": "/secrets/"})
    found = await look(deployed, naming())

    assert not [one for one in found.problems if one.is_missing]
