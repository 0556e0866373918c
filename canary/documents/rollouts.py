"""From the `rollout` of an Application's policy to the engine's spec, as Kurator renders it."""

from collections.abc import Iterator
from datetime import timedelta

from canary.analysis import BUILT_IN
from canary.documents.catalogue import Catalogue, Reference
from canary.documents.istio import written
from canary.documents.kurator import Metric, Rollout, TrafficAnalysis, TrafficRouting, Webhooks
from canary.documents.metrics import provider_mistakes
from canary.documents.mistake import Mistake, Path, under, warning
from canary.documents.reading import Key
from canary.documents.rules import (
    deletion_mistakes,
    interval_mistakes,
    namespace_mistakes,
    object_name_mistakes,
    service_name_mistakes,
    window_mistakes,
)
from canary.documents.steps import bound_mistakes, step_mistakes, threshold_mistakes
from canary.spec import (
    AnalysisSpec,
    CanarySpec,
    MetricSpec,
    MetricTemplate,
    ServiceSpec,
    StepPlan,
    TargetRef,
    TestLoader,
    ThresholdRange,
    WebhookSpec,
    WorkloadKind,
)

PROVIDER_NAMESPACE = "istio-system"
"""Where Kurator's public load tester runs, and what its Helm release begins with."""

_ANALYSIS: Path = ("rolloutPolicy", "trafficAnalysis")
_ROUTING: Path = ("rolloutPolicy", "trafficRouting")


def rollout_spec(rollout: Rollout, cluster: str, given: Catalogue) -> CanarySpec:
    """Return the spec of a rollout that has no mistakes, in one cluster."""
    workload, policy = rollout.workload, rollout.rollout_policy
    return CanarySpec(
        cluster=cluster,
        namespace=workload.namespace,
        name=workload.name,
        target=TargetRef(kind=WorkloadKind(workload.kind), name=workload.name),
        service=_service(rollout),
        analysis=_analysis(rollout, cluster, given),
        test_loader=TestLoader(name=_private_loader(rollout)) if rollout.test_loader else None,
        progress_deadline=timedelta(seconds=policy.rollout_timeout_seconds),
        skip_analysis=policy.skip_traffic_analysis,
        suspend=policy.suspend,
    )


def _service(rollout: Rollout) -> ServiceSpec:
    routing = rollout.rollout_policy.traffic_routing
    return ServiceSpec(
        name=rollout.service_name,
        port=rollout.port,
        gateways=tuple(routing.gateways),
        hosts=tuple(routing.hosts),
        timeout=f"{routing.timeout_seconds}s" if routing.timeout_seconds else None,
        retries=written(routing.retries),
        headers=written(routing.headers),
        cors_policy=written(routing.cors_policy),
    )


def _analysis(rollout: Rollout, cluster: str, given: Catalogue) -> AnalysisSpec:
    analysis = rollout.rollout_policy.traffic_analysis
    strategy = rollout.rollout_policy.traffic_routing.canary_strategy
    namespace = rollout.workload.namespace
    return AnalysisSpec(
        interval=timedelta(seconds=analysis.check_interval_seconds),
        threshold=max(analysis.check_failed_times, 1),
        steps=strategy.plan() if strategy else StepPlan(),
        metrics=tuple(_metric(metric, namespace, given) for metric in analysis.metrics),
        webhooks=tuple(_webhooks(analysis.webhooks, _loader_address(rollout, cluster))),
    )


def _metric(metric: Metric, namespace: str, given: Catalogue) -> MetricSpec:
    return MetricSpec(
        name=metric.name,
        interval=timedelta(seconds=metric.interval_seconds),
        threshold_range=metric.threshold_range.range() if metric.threshold_range else ThresholdRange(),
        template=_template(metric, namespace, given),
    )


def _template(metric: Metric, namespace: str, given: Catalogue) -> MetricTemplate | None:
    if metric.custom_metric is not None:
        return metric.custom_metric.template(metric.name, namespace)
    if metric.name in BUILT_IN:
        return None
    found = given.metric_template(namespace, metric.name)
    return found.spec.template(metric.name, namespace) if found else None


def _webhooks(webhooks: Webhooks, address: str) -> Iterator[WebhookSpec]:
    for index, command in enumerate(webhooks.command):
        yield WebhookSpec(
            name=f"generated-testload-{index}",
            url=address,
            timeout=timedelta(seconds=webhooks.timeout_seconds),
            metadata={"type": "cmd", "cmd": command},
        )


def _private_loader(rollout: Rollout) -> str:
    return f"{rollout.workload.name}-testloader"


def _loader_address(rollout: Rollout, cluster: str) -> str:
    if rollout.test_loader:
        return f"http://{_private_loader(rollout)}.{rollout.workload.namespace}/"
    return f"http://{PROVIDER_NAMESPACE}-testloader-{cluster}-loadtester.{PROVIDER_NAMESPACE}/"


def missing_of_rollout(rollout: Rollout, given: Catalogue) -> Iterator[Reference]:
    """Yield the metric templates that *rollout* refers to and that were not given."""
    for index, metric in enumerate(rollout.rollout_policy.traffic_analysis.metrics):
        if metric.custom_metric is None and metric.name not in BUILT_IN:
            key = Key("MetricTemplate", rollout.workload.namespace, metric.name)
            if not given.is_given(key):
                yield Reference(key, (*_ANALYSIS, "metrics", index, "name"))


def rollout_mistakes(rollout: Rollout) -> Iterator[Mistake]:
    """Yield what is wrong with a rollout in itself."""
    yield from object_name_mistakes(("workload", "name"), rollout.workload.name)
    yield from namespace_mistakes(("workload", "namespace"), rollout.workload.namespace)
    yield from service_name_mistakes(("serviceName",), rollout.service_name)
    if rollout.test_loader:
        yield from service_name_mistakes(("workload", "name"), rollout.workload.name, "-testloader")
    yield from deletion_mistakes(
        ("rolloutPolicy", "revertOnDeletion"), rollout.rollout_policy.revert_on_deletion
    )
    if not rollout.rollout_policy.skip_traffic_analysis:
        yield from under(_ROUTING, _strategy_mistakes(rollout.rollout_policy.traffic_routing))
    yield from under(_ANALYSIS, _analysis_mistakes(rollout.rollout_policy.traffic_analysis))


def _strategy_mistakes(routing: TrafficRouting) -> Iterator[Mistake]:
    if routing.canary_strategy is None:
        if not routing.analysis_times:
            yield Mistake((), "canaryStrategy is required: without it there are no steps of the weight")
        return
    if routing.analysis_times:
        yield Mistake(("analysisTimes",), "canaryStrategy is given as well: choose one of the two")
    yield from under(("canaryStrategy",), step_mistakes(routing.canary_strategy))


def _analysis_mistakes(analysis: TrafficAnalysis) -> Iterator[Mistake]:
    interval = timedelta(seconds=analysis.check_interval_seconds)
    yield from interval_mistakes(("checkIntervalSeconds",), interval)
    yield from threshold_mistakes(("checkFailedTimes",), analysis.check_failed_times)
    for index, metric in enumerate(analysis.metrics):
        yield from under(("metrics", index), _metric_mistakes(metric, interval))
    if not analysis.metrics and not analysis.webhooks.command:
        yield warning((), "has neither metrics nor commands: every check passes")


def _metric_mistakes(metric: Metric, interval: timedelta) -> Iterator[Mistake]:
    if metric.name not in BUILT_IN:
        yield from object_name_mistakes(("name",), metric.name)
    if metric.name in BUILT_IN and metric.custom_metric is not None:
        yield Mistake(("customMetric",), f"{metric.name} is built in: give the query another name")
    if metric.custom_metric is not None:
        yield from under(("customMetric", "provider"), provider_mistakes(metric.custom_metric.provider))
    yield from bound_mistakes(metric.name, metric.threshold_range)
    if "interval_seconds" in metric.model_fields_set:
        window = timedelta(seconds=metric.interval_seconds)
        yield from window_mistakes(("intervalSeconds",), window, interval)
