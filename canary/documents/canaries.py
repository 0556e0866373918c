"""From Flagger's Canary to the engine's spec, and what is wrong with one."""

from collections.abc import Iterator
from datetime import timedelta

from canary.analysis import BUILT_IN
from canary.documents.catalogue import Catalogue, Reference
from canary.documents.flagger import Analysis, Canary, Metric, Service, Webhook
from canary.documents.istio import written
from canary.documents.mistake import Mistake, Path, show, under
from canary.documents.reading import Key
from canary.documents.rules import (
    address_mistakes,
    deletion_mistakes,
    interval_mistakes,
    object_name_mistakes,
    service_name_mistakes,
    window_mistakes,
)
from canary.documents.steps import bound_mistakes, step_mistakes, threshold_mistakes
from canary.spec import (
    AnalysisSpec,
    CanarySpec,
    HookType,
    MetricSpec,
    MetricTemplate,
    ServiceSpec,
    TargetRef,
    ThresholdRange,
    WebhookSpec,
    WorkloadKind,
)

_ANALYSIS: Path = ("spec", "analysis")


def canary_spec(canary: Canary, cluster: str, given: Catalogue) -> CanarySpec:
    """Return the spec of a Canary that has no mistakes."""
    body, metadata = canary.spec, canary.metadata
    return CanarySpec(
        cluster=cluster,
        namespace=metadata.namespace,
        name=metadata.name,
        target=TargetRef(kind=WorkloadKind(body.target_ref.kind), name=body.target_ref.name),
        service=_service(body.service, body.target_ref.name),
        analysis=_analysis(body.analysis, metadata.namespace, given),
        autoscaler=body.autoscaler_ref.name if body.autoscaler_ref else None,
        progress_deadline=timedelta(seconds=body.progress_deadline_seconds),
        skip_analysis=body.skip_analysis,
        suspend=body.suspend,
    )


def _service(service: Service, target: str) -> ServiceSpec:
    unset = service.target_port in (None, 0, "0")
    return ServiceSpec(
        name=service.name or target,
        port=service.port,
        port_name=service.port_name,
        target_port=service.port if unset else service.target_port,
        app_protocol=service.app_protocol,
        gateways=tuple(service.gateways),
        hosts=tuple(service.hosts),
        timeout=service.timeout,
        match=tuple(each.as_written() for each in service.match),
        rewrite=written(service.rewrite),
        retries=written(service.retries),
        headers=written(service.headers),
        cors_policy=written(service.cors_policy),
        traffic_policy=written(service.traffic_policy),
    )


def _analysis(analysis: Analysis, namespace: str, given: Catalogue) -> AnalysisSpec:
    return AnalysisSpec(
        interval=analysis.interval,
        threshold=max(analysis.threshold, 1),
        steps=analysis.plan(),
        metrics=tuple(_metric(metric, namespace, given) for metric in analysis.metrics),
        webhooks=tuple(_webhook(webhook) for webhook in analysis.webhooks),
        primary_ready_threshold=analysis.primary_ready_threshold,
        canary_ready_threshold=analysis.canary_ready_threshold,
    )


def _metric(metric: Metric, namespace: str, given: Catalogue) -> MetricSpec:
    return MetricSpec(
        name=metric.name,
        interval=metric.interval,
        threshold_range=metric.threshold_range.range() if metric.threshold_range else ThresholdRange(),
        template=_template(metric, namespace, given),
        variables=metric.template_variables,
    )


def _template(metric: Metric, namespace: str, given: Catalogue) -> MetricTemplate | None:
    if metric.query is not None:
        return MetricTemplate(name=metric.name, namespace=namespace, query=metric.query)
    if metric.template_ref is None:
        return None
    where = metric.template_ref.namespace or namespace
    found = given.metric_template(where, metric.template_ref.name)
    return found.spec.template(metric.template_ref.name, where) if found else None


def _webhook(webhook: Webhook) -> WebhookSpec:
    return WebhookSpec(
        name=webhook.name,
        url=webhook.url,
        type=HookType(webhook.type or HookType.ROLLOUT),
        timeout=webhook.timeout,
        retries=webhook.retries,
        metadata=webhook.metadata,
        disable_tls=webhook.disable_tls,
    )


def missing_of_canary(canary: Canary, given: Catalogue) -> Iterator[Reference]:
    """Yield the metric templates that *canary* refers to and that were not given."""
    for index, metric in enumerate(canary.spec.analysis.metrics):
        if metric.template_ref is not None:
            namespace = metric.template_ref.namespace or canary.metadata.namespace
            key = Key("MetricTemplate", namespace, metric.template_ref.name)
            if not given.is_given(key):
                yield Reference(key, (*_ANALYSIS, "metrics", index, "templateRef"))


def canary_mistakes(canary: Canary) -> Iterator[Mistake]:
    """Yield what is wrong with a Canary in itself."""
    body, target = canary.spec, canary.spec.target_ref.name
    if body.service.name is None:  # the Service is named after the target
        yield from service_name_mistakes(("spec", "targetRef", "name"), target)
    else:
        yield from object_name_mistakes(("spec", "targetRef", "name"), target)
        yield from service_name_mistakes(("spec", "service", "name"), body.service.name)
    if (body.service.app_protocol or "").lower() == "tcp":
        yield Mistake(("spec", "service", "appProtocol"), "tcp is not supported yet")
    yield from deletion_mistakes(("spec", "revertOnDeletion"), body.revert_on_deletion)
    yield from under(_ANALYSIS, _analysis_mistakes(body.analysis))


def _analysis_mistakes(analysis: Analysis) -> Iterator[Mistake]:
    if not analysis.iterations:
        yield from step_mistakes(analysis)
    elif analysis.step_weight or analysis.step_weights:
        yield Mistake(("iterations",), "steps of the weight are given as well: choose one of the two")
    yield from interval_mistakes(("interval",), analysis.interval)
    yield from threshold_mistakes(("threshold",), analysis.threshold)
    for index, metric in enumerate(analysis.metrics):
        yield from under(("metrics", index), _metric_mistakes(metric, analysis.interval))
    for index, webhook in enumerate(analysis.webhooks):
        yield from under(("webhooks", index), _webhook_mistakes(webhook))


def _metric_mistakes(metric: Metric, interval: timedelta) -> Iterator[Mistake]:
    if metric.query is not None and metric.template_ref is not None:
        yield Mistake(("query",), "templateRef is given as well: choose one of the two")
    if metric.query is None and metric.template_ref is None and metric.name not in BUILT_IN:
        yield Mistake(
            ("name",),
            f"{show(metric.name)} is not built in ({' and '.join(BUILT_IN)} are): templateRef is required",
        )
    yield from bound_mistakes(metric.name, metric.threshold_range)
    if "interval" in metric.model_fields_set:
        yield from window_mistakes(("interval",), metric.interval, interval)


def _webhook_mistakes(webhook: Webhook) -> Iterator[Mistake]:
    yield from address_mistakes(("url",), webhook.url)
    if webhook.type not in ("", HookType.ROLLOUT):
        yield Mistake(("type",), f"{webhook.type} hooks are not supported yet; allowed is rollout")
