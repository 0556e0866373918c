"""The PromQL of a metric: Flagger's Istio queries, and templates with their variables filled in."""

import re
from collections.abc import Mapping
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
_ACTION = re.compile(r"(?:\s*\{\{-\s|\{\{)(.*?)(?:\s-\}\}\s*|\}\})", re.DOTALL)
"""What Go's templates fill in; a minus sign takes the white space on its side away."""
_CONSTANT = re.compile(r'/\*.*\*/|"([^"\\]*)"|`([^`]*)`', re.DOTALL)
"""A comment, or a text as it stands."""
_INDEX = re.compile(r'index\s+variables\s+"([^"\\]*)"')
"""How a variable is named that `variables.<name>` cannot be written of, as one with a dash."""

_KNOWN = ("name", "namespace", "target", "service", "ingress", "route", "interval")
_OWN = "variables."


def render_query(spec: CanarySpec, metric: MetricSpec, look_back: timedelta) -> str:
    """Return the query of *metric* over *look_back*, with white space collapsed.

    Raises:
        TemplateError: the template holds what is not known.
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


def check_template(name: str, query: str) -> None:
    """See that a template can be rendered for some canary, with whatever variables of its own.

    Raises:
        TemplateError: the template holds what is not known.
    """
    _filled(name, query, dict.fromkeys(_KNOWN, ""), None)


def _fill(spec: CanarySpec, metric: MetricSpec, query: str, look_back: timedelta) -> str:
    values = (
        spec.name,
        spec.namespace,
        spec.target.name,
        spec.service.name,
        spec.target.name,
        spec.target.name,
        duration_text(look_back),
    )
    return _filled(metric.name, query, dict(zip(_KNOWN, values, strict=True)), metric.variables)


def _filled(name: str, query: str, known: Mapping[str, str], own: Mapping[str, str] | None) -> str:
    """Fill in the variables that are known, and one's own, of which None gives any."""

    def value(match: re.Match[str]) -> str:
        said = _INDEX.sub(r"variables.\1", match[1].strip())
        if constant := _CONSTANT.fullmatch(said):
            return constant[1] or constant[2] or ""
        if said in known:
            return known[said]
        if not said.startswith(_OWN):
            allowed = f"none of {', '.join(known)}, variables.<name>"
            raise TemplateError(name, f"{{{{ {said} }}}} is {allowed}")
        found = "" if own is None else own.get(said.removeprefix(_OWN))
        if found is None:
            raise TemplateError(name, f"{{{{ {said} }}}} is not given in templateVariables")
        return found

    if "{{" in _ACTION.sub("", query):
        raise TemplateError(name, "a {{ has no }}")
    return _ACTION.sub(value, query)
