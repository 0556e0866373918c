"""What cannot be had where connections are routed instead of requests."""

from collections.abc import Iterator

from canary.documents.flagger import Analysis, Service
from canary.documents.mistake import Mistake, under, warning

_OF_ROUTES = ("timeout", "rewrite", "retries", "headers", "corsPolicy")
_WHY = "not possible with appProtocol tcp: connections have no requests"


def tcp_mistakes(service: Service, analysis: Analysis) -> Iterator[Mistake]:
    """Yield what a Canary asks of a Service of the protocol TCP in vain."""
    yield from under(("service",), _service_mistakes(service))
    asked = {"match": analysis.match, "mirror": analysis.mirror, "sessionAffinity": analysis.session_affinity}
    for field, value in asked.items():
        if value:
            yield Mistake(("analysis", field), _WHY)
    for index, metric in enumerate(analysis.metrics):
        if metric.is_built_in:
            yield warning(
                ("analysis", "metrics", index), f"{metric.name} counts HTTP requests, of which TCP has none"
            )


def _service_mistakes(service: Service) -> Iterator[Mistake]:
    if service.delegation:
        yield Mistake(("delegation",), "not possible with appProtocol tcp: Istio delegates HTTP only")
    for index, match in enumerate(service.match):
        for field in sorted(match.as_written().keys() - {"port"}):
            yield Mistake(("match", index, field), f"{_WHY}; allowed is port")
    said = service.model_dump(by_alias=True, exclude_none=True)
    for field in _OF_ROUTES:
        if field in said:
            yield warning((field,), "has no effect with appProtocol tcp")
