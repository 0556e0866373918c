"""Mistakes in strategies, hooks, alerts and service options: a wrong document each, and its line."""

from collections.abc import Sequence
from typing import Any

import pytest

from canary.documents.resolve import resolve
from tests.canary.examples import GONE, change, read

NOTHING = "matches every request: give headers, queryParams or sourceLabels"
TWICE = "stands in service.match as well: a request would have to match both"
NO_REQUESTS = "not possible with appProtocol tcp: connections have no requests"
NO_LABEL_KEY = (
    "is no key of a {}: allowed are up to 63 letters, digits, '-', '_' and '.', "
    "after a domain and '/' or without"
)
NOT_GIVEN = "was not given: it is read from the cluster, or pass it with -f"
NO_OBJECT_NAME = (
    "is no name of a Kubernetes object: allowed are lower-case letters, digits, '-' and '.', "
    "with a letter or digit first and last"
)
NO_COOKIE = "is no name of a cookie: allowed are letters, digits and !#$%&'*+-.^_`|~"
SUCCESS_RATE_OF_TCP = (
    "spec.analysis.metrics[0]: warning: request-success-rate counts HTTP requests, of which TCP has none"
)

# Each: what is changed in the example, and the lines that must come.
BLUE_GREEN = [
    (
        {"stepWeight": 10},
        ["spec.analysis.iterations: steps of the weight are given as well: choose one of the two"],
    ),
    (
        {"stepWeights": [10, 50]},
        ["spec.analysis.iterations: steps of the weight are given as well: choose one of the two"],
    ),
    (
        {"iterations": 0, "mirror": False, "mirrorWeight": 0, "stepWeightPromotion": 0},
        [
            (
                "spec.analysis: stepWeight, stepWeights or iterations is required: "
                "without one it never reaches a promotion"
            )
        ],
    ),
    ({"iterations": -1}, ["spec.analysis.iterations: must be at least 0, is -1"]),
    ({"iterations": 2**31}, [f"spec.analysis.iterations: must be at most {2**31 - 1}, is {2**31}"]),
    ({"threshold": 2**31}, [f"spec.analysis.threshold: must be at most {2**31 - 1}, is {2**31}"]),
    ({"iterations": 8784, "interval": "1h"}, []),
    (
        {
            "iterations": 2**31 - 1,
            "interval": "8784h",
            "metrics": [{"name": "request-success-rate", "thresholdRange": {"min": 99}, "warmUp": "1h"}],
        },
        [
            (
                "spec.analysis.iterations: 2147483647 checks with 31622400s between them last longer than "
                "the 8784h that a rollout may take"
            )
        ],
    ),
    (
        {"iterations": 8785, "interval": "1h"},
        [
            (
                "spec.analysis.iterations: 8785 checks with 3600s between them last longer than the 8784h "
                "that a rollout may take"
            )
        ],
    ),
    (
        {"maxWeight": 50},
        ["spec.analysis.maxWeight: warning: has no effect: iterations have no steps of the weight"],
    ),
    ({"mirrorWeight": 101}, ["spec.analysis.mirrorWeight: must be at most 100, is 101"]),
    ({"mirror": False}, ["spec.analysis.mirrorWeight: warning: has no effect without mirror"]),
    (
        {"match": [{"headers": {"x-canary": {"exact": "yes"}}}]},
        [
            (
                "spec.analysis.mirror: warning: has no effect: in A/B testing the canary answers what "
                "matches, "
                "copies go nowhere"
            )
        ],
    ),
    (
        {"sessionAffinity": {"cookieName": "x"}, "stepWeightPromotion": 0},
        [
            (
                "spec.analysis.sessionAffinity: warning: has no effect: cookies keep users apart where "
                "the weight "
                "does, iterations do not"
            )
        ],
    ),
    ({"sessionAffinity": {"cookieName": "x"}, "stepWeightPromotion": 50}, []),
    ({"match": [{}], "mirror": False, "mirrorWeight": 0}, [f"spec.analysis.match[0]: {NOTHING}"]),
    (
        {"match": [{"headers": {}, "name": "x"}], "mirror": False, "mirrorWeight": 0},
        [f"spec.analysis.match[0]: {NOTHING}"],
    ),
    (
        {"match": {"headers": {}}, "mirror": False, "mirrorWeight": 0},
        ["spec.analysis.match: must be a list, is a mapping"],
    ),
    (
        {"stepWeightPromotion": [25, 50, 50]},
        ["spec.analysis.stepWeightPromotion[2]: must be more than the step before it, 50, is 50"],
    ),
    (
        {"stepWeightPromotion": [25, 120]},
        ["spec.analysis.stepWeightPromotion[1]: must be at most 100, is 120"],
    ),
    ({"stepWeightPromotion": [0, 20]}, ["spec.analysis.stepWeightPromotion[0]: must be at least 1, is 0"]),
    ({"stepWeightPromotion": []}, ["spec.analysis.stepWeightPromotion: must not be empty"]),
    ({"stepWeightPromotion": -1}, ["spec.analysis.stepWeightPromotion: must be at least 0, is -1"]),
    (
        {"stepWeightPromotion": "50"},
        [
            (
                "spec.analysis.stepWeightPromotion: must be a whole number, or a list of the primary's "
                "weights, is 50"
            )
        ],
    ),
    (
        {"stepWeightPromotion": [20, True]},
        [
            (
                "spec.analysis.stepWeightPromotion: must be a whole number, or a list of the primary's "
                "weights, "
                "is a list"
            )
        ],
    ),
    ({"primaryReadyThreshold": 101}, ["spec.analysis.primaryReadyThreshold: must be at most 100, is 101"]),
    ({"canaryReadyThreshold": -1}, ["spec.analysis.canaryReadyThreshold: must be at least 0, is -1"]),
]
AFFINITY = [
    (
        "spec.analysis.sessionAffinity.primaryCookieName",
        "checkout-canary",
        [
            (
                "spec.analysis.sessionAffinity.primaryCookieName: must differ from cookieName, is "
                "checkout-canary too"
            )
        ],
    ),
    (
        "spec.analysis.sessionAffinity.cookieName",
        GONE,
        ["spec.analysis.sessionAffinity.cookieName: is required: name the cookie"],
    ),
    (
        "spec.analysis.sessionAffinity.cookieName",
        "my cookie",
        [f"spec.analysis.sessionAffinity.cookieName: my cookie {NO_COOKIE}"],
    ),
    (
        "spec.analysis.sessionAffinity.primaryCookieName",
        "a=b",
        [f"spec.analysis.sessionAffinity.primaryCookieName: a=b {NO_COOKIE}"],
    ),
    (
        "spec.analysis.sessionAffinity.sameSite",
        "strict",
        ["spec.analysis.sessionAffinity.sameSite: must be empty, Strict, Lax or None, is strict"],
    ),
    (
        "spec.analysis.sessionAffinity.path",
        "/; Domain=example.com",
        [
            (
                "spec.analysis.sessionAffinity.path: /; Domain=example.com ends a cookie's attribute: "
                "allowed is anything without ';'"
            )
        ],
    ),
    (
        "spec.analysis.sessionAffinity",
        {"cookieName": "x", "sameSite": "None"},
        [
            (
                "spec.analysis.sessionAffinity: warning: sameSite None without secure: "
                "browsers do not take such a cookie"
            )
        ],
    ),
    (
        "spec.analysis.sessionAffinity",
        {"cookieName": "x", "partitioned": True},
        [
            (
                "spec.analysis.sessionAffinity: warning: partitioned without secure: "
                "browsers do not take such a cookie"
            )
        ],
    ),
    (
        "spec.analysis.sessionAffinity.maxAge",
        0,
        ["spec.analysis.sessionAffinity.maxAge: must be at least 1, is 0"],
    ),
    (
        "spec.analysis.stepWeightPromotion",
        [50, 70, 90],
        [
            (
                "spec.analysis.stepWeightPromotion[0]: warning: has no effect: "
                "the primary has 70 when promotion begins"
            ),
            (
                "spec.analysis.stepWeightPromotion[1]: warning: has no effect: "
                "the primary has 70 when promotion begins"
            ),
        ],
    ),
    (
        "spec.analysis.metrics[0].warmUp",
        "13m",
        [
            (
                "spec.analysis.metrics[0].warmUp: warning: 780s is longer than the 720s that all steps take: "
                "the first step lasts until then"
            )
        ],
    ),
    (
        "spec.analysis.metrics[1].minSamples",
        10,
        [
            (
                "spec.analysis.metrics[1].minSamples: only a built-in metric counts its samples: "
                "let the query answer nothing"
            )
        ],
    ),
    (
        "spec.analysis.metrics[1].noData",
        "skip",
        ["spec.analysis.metrics[1].noData: must be fail, hold or pass, is skip"],
    ),
    (
        "spec.analysis.metrics[0].templateVariables",
        {"a": "b"},
        [
            (
                "spec.analysis.metrics[0].templateVariables: warning: has no effect: "
                "a built-in query has no variables of one's own"
            )
        ],
    ),
    (
        "spec.analysis.metrics[1].query",
        "sum({{ target }",
        [
            (
                "spec.analysis.metrics[1]: The query of metric abandoned baskets cannot be "
                "rendered: a {{ has "
                "no }}."
            )
        ],
    ),
    (
        "spec.analysis.metrics[0]",
        {"name": "request-success-rate", "interval": "2m", "threshold": 99},
        [
            (
                "spec.analysis.metrics[0].threshold: warning: is deprecated by Flagger and read as "
                "thresholdRange min: "
                "write that"
            )
        ],
    ),
    (
        "spec.analysis.metrics[0]",
        {"name": "request-duration", "interval": "2m", "threshold": 500},
        [
            (
                "spec.analysis.metrics[0].threshold: warning: is deprecated by Flagger and read as "
                "thresholdRange max: "
                "write that"
            )
        ],
    ),
    (
        "spec.analysis.metrics[1].thresholdRange",
        GONE,
        [
            (
                "spec.analysis.metrics[1]: warning: abandoned baskets has no bound: it is measured and "
                "never fails; "
                "give thresholdRange min or max"
            )
        ],
    ),
    (
        "spec.autoscalerRef.primaryScalerReplicas.minReplicas",
        21,
        ["spec.autoscalerRef.primaryScalerReplicas.minReplicas: must be at most maxReplicas, 20, is 21"],
    ),
    (
        "spec.autoscalerRef.primaryScalerReplicas.minReplicas",
        0,
        ["spec.autoscalerRef.primaryScalerReplicas.minReplicas: must be at least 1, is 0"],
    ),
    (
        "spec.autoscalerRef.name",
        "c" * 246,
        ["spec.autoscalerRef.name: must have at most 245 characters, has 246: -primary is put to it"],
    ),
    (
        "spec.autoscalerRef.kind",
        "VerticalPodAutoscaler",
        ["spec.autoscalerRef.kind: must be HorizontalPodAutoscaler, is VerticalPodAutoscaler"],
    ),
    (
        "spec.targetRef",
        {"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "checkout"},
        ["spec.autoscalerRef: a DaemonSet is not scaled: allowed for a Deployment only"],
    ),
    (
        "spec.targetRef",
        {"apiVersion": "apps/v1", "kind": "Service", "name": "checkout"},
        [
            "spec.targetRef.apiVersion: must be v1 for kind Service, is apps/v1",
            "spec.autoscalerRef: a Service is not scaled: allowed for a Deployment only",
        ],
    ),
    (
        "spec.targetRef.name",
        "c" * 56,
        [
            (
                f"spec.targetRef.name: must have at most 55 characters, has 56: a Service {'c' * 56}-primary "
                "is made"
            )
        ],
    ),
    (
        "spec.metricsServer",
        "http://me:secret@prometheus:9090",
        ["spec.metricsServer: must not carry a user or password: name a Secret in secretRef"],
    ),
    (
        "spec.service.delegation",
        True,
        [
            "spec.service.hosts: must be empty with delegation: the delegating VirtualService has them",
            "spec.service.gateways: must be empty with delegation: the delegating VirtualService has them",
        ],
    ),
    (
        "spec.service.primary.annotations",
        {"a b": ""},
        [f"spec.service.primary.annotations.a b: a b {NO_LABEL_KEY.format('annotation')}"],
    ),
    (
        "spec.service.canary",
        {"labels": {"/x": ""}},
        [f"spec.service.canary.labels./x: /x {NO_LABEL_KEY.format('label')}"],
    ),
    (
        "spec.service.unmanagedMetadata",
        {"labels": "x"},
        ["spec.service.unmanagedMetadata.labels: must be a list, is text"],
    ),
    (
        "spec.service.match",
        [{"uri": {"exact": "/", "prefix": "/"}}],
        ["spec.service.match[0].uri: must have one of exact, prefix or regex, has exact and prefix"],
    ),
    (
        "spec.service.match",
        [{"uri": {"suffix": "/"}}],
        ["spec.service.match[0].uri.suffix: not supported: Istio knows exact, prefix and regex"],
    ),
    ("spec.acceptedPolicies", ["NetworkPolicy/a", "AuthorizationPolicy/istio-system/b"], []),
    (
        "spec.acceptedPolicies",
        ["NetworkPolicy"],
        [
            (
                "spec.acceptedPolicies[0]: must be <kind>/<name>, in Istio's root namespace "
                "<kind>/<namespace>/<name>, with a kind of AuthorizationPolicy, PeerAuthentication, "
                "RequestAuthentication, NetworkPolicy, is NetworkPolicy"
            )
        ],
    ),
]
GATES = [
    (
        "spec.analysis.webhooks[0].type",
        "confirm-all",
        [
            (
                "spec.analysis.webhooks[0].type: must be empty, rollout, confirm-rollout, pre-rollout, "
                "confirm-traffic-increase, confirm-promotion, post-rollout, rollback or event, is confirm-all"
            )
        ],
    ),
    ("spec.analysis.webhooks[0].retries", 3, []),
    (
        "spec.analysis.webhooks[0].retries",
        -1,
        ["spec.analysis.webhooks[0].retries: must be at least 0, is -1"],
    ),
    ("spec.analysis.webhooks[0].retries", 100, []),
    (
        "spec.analysis.webhooks[0].retries",
        101,
        ["spec.analysis.webhooks[0].retries: must be at most 100, is 101"],
    ),
    (
        "spec.analysis.webhooks[0].timeout",
        "0s",
        ["spec.analysis.webhooks[0].timeout: must be longer than 0s"],
    ),
    (
        "spec.analysis.webhooks[0].url",
        "calendar.ops",
        [
            (
                "spec.analysis.webhooks[0].url: must be a URL that begins with http:// or https://, is "
                "calendar.ops"
            )
        ],
    ),
    (
        "spec.analysis.webhooks[0].url",
        "https://calendar.ops/?token=abc",
        ["spec.analysis.webhooks[0].url: must not carry a token: name a Secret in secretRef"],
    ),
    (
        "spec.analysis.webhooks[1].muteAlert",
        True,
        ["spec.analysis.webhooks[1].muteAlert: warning: has no effect: only a closed gate is alerted of"],
    ),
    ("spec.analysis.webhooks[1].secretRef", {"name": "tester"}, []),
    (
        "spec.analysis.webhooks[1].secretRef",
        {"name": "tester", "key": "token"},
        ["spec.analysis.webhooks[1].secretRef.key: unknown field; allowed are name"],
    ),
    (
        "spec.analysis.webhooks[1].secretRef",
        {"name": "Tester"},
        [f"spec.analysis.webhooks[1].secretRef.name: Tester {NO_OBJECT_NAME}"],
    ),
    (
        "spec.analysis.webhooks[1]",
        {"name": "x", "url": "https://x", "disableTLS": True, "secretRef": {"name": "tester"}},
        [
            (
                "spec.analysis.webhooks[1].disableTLS: warning: the token of secretRef goes to whoever "
                "answers: nobody's name is checked"
            )
        ],
    ),
    (
        "spec.analysis.alerts[0].providerRef",
        GONE,
        ["spec.analysis.alerts[0].providerRef: is required"],
    ),
    (
        "spec.analysis.alerts[0].providerRef.name",
        "chart",
        [f"spec.analysis.alerts[0].providerRef: warning: AlertProvider shop/chart {NOT_GIVEN}"],
    ),
    (
        "spec.analysis.alerts[0].providerRef.name",
        "../../../x",
        [
            f"spec.analysis.alerts[0].providerRef: warning: AlertProvider shop/../../../x {NOT_GIVEN}",
            f"spec.analysis.alerts[0].providerRef.name: ../../../x {NO_OBJECT_NAME}",
        ],
    ),
    (
        "spec.analysis.alerts[1].providerRef.namespace",
        "ops/..",
        [
            f"spec.analysis.alerts[1].providerRef: warning: AlertProvider ops/../pager {NOT_GIVEN}",
            (
                "spec.analysis.alerts[1].providerRef.namespace: ops/.. is no name of a namespace: allowed "
                "are lower-case letters, digits and '-', with a letter or digit first and last"
            ),
        ],
    ),
    (
        "spec.analysis.metrics",
        [{"name": "errors", "templateRef": {"name": "../../../x"}, "thresholdRange": {"max": 1}}],
        [
            f"spec.analysis.metrics[0].templateRef: warning: MetricTemplate shop/../../../x {NOT_GIVEN}",
            f"spec.analysis.metrics[0].templateRef.name: ../../../x {NO_OBJECT_NAME}",
        ],
    ),
    (
        "spec.analysis.alerts[1].providerRef.namespace",
        GONE,
        [f"spec.analysis.alerts[1].providerRef: warning: AlertProvider shop/pager {NOT_GIVEN}"],
    ),
    (
        "spec.analysis.alerts[0].severity",
        "warning",
        ["spec.analysis.alerts[0].severity: must be empty, info, warn or error, is warning"],
    ),
]
PROVIDER = [
    (
        "spec.type",
        "pagerduty",
        ["spec.type: must be slack, msteams, discord, rocket, gchat or webhook, is pagerduty"],
    ),
    (
        "spec.secretRef",
        GONE,
        ["spec: address or secretRef is required: without one there is nowhere to send alerts to"],
    ),
    (
        "spec.address",
        "https://hooks.slack.com/services/T0/B0/secret",
        [
            (
                "spec.address: must not carry a token in its path: put it as `address` into a Secret, "
                "name that in secretRef"
            )
        ],
    ),
    (
        "spec.address",
        "https://chat.googleapis.com/v1/spaces/x/messages?key=a&token=b",
        ["spec.address: must not carry a token: name a Secret in secretRef"],
    ),
    *(
        (
            "spec.address",
            f"https://chat.example.com/alerts?api-version=1&{parameter}=a",
            ["spec.address: must not carry a token: name a Secret in secretRef"],
        )
        for parameter in ("sig", "Signature", "X-Amz-Signature", "X-Amz-Credential", "client_secret")
    ),
    (
        "spec.address",
        (
            "https://default0a.1b.environment.api.powerplatform.com/powerautomate/automations/direct/"
            "workflows/0123/triggers/manual/paths/invoke?api-version=1"
        ),
        [
            (
                "spec.address: must not carry a token in its path: put it as `address` into a Secret, "
                "name that in secretRef"
            )
        ],
    ),
    (
        "spec.address",
        "chat.example.com",
        ["spec.address: must be a URL that begins with http:// or https://, is chat.example.com"],
    ),
    ("spec.address", "https://slack.com/api/chat.postMessage", []),
    (
        "spec.proxy",
        "proxy:3128",
        ["spec.proxy: must be a URL that begins with http:// or https://, is proxy:3128"],
    ),
    (
        "spec.secretRef",
        {"name": "chat", "key": "x"},
        ["spec.secretRef.key: unknown field; allowed are name"],
    ),
    (
        "spec.secretRef.name",
        "Chat",
        [
            (
                "spec.secretRef.name: Chat is no name of a Kubernetes object: allowed are lower-case "
                "letters, digits, "
                "'-' and '.', with a letter or digit first and last"
            )
        ],
    ),
]
TCP = [
    ({}, []),
    (
        {"analysis": {"match": [{"headers": {"a": {"exact": "b"}}}]}},
        [f"spec.analysis.match: {NO_REQUESTS}"],
    ),
    ({"analysis": {"mirror": True}}, [f"spec.analysis.mirror: {NO_REQUESTS}"]),
    (
        {"analysis": {"sessionAffinity": {"cookieName": "x"}}},
        [f"spec.analysis.sessionAffinity: {NO_REQUESTS}"],
    ),
    (
        {"service": {"match": [{"port": 9000, "uri": {"exact": "/"}}]}},
        [f"spec.service.match[0].uri: {NO_REQUESTS}; allowed is port"],
    ),
    ({"service": {"match": [{"port": 9000}]}}, []),
    (
        {"service": {"delegation": True}},
        ["spec.service.delegation: not possible with appProtocol tcp: Istio delegates HTTP only"],
    ),
    (
        {"service": {"timeout": "5s", "corsPolicy": {"maxAge": "1h"}}},
        [
            "spec.service.timeout: warning: has no effect with appProtocol tcp",
            "spec.service.corsPolicy: warning: has no effect with appProtocol tcp",
        ],
    ),
    ({"service": {"portDiscovery": True}}, []),
]


def table(rows: Sequence[tuple[Any, ...]]) -> list[Any]:
    return [pytest.param(*row, id="; ".join(row[-1]) or f"allowed: {row[:-1]}") for row in rows]


def lines(documents: Sequence[Any]) -> list[str]:
    return [str(mistake) for mistake in resolve(documents, "member").mistakes]


@pytest.mark.parametrize(("fields", "expected"), table(BLUE_GREEN))
def test_names_a_mistake_in_blue_green(fields: dict[str, Any], expected: list[str]) -> None:
    documents = read("blue-green.yaml")
    documents[0]["spec"]["analysis"] |= fields

    assert lines(documents) == expected


@pytest.mark.parametrize(("path", "value", "expected"), table(AFFINITY))
def test_names_a_mistake_beside_session_affinity(path: str, value: object, expected: list[str]) -> None:
    documents = read("session-affinity.yaml")
    change(documents[0], path, value)

    assert lines(documents) == expected


@pytest.mark.parametrize(("path", "value", "expected"), table(GATES))
def test_names_a_mistake_in_gates_and_alerts(path: str, value: object, expected: list[str]) -> None:
    documents = read("gates-and-alerts.yaml")
    change(documents[0], path, value)

    assert lines(documents) == expected


@pytest.mark.parametrize(("path", "value", "expected"), table(PROVIDER))
def test_names_a_mistake_in_an_alert_provider(path: str, value: object, expected: list[str]) -> None:
    documents = read("gates-and-alerts.yaml")[1:2]
    change(documents[0], path, value)

    assert lines(documents) == expected


@pytest.mark.parametrize(("fields", "expected"), table(TCP))
def test_names_what_cannot_be_had_on_tcp(fields: dict[str, Any], expected: list[str]) -> None:
    [document, template] = [*read("flagger-canary.yaml"), *read("metric-template.yaml")]
    metrics = document["spec"]["analysis"]["metrics"]
    document["spec"]["analysis"]["metrics"] = metrics[2:]
    document["spec"]["service"] = {"port": 9000, "appProtocol": "TCP", **fields.get("service", {})}
    document["spec"]["analysis"] |= fields.get("analysis", {})

    assert lines([document, template]) == expected


def test_a_built_in_metric_is_warned_of_on_tcp() -> None:
    [document] = read("blue-green.yaml")
    document["spec"]["service"]["appProtocol"] = "tcp"
    document["spec"]["analysis"] |= {"mirror": False, "mirrorWeight": 0}

    assert lines([document])[0] == SUCCESS_RATE_OF_TCP


def test_the_analysis_match_must_not_fight_with_the_services() -> None:
    [document] = read("blue-green.yaml")
    document["spec"]["service"]["match"] = [{"uri": {"prefix": "/api"}}, {"headers": {"a": {"exact": "b"}}}]
    document["spec"]["analysis"] |= {"mirror": False, "mirrorWeight": 0}
    document["spec"]["analysis"]["match"] = [
        {"headers": {"x-canary": {}}},
        {"uri": {"prefix": "/new"}, "headers": {"x-canary": {}, "a": {"exact": "c"}}, "name": "new"},
    ]

    assert lines([document]) == [
        f"spec.analysis.match[1].headers.a: {TWICE}",
        f"spec.analysis.match[1].uri: {TWICE}",
    ]


def test_a_service_as_target_has_no_containers_to_discover_ports_of() -> None:
    [document] = read("blue-green.yaml")
    document["spec"]["targetRef"] = {"kind": "Service", "name": "catalog"}

    assert lines([document]) == [
        "spec.service.portDiscovery: warning: has no effect: a Service as target has no containers to look at"
    ]


def test_an_alert_provider_that_cannot_be_read_is_not_missing() -> None:
    documents = read("gates-and-alerts.yaml")
    documents[1]["spec"] = []

    assert lines(documents) == ["spec: must be a mapping, is a list"]
