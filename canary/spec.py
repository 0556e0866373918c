"""What is to be rolled out, where, and how it is judged: the one form every document becomes."""

from datetime import timedelta
from enum import StrEnum
from typing import Any

from pydantic import Field

from canary.alert import AlertSpec
from canary.reference import ObjectRef
from canary.stored import Stored

Weight = int
"""A share of the traffic in percent, 0 to 100."""


class WorkloadKind(StrEnum):
    """The kinds of workload a canary can have as its target."""

    DEPLOYMENT = "Deployment"
    DAEMON_SET = "DaemonSet"
    SERVICE = "Service"
    """No workload of its own: two Services that the owner points where they shall."""


class TargetRef(Stored):
    """The workload under delivery, in the canary's namespace."""

    kind: WorkloadKind = WorkloadKind.DEPLOYMENT
    name: str
    api_version: str = "apps/v1"


class ObjectMetadata(Stored):
    """Labels and annotations of one's own for a generated object."""

    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)


class UnmanagedMetadata(Stored):
    """The keys of labels and annotations on the Services that are others' to write."""

    labels: tuple[str, ...] = ()
    annotations: tuple[str, ...] = ()


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
    delegation: bool = False
    """The VirtualService is delegated to by another one: it has neither hosts nor gateways."""
    port_discovery: bool = False
    """Every other port of the pods' containers is a port of the Services as well."""
    headless: bool = False
    traffic_distribution: str | None = None
    apex_metadata: ObjectMetadata = ObjectMetadata()
    """For the apex Service, and for the VirtualService as well."""
    primary_metadata: ObjectMetadata = ObjectMetadata()
    canary_metadata: ObjectMetadata = ObjectMetadata()
    unmanaged: UnmanagedMetadata = UnmanagedMetadata()

    @property
    def names(self) -> tuple[str, str, str]:
        """The names of the Services of apex, canary and primary."""
        return self.name, self.canary, self.primary

    @property
    def is_tcp(self) -> bool:
        """Whether connections are routed instead of requests."""
        return (self.app_protocol or "").lower() == "tcp"

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

    @property
    def is_gate(self) -> bool:
        """Whether a hook of this type is asked until it opens, and a person may answer for it."""
        return self in (
            HookType.CONFIRM_ROLLOUT,
            HookType.CONFIRM_TRAFFIC_INCREASE,
            HookType.CONFIRM_PROMOTION,
        )


class WebhookSpec(Stored):
    """One call of a hook: a POST that counts as passed when it is answered 200 to 204 in time."""

    name: str
    url: str
    type: HookType = HookType.ROLLOUT
    timeout: timedelta = timedelta(seconds=10)
    retries: int = 0
    metadata: dict[str, str] = Field(default_factory=dict)
    disable_tls: bool = False
    mute_alert: bool = False
    """Of a gate: no alert tells that it is closed."""
    secret_ref: str | None = None
    """A Secret in the canary's namespace whose `token` the hook wants."""


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


class NoData(StrEnum):
    """What a check comes to whose metric has no value or too few samples. Flagger knows `fail` only."""

    FAIL = "fail"
    HOLD = "hold"
    PASS = "pass"  # noqa: S105 — a verdict


class MetricSpec(Stored):
    """One metric of the analysis: a built-in by its name, or a template."""

    name: str
    interval: timedelta = timedelta(minutes=1)
    threshold_range: ThresholdRange = ThresholdRange()
    template: MetricTemplate | None = None
    template_ref: ObjectRef | None = None
    """Where its template stands in the cluster, if it was not given: it is read there again and again."""
    variables: dict[str, str] = Field(default_factory=dict)
    no_data: NoData = NoData.FAIL
    min_samples: float | None = None
    """Fewer requests than this are no data; only a built-in counts them."""
    warm_up: timedelta = timedelta(0)
    """So long after the canary first got traffic its value, whatever it is, only holds the rollout."""


class StepPlan(Stored):
    """How the weight grows, and how it goes back to the primary in promotion."""

    step_weight: Weight = 0
    max_weight: Weight = 100
    step_weights: tuple[Weight, ...] = ()
    step_weight_promotion: Weight = 0
    step_weights_promotion: tuple[Weight, ...] = ()
    """The primary's weights on the way back, one after the other; the step to 100 goes without saying."""

    @property
    def is_stepwise_back(self) -> bool:
        """Whether promotion shifts the traffic back in steps."""
        return bool(self.step_weight_promotion or self.step_weights_promotion)


class Strategy(StrEnum):
    """How a canary is exposed while it is judged, in Flagger's words."""

    CANARY = "canary"
    AB_TESTING = "ab-testing"
    BLUE_GREEN = "blue-green"


class SessionAffinity(Stored):
    """Cookies that keep a user with the version that served them first."""

    cookie_name: str
    primary_cookie_name: str = ""
    max_age: int = 86400
    """Of the canary's cookie, in seconds."""
    domain: str = ""
    http_only: bool = False
    partitioned: bool = False
    path: str = ""
    same_site: str = ""
    secure: bool = False


class AnalysisSpec(Stored):
    """How often the canary is checked, by what, and how many failed checks it may have."""

    interval: timedelta = timedelta(minutes=1)
    threshold: int = 1
    steps: StepPlan = StepPlan()
    iterations: int = 0
    """So many checks without steps of the weight: A/B testing with a `match`, blue/green without."""
    match: tuple[dict[str, Any], ...] = ()
    """Whose requests the canary may get; all others stay with the primary."""
    mirror: bool = False
    mirror_weight: int = 0
    """The percentage of requests that is mirrored; 0: all, and not said."""
    session_affinity: SessionAffinity | None = None
    metrics: tuple[MetricSpec, ...] = ()
    webhooks: tuple[WebhookSpec, ...] = ()
    alerts: tuple[AlertSpec, ...] = ()
    primary_ready_threshold: int = 100
    canary_ready_threshold: int = 100

    @property
    def strategy(self) -> Strategy:
        """How the canary is exposed (Flagger's `DeploymentStrategy()`)."""
        if self.iterations:
            return Strategy.AB_TESTING if self.match else Strategy.BLUE_GREEN
        return Strategy.CANARY

    @property
    def has_references(self) -> bool:
        """Whether something of it stands in the cluster, where anybody may change it."""
        return any(one.template_ref for one in self.metrics) or any(one.provider_ref for one in self.alerts)

    @property
    def is_sticky(self) -> bool:
        """Whether cookies bind users to a side: where a weight parts them, going there or on the way back."""
        is_weighed = self.strategy is Strategy.CANARY or self.steps.is_stepwise_back
        return self.session_affinity is not None and is_weighed

    def hooks(self, *types: HookType) -> tuple[WebhookSpec, ...]:
        """The hooks of these types, type by type, each type in the document's order."""
        return tuple(hook for type_ in types for hook in self.webhooks if hook.type is type_)


class TestLoader(Stored):
    """A load tester of the workload's own, deployed beside it."""

    __test__ = False  # not a pytest class

    name: str


class CanarySpec(Stored):
    """One canary: a target in one cluster and how its revisions are rolled out."""

    schema_version: int = 1
    cluster: str
    task_queue: str = ""
    """Whose workers reach the cluster, as was found when the document was applied; empty: the shared ones."""
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
    primary_min_replicas: int | None = None
    """The primary's autoscaler has this minimum instead of the target's."""
    primary_max_replicas: int | None = None
    progress_deadline: timedelta = timedelta(seconds=600)
    skip_analysis: bool = False
    suspend: bool = False
    revert_on_deletion: bool = True
    """Whether the way out brings the workload back as it was; if not, the target stays at zero (D13)."""
    metrics_server: str | None = None
    """The Prometheus of built-in metrics and inline queries; None: the cluster's."""
    accepted_policies: tuple[str, ...] = ()
    """`<Kind>/<name>` of policies that may stop matching once pods carry the primary's label."""

    @property
    def primary(self) -> str:
        """The name of the primary workload."""
        return f"{self.target.name}-primary"

    @property
    def document(self) -> str:
        """What it was written in; a target is delivered by one document."""
        return (
            f"Application {self.application}" if self.application else f"Canary {self.namespace}/{self.name}"
        )

    @property
    def how_to_begin_anew(self) -> str:
        """What a person does to have something changed that cannot change under traffic."""
        if self.application:
            return "take rollout out of its policy first, and put it in again once the canary is gone"
        return "take the canary out first (canary delete), and apply it anew"

    @property
    def tail(self) -> str:
        """What its workflow ids end with: `<cluster>/<namespace>/<kind>/<target>`."""
        return f"{self.cluster}/{self.namespace}/{self.target.kind}/{self.target.name}"
