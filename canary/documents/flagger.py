"""Flagger's Canary and MetricTemplate."""

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field

from canary.documents.istio import CorsPolicy, Headers, HttpMatch, HttpRetry, HttpRewrite, TrafficPolicy
from canary.documents.metrics import TemplateBody
from canary.documents.schema import (
    NOT_YET,
    Document,
    Interval,
    Metadata,
    NotDone,
    Percent,
    Port,
    PortOrName,
    Seconds,
    Structure,
    Text,
)
from canary.documents.steps import Bounds, WeightSteps

_GATEWAY_API = NotDone("not supported: Gateway API only")
_APP_MESH = NotDone("not supported: App Mesh only")
_KEDA = NotDone("not supported: KEDA only")
_OLD = NotDone("not supported: deprecated by Flagger, write thresholdRange with min or max")


class TargetRef(Document):
    """The workload that is rolled out, in the Canary's namespace."""

    api_version: Literal["apps/v1"] = "apps/v1"
    kind: Literal["Deployment", "DaemonSet"]
    name: Text


class AutoscalerRef(Document):
    """The target's autoscaler."""

    api_version: str | None = None
    kind: Literal["HorizontalPodAutoscaler"]
    name: Text
    primary_scaler_replicas: Annotated[Structure | None, NOT_YET] = None
    primary_scaler_queries: Annotated[Structure | None, _KEDA] = None


class Service(Document):
    """The Services and the VirtualService in front of the workload."""

    name: Text | None = None
    port: Port
    port_name: Text = "http"
    target_port: PortOrName | None = None
    app_protocol: Text | None = None
    port_discovery: Annotated[bool, NOT_YET] = False
    gateways: list[Text] = Field(default_factory=list)
    hosts: list[Text] = Field(default_factory=list)
    timeout: Text | None = None
    match: list[HttpMatch] = Field(default_factory=list)
    rewrite: HttpRewrite | None = None
    retries: HttpRetry | None = None
    headers: Headers | None = None
    cors_policy: CorsPolicy | None = None
    traffic_policy: TrafficPolicy | None = None
    apex: Annotated[Structure | None, NOT_YET] = None
    primary: Annotated[Structure | None, NOT_YET] = None
    canary: Annotated[Structure | None, NOT_YET] = None
    unmanaged_metadata: Annotated[Structure | None, NOT_YET] = None
    traffic_distribution: Annotated[str | None, NOT_YET] = None
    headless: Annotated[bool, NOT_YET] = False
    delegation: Annotated[bool, NOT_YET] = False
    backend_timeout: Annotated[str | None, _GATEWAY_API] = None
    gateway_refs: Annotated[list[Structure], _GATEWAY_API] = Field(default_factory=list)
    mirror: Annotated[list[Structure], _GATEWAY_API] = Field(default_factory=list)
    mesh_name: Annotated[str | None, _APP_MESH] = None
    backends: Annotated[list[str], _APP_MESH] = Field(default_factory=list)


class ObjectRef(Document):
    """Another object, by default in the same namespace."""

    name: Text
    namespace: Text | None = None
    api_version: str | None = None
    kind: str | None = None


class Metric(Document):
    """One metric of the analysis."""

    name: Text
    interval: Interval = timedelta(minutes=1)
    threshold_range: Bounds | None = None
    template_ref: ObjectRef | None = None
    template_variables: dict[str, str] = Field(default_factory=dict)
    query: Text | None = None
    threshold: Annotated[float | None, _OLD] = None


class Webhook(Document):
    """One call of a hook."""

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
    retries: Annotated[int, Field(ge=0)] = 0
    metadata: dict[str, str] = Field(default_factory=dict)
    disable_tls: Annotated[bool, Field(alias="disableTLS")] = False
    mute_alert: Annotated[bool, NOT_YET] = False


class Analysis(WeightSteps):
    """How the canary is judged and how its weight grows."""

    interval: Interval = timedelta(minutes=1)
    threshold: Annotated[int, Field(ge=0)]
    primary_ready_threshold: Percent = 100
    canary_ready_threshold: Percent = 100
    metrics: list[Metric] = Field(default_factory=list)
    webhooks: list[Webhook] = Field(default_factory=list)
    iterations: Annotated[int, NOT_YET, Field(ge=0)] = 0
    mirror: Annotated[bool, NOT_YET] = False
    mirror_weight: Annotated[int, NOT_YET] = 0
    match: Annotated[list[Structure], NOT_YET] = Field(default_factory=list)
    alerts: Annotated[list[Structure], NOT_YET] = Field(default_factory=list)
    session_affinity: Annotated[Structure | None, NOT_YET] = None


class CanaryBody(Document):
    """The `spec` of a Canary."""

    provider: Literal["istio"] = "istio"
    metrics_server: Annotated[str | None, NOT_YET] = None
    target_ref: TargetRef
    autoscaler_ref: AutoscalerRef | None = None
    ingress_ref: Annotated[Structure | None, NotDone("not supported: nginx only")] = None
    route_ref: Annotated[Structure | None, NotDone("not supported: APISIX only")] = None
    upstream_ref: Annotated[Structure | None, NotDone("not supported: Gloo only")] = None
    service: Service
    analysis: Analysis
    canary_analysis: Annotated[Structure | None, NotDone("not supported: write analysis")] = None
    progress_deadline_seconds: Seconds = 600
    skip_analysis: bool = False
    revert_on_deletion: bool | None = None
    suspend: bool = False


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
