"""What strategies, gates, alerts and options of a document come to in the spec."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from canary.alert import AlertProvider, AlertSpec, AlertType, Severity
from canary.documents.resolve import resolve
from canary.spec import (
    CanarySpec,
    HookType,
    MetricProvider,
    MetricSpec,
    MetricTemplate,
    NoData,
    ObjectMetadata,
    SessionAffinity,
    StepPlan,
    Strategy,
    TargetRef,
    ThresholdRange,
    UnmanagedMetadata,
    WorkloadKind,
)
from tests.canary.examples import change, read

RECORDINGS = sorted((Path(__file__).parents[1] / "recorded" / "flagger").glob("*.jsonl"))
STRATEGIES = {
    "ab": Strategy.AB_TESTING,
    "ab-hooks-template": Strategy.AB_TESTING,
    "bg-gates": Strategy.BLUE_GREEN,
    "blue-green": Strategy.BLUE_GREEN,
    "blue-green-mirror": Strategy.BLUE_GREEN,
    "daemonset": Strategy.BLUE_GREEN,
}


def spec_of(*documents: Any) -> CanarySpec:
    resolution = resolve(documents, "member")

    assert [str(mistake) for mistake in resolution.mistakes if not mistake.is_warning] == []
    if resolution.canaries:
        return resolution.canaries[0].spec
    return resolution.applications[0].spec.policies[0].canaries[0]


def flagger(**changes: Any) -> CanarySpec:
    """The example of blue/green with other fields in its analysis, or with `service__port` in its service."""
    [document] = read("blue-green.yaml")
    for name, value in changes.items():
        *above, last = name.split("__")
        place = document["spec"][above[0]] if above else document["spec"]["analysis"]
        place[last] = value
    return spec_of(document)


@pytest.mark.parametrize("file", RECORDINGS, ids=lambda file: file.stem)
def test_what_flagger_took_has_no_mistake(file: Path) -> None:
    given = [json.loads(line) for line in file.read_text().splitlines() if '"what":"given"' in line]
    kinds = ("Canary", "MetricTemplate", "AlertProvider")
    documents = [each["object"] for each in given if each["object"]["kind"] in kinds]
    canary = next(each for each in documents if each["kind"] == "Canary")

    assert spec_of(canary, *documents[: documents.index(canary)]).analysis.strategy is STRATEGIES.get(
        file.stem, Strategy.CANARY
    )


def test_reads_ab_testing_from_an_application() -> None:
    analysis = spec_of(*read("ab-testing.yaml", "fleet.yaml")).analysis

    assert (analysis.strategy, analysis.iterations) == (Strategy.AB_TESTING, 5)
    assert analysis.match == (
        {"headers": {"user-agent": {"regex": ".*Firefox.*"}}},
        {"headers": {"cookie": {"regex": r"^(.*;)?\s*audience=insider(;.*)?$"}}},
    )
    assert (analysis.metrics[0].no_data, analysis.metrics[0].min_samples) == (NoData.HOLD, 20)


def test_reads_blue_green_from_an_application() -> None:
    documents = read("ab-testing.yaml", "fleet.yaml")
    routing = documents[0]["spec"]["syncPolicies"][0]["rollout"]["rolloutPolicy"]["trafficRouting"]
    del routing["match"]

    assert spec_of(*documents).analysis.strategy is Strategy.BLUE_GREEN


def test_reads_a_match_beside_the_weights_of_an_application() -> None:
    documents = read("ab-testing.yaml", "fleet.yaml")
    routing = documents[0]["spec"]["syncPolicies"][0]["rollout"]["rolloutPolicy"]["trafficRouting"]
    del routing["analysisTimes"]
    routing["canaryStrategy"] = {"stepWeight": 10, "maxWeight": 50, "stepWeightPromotion": [60, 80]}

    analysis = spec_of(*documents).analysis

    assert (analysis.strategy, len(analysis.match)) == (Strategy.CANARY, 2)
    assert analysis.steps == StepPlan(step_weight=10, max_weight=50, step_weights_promotion=(60, 80))


def test_reads_what_only_kurator_says() -> None:
    documents = read("ab-testing.yaml", "fleet.yaml")
    rollout = documents[0]["spec"]["syncPolicies"][0]["rollout"]
    rollout["primary"] = {"annotations": {"a": "b"}}
    rollout["rolloutPolicy"] |= {"revertOnDeletion": False, "acceptedPolicies": ["NetworkPolicy/debug"]}
    rollout["rolloutPolicy"]["trafficAnalysis"]["sessionAffinity"] = {"cookieName": "x", "maxAge": 60}
    rollout["rolloutPolicy"]["trafficAnalysis"]["metrics"][0]["warmUpSeconds"] = 90

    spec = spec_of(*documents)

    assert spec.service.primary_metadata == ObjectMetadata(annotations={"a": "b"})
    assert spec.service.canary_metadata == ObjectMetadata(labels={"example.com/track": "preview"})
    assert (spec.revert_on_deletion, spec.accepted_policies) == (False, ("NetworkPolicy/debug",))
    assert spec.analysis.session_affinity == SessionAffinity(cookie_name="x", max_age=60)
    assert spec.analysis.metrics[0].warm_up == timedelta(seconds=90)


def test_reads_blue_green_with_mirroring() -> None:
    analysis = flagger().analysis

    assert (analysis.strategy, analysis.iterations) == (Strategy.BLUE_GREEN, 5)
    assert (analysis.mirror, analysis.mirror_weight) == (True, 50)
    assert analysis.steps.step_weights_promotion == (25, 50, 75)


def test_reads_session_affinity() -> None:
    assert spec_of(*read("session-affinity.yaml")).analysis.session_affinity == SessionAffinity(
        cookie_name="checkout-canary",
        primary_cookie_name="checkout-primary",
        max_age=21600,
        http_only=True,
        secure=True,
        same_site="Lax",
        path="/",
    )


def test_a_cookie_lasts_a_day_unless_said_otherwise() -> None:
    affinity = flagger(
        iterations=0, stepWeight=10, sessionAffinity={"cookieName": "x"}
    ).analysis.session_affinity

    assert affinity == SessionAffinity(cookie_name="x", max_age=86400)


def test_reads_every_type_of_hook() -> None:
    hooks = spec_of(*read("gates-and-alerts.yaml")).analysis.webhooks

    assert {hook.type for hook in hooks} == set(HookType)
    assert [hook.name for hook in hooks if hook.mute_alert] == ["on call"]


def test_finds_alert_providers_among_the_documents() -> None:
    chat = AlertProvider(
        type=AlertType.SLACK, name="chat", namespace="shop", channel="payments", secret_ref="chat"
    )
    pager = AlertProvider(
        type=AlertType.WEBHOOK, name="pager", namespace="ops", address="https://pager.example.com/alerts"
    )

    assert spec_of(*read("gates-and-alerts.yaml")).analysis.alerts == (
        AlertSpec(name="team", severity=Severity.INFO, provider=chat),
        AlertSpec(name="on call", severity=Severity.ERROR, provider=pager),
    )


@pytest.mark.parametrize(
    ("said", "meant"), [("", "info"), ("info", "info"), ("warn", "warn"), ("error", "error")]
)
@pytest.mark.proves("T10")
def test_a_severity_that_is_left_out_is_info(said: str, meant: str) -> None:
    """In Flagger such an alert is never sent (T10: Flagger's events.go)."""
    documents = read("gates-and-alerts.yaml")
    documents[0]["spec"]["analysis"]["alerts"][0]["severity"] = said

    assert spec_of(*documents).analysis.alerts[0].severity == meant


def test_a_query_in_place_is_asked_of_the_metrics_server() -> None:
    [document] = read("session-affinity.yaml")
    document["spec"]["metricsServer"] = "http://prometheus.metrics:9090"
    query = "max(up)"
    document["spec"]["analysis"]["metrics"] = [{"name": "mine", "query": query, "thresholdRange": {"min": 1}}]

    spec = spec_of(document)

    assert spec.metrics_server == "http://prometheus.metrics:9090"
    assert spec.analysis.metrics[0].template == MetricTemplate(
        name="mine", namespace="shop", query=query, provider=MetricProvider(address=spec.metrics_server)
    )


@pytest.mark.parametrize(
    ("metric", "meant"),
    [
        pytest.param(
            {"name": "request-success-rate", "threshold": 99}, ThresholdRange(min=99), id="of a success rate"
        ),
        pytest.param(
            {"name": "request-duration", "threshold": 500}, ThresholdRange(max=500), id="of a duration"
        ),
        pytest.param({"name": "x", "query": "up", "threshold": 0}, ThresholdRange(max=0), id="of a query"),
        pytest.param(
            {"name": "request-success-rate", "query": "up", "threshold": 5},
            ThresholdRange(max=5),
            id="of a query that is called as what is built in",
        ),
        pytest.param(
            {"name": "x", "query": "up", "threshold": 5, "thresholdRange": {"min": 1}},
            ThresholdRange(min=1),
            id="beside a range",
        ),
        pytest.param({"name": "request-duration"}, ThresholdRange(), id="none never means zero"),
    ],
)
@pytest.mark.proves("T12")
def test_a_threshold_is_a_bound(metric: dict[str, Any], meant: ThresholdRange) -> None:
    """A threshold that is left out is no bound; in Flagger it is a maximum of zero.

    T12: Flagger's scheduler_metrics.go.
    """
    assert flagger(metrics=[metric]).analysis.metrics[0].threshold_range == meant


@pytest.mark.proves("T12")
def test_a_metric_without_interval_has_a_minute() -> None:
    """Flagger fills nothing into the query of a template metric without an interval.

    T12: Flagger's scheduler_metrics.go.
    """
    metrics = flagger(metrics=[{"name": "x", "query": "up[{{ interval }}]"}]).analysis.metrics

    assert metrics[0].interval == timedelta(minutes=1)


def test_reads_how_little_data_counts() -> None:
    metric = {"name": "request-duration", "noData": "pass", "minSamples": 12.5, "warmUp": "1m30s"}

    assert flagger(metrics=[metric]).analysis.metrics == (
        MetricSpec(
            name="request-duration",
            no_data=NoData.PASS,
            min_samples=12.5,
            warm_up=timedelta(seconds=90),
        ),
    )


@pytest.mark.parametrize(
    ("said", "number", "weights"), [(50, 50, ()), ([60, 80, 100], 0, (60, 80, 100)), (0, 0, ())]
)
def test_the_weight_goes_back_by_a_number_or_a_list(said: Any, number: int, weights: tuple[int, ...]) -> None:
    steps = flagger(stepWeightPromotion=said).analysis.steps

    assert (steps.step_weight_promotion, steps.step_weights_promotion) == (number, weights)


def test_a_weight_above_100_is_all_traffic() -> None:
    documents = read("flagger-canary.yaml", "metric-template.yaml")
    change(documents[0], "spec.analysis.stepWeights", [50, 150])
    steps = spec_of(*documents).analysis.steps

    assert (steps.step_weights, steps.max_weight) == ((50, 150), 100)


def test_reads_the_options_of_the_service() -> None:
    service = flagger(
        service__headless=True,
        service__trafficDistribution="PreferSameZone",
        service__delegation=True,
        service__apex={"labels": {"a": "apex"}},
        service__primary={"labels": {"a": "primary"}},
        service__canary={"annotations": {"a": "canary"}},
        service__unmanagedMetadata={"labels": ["b"], "annotations": ["c"]},
    ).service

    assert (service.port_discovery, service.headless, service.delegation) == (True, True, True)
    assert service.traffic_distribution == "PreferSameZone"
    assert service.apex_metadata == ObjectMetadata(labels={"a": "apex"})
    assert service.primary_metadata == ObjectMetadata(labels={"a": "primary"})
    assert service.canary_metadata == ObjectMetadata(annotations={"a": "canary"})
    assert service.unmanaged == UnmanagedMetadata(labels=("b",), annotations=("c",))


def test_routes_connections() -> None:
    spec = flagger(service__appProtocol="TCP", service__match=[{"port": 8080}], mirror=False, mirrorWeight=0)

    assert spec.service.is_tcp
    assert spec.service.match == ({"port": 8080},)


@pytest.mark.parametrize("version", [None, "v1"])
def test_rolls_out_a_service(version: str | None) -> None:
    [document] = read("blue-green.yaml")
    document["spec"]["targetRef"] = {"apiVersion": version, "kind": "Service", "name": "catalog"}
    spec = spec_of(document)

    assert spec.target == TargetRef(kind=WorkloadKind.SERVICE, name="catalog", api_version="v1")


def test_reads_the_limits_of_the_primarys_autoscaler() -> None:
    spec = spec_of(*read("session-affinity.yaml"))

    assert (spec.autoscaler, spec.primary_min_replicas, spec.primary_max_replicas) == ("checkout", 3, 20)


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        pytest.param({}, True, id="brought back where nothing is said (D13)"),
        pytest.param({"revertOnDeletion": True}, True, id="brought back"),
        pytest.param({"revertOnDeletion": False}, False, id="left at zero"),
    ],
)
@pytest.mark.proves("D13")
def test_says_what_becomes_of_the_workload_at_the_end(said: dict[str, Any], *, meant: bool) -> None:
    """Only `revertOnDeletion: false` leaves a target at zero, as Flagger does by default.

    D13: docs/architecture.md.
    """
    [document] = read("blue-green.yaml")
    document["spec"] |= said

    assert spec_of(document).revert_on_deletion is meant


def test_reads_which_policies_may_stop_matching() -> None:
    assert spec_of(*read("gates-and-alerts.yaml")).accepted_policies == ("NetworkPolicy/payments-debug",)
