"""Where a query is sent: the provider that Flagger's MetricTemplate and Kurator's customMetric share."""

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from canary.documents.flux import SecretRef
from canary.documents.mistake import Mistake, show
from canary.documents.rules import address_mistakes
from canary.documents.schema import Document, NotDone, Text
from canary.spec import MetricProvider, MetricTemplate

_LATER = frozenset(
    (
        "cloudwatch",
        "datadog",
        "dynatrace",
        "externalmetrics",
        "graphite",
        "influxdb",
        "keptn",
        "newrelic",
        "splunk",
        "stackdriver",
    )
)


class Provider(Document):
    """A metrics server; without an address, the cluster's own Prometheus."""

    type: Text = "prometheus"
    address: Text | None = None
    secret_ref: SecretRef | None = None
    region: Annotated[str | None, NotDone("not supported: CloudWatch only")] = None
    insecure_skip_verify: bool = False
    headers: dict[str, list[str]] = Field(default_factory=dict)


class TemplateBody(Document):
    """A query of one's own, with Flagger's `{{ … }}` variables."""

    provider: Provider = Provider()
    query: Text

    def template(self, name: str, namespace: str) -> MetricTemplate:
        """Return the query as the engine asks it; secrets are looked up in *namespace*."""
        given = self.provider
        return MetricTemplate(
            name=name,
            namespace=namespace,
            query=self.query,
            provider=MetricProvider(
                type=given.type,
                address=given.address,
                secret_ref=given.secret_ref.name if given.secret_ref else None,
                insecure_skip_verify=given.insecure_skip_verify,
                headers={name: tuple(values) for name, values in given.headers.items()},
            ),
        )


def provider_mistakes(provider: Provider) -> Iterator[Mistake]:
    """Yield why a query cannot be sent to *provider*."""
    if provider.type in _LATER:
        yield Mistake(("type",), f"{provider.type} is not supported yet; allowed is prometheus")
    elif provider.type != "prometheus":
        yield Mistake(("type",), f"must be prometheus, is {show(provider.type)}")
    if provider.address is not None:
        yield from address_mistakes(("address",), provider.address)
