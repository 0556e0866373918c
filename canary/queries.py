"""The PromQL of a metric: Flagger's Istio queries, and templates with their variables filled in."""

import re
from datetime import timedelta

from canary.analysis import DURATION, SUCCESS_RATE
from canary.errors import TemplateError
from canary.spec import CanarySpec, MetricSpec

_REQUESTS = (
    'istio_requests_total{{reporter="destination",destination_workload_namespace="{namespace}",'
    'destination_workload=~"{target}"{extra}}}[{interval}]'
)
_BUCKETS = (
    'istio_request_duration_milliseconds_bucket{{reporter="destination",'
    'destination_workload_namespace="{namespace}",destination_workload=~"{target}"}}[{interval}]'
)
_VARIABLE = re.compile(r"\{\{-?\s*(.*?)\s*-?\}\}", re.DOTALL)


def render_query(spec: CanarySpec, metric: MetricSpec, look_back: timedelta) -> str:
    """Return the query of *metric* over *look_back*, with white space collapsed.

    Raises:
        TemplateError: a variable of the template is not known.
    """
    if metric.template is not None:
        return " ".join(_fill(spec, metric, metric.template.query, look_back).split())
    values = {"namespace": spec.namespace, "target": spec.target.name, "interval": duration_text(look_back)}
    if metric.name == SUCCESS_RATE:
        good = _REQUESTS.format(**values, extra=',response_code!~"5.*"')
        return f"sum(rate({good})) / sum(rate({_REQUESTS.format(**values, extra='')})) * 100"
    if metric.name == DURATION:
        return f"histogram_quantile(0.99, sum(rate({_BUCKETS.format(**values)})) by (le))"
    raise TemplateError(metric.name, "it is neither built in nor has it a template")


def render_sample_size(spec: CanarySpec, metric: MetricSpec, look_back: timedelta) -> str | None:
    """Return the query for how many requests a built-in metric stands on; None for a template."""
    if metric.template is not None:
        return None
    values = {"namespace": spec.namespace, "target": spec.target.name, "interval": duration_text(look_back)}
    return f"sum(increase({_REQUESTS.format(**values, extra='')}))"


def duration_text(duration: timedelta) -> str:
    """Write a duration as Prometheus reads it: whole minutes as `1m`, else seconds."""
    seconds = int(duration.total_seconds())
    return f"{seconds // 60}m" if seconds and seconds % 60 == 0 else f"{seconds}s"


def _fill(spec: CanarySpec, metric: MetricSpec, query: str, look_back: timedelta) -> str:
    known = {
        "name": spec.name,
        "namespace": spec.namespace,
        "target": spec.target.name,
        "service": spec.service.name,
        "ingress": spec.name,
        "route": spec.name,
        "interval": duration_text(look_back),
        **{f"variables.{key}": value for key, value in metric.variables.items()},
    }

    def value(match: re.Match[str]) -> str:
        try:
            return known[match[1]]
        except KeyError:
            raise TemplateError(metric.name, f"{{{{ {match[1]} }}}} is not a known variable") from None

    return _VARIABLE.sub(value, query)
