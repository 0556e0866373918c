"""What a spec names and its documents did not bring, read in from the cluster's own objects.

What was read keeps saying where it stands: it is read again when a rollout begins.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from canary.alert import AlertSpec
from canary.documents.alerts import AlertProvider
from canary.documents.flagger import MetricTemplate
from canary.documents.mistake import SENTENCE, Mistake, show
from canary.documents.reading import Key, read
from canary.documents.resolve import resolve
from canary.errors import TemplateError
from canary.problem import Problem
from canary.queries import render_query
from canary.reference import ObjectRef
from canary.spec import CanarySpec, MetricSpec

Objects = Mapping[Key, Mapping[str, Any]]
"""The cluster's objects as its API server gives them."""


@dataclass(frozen=True)
class Unread:
    """One object that is to be read, and where the document names it."""

    key: Key
    path: str


def unread(spec: CanarySpec) -> Iterator[Unread]:
    """Yield what stands in the cluster and not among the documents."""
    for metric in spec.analysis.metrics:
        if metric.template_ref is not None:
            yield Unread(_key("MetricTemplate", metric.template_ref), metric.template_ref.path)
    for alert in spec.analysis.alerts:
        if alert.provider_ref is not None:
            yield Unread(_key("AlertProvider", alert.provider_ref), alert.provider_ref.path)


def read_in(spec: CanarySpec, found: Objects) -> CanarySpec:
    """Return *spec* with what was *found* and has no mistake; all else stays as it was."""
    metrics = map(partial(_with_template, found=found), spec.analysis.metrics)
    alerts = map(partial(_with_provider, found=found), spec.analysis.alerts)
    changes = {"metrics": tuple(metrics), "alerts": tuple(alerts)}
    return spec.model_copy(update={"analysis": spec.analysis.model_copy(update=changes)})


def mistakes_of_read(spec: CanarySpec, found: Objects) -> Iterator[Problem]:
    """Yield what is wrong with what was *found* for *spec*, each with the object's name."""
    for each in unread(spec):
        for mistake in _mistakes(found.get(each.key)):
            text = f"{each.key} in {spec.cluster}: {mistake.where}: {mistake.message}"
            yield Problem(path=each.path, message=text, is_warning=mistake.is_warning)
    for metric in read_in(spec, found).analysis.metrics:
        if metric.template_ref is not None and _model(found, "MetricTemplate", metric.template_ref):
            yield from _query_mistakes(spec, metric, metric.template_ref)


def _query_mistakes(spec: CanarySpec, metric: MetricSpec, reference: ObjectRef) -> Iterator[Problem]:
    try:
        render_query(spec, metric, metric.interval)
    except TemplateError as error:
        key = _key("MetricTemplate", reference)
        text = f"{key} in {spec.cluster}: {show(error, SENTENCE)}"
        yield Problem(path=reference.path, message=text)


def _with_template(metric: MetricSpec, found: Objects) -> MetricSpec:
    reference = metric.template_ref
    model = _model(found, "MetricTemplate", reference)
    if reference is None or not isinstance(model, MetricTemplate):
        return metric
    template = model.spec.template(reference.name, reference.namespace)
    return metric.model_copy(update={"template": template})


def _with_provider(alert: AlertSpec, found: Objects) -> AlertSpec:
    model = _model(found, "AlertProvider", alert.provider_ref)
    if not isinstance(model, AlertProvider):
        return alert
    return alert.model_copy(update={"provider": model.provider()})


def _model(found: Objects, kind: str, reference: ObjectRef | None) -> object:
    """What was found, if it may be taken.

    What its own rules refuse may hold a secret, which would go with the spec into histories and reports.
    """
    data = found.get(_key(kind, reference)) if reference is not None else None
    if data is None or any(not mistake.is_warning for mistake in _mistakes(data)):
        return None
    return read(data).model


def _mistakes(data: Mapping[str, Any] | None) -> tuple[Mistake, ...]:
    return () if data is None else resolve([data]).mistakes


def _key(kind: str, reference: ObjectRef) -> Key:
    return Key(kind, reference.namespace, reference.name)
