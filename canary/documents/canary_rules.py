"""What is wrong with a Canary of Flagger's in itself."""

import re
from collections.abc import Iterator

from canary.analysis import BUILT_IN
from canary.documents.affinity import affinity_mistakes
from canary.documents.canaries import API_VERSIONS
from canary.documents.flagger import Analysis, AutoscalerRef, Canary, Metric, Service, TargetRef, Webhook
from canary.documents.meshed import host_mistakes, service_warnings
from canary.documents.metadata import metadata_mistakes
from canary.documents.metrics import judging_mistakes, warm_up_mistakes
from canary.documents.mistake import Mistake, Path, show, under, warning
from canary.documents.rules import (
    address_mistakes,
    interval_mistakes,
    lasting,
    length_mistakes,
    object_name_mistakes,
    policy_mistakes,
    port_name_mistakes,
    reference_mistakes,
    service_name_mistakes,
    window_mistakes,
)
from canary.documents.steps import bound_mistakes, threshold_mistakes
from canary.documents.strategy import affinity_warnings, match_mistakes, weight_mistakes
from canary.documents.tcp import tcp_mistakes
from canary.spec import HookType, WorkloadKind

_AUTOSCALING = re.compile(r"autoscaling/v[12](beta[12])?")
"""Whatever version names it, it is one object."""
_ANALYSIS: Path = ("spec", "analysis")
_SERVICE: Path = ("spec", "service")


def canary_mistakes(canary: Canary) -> Iterator[Mistake]:
    """Yield what is wrong with a Canary in itself."""
    body = canary.spec
    yield from under(("spec", "targetRef"), _target_mistakes(body.target_ref, body.service))
    if body.autoscaler_ref is not None:
        where: Path = ("spec", "autoscalerRef")
        yield from under(where, _autoscaler_mistakes(body.autoscaler_ref, body.target_ref))
    if body.metrics_server is not None:
        yield from address_mistakes(("spec", "metricsServer"), body.metrics_server)
    yield from policy_mistakes(("spec", "acceptedPolicies"), body.accepted_policies)
    yield from under(_SERVICE, _service_mistakes(body.service, body.target_ref))
    yield from under(_ANALYSIS, _analysis_mistakes(body.analysis))
    yield from under(_ANALYSIS, _exposure_mistakes(body.analysis, body.service))
    if body.service.is_tcp:
        yield from under(("spec",), tcp_mistakes(body.service, body.analysis))


def _target_mistakes(target: TargetRef, service: Service) -> Iterator[Mistake]:
    expected = API_VERSIONS[WorkloadKind(target.kind)]
    version = target.api_version or expected
    if version.startswith("serving.knative.dev/"):
        yield Mistake(("apiVersion",), "not supported: Knative only")
    elif version != expected:
        yield Mistake(("apiVersion",), f"must be {expected} for kind {target.kind}, is {show(version)}")
    if service.name is None:  # the Service is named after the target
        yield from service_name_mistakes(("name",), target.name)
    else:
        yield from object_name_mistakes(("name",), target.name, "-primary")


def _autoscaler_mistakes(scaler: AutoscalerRef, target: TargetRef) -> Iterator[Mistake]:
    if scaler.kind == "ScaledObject":
        yield Mistake(
            ("kind",), "ScaledObject is not supported: KEDA only; allowed is HorizontalPodAutoscaler"
        )
    elif scaler.kind != "HorizontalPodAutoscaler":
        yield Mistake(("kind",), f"must be HorizontalPodAutoscaler, is {show(scaler.kind)}")
    elif scaler.api_version is not None and not _AUTOSCALING.fullmatch(scaler.api_version):
        yield Mistake(("apiVersion",), f"must be autoscaling/v2, is {show(scaler.api_version)}")
    if target.kind != "Deployment":
        yield Mistake((), f"a {target.kind} is not scaled: allowed for a Deployment only")
    yield from object_name_mistakes(("name",), scaler.name, "-primary")
    limits = scaler.primary_scaler_replicas
    if limits.min_replicas and limits.max_replicas and limits.min_replicas > limits.max_replicas:
        yield Mistake(
            ("primaryScalerReplicas", "minReplicas"),
            f"must be at most maxReplicas, {limits.max_replicas}, is {limits.min_replicas}",
        )


def _service_mistakes(service: Service, target: TargetRef) -> Iterator[Mistake]:
    if service.name is not None:
        yield from service_name_mistakes(("name",), service.name)
    yield from port_name_mistakes(("portName",), service.port_name)
    yield from host_mistakes(("hosts",), service.hosts, service.gateways)
    yield from service_warnings(service)
    for field in ("hosts", "gateways"):
        if service.delegation and getattr(service, field):
            yield Mistake((field,), "must be empty with delegation: the delegating VirtualService has them")
    if service.port_discovery and target.kind == "Service":
        yield warning(("portDiscovery",), "has no effect: a Service as target has no containers to look at")
    for field, metadata in (("apex", service.apex), ("primary", service.primary), ("canary", service.canary)):
        yield from under((field,), metadata_mistakes(metadata))


def _exposure_mistakes(analysis: Analysis, service: Service) -> Iterator[Mistake]:
    """Yield what is wrong with the strategy: how the canary gets its requests."""
    if analysis.iterations and analysis.has_steps:
        yield Mistake(("iterations",), "steps of the weight are given as well: choose one of the two")
    elif not analysis.iterations and not analysis.has_steps:
        yield Mistake(
            (), "stepWeight, stepWeights or iterations is required: without one it never reaches a promotion"
        )
    yield from weight_mistakes(analysis, analysis.iterations)
    yield from under(("match",), match_mistakes(analysis.match, service.match))
    if analysis.mirror and analysis.match and analysis.iterations:
        yield warning(
            ("mirror",), "has no effect: in A/B testing the canary answers what matches, copies go nowhere"
        )
    if analysis.mirror_weight and not analysis.mirror:
        yield warning(("mirrorWeight",), "has no effect without mirror")
    if analysis.session_affinity is not None:
        yield from affinity_warnings(("sessionAffinity",), analysis.iterations, analysis)
        yield from under(("sessionAffinity",), affinity_mistakes(analysis.session_affinity))


def _analysis_mistakes(analysis: Analysis) -> Iterator[Mistake]:
    yield from interval_mistakes(("interval",), analysis.interval)
    yield from length_mistakes(("iterations",), analysis.iterations, analysis.interval)
    yield from threshold_mistakes(("threshold",), analysis.threshold)
    for index, metric in enumerate(analysis.metrics):
        yield from under(("metrics", index), _metric_mistakes(metric, analysis))
    for index, webhook in enumerate(analysis.webhooks):
        yield from under(("webhooks", index), _webhook_mistakes(webhook))
    for index, alert in enumerate(analysis.alerts):
        named = alert.provider_ref
        yield from reference_mistakes(("alerts", index, "providerRef"), named.name, named.namespace)


def _metric_mistakes(metric: Metric, analysis: Analysis) -> Iterator[Mistake]:
    if metric.query is not None and metric.template_ref is not None:
        yield Mistake(("query",), "templateRef is given as well: choose one of the two")
    if metric.query is None and metric.template_ref is None and metric.name not in BUILT_IN:
        names = " and ".join(BUILT_IN)
        yield Mistake(
            ("name",), f"{show(metric.name)} is not built in ({names} are): templateRef or query is required"
        )
    if metric.template_variables and metric.is_built_in:
        yield warning(("templateVariables",), "has no effect: a built-in query has no variables of one's own")
    yield from bound_mistakes(metric.name, metric.bounds)
    if metric.template_ref is not None:
        named = metric.template_ref
        yield from reference_mistakes(("templateRef",), named.name, named.namespace)
    yield from _threshold_warnings(metric)
    yield from judging_mistakes(metric, is_built_in=metric.is_built_in)
    if "interval" in metric.model_fields_set:
        yield from window_mistakes(("interval",), metric.interval, analysis.interval)
    steps = analysis.iterations or analysis.count()
    yield from warm_up_mistakes(("warmUp",), metric.warm_up, lasting(steps, analysis.interval))


def _threshold_warnings(metric: Metric) -> Iterator[Mistake]:
    if metric.threshold is None:
        return
    if metric.threshold_range is not None:
        yield warning(("threshold",), "has no effect beside thresholdRange")
    else:
        side = "min" if metric.is_threshold_floor else "max"
        yield warning(
            ("threshold",), f"is deprecated by Flagger and read as thresholdRange {side}: write that"
        )


def _webhook_mistakes(webhook: Webhook) -> Iterator[Mistake]:
    yield from address_mistakes(("url",), webhook.url)
    if webhook.mute_alert and not HookType(webhook.type or HookType.ROLLOUT).is_gate:
        yield warning(("muteAlert",), "has no effect: only a closed gate is alerted of")
    if webhook.secret_ref is not None:
        yield from object_name_mistakes(("secretRef", "name"), webhook.secret_ref.name)
        if webhook.disable_tls:
            yield warning(
                ("disableTLS",), "the token of secretRef goes to whoever answers: nobody's name is checked"
            )
