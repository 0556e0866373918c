"""Where a query is sent and how its answer counts: what Flagger's metrics and Kurator's share."""

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field

from canary.documents.flux import SecretRef
from canary.documents.mistake import Mistake, Path, show, warning
from canary.documents.rules import address_mistakes, object_name_mistakes, seconds_text
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


class Judging(Document):
    """How a metric counts whose value stands on little or nothing; both fields are our own."""

    no_data: Literal["fail", "hold", "pass"] = "fail"
    min_samples: Annotated[float | None, Field(gt=0)] = None


def judging_mistakes(judging: Judging, *, is_built_in: bool) -> Iterator[Mistake]:
    """Yield what cannot be told of a metric's samples."""
    if judging.min_samples is not None and not is_built_in:
        yield Mistake(
            ("minSamples",), "only a built-in metric counts its samples: let the query answer nothing"
        )


def warm_up_mistakes(path: Path, warm_up: timedelta, whole: timedelta) -> Iterator[Mistake]:
    """Warn of a metric that warms up for longer than the *whole* of the steps takes."""
    if warm_up > whole:
        yield warning(
            path,
            f"{seconds_text(warm_up)} is longer than the {seconds_text(whole)} that all steps take: "
            "the first step lasts until then",
        )


_SECRET = re.compile(r"authorization|cookie|token|api-?key|secret|password", re.IGNORECASE)


def provider_mistakes(provider: Provider) -> Iterator[Mistake]:
    """Yield why a query cannot be sent to *provider*."""
    for name in provider.headers:
        if _SECRET.search(name):
            text = "may hold a secret, which histories and reports would show: put it into a Secret"
            yield Mistake(("headers", name), f"{text}, see secretRef")
    if provider.type in _LATER:
        yield Mistake(("type",), f"{provider.type} is not supported yet; allowed is prometheus")
    elif provider.type != "prometheus":
        yield Mistake(("type",), f"must be prometheus, is {show(provider.type)}")
    if provider.address is not None:
        yield from address_mistakes(("address",), provider.address)
    if provider.secret_ref is not None:
        yield from object_name_mistakes(("secretRef", "name"), provider.secret_ref.name)
