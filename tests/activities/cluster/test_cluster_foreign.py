"""Objects that have the names of ours and are somebody else's are refused by name, and left as they are."""

from typing import Any

import pytest
from temporalio.exceptions import ApplicationError

from activities.cluster import loadtester, marks, paths
from activities.cluster.initialisation import EstablishRequest, InitialisationActivities
from activities.cluster.preflight import Preflight, PreflightActivities
from canary.loadtester import LoadTester
from canary.spec import CanarySpec, TestLoader
from tests.activities.cluster.member import NAMESPACE, ONLINE, Member, Object
from tests.activities.cluster.routed import furnish, spec

TESTER = "podinfo-testloader"
LOADED = spec(test_loader=TestLoader(name=TESTER))
POLICY = {"connectionPool": {"http": {"http2MaxRequests": 10}}}
RULES = ("DestinationRule", "podinfo-canary")
CANARY: Object = {
    "apiVersion": "flagger.app/v1beta1",
    "kind": "Canary",
    "name": "podinfo",
    "uid": "1",
    "controller": True,
}


@pytest.fixture
async def cluster(member: Member) -> Member:
    await furnish(member)
    return member


async def add(cluster: Member, kind: str, body: Object, manager: str = "helm") -> None:
    await cluster.kube.create(paths.collection(kind, NAMESPACE), body, fieldManager=manager)


def loader(kind: str, **metadata: Any) -> Object:
    (found,) = (
        body
        for body in loadtester.objects(LoadTester(NAMESPACE, TESTER), {marks.CANARY: "podinfo"})
        if body["kind"] == kind
    )
    return {**found, "metadata": {"name": TESTER, **metadata}}


def rule(host: str = "podinfo-canary", metadata: Object | None = None, **fields: Any) -> Object:
    return {
        "apiVersion": "networking.istio.io/v1beta1",
        "kind": "DestinationRule",
        "metadata": {"name": "podinfo-canary", **(metadata or {})},
        "spec": {"host": host, **fields},
    }


async def deploy(cluster: Member) -> None:
    await cluster.run(InitialisationActivities(cluster).deploy_load_tester, LOADED)


async def establish(cluster: Member, document: CanarySpec | None = None) -> None:
    request = EstablishRequest(spec=document or spec())
    await cluster.run(InitialisationActivities(cluster).establish_routes, request)


async def refused_by_preflight(cluster: Member, document: CanarySpec) -> list[tuple[str, str]]:
    found: Preflight = await cluster.run(PreflightActivities(cluster, ONLINE).preflight, document)
    return [(one.path, one.message) for one in found.problems if not one.is_warning]


@pytest.mark.parametrize(
    ("kind", "metadata", "whose"),
    [
        pytest.param("Deployment", {}, "was written by helm", id="a chart's"),
        pytest.param(
            "Service",
            {"labels": {marks.CANARY: "web"}},
            "belongs to the canary of web",
            id="another canary's",
        ),
        pytest.param(
            "Service", {"ownerReferences": [CANARY]}, "is controlled by Canary podinfo", id="a controller's"
        ),
    ],
)
async def test_a_load_tester_is_not_deployed_over_what_is_somebody_elses(
    cluster: Member, kind: str, metadata: Object, whose: str
) -> None:
    await add(cluster, kind, loader(kind, **metadata))
    before = await cluster.read(kind, TESTER)
    text = (
        f"{kind} {TESTER} in namespace default is there already and {whose}, and the load tester needs one "
        "of that name: delete it or leave testLoader out"
    )

    with pytest.raises(ApplicationError, match=text) as caught:
        await deploy(cluster)
    assert (caught.value.type, caught.value.non_retryable) == ("ForeignOwner", True)
    assert await cluster.read(kind, TESTER) == before
    assert {entry["method"] for entry in cluster.asked()} == {"GET"}
    assert await refused_by_preflight(cluster, LOADED) == [("spec.targetRef.name", text)]


async def test_a_load_tester_of_ours_is_deployed_anew(cluster: Member) -> None:
    await deploy(cluster)
    await cluster.change("Deployment", TESTER, {"spec": {"replicas": 0}})
    await deploy(cluster)

    assert await refused_by_preflight(cluster, LOADED) == []


@pytest.mark.parametrize(
    ("body", "manager", "whose"),
    [
        pytest.param(rule("elsewhere"), "helm", "was written by helm", id="for another host"),
        pytest.param(rule("elsewhere"), "flagger", "was written by flagger", id="Flagger's for another host"),
        pytest.param(
            rule(trafficPolicy=POLICY), "helm", "was written by helm", id="with a policy of its own"
        ),
        pytest.param(
            rule(subsets=[{"name": "a", "labels": {"a": "b"}}]),
            "flagger",
            "was written by flagger",
            id="with subsets",
        ),
        pytest.param(
            rule(metadata={"ownerReferences": [CANARY]}),
            "flagger",
            "is controlled by Canary podinfo",
            id="of a Canary that is there",
        ),
        pytest.param(
            rule(metadata={"labels": {marks.CANARY: "web"}}, subsets=[]),
            "durable-canary-rollout",
            "belongs to the canary of web",
            id="another canary's",
        ),
    ],
)
async def test_a_rule_of_somebody_elses_is_named_and_nothing_is_written(
    cluster: Member, body: Object, manager: str, whose: str
) -> None:
    await add(cluster, "DestinationRule", body, manager)
    before = await cluster.read(*RULES)
    text = (
        f"DestinationRule podinfo-canary in namespace default is there already and {whose}, and the canary "
        "needs one of that name: delete or rename it"
    )

    with pytest.raises(ApplicationError, match=text) as caught:
        await establish(cluster)
    assert caught.value.non_retryable
    assert await cluster.read(*RULES) == before
    assert {entry["method"] for entry in cluster.asked()} == {"GET"}
    assert ("spec.service.name", text) in await refused_by_preflight(cluster, spec())


@pytest.mark.parametrize(
    ("body", "manager"),
    [
        pytest.param(rule(), "helm", id="says the same"),
        pytest.param(rule("podinfo-canary.default.svc.cluster.local"), "helm", id="by its full name"),
        pytest.param(rule(trafficPolicy=POLICY), "flagger", id="was left behind by Flagger"),
    ],
)
async def test_a_rule_that_leads_nowhere_else_is_taken_over(
    cluster: Member, body: Object, manager: str
) -> None:
    await add(cluster, "DestinationRule", body, manager)
    await establish(cluster)
    found = await cluster.read(*RULES)

    assert found["metadata"]["labels"][marks.CANARY] == "podinfo"
    assert found["spec"] == {"host": "podinfo-canary"}


async def test_what_somebody_puts_into_a_rule_of_ours_is_left_alone(cluster: Member) -> None:
    await establish(cluster)
    await cluster.change(*RULES, {"spec": {"exportTo": ["."]}})
    await establish(cluster)

    assert (await cluster.read(*RULES))["spec"] == {"host": "podinfo-canary", "exportTo": ["."]}
