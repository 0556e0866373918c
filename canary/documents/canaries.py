"""From Flagger's Canary to the engine's spec."""

from collections.abc import Iterator
from datetime import timedelta

from canary.alert import AlertSpec
from canary.documents.affinity import affinity
from canary.documents.alerts import Alert
from canary.documents.catalogue import Catalogue, Reference, object_ref
from canary.documents.flagger import Canary, CanaryBody, Metric, Service, Webhook
from canary.documents.istio import written
from canary.documents.metadata import object_metadata, unmanaged_metadata
from canary.documents.mistake import Path
from canary.documents.reading import Key
from canary.spec import (
    AnalysisSpec,
    CanarySpec,
    HookType,
    MetricProvider,
    MetricSpec,
    MetricTemplate,
    NoData,
    ServiceSpec,
    TargetRef,
    ThresholdRange,
    WebhookSpec,
    WorkloadKind,
)

API_VERSIONS = {
    WorkloadKind.DEPLOYMENT: "apps/v1",
    WorkloadKind.DAEMON_SET: "apps/v1",
    WorkloadKind.SERVICE: "v1",
}
"""What a targetRef's kind is a kind of."""

_ANALYSIS: Path = ("spec", "analysis")


def canary_spec(canary: Canary, cluster: str, given: Catalogue) -> CanarySpec:
    """Return the spec of a Canary that has no mistakes."""
    body, metadata = canary.spec, canary.metadata
    kind, scaler = WorkloadKind(body.target_ref.kind), body.autoscaler_ref
    return CanarySpec(
        cluster=cluster,
        namespace=metadata.namespace,
        name=metadata.name,
        target=TargetRef(kind=kind, name=body.target_ref.name, api_version=API_VERSIONS[kind]),
        service=_service(body.service, body.target_ref.name),
        analysis=_analysis(body, metadata.namespace, given),
        autoscaler=scaler.name if scaler else None,
        primary_min_replicas=scaler.primary_scaler_replicas.min_replicas if scaler else None,
        primary_max_replicas=scaler.primary_scaler_replicas.max_replicas if scaler else None,
        progress_deadline=timedelta(seconds=body.progress_deadline_seconds),
        skip_analysis=body.skip_analysis,
        suspend=body.suspend,
        revert_on_deletion=body.revert_on_deletion,
        metrics_server=body.metrics_server,
        accepted_policies=tuple(body.accepted_policies),
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
        delegation=service.delegation,
        port_discovery=service.port_discovery,
        headless=service.headless,
        traffic_distribution=service.traffic_distribution,
        apex_metadata=object_metadata(service.apex),
        primary_metadata=object_metadata(service.primary),
        canary_metadata=object_metadata(service.canary),
        unmanaged=unmanaged_metadata(service.unmanaged_metadata),
    )


def _analysis(body: CanaryBody, namespace: str, given: Catalogue) -> AnalysisSpec:
    analysis = body.analysis
    server = body.metrics_server
    alerts = (_alert(alert, index, namespace, given) for index, alert in enumerate(analysis.alerts))
    return AnalysisSpec(
        interval=analysis.interval,
        threshold=max(analysis.threshold, 1),
        steps=analysis.plan(),
        iterations=analysis.iterations,
        match=tuple(each.as_written() for each in analysis.match),
        mirror=analysis.mirror,
        mirror_weight=analysis.mirror_weight,
        session_affinity=affinity(analysis.session_affinity),
        metrics=tuple(
            _metric(metric, index, namespace, server, given) for index, metric in enumerate(analysis.metrics)
        ),
        webhooks=tuple(_webhook(webhook) for webhook in analysis.webhooks),
        alerts=tuple(alerts),
        primary_ready_threshold=analysis.primary_ready_threshold,
        canary_ready_threshold=analysis.canary_ready_threshold,
    )


def _metric(metric: Metric, index: int, namespace: str, server: str | None, given: Catalogue) -> MetricSpec:
    bounds = metric.bounds
    return MetricSpec(
        name=metric.name,
        interval=metric.interval,
        threshold_range=bounds.range() if bounds else ThresholdRange(),
        template=_template(metric, namespace, server, given),
        template_ref=object_ref(_missing_template(metric, index, namespace, given)),
        variables=metric.template_variables,
        no_data=NoData(metric.no_data),
        min_samples=metric.min_samples,
        warm_up=metric.warm_up,
    )


def _template(metric: Metric, namespace: str, server: str | None, given: Catalogue) -> MetricTemplate | None:
    if metric.query is not None:
        provider = MetricProvider(address=server)
        return MetricTemplate(name=metric.name, namespace=namespace, query=metric.query, provider=provider)
    if metric.template_ref is None:
        return None
    where = metric.template_ref.namespace or namespace
    found = given.metric_template(where, metric.template_ref.name)
    return found.spec.template(metric.template_ref.name, where) if found else None


def _alert(alert: Alert, index: int, namespace: str, given: Catalogue) -> AlertSpec:
    found = given.alert_provider(alert.provider_ref.namespace or namespace, alert.provider_ref.name)
    return AlertSpec(
        name=alert.name,
        severity=alert.least,
        provider=found.provider() if found else None,
        provider_ref=object_ref(_missing_provider(alert, index, namespace, given)),
    )


def _webhook(webhook: Webhook) -> WebhookSpec:
    return WebhookSpec(
        name=webhook.name,
        url=webhook.url,
        type=HookType(webhook.type or HookType.ROLLOUT),
        timeout=webhook.timeout,
        retries=webhook.retries,
        metadata=webhook.metadata,
        disable_tls=webhook.disable_tls,
        mute_alert=webhook.mute_alert,
        secret_ref=webhook.secret_ref.name if webhook.secret_ref else None,
    )


def missing_of_canary(canary: Canary, given: Catalogue) -> Iterator[Reference]:
    """Yield the metric templates and alert providers that *canary* refers to and that were not given."""
    analysis, own = canary.spec.analysis, canary.metadata.namespace
    for index, metric in enumerate(analysis.metrics):
        if reference := _missing_template(metric, index, own, given):
            yield reference
    for index, alert in enumerate(analysis.alerts):
        if reference := _missing_provider(alert, index, own, given):
            yield reference


def _missing_template(metric: Metric, index: int, namespace: str, given: Catalogue) -> Reference | None:
    if metric.template_ref is None:
        return None
    key = Key("MetricTemplate", metric.template_ref.namespace or namespace, metric.template_ref.name)
    return given.missing(key, (*_ANALYSIS, "metrics", index, "templateRef"))


def _missing_provider(alert: Alert, index: int, namespace: str, given: Catalogue) -> Reference | None:
    key = Key("AlertProvider", alert.provider_ref.namespace or namespace, alert.provider_ref.name)
    return given.missing(key, (*_ANALYSIS, "alerts", index, "providerRef"))
