"""Flagger's Canary and MetricTemplate."""

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field

from canary.analysis import BUILT_IN, SUCCESS_RATE
from canary.documents.affinity import SessionAffinity
from canary.documents.alerts import Alert
from canary.documents.flux import SecretRef
from canary.documents.istio import (
    CorsPolicy,
    Headers,
    HttpMatch,
    HttpRetry,
    HttpRewrite,
    MeshDuration,
    TrafficPolicy,
)
from canary.documents.metadata import ForeignMetadata, OwnMetadata
from canary.documents.metrics import Judging, TemplateBody
from canary.documents.schema import (
    Count,
    Document,
    Duration,
    Interval,
    Metadata,
    NotDone,
    Percent,
    Port,
    PortOrName,
    Remedy,
    Replicas,
    Seconds,
    Structure,
    Text,
)
from canary.documents.steps import Bounds, WeightSteps

_GATEWAY_API = NotDone("not supported: Gateway API only")
_APP_MESH = NotDone("not supported: App Mesh only")
_KEDA = NotDone("not supported: KEDA only")
_MOST_RETRIES = 100
"""Nearly an hour of pauses alone; the check waits for the last of them."""


class TargetRef(Document):
    """What is rolled out, in the Canary's namespace."""

    api_version: Text | None = None
    kind: Literal["Deployment", "DaemonSet", "Service"]
    name: Text


class ScalerReplicas(Document):
    """The limits of the primary's autoscaler, where they differ from the target's."""

    min_replicas: Replicas | None = None
    max_replicas: Replicas | None = None


class AutoscalerRef(Document):
    """The target's autoscaler."""

    api_version: Text | None = None
    kind: Text
    name: Text
    primary_scaler_replicas: ScalerReplicas = ScalerReplicas()
    primary_scaler_queries: Annotated[Structure | None, _KEDA] = None


class Service(Document):
    """The Services and the VirtualService in front of the workload."""

    name: Text | None = None
    port: Port
    port_name: Text = "http"
    target_port: PortOrName | None = None
    app_protocol: Text | None = None
    port_discovery: bool = False
    gateways: list[Text] = Field(default_factory=list)
    hosts: list[Text] = Field(default_factory=list)
    timeout: MeshDuration | None = None
    match: list[HttpMatch] = Field(default_factory=list)
    rewrite: HttpRewrite | None = None
    retries: HttpRetry | None = None
    headers: Headers | None = None
    cors_policy: CorsPolicy | None = None
    traffic_policy: TrafficPolicy | None = None
    apex: OwnMetadata | None = None
    primary: OwnMetadata | None = None
    canary: OwnMetadata | None = None
    unmanaged_metadata: ForeignMetadata | None = None
    traffic_distribution: Literal["PreferClose", "PreferSameZone", "PreferSameNode"] | None = None
    headless: bool = False
    delegation: bool = False
    backend_timeout: Annotated[str | None, _GATEWAY_API] = None
    gateway_refs: Annotated[list[Structure], _GATEWAY_API] = Field(default_factory=list)
    mirror: Annotated[list[Structure], _GATEWAY_API] = Field(default_factory=list)
    mesh_name: Annotated[str | None, _APP_MESH] = None
    backends: Annotated[list[str], _APP_MESH] = Field(default_factory=list)

    @property
    def is_tcp(self) -> bool:
        """Whether connections are routed instead of requests."""
        return (self.app_protocol or "").lower() == "tcp"


class ObjectRef(Document):
    """Another object, by default in the same namespace."""

    name: Text
    namespace: Text | None = None
    api_version: str | None = None
    kind: str | None = None


class Metric(Judging):
    """One metric of the analysis.

    Of our own beside Flagger's fields: `noData`, `minSamples` and `warmUp`.
    """

    name: Text
    interval: Interval = timedelta(minutes=1)
    threshold_range: Bounds | None = None
    threshold: float | None = None
    template_ref: ObjectRef | None = None
    template_variables: dict[str, str] = Field(default_factory=dict)
    query: Text | None = None
    warm_up: Duration = timedelta(0)

    @property
    def is_built_in(self) -> bool:
        """Whether the engine has the query."""
        return self.name in BUILT_IN and self.query is None and self.template_ref is None

    @property
    def bounds(self) -> Bounds | None:
        """Between which values it passes; `threshold`, which Flagger deprecates, is one of the two."""
        if self.threshold_range is not None or self.threshold is None:
            return self.threshold_range
        return Bounds(min=self.threshold) if self.is_threshold_floor else Bounds(max=self.threshold)

    @property
    def is_threshold_floor(self) -> bool:
        """Whether `threshold` is the least that passes, as it is for the built-in success rate alone."""
        return self.is_built_in and self.name == SUCCESS_RATE


class Webhook(Document):
    """One call of a hook.

    Of our own beside Flagger's fields: `secretRef`.
    """

    name: Text
    url: Text
    type: Literal[
        "",
        "rollout",
        "confirm-rollout",
        "pre-rollout",
        "confirm-traffic-increase",
        "confirm-promotion",
        "post-rollout",
        "rollback",
        "event",
    ] = ""
    timeout: Interval = timedelta(seconds=10)
    retries: Annotated[int, Field(ge=0, le=_MOST_RETRIES)] = 0
    metadata: dict[str, str] = Field(default_factory=dict)
    disable_tls: Annotated[bool, Field(alias="disableTLS")] = False
    mute_alert: bool = False
    secret_ref: SecretRef | None = None


class Analysis(WeightSteps):
    """How the canary is judged and how its weight grows."""

    interval: Interval = timedelta(minutes=1)
    threshold: Count
    primary_ready_threshold: Percent = 100
    canary_ready_threshold: Percent = 100
    metrics: list[Metric] = Field(default_factory=list)
    webhooks: list[Webhook] = Field(default_factory=list)
    iterations: Count = 0
    mirror: bool = False
    mirror_weight: Percent = 0
    match: list[HttpMatch] = Field(default_factory=list)
    alerts: list[Alert] = Field(default_factory=list)
    session_affinity: SessionAffinity | None = None


class CanaryBody(Document):
    """The `spec` of a Canary.

    Of our own beside Flagger's fields: `acceptedPolicies`.
    """

    provider: Literal["istio"] = "istio"
    metrics_server: Text | None = None
    target_ref: TargetRef
    autoscaler_ref: AutoscalerRef | None = None
    ingress_ref: Annotated[Structure | None, NotDone("not supported: nginx only")] = None
    route_ref: Annotated[Structure | None, NotDone("not supported: APISIX only")] = None
    upstream_ref: Annotated[Structure | None, NotDone("not supported: Gloo only")] = None
    service: Service
    analysis: Annotated[Analysis, Remedy("canaryAnalysis, its old name, is not read")]
    canary_analysis: Annotated[Structure | None, NotDone("not supported: write analysis")] = None
    progress_deadline_seconds: Seconds = 600
    skip_analysis: bool = False
    revert_on_deletion: bool = True
    suspend: bool = False
    accepted_policies: list[Text] = Field(default_factory=list)


class Canary(Document):
    """Flagger's Canary."""

    api_version: Literal["flagger.app/v1beta1"]
    kind: Literal["Canary"]
    metadata: Metadata
    spec: CanaryBody
    status: Structure | None = None


class MetricTemplate(Document):
    """Flagger's MetricTemplate."""

    api_version: Literal["flagger.app/v1beta1"]
    kind: Literal["MetricTemplate"]
    metadata: Metadata
    spec: TemplateBody
    status: Structure | None = None
