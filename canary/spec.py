"""What is to be rolled out, where, and how it is judged: the one form every document becomes."""

from datetime import timedelta
from enum import StrEnum
from typing import Any

from pydantic import Field

from canary.stored import Stored

Weight = int
"""A share of the traffic in percent, 0 to 100."""


class WorkloadKind(StrEnum):
    """The kinds of workload a canary can have as its target."""

    DEPLOYMENT = "Deployment"
    DAEMON_SET = "DaemonSet"


class TargetRef(Stored):
    """The workload under delivery, in the canary's namespace."""

    kind: WorkloadKind = WorkloadKind.DEPLOYMENT
    name: str
    api_version: str = "apps/v1"


class ServiceSpec(Stored):
    """The Services and the VirtualService in front of the workload.

    `match`, `rewrite`, `retries`, `headers`, `cors_policy` and `traffic_policy` are Istio's own structures
    and go into the generated objects as they stand.
    """

    name: str
    port: int
    port_name: str = "http"
    target_port: int | str | None = None
    """None: as the Service in the cluster has it for `port`; Kurator's documents do not say."""
    app_protocol: str | None = None
    gateways: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    timeout: str | None = None
    match: tuple[dict[str, Any], ...] = ()
    rewrite: dict[str, Any] | None = None
    retries: dict[str, Any] | None = None
    headers: dict[str, Any] | None = None
    cors_policy: dict[str, Any] | None = None
    traffic_policy: dict[str, Any] | None = None

    @property
    def primary(self) -> str:
        """The name of the Service in front of the primary."""
        return f"{self.name}-primary"

    @property
    def canary(self) -> str:
        """The name of the Service in front of the canary."""
        return f"{self.name}-canary"


class HookType(StrEnum):
    """When a webhook is called."""

    CONFIRM_ROLLOUT = "confirm-rollout"
    PRE_ROLLOUT = "pre-rollout"
    ROLLOUT = "rollout"
    CONFIRM_TRAFFIC_INCREASE = "confirm-traffic-increase"
    CONFIRM_PROMOTION = "confirm-promotion"
    POST_ROLLOUT = "post-rollout"
    ROLLBACK = "rollback"
    EVENT = "event"


class WebhookSpec(Stored):
    """One call of a hook: a POST that counts as passed when it is answered 200 to 204 in time."""

    name: str
    url: str
    type: HookType = HookType.ROLLOUT
    timeout: timedelta = timedelta(seconds=10)
    retries: int = 0
    metadata: dict[str, str] = Field(default_factory=dict)
    disable_tls: bool = False


class ThresholdRange(Stored):
    """Inclusive bounds of a metric's value; a missing bound does not limit."""

    min: float | None = None
    max: float | None = None


class MetricProvider(Stored):
    """Where a template's query is sent; without an address, to the cluster's own Prometheus."""

    type: str = "prometheus"
    address: str | None = None
    secret_ref: str | None = None
    insecure_skip_verify: bool = False
    headers: dict[str, tuple[str, ...]] = Field(default_factory=dict)


class MetricTemplate(Stored):
    """A query of one's own, with Flagger's `{{ … }}` variables."""

    name: str
    namespace: str
    query: str
    provider: MetricProvider = MetricProvider()


class MetricSpec(Stored):
    """One metric of the analysis: a built-in by its name, or a template."""

    name: str
    interval: timedelta = timedelta(minutes=1)
    threshold_range: ThresholdRange = ThresholdRange()
    template: MetricTemplate | None = None
    variables: dict[str, str] = Field(default_factory=dict)


class StepPlan(Stored):
    """How the weight grows, and how it goes back to the primary in promotion."""

    step_weight: Weight = 0
    max_weight: Weight = 100
    step_weights: tuple[Weight, ...] = ()
    step_weight_promotion: Weight = 0


class AnalysisSpec(Stored):
    """How often the canary is checked, by what, and how many failed checks it may have."""

    interval: timedelta = timedelta(minutes=1)
    threshold: int = 1
    steps: StepPlan = StepPlan()
    metrics: tuple[MetricSpec, ...] = ()
    webhooks: tuple[WebhookSpec, ...] = ()
    primary_ready_threshold: int = 100
    canary_ready_threshold: int = 100


class TestLoader(Stored):
    """A load tester of the workload's own, deployed beside it."""

    __test__ = False  # not a pytest class

    name: str


class CanarySpec(Stored):
    """One canary: a target in one cluster and how its revisions are rolled out."""

    schema_version: int = 1
    cluster: str
    namespace: str
    name: str
    target: TargetRef
    service: ServiceSpec
    analysis: AnalysisSpec
    application: str | None = None
    """`namespace/name` of the Application it came from."""
    test_loader: TestLoader | None = None
    autoscaler: str | None = None
    """The target's HorizontalPodAutoscaler, where the document names it."""
    progress_deadline: timedelta = timedelta(seconds=600)
    skip_analysis: bool = False
    suspend: bool = False

    @property
    def primary(self) -> str:
        """The name of the primary workload."""
        return f"{self.target.name}-primary"

    @property
    def tail(self) -> str:
        """What its workflow ids end with: `<cluster>/<namespace>/<kind>/<target>`."""
        return f"{self.cluster}/{self.namespace}/{self.target.kind}/{self.target.name}"
