"""Documents at the edge of what is allowed: this is no mistake, and one more is."""

from typing import Any

import pytest

from canary.documents.resolve import resolve
from tests.canary.examples import change, read

LONGEST_PREFIX = ".".join(["a" * 63] * 3 + ["a" * 61])
NO_OBJECT_NAME = (
    "is no name of a Kubernetes object: allowed are lower-case letters, digits, '-' and '.', "
    "with a letter or digit first and last"
)
NO_LABEL = (
    "is no value of a label: allowed are up to 63 letters, digits, '-', '_' and '.', "
    "with a letter or digit first and last"
)
NO_LABEL_KEY = (
    "is no key of a label: allowed are up to 63 letters, digits, '-', '_' and '.', "
    "after a domain and '/' or without"
)
APPLICATION = ("canary.yaml", "fleet.yaml")
CANARY = ("flagger-canary.yaml", "metric-template.yaml")
ROLLOUT = "spec.syncPolicies[0].rollout"
AFFINITY = f"{ROLLOUT}.rolloutPolicy.trafficAnalysis.sessionAffinity"
ANALYSIS = "spec.analysis"
NO_SERVICE = (
    "is no name of a Service: allowed are lower-case letters, digits and '-', "
    "with a letter first and no '-' last"
)
URL = "must be a URL that begins with http:// or https://"
SUCCESS_RATE = "is a success rate, which fails above max: 5 when all is well; give min"


def documents() -> list[Any]:
    """A Canary in which nothing is wrong, and what it names."""
    return read("flagger-canary.yaml", "metric-template.yaml")


def lines(section: str, changes: dict[str, Any]) -> list[str]:
    """The mistakes in a Canary of which one section was changed."""
    given = documents()
    given[0]["spec"][section] |= changes
    return [str(mistake) for mistake in resolve(given, "member").mistakes]


@pytest.mark.parametrize(
    ("section", "changes"),
    [
        pytest.param(
            "autoscalerRef",
            {"primaryScalerReplicas": {"minReplicas": 2, "maxReplicas": 2}},
            id="as many pods at least as at most",
        ),
        pytest.param(
            "service",
            {"apex": {"labels": {f"{LONGEST_PREFIX}/team": "shop"}}},
            id="the longest domain of a label",
        ),
    ],
)
def test_the_edge_is_allowed(section: str, changes: dict[str, Any]) -> None:
    assert lines(section, changes) == []


@pytest.mark.parametrize(
    ("section", "changes", "expected"),
    [
        pytest.param(
            "autoscalerRef",
            {"primaryScalerReplicas": {"minReplicas": 3, "maxReplicas": 2}},
            ["spec.autoscalerRef.primaryScalerReplicas.minReplicas: must be at most maxReplicas, 2, is 3"],
            id="more pods at least than at most",
        ),
        pytest.param(
            "service",
            {"apex": {"labels": {f"{LONGEST_PREFIX}b/team": "shop"}}},
            [f"spec.service.apex.labels.{'a' * 60}...: {'a' * 60}... {NO_LABEL_KEY}"],
            id="a longer domain",
        ),
        pytest.param(
            "service",
            {"apex": {"labels": {"team": "a b"}}},
            [f"spec.service.apex.labels.team: a b {NO_LABEL}"],
            id="a label of the apex",
        ),
    ],
)
def test_one_more_is_a_mistake(section: str, changes: dict[str, Any], expected: list[str]) -> None:
    assert lines(section, changes) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("Back", f"spec.targetRef.name: Back {NO_OBJECT_NAME}", id="not a name"),
        pytest.param(
            "b" * 246,
            "spec.targetRef.name: must have at most 245 characters, has 246: -primary is put to it",
            id="too long for what is made of it",
        ),
    ],
)
def test_a_target_beside_a_service_of_another_name_is_named_as_objects_are(name: str, expected: str) -> None:
    given = documents()
    given[0]["spec"]["service"]["name"] = "backend"
    given[0]["spec"]["targetRef"]["name"] = name

    assert [str(mistake) for mistake in resolve(given, "member").mistakes] == [expected]


@pytest.mark.parametrize(("written", "read"), [(0, 1), (1, 1), (2, 2)])
def test_a_threshold_is_one_failed_check_at_least(written: int, read: int) -> None:
    given = documents()
    given[0]["spec"]["analysis"]["threshold"] = written

    [canary] = resolve(given, "member").canaries

    assert canary.spec.analysis.threshold == read


@pytest.mark.parametrize("attribute", ["domain", "path"])
def test_an_attribute_of_a_cookie_ends_where_the_next_begins(attribute: str) -> None:
    given = documents()
    given[0]["spec"]["analysis"]["sessionAffinity"] = {"cookieName": "c", attribute: "x; y"}

    [line] = [str(mistake) for mistake in resolve(given, "member").mistakes]

    assert line == (
        f"spec.analysis.sessionAffinity.{attribute}: x; y ends a cookie's attribute: "
        "allowed is anything without ';'"
    )


def found(names: tuple[str, ...], changes: dict[str, Any], index: int = 0) -> list[str]:
    """The mistakes in examples of which one was changed, each with the place of its document."""
    given = read(*names)
    for path, value in changes.items():
        change(given[index], path, value)
    return [f"{mistake.document} {mistake}" for mistake in resolve(given, "member").mistakes]


@pytest.mark.parametrize(
    ("names", "changes"),
    [
        pytest.param(CANARY, {"spec.metricsServer": "http://prometheus:1"}, id="the first port"),
        pytest.param(CANARY, {f"{ANALYSIS}.interval": "8784h"}, id="the longest interval"),
        pytest.param(CANARY, {"spec.targetRef.name": "b" * 55}, id="the longest name of a target"),
        pytest.param(APPLICATION, {f"{ROLLOUT}.workload.namespace": "n" * 63}, id="the longest namespace"),
        pytest.param(
            CANARY,
            {"spec.targetRef.name": "b" * 245, "spec.service.name": "backend"},
            id="the longest name of an object",
        ),
        pytest.param(
            CANARY, {f"{ANALYSIS}.metrics[0].thresholdRange": {"min": 99, "max": 99}}, id="one value alone"
        ),
        pytest.param(
            APPLICATION,
            {f"{ROLLOUT}.rolloutPolicy.trafficAnalysis.metrics": []},
            id="no metric but a command",
        ),
    ],
)
def test_documents_at_the_edge_are_allowed(names: tuple[str, ...], changes: dict[str, Any]) -> None:
    assert found(names, changes) == []


@pytest.mark.parametrize(
    ("names", "changes", "expected"),
    [
        pytest.param(
            APPLICATION,
            {f"{ROLLOUT}.workload.name": "Back"},
            [
                f"0 {ROLLOUT}.workload.name: Back {NO_OBJECT_NAME}",
                f"0 {ROLLOUT}.workload.name: Back {NO_SERVICE}",
            ],
            id="no name of a workload",
        ),
        pytest.param(
            APPLICATION,
            {f"{ROLLOUT}.workload.namespace": "Shop"},
            [
                (
                    f"0 {ROLLOUT}.workload.namespace: Shop is no name of a namespace: allowed are lower-case "
                    "letters, digits and '-', with a letter or digit first and last"
                )
            ],
            id="no name of a namespace",
        ),
        pytest.param(
            APPLICATION,
            {f"{AFFINITY}": {"cookieName": "my cookie"}},
            [
                (
                    f"0 {AFFINITY}.cookieName: my cookie is no name of a cookie: allowed are letters, digits "
                    "and !#$%&'*+-.^_`|~"
                )
            ],
            id="no name of a cookie",
        ),
        pytest.param(
            CANARY,
            {f"{ANALYSIS}.interval": "8785h"},
            [f"0 {ANALYSIS}.interval: must be between 0s and 8784h"],
            id="longer than a year",
        ),
        pytest.param(
            CANARY,
            {f"{ANALYSIS}.threshold": 0},
            [f"0 {ANALYSIS}.threshold: warning: 0 counts as 1: the first failed check rolls back"],
            id="a threshold of nothing",
        ),
        pytest.param(
            CANARY,
            {"spec.metricsServer": "http://prometheus:0"},
            [f"0 spec.metricsServer: {URL}, is http://prometheus:0"],
            id="a port that is none",
        ),
        pytest.param(
            CANARY,
            {"spec.metricsServer": "http://me@prometheus"},
            ["0 spec.metricsServer: must not carry a user or password: name a Secret in secretRef"],
            id="a user without a password",
        ),
        pytest.param(
            CANARY,
            {
                f"{ANALYSIS}.metrics[2].name": "My Success_Rate",
                f"{ANALYSIS}.metrics[2].thresholdRange": {"max": 5},
            },
            [f"0 {ANALYSIS}.metrics[2].thresholdRange: warning: My Success_Rate {SUCCESS_RATE}"],
            id="a success rate with an underline",
        ),
        pytest.param(
            CANARY,
            {
                f"{ANALYSIS}.metrics[2].name": "success rate",
                f"{ANALYSIS}.metrics[2].thresholdRange": {"max": 5},
            },
            [f"0 {ANALYSIS}.metrics[2].thresholdRange: warning: success rate {SUCCESS_RATE}"],
            id="a success rate with a blank",
        ),
        pytest.param(
            CANARY,
            {f"{ANALYSIS}.stepWeights": [5, 10, 50], f"{ANALYSIS}.maxWeight": 60},
            [(f"0 {ANALYSIS}.maxWeight: warning: has no effect beside stepWeights, whose last step is 50")],
            id="the last of three steps",
        ),
        pytest.param(
            CANARY,
            {
                f"{ANALYSIS}.stepWeights": [50, 110, 120],
                f"{ANALYSIS}.stepWeightPromotion": [50],
                f"{ANALYSIS}.metrics[0].warmUp": "2m1s",
            },
            [
                (
                    f"0 {ANALYSIS}.metrics[0].warmUp: warning: 121s is longer than the 120s that all steps "
                    "take: the first step lasts until then"
                ),
                f"0 {ANALYSIS}.stepWeights[1]: warning: counts as 100, which is all traffic, is 110",
                f"0 {ANALYSIS}.stepWeights[2]: warning: counts as 100, which is all traffic, is 120",
            ],
            id="steps above all traffic, of which one is taken",
        ),
        pytest.param(
            CANARY,
            {f"{ANALYSIS}.stepWeights": [5, 10, 50], f"{ANALYSIS}.stepWeightPromotion": [1, 60]},
            [
                (
                    f"0 {ANALYSIS}.stepWeightPromotion[0]: warning: has no effect: the primary has 50 when "
                    "promotion begins"
                )
            ],
            id="a first step back that the primary has already",
        ),
        pytest.param(
            CANARY,
            {"spec.provider": "x" * 60},
            [f"0 spec.provider: must be istio, is {'x' * 60}"],
            id="a value that just fits into a line",
        ),
        pytest.param(
            CANARY,
            {"spec.provider": " "},
            ["0 spec.provider: must be istio, is empty"],
            id="a value of blanks",
        ),
    ],
)
def test_a_mistake_is_named_with_its_document(
    names: tuple[str, ...], changes: dict[str, Any], expected: list[str]
) -> None:
    assert found(names, changes) == expected


def test_a_short_interval_is_one_below_ten_seconds() -> None:
    ten, nine = (found(CANARY, {f"{ANALYSIS}.interval": given})[0] for given in ("10s", "9s"))

    assert ten.startswith(f"0 {ANALYSIS}.metrics[0].interval: ")
    assert nine.startswith(f"0 {ANALYSIS}.interval: warning: 9s is short")


def test_a_fleet_of_the_whole_application_is_missed_where_it_is_named() -> None:
    given = read("canary.yaml", "fleet.yaml")
    given[0]["spec"]["destination"] = {"fleet": "nowhere"}
    for policy in given[0]["spec"]["syncPolicies"]:
        policy.pop("destination", None)

    assert [str(mistake) for mistake in resolve(given).mistakes] == [
        "spec.destination.fleet: Fleet default/nowhere not found; pass it with -f"
    ]


def test_cookies_of_an_application_have_no_effect_beside_iterations() -> None:
    given = read(*APPLICATION)
    policy = given[0]["spec"]["syncPolicies"][0]["rollout"]["rolloutPolicy"]
    del policy["trafficRouting"]["canaryStrategy"]
    policy["trafficRouting"]["analysisTimes"] = 3
    policy["trafficAnalysis"]["sessionAffinity"] = {"cookieName": "c"}

    assert [str(mistake) for mistake in resolve(given).mistakes] == [
        (
            f"{AFFINITY}: warning: has no effect: cookies keep users apart where the weight does, "
            "iterations do not"
        )
    ]


def test_a_workload_s_name_leaves_room_for_what_is_made_of_it() -> None:
    own, service = found(APPLICATION, {f"{ROLLOUT}.workload.name": "b" * 246})

    assert own == (
        f"0 {ROLLOUT}.workload.name: must have at most 245 characters, has 246: -primary is put to it"
    )
    assert service.startswith(f"0 {ROLLOUT}.workload.name: must have at most 52 characters, has 246: ")


def test_a_key_that_is_no_text_is_named_where_it_stands() -> None:
    given = read(*CANARY)
    given[0]["spec"]["service"]["apex"] = {"labels": {5: "x"}}

    [mistake] = resolve(given, "member").mistakes

    assert mistake.path == ("spec", "service", "apex", "labels", 5)


def test_a_kubeconfig_is_named_as_secrets_are() -> None:
    assert found(APPLICATION, {"spec.kubeconfig.name": "Bad"}, index=2) == [
        f"2 spec.kubeconfig.name: Bad {NO_OBJECT_NAME}"
    ]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param(5, "must be a mapping with apiVersion and kind, is 5", id="no mapping"),
        pytest.param(
            {"apiVersion": "v1"},
            "kind is required; allowed are Application, Fleet, AttachedCluster, Canary, MetricTemplate "
            "or AlertProvider",
            id="no kind",
        ),
    ],
)
def test_what_is_no_document_is_wrong_as_a_whole(given: object, expected: str) -> None:
    [mistake] = resolve([given]).mistakes

    assert (mistake.path, str(mistake)) == ((), expected)


def test_a_canary_is_wrong_as_a_whole_where_it_is_in_no_cluster() -> None:
    mistakes = resolve(read(*CANARY)).mistakes

    assert [mistake.path for mistake in mistakes] == [()]


def test_every_document_s_references_are_listed_with_its_place() -> None:
    first, second = read("flagger-canary.yaml", "flagger-canary.yaml")
    second["metadata"]["name"] = second["spec"]["targetRef"]["name"] = "other"
    second["spec"]["autoscalerRef"]["name"] = "other"

    references = resolve([first, second], "member").unresolved

    assert [each.document for each in references] == [0, 1]
    assert {str(each.key) for each in references} == {"MetricTemplate webapp/client-errors"}


@pytest.mark.parametrize(
    "names", [("metric-template.yaml", "flagger-canary.yaml"), ("metric-template.yaml",)]
)
def test_a_query_that_does_not_render_is_named_in_its_document(names: tuple[str, ...]) -> None:
    template, *canary = read(*names)
    template["spec"]["query"] = "{{ zone }}"

    [mistake] = resolve([template, *canary], "member").mistakes

    assert (mistake.document, mistake.where) == (0, "spec.query")
    assert mistake.message.startswith("The query of metric client-errors cannot be rendered: {{ zone }} is ")


def test_what_a_metric_does_not_give_its_template_is_named_with_the_metric() -> None:
    template, canary = read("metric-template.yaml", "flagger-canary.yaml")
    template["spec"]["query"] = '{{ target }} {{ variables.zone }} {{ index variables "a-b" }}'

    assert resolve([template], "member").mistakes == ()
    [mistake] = resolve([template, canary], "member").mistakes
    assert (mistake.document, mistake.where) == (1, "spec.analysis.metrics[2]")


def test_an_application_is_known_by_its_place() -> None:
    fleet, application = read("fleet.yaml"), read("canary.yaml")

    [resolved] = resolve([*fleet, *application]).applications

    assert resolved.document == len(fleet)


def test_no_canary_is_resolved_beside_a_document_that_is_wrong() -> None:
    canary, template = read(*CANARY)
    provider = {"apiVersion": "flagger.app/v1beta1", "kind": "AlertProvider", "metadata": {"name": "a"}}

    assert resolve([canary, template], "member").canaries
    assert resolve([canary, template, provider], "member").canaries == ()


def test_the_second_canary_on_a_target_is_told_of_the_first() -> None:
    first, second, template = read("flagger-canary.yaml", "flagger-canary.yaml", "metric-template.yaml")
    second["metadata"]["name"] = "other"

    [mistake] = resolve([first, second, template], "member").mistakes

    assert (mistake.document, mistake.where) == (1, "spec.targetRef")
    assert "is the target of Canary webapp/backend already" in mistake.message
