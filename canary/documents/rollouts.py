"""From the `rollout` of an Application's policy to the engine's spec, as Kurator renders it."""

from collections.abc import Iterator
from datetime import timedelta

from canary.analysis import BUILT_IN
from canary.documents.affinity import affinity
from canary.documents.catalogue import Catalogue, Reference, object_ref
from canary.documents.istio import written
from canary.documents.kurator import Metric, Rollout, Webhooks
from canary.documents.metadata import object_metadata
from canary.documents.mistake import Path
from canary.documents.reading import Key
from canary.loadtester import LoadTester, public
from canary.spec import (
    AnalysisSpec,
    CanarySpec,
    MetricSpec,
    MetricTemplate,
    NoData,
    ServiceSpec,
    StepPlan,
    TargetRef,
    TestLoader,
    ThresholdRange,
    WebhookSpec,
    WorkloadKind,
)

_ANALYSIS: Path = ("rolloutPolicy", "trafficAnalysis")


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
        revert_on_deletion=policy.revert_on_deletion,
        accepted_policies=tuple(policy.accepted_policies),
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
        primary_metadata=object_metadata(rollout.primary),
        canary_metadata=object_metadata(rollout.preview),
    )


def _analysis(rollout: Rollout, cluster: str, given: Catalogue) -> AnalysisSpec:
    analysis = rollout.rollout_policy.traffic_analysis
    routing = rollout.rollout_policy.traffic_routing
    namespace = rollout.workload.namespace
    return AnalysisSpec(
        interval=timedelta(seconds=analysis.check_interval_seconds),
        threshold=max(analysis.check_failed_times, 1),
        steps=routing.canary_strategy.plan() if routing.canary_strategy else StepPlan(),
        iterations=routing.analysis_times,
        match=tuple(each.as_written() for each in routing.match),
        session_affinity=affinity(analysis.session_affinity),
        metrics=tuple(
            _metric(metric, index, namespace, given) for index, metric in enumerate(analysis.metrics)
        ),
        webhooks=tuple(_webhooks(analysis.webhooks, _loader_address(rollout, cluster))),
    )


def _metric(metric: Metric, index: int, namespace: str, given: Catalogue) -> MetricSpec:
    missing = _missing_template(metric, ("rollout", *_metric_path(index)), namespace, given)
    return MetricSpec(
        name=metric.name,
        interval=timedelta(seconds=metric.interval_seconds),
        threshold_range=metric.threshold_range.range() if metric.threshold_range else ThresholdRange(),
        template=_template(metric, namespace, given),
        template_ref=object_ref(missing),
        no_data=NoData(metric.no_data),
        min_samples=metric.min_samples,
        warm_up=timedelta(seconds=metric.warm_up_seconds),
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
            secret_ref=webhooks.secret_ref.name if webhooks.secret_ref else None,
        )


def _private_loader(rollout: Rollout) -> str:
    return f"{rollout.workload.name}-testloader"


def _loader_address(rollout: Rollout, cluster: str) -> str:
    own = LoadTester(rollout.workload.namespace, _private_loader(rollout))
    return own.address if rollout.test_loader else public(cluster).address


def missing_of_rollout(rollout: Rollout, given: Catalogue) -> Iterator[Reference]:
    """Yield the metric templates that *rollout* refers to and that were not given."""
    for index, metric in enumerate(rollout.rollout_policy.traffic_analysis.metrics):
        path = _metric_path(index)
        if reference := _missing_template(metric, path, rollout.workload.namespace, given):
            yield reference


def _metric_path(index: int) -> Path:
    return (*_ANALYSIS, "metrics", index, "name")


def _missing_template(metric: Metric, path: Path, namespace: str, given: Catalogue) -> Reference | None:
    if metric.custom_metric is not None or metric.name in BUILT_IN:
        return None
    return given.missing(Key("MetricTemplate", namespace, metric.name), path)
