from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from canary.documents.resolve import resolve
from tests.canary.examples import GONE, change, read

Object = dict[str, Any]
ROLLOUT = "spec.syncPolicies[0].rollout"
POLICY = f"{ROLLOUT}.rolloutPolicy"
ROUTING = f"{ROLLOUT}.rolloutPolicy.trafficRouting"
ANALYSIS = f"{ROLLOUT}.rolloutPolicy.trafficAnalysis"
NO_OBJECT_NAME = (
    "is no name of a Kubernetes object: allowed are lower-case letters, digits, '-' and '.', "
    "with a letter or digit first and last"
)
NO_SERVICE_NAME = (
    "is no name of a Service: allowed are lower-case letters, digits and '-', "
    "with a letter first and no '-' last"
)
KINDS = "Application, Fleet, AttachedCluster, Canary, MetricTemplate or AlertProvider"

# Each: the field, what it is set to (GONE: taken out), and the line that must come, in the same field if it
# does not name another.
KURATOR = [
    ("metadata.name", "CustomMetric-demo", f"metadata.name: CustomMetric-demo {NO_OBJECT_NAME}"),
    ("metadata.name", "a" * 254, "metadata.name: must have at most 253 characters, has 254"),
    ("metadata.name", GONE, "metadata.name: is required"),
    ("metadata.namespace", 7, "metadata.namespace: must be text, is 7; put it in quotes"),
    ("apiVersion", "v1", "apiVersion: must be apps.kurator.dev/v1alpha1 for kind Application, is v1"),
    (
        "kind",
        GONE,
        f"kind is required; allowed are {KINDS}",
    ),
    (
        "kind",
        "Deployment",
        f"kind: must be {KINDS}, is Deployment",
    ),
    ("specs", {}, "specs: unknown field, did you mean spec?"),
    ("spec.source", GONE, "spec.source: is required"),
    ("spec.source.gitRepository", GONE, "spec.source: gitRepository is required"),
    ("spec.source.helmRepository", {"url": "x"}, "spec.source.helmRepository: not supported yet"),
    ("spec.source.ociRepository", {"url": "x"}, "spec.source.ociRepository: not supported yet"),
    (
        "spec.source.gitRepository.url",
        "git@example.com:shop.git",
        (
            "spec.source.gitRepository.url: must be a URL that begins with http:// or https://, "
            "is …@example.com…"
        ),
    ),
    (
        "spec.source.gitRepository.url",
        "https://me:secret@example.com/shop.git",
        "spec.source.gitRepository.url: must not carry a user or password: name a Secret in secretRef",
    ),
    (
        "spec.source.gitRepository.url",
        "https://example.com/shop.git?access_token=secret",
        "spec.source.gitRepository.url: must not carry a token: name a Secret in secretRef",
    ),
    (
        "spec.source.gitRepository.url",
        "https://example.com/a/../shop.git",
        "spec.source.gitRepository.url: must not hold . or .. in its path: write the path that is meant",
    ),
    (
        "spec.source.gitRepository.secretRef",
        {"name": "../../other-ns/secrets/creds"},
        f"spec.source.gitRepository.secretRef.name: ../../other-ns/secrets/creds {NO_OBJECT_NAME}",
    ),
    (
        "spec.source.gitRepository.ref.commit",
        "abc",
        (
            "spec.source.gitRepository.ref.commit: must be a commit's whole SHA-1, 40 hexadecimal digits, "
            "is abc"
        ),
    ),
    (
        f"{ROUTING}.hosts",
        ["https://shop"],
        f"{ROUTING}.hosts[0]: https://shop is no host: allowed is a DNS name, also with * first, or *",
    ),
    (
        "spec.source.gitRepository.interval",
        "3 minutes",
        "spec.source.gitRepository.interval: must be a duration such as 90s, 3m0s or 1h, is 3 minutes",
    ),
    (
        "spec.source.gitRepository.interval",
        "0s",
        "spec.source.gitRepository.interval: must be longer than 0s",
    ),
    (
        "spec.source.gitRepository.interval",
        60,
        "spec.source.gitRepository.interval: must be a duration such as 90s, 3m0s or 1h, is 60",
    ),
    ("spec.source.gitRepository.ref.semver", ">1", "spec.source.gitRepository.ref.semver: not supported yet"),
    (
        "spec.source.gitRepository.URL",
        "https://example.com",
        "spec.source.gitRepository.URL: unknown field, did you mean url?",
    ),
    (
        "spec.source.gitRepository.ref.branch",
        ["main"],
        "spec.source.gitRepository.ref.branch: must be text, is a list",
    ),
    ("spec.source.gitRepository.suspend", True, "spec.source.gitRepository.suspend: not supported yet"),
    ("spec.syncPolicies", [], "spec.syncPolicies: must not be empty"),
    ("spec.syncPolicies", {}, "spec.syncPolicies: must be a list, is a mapping"),
    ("spec.syncPolicies[0].name", "Shop", f"spec.syncPolicies[0].name: Shop {NO_OBJECT_NAME}"),
    (
        "spec.syncPolicies[0].name",
        "shop-1",
        "spec.syncPolicies[1].name: shop-1 is the name of syncPolicies[0] too",
    ),
    ("spec.syncPolicies[0].kustomization", GONE, "spec.syncPolicies[0]: kustomization is required"),
    ("spec.syncPolicies[0].helm", {"chart": {}}, "spec.syncPolicies[0].helm: not supported yet"),
    (
        "spec.syncPolicies[1].kustomization.targetNamespace",
        "Web",
        (
            "spec.syncPolicies[1].kustomization.targetNamespace: Web is no name of a namespace: allowed are "
            "lower-case letters, digits and '-', with a letter or digit first and last"
        ),
    ),
    (
        "spec.syncPolicies[0].kustomization.force",
        True,
        "spec.syncPolicies[0].kustomization.force: not supported yet",
    ),
    (
        "spec.syncPolicies[0].kustomization.prune",
        "yes",
        "spec.syncPolicies[0].kustomization.prune: must be true or false, is yes",
    ),
    (
        "spec.syncPolicies[0].kustomization.interval",
        "-5s",
        "spec.syncPolicies[0].kustomization.interval: must be between 0s and 8784h",
    ),
    (
        "spec.syncPolicies[0].kustomization.interval",
        "999999999h",
        "spec.syncPolicies[0].kustomization.interval: must be between 0s and 8784h",
    ),
    (
        "spec.syncPolicies[1].destination.fleet",
        "other",
        (
            "spec.syncPolicies[1].destination.fleet: other is not quickstart, the fleet of syncPolicies[0]: "
            "an Application goes to one fleet"
        ),
    ),
    (
        "spec.syncPolicies[1].destination",
        GONE,
        "spec.syncPolicies[1]: a fleet must be named for every policy or for none",
    ),
    (
        "spec.syncPolicies[0].destination.clusterSelector",
        {"matchLabels": {"env": "prod"}},
        "spec.syncPolicies[0].destination.clusterSelector.matchLabels: not supported yet",
    ),
    (
        f"{ROLLOUT}.workload.kind",
        "StatefulSet",
        f"{ROLLOUT}.workload.kind: must be Deployment or DaemonSet, is StatefulSet",
    ),
    (f"{ROLLOUT}.workload", GONE, f"{ROLLOUT}.workload: is required"),
    (
        f"{ROLLOUT}.workload.kind",
        GONE,
        f"{ROLLOUT}.workload.kind: is required: write Deployment or DaemonSet",
    ),
    (
        f"{ROLLOUT}.workload.namespace",
        GONE,
        f"{ROLLOUT}.workload.namespace: is required: write the namespace that the workload is in",
    ),
    (
        f"{ROLLOUT}.workload.name",
        "a" * 53,
        (
            f"{ROLLOUT}.workload.name: must have at most 52 characters, has 53: "
            f"a Service {'a' * 53}-testloader is made"
        ),
    ),
    (f"{ROLLOUT}.serviceName", "9backend", f"{ROLLOUT}.serviceName: 9backend {NO_SERVICE_NAME}"),
    (f"{ROLLOUT}.serviceName", "", f"{ROLLOUT}.serviceName: must not be empty"),
    (f"{ROLLOUT}.port", 0, f"{ROLLOUT}.port: must be at least 1, is 0"),
    (f"{ROLLOUT}.port", "9898", f"{ROLLOUT}.port: must be a whole number, is 9898"),
    (f"{ROLLOUT}.port", True, f"{ROLLOUT}.port: must be a whole number, is true"),
    (f"{ROLLOUT}.prot", 9898, f"{ROLLOUT}.prot: unknown field, did you mean port?"),
    (
        f"{ROLLOUT}.workload.color",
        "red",
        f"{ROLLOUT}.workload.color: unknown field; allowed are apiVersion, kind, name, namespace",
    ),
    (
        f"{ROLLOUT}.trafficRoutingProvider",
        "kuma",
        f"{ROLLOUT}.trafficRoutingProvider: must be istio, is kuma",
    ),
    (
        f"{ROLLOUT}.primary",
        {"labels": {"a b": "c"}},
        (
            f"{ROLLOUT}.primary.labels.a b: a b is no key of a label: allowed are up to 63 letters, digits, "
            "'-', '_' and '.', after a domain and '/' or without"
        ),
    ),
    (
        f"{ROLLOUT}.preview",
        {"labels": {"example.com/team": "two words"}},
        (
            f"{ROLLOUT}.preview.labels.example.com/team: two words is no value of a label: allowed are up to "
            "63 letters, digits, '-', '_' and '.', with a letter or digit first and last"
        ),
    ),
    (
        f"{ROLLOUT}.rolloutPolicy.trafficRouting",
        GONE,
        f"{ROUTING}: canaryStrategy or analysisTimes is required: without one it never reaches a promotion",
    ),
    (
        f"{ROLLOUT}.rolloutPolicy.trafficAnalysis",
        GONE,
        f"{ANALYSIS}: is required: write checkFailedTimes, or skipTrafficAnalysis: true beside it",
    ),
    (
        f"{ROUTING}.canaryStrategy",
        GONE,
        (f"{ROUTING}: canaryStrategy or analysisTimes is required: without one it never reaches a promotion"),
    ),
    (
        f"{ROUTING}.analysisTimes",
        3,
        f"{ROUTING}.analysisTimes: canaryStrategy is given as well: choose one of the two",
    ),
    (
        f"{ROLLOUT}.rolloutPolicy.trafficRouting",
        {"analysisTimes": 351_361},  # of 90 s each
        (
            f"{ROUTING}.analysisTimes: 351361 checks with 90s between them last longer than the 8784h that a "
            "rollout may take"
        ),
    ),
    (
        f"{ROLLOUT}.rolloutPolicy.trafficRouting",
        {"analysisTimes": 2**31},
        f"{ROUTING}.analysisTimes: must be at most {2**31 - 1}, is {2**31}",
    ),
    (
        f"{ROUTING}.timeoutSeconds",
        31_622_401,
        f"{ROUTING}.timeoutSeconds: must be at most 31622400, is 31622401",
    ),
    (
        f"{ANALYSIS}.checkFailedTimes",
        2**31,
        f"{ANALYSIS}.checkFailedTimes: must be at most {2**31 - 1}, is {2**31}",
    ),
    (
        f"{ANALYSIS}.sessionAffinity",
        {"cookieName": "x", "maxAge": 2**31},
        f"{ANALYSIS}.sessionAffinity.maxAge: must be at most {2**31 - 1}, is {2**31}",
    ),
    (
        f"{ROUTING}.match",
        [{"headers": {}}],
        f"{ROUTING}.match[0]: matches every request: give headers, queryParams or sourceLabels",
    ),
    (f"{ROUTING}.host", "example.com", f"{ROUTING}.host: not supported: Istio has no use for it"),
    (
        f"{ROUTING}.retries",
        {"attempt": 3},
        f"{ROUTING}.retries.attempt: unknown field, did you mean attempts?",
    ),
    (
        f"{ROUTING}.canaryStrategy",
        {},
        (
            f"{ROUTING}.canaryStrategy: stepWeight or stepWeights is required: "
            "without a step it never reaches a promotion"
        ),
    ),
    (
        f"{ROUTING}.canaryStrategy.stepWeight",
        0,
        f"{ROUTING}.canaryStrategy.stepWeight: must be at least 1, is 0",
    ),
    (
        f"{ROUTING}.canaryStrategy.stepWeight",
        101,
        f"{ROUTING}.canaryStrategy.stepWeight: must be at most 100, is 101",
    ),
    (
        f"{ROUTING}.canaryStrategy.maxWeight",
        0,
        f"{ROUTING}.canaryStrategy.maxWeight: must be at least 1, is 0",
    ),
    (
        f"{ROUTING}.canaryStrategy.maxWeight",
        150,
        f"{ROUTING}.canaryStrategy.maxWeight: must be at most 100, is 150",
    ),
    (
        f"{ROUTING}.canaryStrategy.stepWeightPromotion",
        101,
        f"{ROUTING}.canaryStrategy.stepWeightPromotion: must be at most 100, is 101",
    ),
    (
        f"{ROUTING}.canaryStrategy.stepWeights",
        [10, 20, 50],
        f"{ROUTING}.canaryStrategy.stepWeights: stepWeight is given as well: choose one of the two",
    ),
    (
        f"{ROUTING}.canaryStrategy",
        {"stepWeights": [10, 50, 50]},
        f"{ROUTING}.canaryStrategy.stepWeights[2]: must be more than the step before it, 50, is 50",
    ),
    (
        f"{ROUTING}.canaryStrategy",
        {"stepWeights": [10, 120]},
        (f"{ROUTING}.canaryStrategy.stepWeights[1]: warning: counts as 100, which is all traffic, is 120"),
    ),
    (
        f"{ROUTING}.canaryStrategy",
        {"stepWeights": []},
        f"{ROUTING}.canaryStrategy.stepWeights: must not be empty",
    ),
    (
        f"{ROUTING}.canaryStrategy",
        {"stepWeights": [10, 50], "maxWeight": 60},
        (
            f"{ROUTING}.canaryStrategy.maxWeight: warning: has no effect beside stepWeights, "
            "whose last step is 50"
        ),
    ),
    (f"{ANALYSIS}.checkIntervalSeconds", 0, f"{ANALYSIS}.checkIntervalSeconds: must be at least 1, is 0"),
    (f"{ANALYSIS}.checkIntervalSeconds", -90, f"{ANALYSIS}.checkIntervalSeconds: must be at least 1, is -90"),
    (f"{POLICY}.revertOnDeletion", "no", f"{POLICY}.revertOnDeletion: must be true or false, is no"),
    (
        f"{POLICY}.acceptedPolicies",
        ["Deployment/web"],
        (
            f"{POLICY}.acceptedPolicies[0]: must be <kind>/<name>, in Istio's root namespace "
            "<kind>/<namespace>/<name>, with a kind of AuthorizationPolicy, PeerAuthentication, "
            "RequestAuthentication, NetworkPolicy, is Deployment/web"
        ),
    ),
    (
        f"{POLICY}.acceptedPolicies",
        ["NetworkPolicy/a/b/c"],
        (
            f"{POLICY}.acceptedPolicies[0]: must be <kind>/<name>, in Istio's root namespace "
            "<kind>/<namespace>/<name>, with a kind of AuthorizationPolicy, PeerAuthentication, "
            "RequestAuthentication, NetworkPolicy, is NetworkPolicy/a/b/c"
        ),
    ),
    (f"{ANALYSIS}.checkFailedTimes", GONE, f"{ANALYSIS}.checkFailedTimes: is required"),
    (f"{ANALYSIS}.checkFailedTimes", -1, f"{ANALYSIS}.checkFailedTimes: must be at least 0, is -1"),
    (
        f"{ANALYSIS}.checkFailedTimes",
        0,
        f"{ANALYSIS}.checkFailedTimes: warning: 0 counts as 1: the first failed check rolls back",
    ),
    (
        f"{ANALYSIS}.webhooks.secretRef",
        {"name": "Tester"},
        f"{ANALYSIS}.webhooks.secretRef.name: Tester {NO_OBJECT_NAME}",
    ),
    (f"{ANALYSIS}.metrics[0].name", GONE, f"{ANALYSIS}.metrics[0].name: is required"),
    (f"{ANALYSIS}.metrics[0].name", "", f"{ANALYSIS}.metrics[0].name: must not be empty"),
    (
        f"{ANALYSIS}.metrics[2].name",
        "Busy_Workers",
        f"{ANALYSIS}.metrics[2].name: Busy_Workers {NO_OBJECT_NAME}",
    ),
    (
        f"{ANALYSIS}.metrics[2].customMetric",
        GONE,
        (
            f"{ANALYSIS}.metrics[2].name: warning: MetricTemplate webapp/busy-workers was not given: "
            "it is read from the cluster, or pass it with -f"
        ),
    ),
    (
        f"{ANALYSIS}.metrics[2].name",
        "request-duration",
        f"{ANALYSIS}.metrics[2].customMetric: request-duration is built in: give the query another name",
    ),
    (
        f"{ANALYSIS}.metrics[2].customMetric.provider.type",
        "datadog",
        (
            f"{ANALYSIS}.metrics[2].customMetric.provider.type: datadog is not supported yet; "
            "allowed is prometheus"
        ),
    ),
    (
        f"{ANALYSIS}.metrics[2].customMetric.provider.type",
        "prom",
        f"{ANALYSIS}.metrics[2].customMetric.provider.type: must be prometheus, is prom",
    ),
    (
        f"{ANALYSIS}.metrics[2].customMetric.provider.region",
        "eu",
        f"{ANALYSIS}.metrics[2].customMetric.provider.region: not supported: CloudWatch only",
    ),
    (
        f"{ANALYSIS}.metrics[2].customMetric.provider.headers",
        {"Authorization": ["Bearer abc"]},
        (
            f"{ANALYSIS}.metrics[2].customMetric.provider.headers.Authorization: may hold a secret, "
            "which histories and reports would show: put it into a Secret, see secretRef"
        ),
    ),
    (
        f"{ANALYSIS}.metrics[2].customMetric.query",
        "sum({{ nonsense }})",
        (
            f"{ANALYSIS}.metrics[2]: The query of metric busy-workers cannot be rendered: {{{{ nonsense }}}} "
            "is none of name, namespace, target, service, ingress, route, interval, variables.<name>."
        ),
    ),
    (
        f"{ANALYSIS}.metrics[0].thresholdRange",
        {"min": 99, "max": 90},
        f"{ANALYSIS}.metrics[0].thresholdRange: min 99 is above max 90: no value can pass",
    ),
    (
        f"{ANALYSIS}.metrics[0].thresholdRange",
        {"max": 99},
        (
            f"{ANALYSIS}.metrics[0].thresholdRange: warning: request-success-rate is a success rate, "
            "which fails above max: 99 when all is well; give min"
        ),
    ),
    (
        f"{ANALYSIS}.metrics[1].thresholdRange",
        {"min": 10},
        (
            f"{ANALYSIS}.metrics[1].thresholdRange: warning: request-duration fails below min: 10 "
            "when it is fast; give max"
        ),
    ),
    (
        f"{ANALYSIS}.metrics[1].thresholdRange",
        GONE,
        (
            f"{ANALYSIS}.metrics[1]: warning: request-duration has no bound: it is measured and never fails; "
            "give thresholdRange min or max"
        ),
    ),
    (
        f"{ANALYSIS}.metrics[0].thresholdRange.min",
        "99",
        f"{ANALYSIS}.metrics[0].thresholdRange.min: must be a number, is 99",
    ),
    (
        f"{ANALYSIS}.metrics[0].thresholdRange.min",
        float("nan"),
        f"{ANALYSIS}.metrics[0].thresholdRange.min: must be a finite number, is nan",
    ),
    (
        f"{ANALYSIS}.metrics[0].intervalSeconds",
        120,
        (
            f"{ANALYSIS}.metrics[0].intervalSeconds: warning: 120s is longer than the 90s between two "
            "checks: a query never looks back before the step it judges"
        ),
    ),
    (f"{ANALYSIS}.webhooks", [], f"{ANALYSIS}.webhooks: must be a mapping, is a list"),
    (
        f"{ANALYSIS}.webhooks.timeoutSeconds",
        0,
        f"{ANALYSIS}.webhooks.timeoutSeconds: must be at least 1, is 0",
    ),
    (
        f"{ANALYSIS}.sessionAffinity",
        {},
        f"{ANALYSIS}.sessionAffinity.cookieName: is required: name the cookie",
    ),
    (
        f"{ANALYSIS}.sessionAffinity",
        {"cookieName": "x", "maxAge": 0},
        f"{ANALYSIS}.sessionAffinity.maxAge: must be at least 1, is 0",
    ),
    (
        f"{ANALYSIS}.sessionAffinity",
        {"cookieName": "x", "primaryCookieName": "y"},
        (f"{ANALYSIS}.sessionAffinity.primaryCookieName: unknown field, did you mean cookieName?"),
    ),
    (
        f"{ANALYSIS}.metrics[2].minSamples",
        10,
        (
            f"{ANALYSIS}.metrics[2].minSamples: only a built-in metric counts its samples: "
            "let the query answer nothing"
        ),
    ),
    (f"{ANALYSIS}.metrics[0].minSamples", 0, f"{ANALYSIS}.metrics[0].minSamples: must be more than 0, is 0"),
    (
        f"{ANALYSIS}.metrics[0].noData",
        "ignore",
        f"{ANALYSIS}.metrics[0].noData: must be fail, hold or pass, is ignore",
    ),
    (
        f"{ANALYSIS}.metrics[0].warmUpSeconds",
        451,
        (
            f"{ANALYSIS}.metrics[0].warmUpSeconds: warning: 451s is longer than the 450s that all steps take"
            ": the first step lasts until then"
        ),
    ),
    (
        ANALYSIS,
        {"checkFailedTimes": 2},
        f"{ANALYSIS}: warning: has neither metrics nor commands: every check passes",
    ),
]
FLEET = [
    ("spec.clusters", [], "spec.clusters: must not be empty"),
    (
        "spec.clusters[0].kind",
        "KindCluster",
        "spec.clusters[0].kind: must be Cluster or AttachedCluster, is KindCluster",
    ),
    (
        "spec.clusters[1].name",
        "kurator-member1",
        "spec.clusters[1].name: kurator-member1 is in this fleet already",
    ),
    ("spec.clusters[1].name", "a/b", f"spec.clusters[1].name: a/b {NO_OBJECT_NAME}"),
    *(
        (
            "spec.clusters[1].name",
            name,
            (
                f"spec.clusters[1].name: must have at most 28 characters and no dot, is {name}: "
                f"publicTestloader makes a Service istio-system-testloader-{name}-loadtester"
            ),
        )
        for name in ("a" * 29, "member.two")
    ),
    (
        "spec.plugin.flagger.trafficRoutingProvider",
        "nginx",
        "spec.plugin.flagger.trafficRoutingProvider: must be istio, is nginx",
    ),
    (
        "spec.plugin.flagger.extraArgs",
        {"image": {}},
        (
            "spec.plugin.flagger.extraArgs: warning: has no effect: no chart is installed, "
            "the engine does the plugin's work"
        ),
    ),
    (
        "spec.plugin.metric",
        {"thanos": {}},
        "spec.plugin.metric: warning: has no effect: this plugin is not a matter of rollouts",
    ),
]
FLAGGER = [
    (
        "spec.targetRef.kind",
        "StatefulSet",
        "spec.targetRef.kind: must be Deployment, DaemonSet or Service, is StatefulSet",
    ),
    (
        "spec.targetRef.apiVersion",
        "serving.knative.dev/v1",
        "spec.targetRef.apiVersion: not supported: Knative only",
    ),
    (
        "spec.targetRef.apiVersion",
        "v1",
        "spec.targetRef.apiVersion: must be apps/v1 for kind Deployment, is v1",
    ),
    ("spec.targetRef.name", "back.end", f"spec.targetRef.name: back.end {NO_SERVICE_NAME}"),
    ("spec.service.name", "Front", f"spec.service.name: Front {NO_SERVICE_NAME}"),
    (
        "spec.service.name",
        "f" * 56,
        f"spec.service.name: must have at most 55 characters, has 56: a Service {'f' * 56}-primary is made",
    ),
    ("spec.provider", "linkerd", "spec.provider: must be istio, is linkerd"),
    (
        "spec.metricsServer",
        "prometheus:9090",
        "spec.metricsServer: must be a URL that begins with http:// or https://, is prometheus:9090",
    ),
    ("spec.revertOnDeletion", "no", "spec.revertOnDeletion: must be true or false, is no"),
    ("spec.ingressRef", {"name": "x"}, "spec.ingressRef: not supported: nginx only"),
    (
        "spec.autoscalerRef.kind",
        "ScaledObject",
        (
            "spec.autoscalerRef.kind: ScaledObject is not supported: KEDA only; "
            "allowed is HorizontalPodAutoscaler"
        ),
    ),
    (
        "spec.autoscalerRef.primaryScalerReplicas",
        {"minReplicas": 3, "maxReplicas": 2},
        "spec.autoscalerRef.primaryScalerReplicas.minReplicas: must be at most maxReplicas, 2, is 3",
    ),
    (
        "spec.autoscalerRef.primaryScalerReplicas",
        {"maxReplicas": 0},
        "spec.autoscalerRef.primaryScalerReplicas.maxReplicas: must be at least 1, is 0",
    ),
    (
        "spec.autoscalerRef.primaryScalerQueries",
        {"a": "b"},
        "spec.autoscalerRef.primaryScalerQueries: not supported: KEDA only",
    ),
    ("spec.service", GONE, "spec.service: is required"),
    ("spec.service.port", GONE, "spec.service.port: is required"),
    (
        "spec.service.targetPort",
        [8080],
        "spec.service.targetPort: must be a port's number or name, is a list",
    ),
    ("spec.service.apex", {"label": {}}, "spec.service.apex.label: unknown field, did you mean labels?"),
    (
        "spec.service.targetPort",
        70000,
        "spec.service.targetPort: must be between 0 and 65535, is 70000",
    ),
    ("spec.service.targetPort", -1, "spec.service.targetPort: must be between 0 and 65535, is -1"),
    *(
        (
            "spec.service.targetPort",
            name,
            (
                f"spec.service.targetPort: {shown} is no name of a container's port: allowed are up to 15 "
                "lower-case letters, digits and single '-' between them, at least one a letter"
            ),
        )
        for name, shown in (
            ("", "empty"),
            ("8080", "8080"),
            ("Http", "Http"),
            ("a--b", "a--b"),
            ("a" * 16, "a" * 16),
        )
    ),
    *(
        (
            "spec.service.portName",
            name,
            (
                f"spec.service.portName: {shown} is no name of a port: allowed are up to 63 lower-case "
                "letters, digits and '-', with a letter or digit first and last"
            ),
        )
        for name, shown in (("Http_1", "Http_1"), ("a" * 64, f"{'a' * 60}..."))
    ),
    (
        "spec.service.timeout",
        "15 seconds",
        "spec.service.timeout: must be a duration such as 90s, 3m0s or 1h, is 15 seconds",
    ),
    ("spec.service.timeout", "0s", "spec.service.timeout: must be between 1ms and 8784h"),
    ("spec.service.timeout", "-1s", "spec.service.timeout: must be between 1ms and 8784h"),
    (
        "spec.service.retries.perTryTimeout",
        "5",
        "spec.service.retries.perTryTimeout: must be a duration such as 90s, 3m0s or 1h, is 5",
    ),
    (
        "spec.service.retries.attempts",
        -1,
        "spec.service.retries.attempts: must be at least 0, is -1",
    ),
    (
        "spec.service.corsPolicy",
        {"maxAge": "a day"},
        "spec.service.corsPolicy.maxAge: must be a duration such as 90s, 3m0s or 1h, is a day",
    ),
    (
        "spec.service.trafficPolicy",
        {"outlierDetection": {"baseEjectionTime": "0s"}},
        "spec.service.trafficPolicy.outlierDetection.baseEjectionTime: must be between 1ms and 8784h",
    ),
    (
        "spec.service.hosts",
        ["shop.example.com", "two words"],
        "spec.service.hosts[1]: two words is no host: allowed is a DNS name, also with * first, or *",
    ),
    (
        "spec.service.match",
        [{"port": 65536}],
        "spec.service.match[0].port: must be at most 65535, is 65536",
    ),
    (
        "spec.autoscalerRef.apiVersion",
        "apps/v1",
        "spec.autoscalerRef.apiVersion: must be autoscaling/v2, is apps/v1",
    ),
    (
        "spec.service.trafficDistribution",
        "PreferFar",
        (
            "spec.service.trafficDistribution: must be PreferClose, PreferSameZone or PreferSameNode, "
            "is PreferFar"
        ),
    ),
    (
        "spec.service.gatewayRefs",
        [{"name": "x"}],
        "spec.service.gatewayRefs: not supported: Gateway API only",
    ),
    ("spec.service.meshName", "x", "spec.service.meshName: not supported: App Mesh only"),
    (
        "spec.service.trafficPolicy.tls.modus",
        "x",
        "spec.service.trafficPolicy.tls.modus: unknown field, did you mean mode?",
    ),
    (
        "spec.service.match",
        [{"uri": {"starts": "/"}}],
        "spec.service.match[0].uri.starts: unknown field; allowed are exact, prefix, suffix, regex",
    ),
    (
        "spec.service.match",
        [{"headers": {"x-a": {"equals": "a"}}}],
        "spec.service.match[0].headers.x-a.equals: unknown field; allowed are exact, prefix, suffix, regex",
    ),
    (
        "spec.service.match",
        [{"headers": {"exact": {"equals": "a"}}}],  # a header that is called as a field is
        "spec.service.match[0].headers.exact.equals: unknown field",
    ),
    (
        "spec.analysis.metrics[0].thresholdRange",
        {"min": 2, "max": 1},
        "spec.analysis.metrics[0].thresholdRange: min 2 is above max 1: no value can pass",
    ),
    (
        "spec.analysis",
        GONE,
        "spec.analysis: is required: canaryAnalysis, its old name, is not read",
    ),
    ("spec.analysis.interval", "0s", "spec.analysis.interval: must be longer than 0s"),
    ("spec.analysis.interval", "-1m", "spec.analysis.interval: must be between 0s and 8784h"),
    ("spec.analysis.threshold", GONE, "spec.analysis.threshold: is required"),
    (
        "spec.analysis.stepWeights",
        GONE,
        (
            "spec.analysis: stepWeight, stepWeights or iterations is required: "
            "without one it never reaches a promotion"
        ),
    ),
    (
        "spec.analysis.iterations",
        5,
        "spec.analysis.iterations: steps of the weight are given as well: choose one of the two",
    ),
    ("spec.analysis.alerts", [{"name": "x"}], "spec.analysis.alerts[0].providerRef: is required"),
    (
        "spec.analysis.primaryReadyThreshold",
        101,
        "spec.analysis.primaryReadyThreshold: must be at most 100, is 101",
    ),
    (
        "spec.analysis.metrics[0].threshold",
        99,
        "spec.analysis.metrics[0].threshold: warning: has no effect beside thresholdRange",
    ),
    (
        "spec.analysis.metrics[2].templateRef",
        GONE,
        (
            "spec.analysis.metrics[2].name: client errors is not built in (request-success-rate and "
            "request-duration are): templateRef or query is required"
        ),
    ),
    (
        "spec.analysis.metrics[2].query",
        "up",
        "spec.analysis.metrics[2].query: templateRef is given as well: choose one of the two",
    ),
    (
        "spec.analysis.metrics[2].templateVariables",
        GONE,
        (
            "spec.analysis.metrics[2]: The query of metric client errors cannot be rendered: "
            "{{ variables.codes }} is not given in templateVariables."
        ),
    ),
    (
        "spec.analysis.metrics[0].interval",
        "5m",
        (
            "spec.analysis.metrics[0].interval: warning: 300s is longer than the 60s between two checks: "
            "a query never looks back before the step it judges"
        ),
    ),
    (
        "spec.analysis.webhooks[0].type",
        "gate",
        (
            "spec.analysis.webhooks[0].type: must be empty, rollout, confirm-rollout, pre-rollout, "
            "confirm-traffic-increase, confirm-promotion, post-rollout, rollback or event, is gate"
        ),
    ),
    (
        "spec.analysis.webhooks[0].url",
        "ftp://me:secret@example.com",
        (
            "spec.analysis.webhooks[0].url: must be a URL that begins with http:// or https://, "
            "is ftp://…@example.com"
        ),
    ),
    (
        "spec.analysis.webhooks[0].metadata.retries",
        3,
        "spec.analysis.webhooks[0].metadata.retries: must be text, is 3; put it in quotes",
    ),
    (
        "spec.analysis.webhooks[0].muteAlert",
        True,
        "spec.analysis.webhooks[0].muteAlert: warning: has no effect: only a closed gate is alerted of",
    ),
    *(
        (
            "spec.analysis.webhooks[0].url",
            f"http://gate.ops/{path}",
            "spec.analysis.webhooks[0].url: must not hold . or .. in its path: write the path that is meant",
        )
        for path in ("../../secrets/creds", "%2e%2e/x", "x/.")
    ),
    (
        "spec.progressDeadlineSeconds",
        10**30,
        "spec.progressDeadlineSeconds: must be at most 31622400, is 1000000000000000000000000000000",
    ),
]
TEMPLATE = [
    (
        "spec.query",
        "sum({{ target",
        "spec.query: The query of metric client-errors cannot be rendered: a {{ has no }}.",
    ),
    ("spec.query", "", "spec.query: must not be empty"),
    (
        "spec.provider.type",
        "splunk",
        "spec.provider.type: splunk is not supported yet; allowed is prometheus",
    ),
    (
        "spec.provider.address",
        "prometheus:9090",
        "spec.provider.address: must be a URL that begins with http:// or https://, is prometheus:9090",
    ),
    (
        "spec.provider.address",
        "http://[prometheus",
        "spec.provider.address: must be a URL that begins with http:// or https://, is http://…",
    ),
    (
        "spec.provider.secretRef",
        {"name": "Metrics"},
        f"spec.provider.secretRef.name: Metrics {NO_OBJECT_NAME}",
    ),
    ("metadata.namespace", "n" * 64, "metadata.namespace: must have at most 63 characters, has 64"),
]


NOT_DONE_IN_AN_APPLICATION = [
    (
        "spec.source.gitRepository.ref.name",
        "refs/heads/main",
        "spec.source.gitRepository.ref.name: not supported yet",
    ),
    ("spec.source.gitRepository.provider", "azure", "spec.source.gitRepository.provider: not supported yet"),
    (
        "spec.source.gitRepository.proxySecretRef",
        {"name": "proxy"},
        "spec.source.gitRepository.proxySecretRef: not supported yet",
    ),
    (
        "spec.source.gitRepository.verify",
        {"mode": "HEAD"},
        "spec.source.gitRepository.verify: not supported yet",
    ),
    ("spec.source.gitRepository.ignore", "/docs", "spec.source.gitRepository.ignore: not supported yet"),
    (
        "spec.source.gitRepository.recurseSubmodules",
        True,
        "spec.source.gitRepository.recurseSubmodules: not supported yet",
    ),
    (
        "spec.source.gitRepository.include",
        [{"repository": {"name": "x"}}],
        "spec.source.gitRepository.include: not supported yet",
    ),
    (
        "spec.source.gitRepository.sparseCheckout",
        ["deploy"],
        "spec.source.gitRepository.sparseCheckout: not supported yet",
    ),
    (
        "spec.source.gitRepository.accessFrom",
        {"namespaceSelectors": []},
        "spec.source.gitRepository.accessFrom: not supported: nothing is shared between namespaces",
    ),
    (
        "spec.syncPolicies[0].kustomization.suspend",
        True,
        "spec.syncPolicies[0].kustomization.suspend: not supported yet",
    ),
    (
        "spec.syncPolicies[0].kustomization.retryInterval",
        "1m0s",
        "spec.syncPolicies[0].kustomization.retryInterval: not supported yet",
    ),
    (
        "spec.syncPolicies[0].kustomization.commonMetadata",
        {"labels": {"a": "b"}},
        "spec.syncPolicies[0].kustomization.commonMetadata: not supported yet",
    ),
    (
        "spec.syncPolicies[0].kustomization.dependsOn",
        [{"name": "x"}],
        "spec.syncPolicies[0].kustomization.dependsOn: not supported yet",
    ),
    (
        "spec.syncPolicies[0].kustomization.patches",
        [{"patch": "x"}],
        "spec.syncPolicies[0].kustomization.patches: not supported yet",
    ),
    (
        "spec.syncPolicies[0].kustomization.images",
        [{"name": "x"}],
        "spec.syncPolicies[0].kustomization.images: not supported yet",
    ),
    (
        "spec.syncPolicies[0].kustomization.components",
        ["../x"],
        "spec.syncPolicies[0].kustomization.components: not supported yet",
    ),
    (f"{ROUTING}.protocol", "http", f"{ROUTING}.protocol: not supported: Istio has no use for it"),
]
NOT_DONE_IN_A_CANARY = [
    ("spec.routeRef", {"name": "x"}, "spec.routeRef: not supported: APISIX only"),
    ("spec.upstreamRef", {"name": "x"}, "spec.upstreamRef: not supported: Gloo only"),
    ("spec.canaryAnalysis", {"threshold": 1}, "spec.canaryAnalysis: not supported: write analysis"),
    ("spec.service.backendTimeout", "5s", "spec.service.backendTimeout: not supported: Gateway API only"),
    (
        "spec.service.mirror",
        [{"backendRef": {"name": "x"}}],
        "spec.service.mirror: not supported: Gateway API only",
    ),
    ("spec.service.backends", ["x"], "spec.service.backends: not supported: App Mesh only"),
]


def table(rows: Sequence[tuple[str, object, str]]) -> list[Any]:
    return [pytest.param(*row, id=row[2]) for row in rows]


def lines(documents: Sequence[Any]) -> list[str]:
    return [str(mistake) for mistake in resolve(documents, "member").mistakes]


def changed(documents: list[Any], path: str, value: object) -> list[Any]:
    documents = deepcopy(documents)
    change(documents[0], path, value)
    return documents


def places(value: Any, path: str = "") -> list[str]:
    """Every field of a document."""
    if isinstance(value, dict):
        below = [places(item, f"{path}.{name}".lstrip(".")) for name, item in value.items()]
    elif isinstance(value, list):
        below = [places(item, f"{path}[{index}]") for index, item in enumerate(value)]
    else:
        below = []
    return [path, *(place for group in below for place in group)]


@pytest.mark.parametrize(("path", "value", "line"), table([*KURATOR, *NOT_DONE_IN_AN_APPLICATION]))
def test_names_a_mistake_in_an_application(path: str, value: object, line: str) -> None:
    assert lines(changed(read("canary.yaml", "fleet.yaml"), path, value)) == [line]


@pytest.mark.parametrize(("path", "value", "line"), table(FLEET))
def test_names_a_mistake_in_a_fleet(path: str, value: object, line: str) -> None:
    assert lines(changed(read("fleet.yaml"), path, value)) == [line]


@pytest.mark.parametrize(("path", "value", "line"), table([*FLAGGER, *NOT_DONE_IN_A_CANARY]))
def test_names_a_mistake_in_a_canary(path: str, value: object, line: str) -> None:
    assert lines(changed(read("flagger-canary.yaml", "metric-template.yaml"), path, value)) == [line]


@pytest.mark.parametrize(("path", "value", "line"), table(TEMPLATE))
def test_names_a_mistake_in_a_metric_template(path: str, value: object, line: str) -> None:
    assert lines(changed(read("metric-template.yaml"), path, value)) == [line]


@pytest.mark.parametrize(
    ("place", "wanted", "instead"),
    [
        ("spec.source", "gitRepository", "helmRepository"),
        ("spec.source", "gitRepository", "ociRepository"),
        ("spec.syncPolicies[1]", "kustomization", "helm"),
    ],
)
def test_what_is_not_done_is_not_missing_as_well(place: str, wanted: str, instead: str) -> None:
    documents = changed(read("canary.yaml", "fleet.yaml"), f"{place}.{wanted}", GONE)
    change(documents[0], f"{place}.{instead}", {"url": "https://example.com"})

    assert lines(documents) == [f"{place}.{instead}: not supported yet"]


@pytest.mark.proves("K7")
def test_names_a_fleet_that_was_not_given() -> None:
    """Kurator skips the rollout of a cluster that is not there, and says nothing.

    K7: Kurator's rollout_helper.go.
    """
    assert lines(read("canary.yaml")) == [
        "spec.syncPolicies[0].destination.fleet: Fleet default/quickstart not found; pass it with -f"
    ]


def test_names_a_namespace_there_cannot_be() -> None:
    assert lines(changed(read("metric-template.yaml"), "metadata.namespace", "a.b")) == [
        (
            "metadata.namespace: a.b is no name of a namespace: allowed are lower-case letters, digits and "
            "'-', with a letter or digit first and last"
        )
    ]


def test_names_both_mistakes_of_a_metric_that_is_a_success_rate() -> None:
    documents = changed(read("canary.yaml", "fleet.yaml"), "metadata.name", "CustomMetric-demo")
    change(documents[0], f"{ANALYSIS}.metrics[2].name", "istio-request-success-rate")

    assert lines(documents) == [
        f"metadata.name: CustomMetric-demo {NO_OBJECT_NAME}",
        (
            f"{ANALYSIS}.metrics[2].thresholdRange: warning: istio-request-success-rate is a success rate, "
            "which fails above max: 20 when all is well; give min"
        ),
    ]


def test_names_what_is_wrong_beside_a_wrong_field() -> None:
    documents = changed(read("canary.yaml", "fleet.yaml"), "metadata.name", "Shop")
    change(documents[0], f"{ROLLOUT}.prot", 80)
    change(documents[0], f"{ROUTING}.analysisTimes", 3)

    assert lines(documents) == [
        f"{ROLLOUT}.prot: unknown field, did you mean port?",
        f"metadata.name: Shop {NO_OBJECT_NAME}",
        f"{ROUTING}.analysisTimes: canaryStrategy is given as well: choose one of the two",
    ]


def test_says_nothing_that_only_follows_from_a_wrong_field() -> None:
    documents = changed(read("canary.yaml", "fleet.yaml"), f"{ANALYSIS}.checkIntervalSeconds", "90")

    assert lines(documents) == [f"{ANALYSIS}.checkIntervalSeconds: must be a whole number, is 90"]


def test_a_fleet_that_cannot_be_read_is_not_missing() -> None:
    documents = read("canary.yaml", "fleet.yaml")
    documents[1]["spec"] = []

    assert lines(documents) == ["spec: must be a mapping, is a list"]


def test_a_metric_template_that_cannot_be_read_is_not_missing() -> None:
    documents = read("metric-template.yaml", "flagger-canary.yaml", "canary.yaml", "fleet.yaml")
    change(documents[2], f"{ANALYSIS}.metrics", [{"name": "client-errors", "thresholdRange": {"max": 1}}])

    assert lines(changed(documents, "spec", [])) == ["spec: must be a mapping, is a list"]


@pytest.mark.proves("D2")
def test_short_intervals_are_warned_of() -> None:
    """Flagger makes ten seconds of anything shorter, unasked (D2: docs/architecture.md)."""
    documents = changed(read("canary.yaml", "fleet.yaml"), f"{ANALYSIS}.checkIntervalSeconds", 5)
    for metric in documents[0]["spec"]["syncPolicies"][0]["rollout"]["rolloutPolicy"]["trafficAnalysis"][
        "metrics"
    ]:
        del metric["intervalSeconds"]

    assert lines(documents) == [
        (
            f"{ANALYSIS}.checkIntervalSeconds: warning: 5s is short: metrics need time, "
            "10s or more gives them new samples"
        )
    ]


COMMANDS = f"{ANALYSIS}.webhooks.command"
UNASKED = (
    f"{COMMANDS}: warning: go to the public load tester, which Fleet quickstart does not ask for: "
    "say testLoader: true, or publicTestloader: true there"
)


@pytest.mark.parametrize(
    ("plugin", "changes", "expected"),
    [
        pytest.param({"publicTestloader": False}, {}, [UNASKED], id="not wanted"),
        pytest.param({}, {}, [UNASKED], id="not said"),
        pytest.param(None, {}, [UNASKED], id="no rollout plugin"),
        pytest.param({"publicTestloader": True}, {}, [], id="wanted"),
        pytest.param({}, {f"{ROLLOUT}.testLoader": True}, [], id="one of its own"),
        pytest.param({}, {COMMANDS: GONE}, [], id="no commands"),
    ],
)
def test_commands_for_a_load_tester_that_nobody_deploys_are_warned_of(
    plugin: dict[str, object] | None, changes: dict[str, object], expected: list[str]
) -> None:
    documents = changed(read("canary.yaml", "fleet.yaml"), f"{ROLLOUT}.testLoader", value=False)
    change(documents[1], "spec.plugin", {"flagger": {"trafficRoutingProvider": "istio", **(plugin or {})}})
    if plugin is None:
        change(documents[1], "spec.plugin", GONE)
    for path, value in changes.items():
        change(documents[0], path, value)

    assert lines(documents) == expected


def test_without_a_fleet_commands_need_a_load_tester_of_their_own() -> None:
    documents = changed(read("canary.yaml"), f"{ROLLOUT}.testLoader", value=False)
    for policy in documents[0]["spec"]["syncPolicies"]:
        del policy["destination"]

    assert lines(documents) == [
        (
            f"{COMMANDS}: warning: go to the public load tester, which only a Fleet can ask for: "
            "say testLoader: true"
        )
    ]


def test_a_fleet_that_was_not_given_may_want_a_load_tester() -> None:
    documents = changed(read("canary.yaml"), f"{ROLLOUT}.testLoader", value=False)

    assert not any(COMMANDS in line for line in lines(documents))


def test_an_analysis_is_not_needed_where_it_is_skipped() -> None:
    documents = changed(read("canary.yaml", "fleet.yaml"), f"{ROUTING}.canaryStrategy", GONE)
    change(documents[0], f"{ROLLOUT}.rolloutPolicy.skipTrafficAnalysis", value=True)

    assert lines(documents) == []


def test_two_documents_of_one_name_are_a_mistake() -> None:
    documents = read("fleet.yaml", "fleet.yaml")[:4]

    assert [(mistake.document, str(mistake)) for mistake in resolve(documents).mistakes] == [
        (3, "metadata.name: Fleet default/quickstart is given twice")
    ]


def test_two_canaries_on_one_target_are_a_mistake() -> None:
    documents = read("canary.yaml", "fleet.yaml", "flagger-canary.yaml", "metric-template.yaml")

    assert [(each.document, str(each)) for each in resolve(documents, "kurator-member2").mistakes] == [
        (
            4,
            (
                "spec.targetRef: Deployment webapp/backend in cluster kurator-member2 is the target of "
                "Application default/shop already: a target has one canary"
            ),
        )
    ]


def test_two_policies_on_one_target_are_one_mistake_for_all_clusters() -> None:
    documents = read("canary.yaml", "fleet.yaml")
    first, second = documents[0]["spec"]["syncPolicies"]
    second["rollout"] = first["rollout"]

    assert lines(documents) == [
        (
            "spec.syncPolicies[1].rollout.workload: Deployment webapp/backend in cluster kurator-member1 is "
            "the target of Application default/shop already: a target has one canary"
        )
    ]


def test_a_mistake_stays_in_its_line_whatever_the_document_says() -> None:
    documents = changed(read("metric-template.yaml"), "metadata.name", f"two\nlines \x1b[31m{'x' * 100}")

    assert lines(documents) == [f"metadata.name: two lines �[31m{'x' * 45}... {NO_OBJECT_NAME}"]


def test_nothing_is_resolved_where_anything_is_wrong() -> None:
    documents = changed(read("metric-template.yaml", "canary.yaml", "fleet.yaml"), "spec.query", "")

    resolution = resolve(documents)

    assert (resolution.applications, resolution.canaries) == ((), ())


@pytest.mark.parametrize(
    ("document", "line"),
    [
        pytest.param("text", "must be a mapping with apiVersion and kind, is text", id="text"),
        pytest.param([1], "must be a mapping with apiVersion and kind, is a list", id="list"),
        pytest.param(
            {"kind": ["Canary"]},
            f"kind: must be {KINDS}, is a list",
            id="kind is a list",
        ),
        pytest.param(
            {"kind": "Canary"}, "must be flagger.app/v1beta1 for kind Canary, is null", id="no apiVersion"
        ),
    ],
)
def test_names_what_is_no_document(document: object, line: str) -> None:
    assert lines([document]) == [line]


ALL = read(
    "canary.yaml",
    "fleet.yaml",
    "flagger-canary.yaml",
    "metric-template.yaml",
    "blue-green.yaml",
    "session-affinity.yaml",
    "gates-and-alerts.yaml",
)
PLACES = [(index, place) for index, document in enumerate(ALL) for place in places(document) if place]
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@settings(max_examples=50, deadline=None)
@given(place=st.sampled_from(PLACES), value=ANYTHING)
def test_whatever_a_field_holds_is_answered_in_lines(place: tuple[int, str], value: object) -> None:
    documents = deepcopy(ALL)
    index, path = place
    change(documents[index], path, value)

    resolution = resolve(documents, "member")

    assert all("\n" not in str(mistake) for mistake in resolution.mistakes)
    assert bool(resolution.applications) == all(mistake.is_warning for mistake in resolution.mistakes)
