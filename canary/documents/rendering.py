"""From the engine's spec back to the `spec` of a Canary of Flagger's that says the same."""

from collections.abc import Mapping
from datetime import timedelta

from canary.alert import AlertProvider, AlertSpec
from canary.documents.schema import Structure
from canary.reference import ObjectRef
from canary.spec import (
    AnalysisSpec,
    CanarySpec,
    MetricProvider,
    MetricSpec,
    MetricTemplate,
    NoData,
    ObjectMetadata,
    ServiceSpec,
    SessionAffinity,
    StepPlan,
    ThresholdRange,
    UnmanagedMetadata,
    WebhookSpec,
)
from canary.steps import FULL


def canary_body(spec: CanarySpec) -> Structure:
    """Return the `spec` of the Canary that says *spec*; what goes without saying is left out.

    A `targetPort` that is the Service's to say, as it is in Kurator's documents, is left out too.
    """
    said = {
        "targetRef": {
            "apiVersion": spec.target.api_version,
            "kind": spec.target.kind,
            "name": spec.target.name,
        },
        "autoscalerRef": _autoscaler(spec),
        "service": _service(spec.service),
        "analysis": _analysis(spec),
        "metricsServer": spec.metrics_server,
        "progressDeadlineSeconds": int(spec.progress_deadline.total_seconds()),
        "skipAnalysis": spec.skip_analysis,
        "suspend": spec.suspend,
        "acceptedPolicies": list(spec.accepted_policies),
    }
    return {**_said(said), "revertOnDeletion": spec.revert_on_deletion}


def _autoscaler(spec: CanarySpec) -> Structure | None:
    if spec.autoscaler is None:
        return None
    limits = {"minReplicas": spec.primary_min_replicas, "maxReplicas": spec.primary_max_replicas}
    return _said(
        {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "name": spec.autoscaler,
            "primaryScalerReplicas": _said(limits) or None,
        }
    )


def _service(service: ServiceSpec) -> Structure:
    return _said(
        {
            "name": service.name,
            "port": service.port,
            "portName": _unless(service.port_name, "http"),
            "targetPort": _unless(service.target_port, service.port),
            "appProtocol": service.app_protocol,
            "portDiscovery": service.port_discovery,
            "gateways": list(service.gateways),
            "hosts": list(service.hosts),
            "timeout": service.timeout,
            "match": list(service.match),
            "rewrite": service.rewrite,
            "retries": service.retries,
            "headers": service.headers,
            "corsPolicy": service.cors_policy,
            "trafficPolicy": service.traffic_policy,
            "delegation": service.delegation,
            "headless": service.headless,
            "trafficDistribution": service.traffic_distribution,
            "apex": _metadata(service.apex_metadata),
            "primary": _metadata(service.primary_metadata),
            "canary": _metadata(service.canary_metadata),
            "unmanagedMetadata": _unmanaged(service.unmanaged),
        }
    )


def _metadata(metadata: ObjectMetadata) -> Structure | None:
    said = {"labels": metadata.labels or None, "annotations": metadata.annotations or None}
    return _said(said) or None


def _unmanaged(unmanaged: UnmanagedMetadata) -> Structure | None:
    return _said({"labels": list(unmanaged.labels), "annotations": list(unmanaged.annotations)}) or None


def _analysis(spec: CanarySpec) -> Structure:
    analysis = spec.analysis
    return _said(
        {
            "interval": _duration(analysis.interval),
            "threshold": analysis.threshold,
            **_steps(analysis.steps),
            "iterations": _unless(analysis.iterations, 0),
            "match": list(analysis.match),
            "mirror": analysis.mirror,
            "mirrorWeight": _unless(analysis.mirror_weight, 0),
            "sessionAffinity": _affinity(analysis.session_affinity),
            **_ready_thresholds(analysis),
            "metrics": [_metric(metric, spec) for metric in analysis.metrics],
            "webhooks": [_webhook(webhook) for webhook in analysis.webhooks],
            "alerts": [_alert(alert) for alert in analysis.alerts],
        }
    )


def _steps(steps: StepPlan) -> Structure:
    back: object = list(steps.step_weights_promotion) or _unless(steps.step_weight_promotion, 0)
    is_said = not steps.step_weights  # whose last is the maximum
    return {
        "stepWeight": _unless(steps.step_weight, 0),
        "stepWeights": list(steps.step_weights),
        "maxWeight": _unless(steps.max_weight, FULL) if is_said else None,
        "stepWeightPromotion": back,
    }


def _ready_thresholds(analysis: AnalysisSpec) -> Structure:
    return {
        "primaryReadyThreshold": _unless(analysis.primary_ready_threshold, FULL),
        "canaryReadyThreshold": _unless(analysis.canary_ready_threshold, FULL),
    }


def _affinity(affinity: SessionAffinity | None) -> Structure | None:
    if affinity is None:
        return None
    return _said(
        {
            "cookieName": affinity.cookie_name,
            "primaryCookieName": affinity.primary_cookie_name,
            "maxAge": affinity.max_age,
            "domain": affinity.domain,
            "httpOnly": affinity.http_only,
            "partitioned": affinity.partitioned,
            "path": affinity.path,
            "sameSite": affinity.same_site,
            "secure": affinity.secure,
        }
    )


def _metric(metric: MetricSpec, spec: CanarySpec) -> Structure:
    return _said(
        {
            "name": metric.name,
            "interval": _duration(metric.interval),
            "thresholdRange": _bounds(metric.threshold_range),
            **_query(metric, spec),
            "templateVariables": metric.variables or None,
            "noData": _unless(metric.no_data, NoData.FAIL),
            "minSamples": _number(metric.min_samples),
            "warmUp": _duration(metric.warm_up) if metric.warm_up else None,
        }
    )


def _bounds(bounds: ThresholdRange) -> Structure | None:
    return _said({"min": _number(bounds.min), "max": _number(bounds.max)}) or None


def _number(value: float | None) -> float | None:
    """Write a whole number as one, as people do."""
    return int(value) if value is not None and value.is_integer() else value


def _query(metric: MetricSpec, spec: CanarySpec) -> Structure:
    """The query in place where it is asked of the canary's own metrics server; else where it stands."""
    if metric.template is None:
        return {"templateRef": _reference(metric.template_ref)}
    in_place = MetricTemplate(
        name=metric.name,
        namespace=spec.namespace,
        query=metric.template.query,
        provider=MetricProvider(address=spec.metrics_server),
    )
    if metric.template == in_place:
        return {"query": metric.template.query}
    return {"templateRef": _reference(metric.template)}


def _webhook(webhook: WebhookSpec) -> Structure:
    return _said(
        {
            "name": webhook.name,
            "url": webhook.url,
            "type": webhook.type,
            "timeout": _duration(webhook.timeout),
            "retries": _unless(webhook.retries, 0),
            "metadata": webhook.metadata or None,
            "disableTLS": webhook.disable_tls,
            "muteAlert": webhook.mute_alert,
            "secretRef": {"name": webhook.secret_ref} if webhook.secret_ref else None,
        }
    )


def _alert(alert: AlertSpec) -> Structure:
    provider = _reference(alert.provider or alert.provider_ref)
    return _said({"name": alert.name, "severity": alert.severity, "providerRef": provider})


def _reference(to: ObjectRef | MetricTemplate | AlertProvider | None) -> Structure | None:
    return {"name": to.name, "namespace": to.namespace} if to else None


def _duration(duration: timedelta) -> str:
    return f"{duration.total_seconds():.6f}".rstrip("0").rstrip(".") + "s"


def _unless(value: object, default: object) -> object:
    return None if value == default else value


def _said(fields: Mapping[str, object]) -> Structure:
    """Leave out what says nothing; an empty structure of Istio's says that it is there."""
    return {key: value for key, value in fields.items() if _says(value)}


def _says(value: object) -> bool:
    return value is not None and value is not False and value not in ("", [])
