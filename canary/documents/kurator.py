"""Kurator's Application: a source, where it is synced to, and how its workloads are rolled out."""

from typing import Annotated, Literal

from pydantic import Field

from canary.documents.affinity import Cookie
from canary.documents.flux import GitRepository, Kustomization, SecretRef
from canary.documents.istio import CorsPolicy, Headers, HttpMatch, HttpRetry
from canary.documents.metadata import OwnMetadata
from canary.documents.metrics import Judging, TemplateBody
from canary.documents.schema import (
    NOT_YET,
    Count,
    Document,
    Metadata,
    NotDone,
    Port,
    Remedy,
    Seconds,
    SomeSeconds,
    Structure,
    Text,
)
from canary.documents.steps import Bounds, WeightSteps

_OTHER_MESH = NotDone("not supported: Istio has no use for it")


class Source(Document):
    """Where the manifests come from."""

    git_repository: GitRepository | None = None
    helm_repository: Annotated[Structure | None, NOT_YET] = None
    oci_repository: Annotated[Structure | None, NOT_YET] = None


class ClusterSelector(Document):
    """Which clusters of the fleet are meant; all without it."""

    match_labels: Annotated[dict[str, str], NOT_YET] = Field(default_factory=dict)


class Destination(Document):
    """The fleet that is delivered to."""

    fleet: Text
    cluster_selector: ClusterSelector = ClusterSelector()


class Workload(Document):
    """The workload that is rolled out."""

    api_version: Literal["apps/v1"] = "apps/v1"
    kind: Annotated[Literal["Deployment", "DaemonSet"], Remedy("write Deployment or DaemonSet")]
    name: Text
    namespace: Annotated[Text, Remedy("write the namespace that the workload is in")]


class TrafficRouting(Document):
    """Where the traffic comes in and how it is shifted."""

    timeout_seconds: SomeSeconds = 0
    gateways: list[Text] = Field(default_factory=list)
    hosts: list[Text] = Field(default_factory=list)
    retries: HttpRetry | None = None
    headers: Headers | None = None
    cors_policy: CorsPolicy | None = None
    canary_strategy: WeightSteps | None = None
    analysis_times: Count = 0
    match: list[HttpMatch] = Field(default_factory=list)
    host: Annotated[str | None, _OTHER_MESH] = None
    protocol: Annotated[str | None, _OTHER_MESH] = None


class Metric(Judging):
    """One metric of the analysis.

    Of our own beside Kurator's fields: `noData`, `minSamples` and `warmUpSeconds`.
    """

    name: Text
    interval_seconds: Seconds = 60
    threshold_range: Bounds | None = None
    custom_metric: TemplateBody | None = None
    warm_up_seconds: SomeSeconds = 0


class Webhooks(Document):
    """The commands the load tester runs at each check.

    Of our own beside Kurator's fields: `secretRef`.
    """

    timeout_seconds: Seconds = 60
    command: list[Text] = Field(default_factory=list)
    secret_ref: SecretRef | None = None


class TrafficAnalysis(Document):
    """How often and by what the canary is judged."""

    check_interval_seconds: Seconds = 60
    check_failed_times: Count
    metrics: list[Metric] = Field(default_factory=list)
    webhooks: Webhooks = Webhooks()
    session_affinity: Cookie | None = None


class RolloutPolicy(Document):
    """The strategy of a rollout.

    Of our own beside Kurator's fields: `acceptedPolicies`.
    """

    traffic_routing: TrafficRouting = TrafficRouting()
    traffic_analysis: TrafficAnalysis = TrafficAnalysis(checkFailedTimes=1)
    """Both may be left out where the analysis is skipped; Kurator's controller crashes without them."""
    rollout_timeout_seconds: Seconds = 600
    skip_traffic_analysis: bool = False
    revert_on_deletion: bool = True
    suspend: bool = False
    accepted_policies: list[Text] = Field(default_factory=list)


class Rollout(Document):
    """How one workload is rolled out in every cluster of the policy."""

    test_loader: bool = False
    traffic_routing_provider: Literal["istio"] = "istio"
    workload: Workload
    service_name: Text
    port: Port
    primary: OwnMetadata | None = None
    preview: OwnMetadata | None = None
    rollout_policy: RolloutPolicy


class SyncPolicy(Document):
    """One folder of the source and the clusters it is applied to."""

    name: Text | None = None
    kustomization: Kustomization | None = None
    helm: Annotated[Structure | None, NOT_YET] = None
    destination: Destination | None = None
    rollout: Rollout | None = None


class ApplicationBody(Document):
    """The `spec` of an Application."""

    source: Source
    sync_policies: Annotated[list[SyncPolicy], Field(min_length=1)]
    destination: Destination | None = None


class Application(Document):
    """Kurator's Application."""

    api_version: Literal["apps.kurator.dev/v1alpha1"]
    kind: Literal["Application"]
    metadata: Metadata
    spec: ApplicationBody
    status: Structure | None = None
