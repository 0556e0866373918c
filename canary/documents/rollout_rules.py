"""What is wrong with the `rollout` of an Application's policy in itself."""

from collections.abc import Iterator
from datetime import timedelta

from canary.analysis import BUILT_IN
from canary.documents.affinity import affinity_mistakes
from canary.documents.kurator import Metric, Rollout, RolloutPolicy, TrafficRouting
from canary.documents.meshed import host_mistakes
from canary.documents.metadata import metadata_mistakes
from canary.documents.metrics import judging_mistakes, provider_mistakes, warm_up_mistakes
from canary.documents.mistake import Mistake, Path, under, warning
from canary.documents.rules import (
    interval_mistakes,
    lasting,
    length_mistakes,
    namespace_mistakes,
    object_name_mistakes,
    policy_mistakes,
    service_name_mistakes,
    window_mistakes,
)
from canary.documents.steps import bound_mistakes, threshold_mistakes
from canary.documents.strategy import affinity_warnings, match_mistakes, weight_mistakes

_ANALYSIS: Path = ("rolloutPolicy", "trafficAnalysis")
_ROUTING: Path = ("rolloutPolicy", "trafficRouting")


def rollout_mistakes(rollout: Rollout) -> Iterator[Mistake]:
    """Yield what is wrong with a rollout in itself."""
    yield from object_name_mistakes(("workload", "name"), rollout.workload.name, "-primary")
    yield from namespace_mistakes(("workload", "namespace"), rollout.workload.namespace)
    yield from service_name_mistakes(("serviceName",), rollout.service_name)
    if rollout.test_loader:
        yield from service_name_mistakes(("workload", "name"), rollout.workload.name, "-testloader")
    for field, metadata in (("primary", rollout.primary), ("preview", rollout.preview)):
        yield from under((field,), metadata_mistakes(metadata))
    policy = rollout.rollout_policy
    yield from policy_mistakes(("rolloutPolicy", "acceptedPolicies"), policy.accepted_policies)
    if not policy.skip_traffic_analysis:
        yield from under(_ROUTING, _strategy_mistakes(policy.traffic_routing))
        times = policy.traffic_routing.analysis_times
        routing = policy.traffic_routing
        yield from host_mistakes((*_ROUTING, "hosts"), routing.hosts, routing.gateways)
        yield from length_mistakes((*_ROUTING, "analysisTimes"), times, _interval(policy))
        if "traffic_analysis" not in policy.model_fields_set:
            yield Mistake(
                _ANALYSIS, "is required: write checkFailedTimes, or skipTrafficAnalysis: true beside it"
            )
    if "traffic_analysis" in policy.model_fields_set:
        yield from under(_ANALYSIS, _analysis_mistakes(policy))


def _strategy_mistakes(routing: TrafficRouting) -> Iterator[Mistake]:
    if routing.canary_strategy is not None:
        yield from under(
            ("canaryStrategy",), weight_mistakes(routing.canary_strategy, routing.analysis_times)
        )
        if routing.analysis_times:
            yield Mistake(("analysisTimes",), "canaryStrategy is given as well: choose one of the two")
        elif not routing.canary_strategy.has_steps:
            yield Mistake(
                ("canaryStrategy",),
                "stepWeight or stepWeights is required: without a step it never reaches a promotion",
            )
    elif not routing.analysis_times:
        yield Mistake(
            (), "canaryStrategy or analysisTimes is required: without one it never reaches a promotion"
        )
    yield from under(("match",), match_mistakes(routing.match))


def _analysis_mistakes(policy: RolloutPolicy) -> Iterator[Mistake]:
    analysis = policy.traffic_analysis
    yield from interval_mistakes(("checkIntervalSeconds",), _interval(policy))
    yield from threshold_mistakes(("checkFailedTimes",), analysis.check_failed_times)
    for index, metric in enumerate(analysis.metrics):
        yield from under(("metrics", index), _metric_mistakes(metric, policy))
    if analysis.webhooks.secret_ref is not None:
        where: Path = ("webhooks", "secretRef", "name")
        yield from object_name_mistakes(where, analysis.webhooks.secret_ref.name)
    if not analysis.metrics and not analysis.webhooks.command:
        yield warning((), "has neither metrics nor commands: every check passes")
    if analysis.session_affinity is not None:
        routing = policy.traffic_routing
        yield from affinity_warnings(("sessionAffinity",), routing.analysis_times, routing.canary_strategy)
        yield from under(("sessionAffinity",), affinity_mistakes(analysis.session_affinity))


def _metric_mistakes(metric: Metric, policy: RolloutPolicy) -> Iterator[Mistake]:
    interval = _interval(policy)
    is_built_in = metric.name in BUILT_IN
    if not is_built_in:
        yield from object_name_mistakes(("name",), metric.name)
    elif metric.custom_metric is not None:
        yield Mistake(("customMetric",), f"{metric.name} is built in: give the query another name")
    if metric.custom_metric is not None:
        yield from under(("customMetric", "provider"), provider_mistakes(metric.custom_metric.provider))
    yield from bound_mistakes(metric.name, metric.threshold_range)
    yield from judging_mistakes(metric, is_built_in=is_built_in)
    if "interval_seconds" in metric.model_fields_set:
        window = timedelta(seconds=metric.interval_seconds)
        yield from window_mistakes(("intervalSeconds",), window, interval)
    warm_up = timedelta(seconds=metric.warm_up_seconds)
    whole = lasting(_step_count(policy.traffic_routing), interval)
    yield from warm_up_mistakes(("warmUpSeconds",), warm_up, whole)


def _interval(policy: RolloutPolicy) -> timedelta:
    return timedelta(seconds=policy.traffic_analysis.check_interval_seconds)


def _step_count(routing: TrafficRouting) -> int:
    if routing.canary_strategy is not None:
        return routing.canary_strategy.count()
    return routing.analysis_times
