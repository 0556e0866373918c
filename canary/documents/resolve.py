"""A set of documents that belong together: references looked up, specs made, every mistake named."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import assert_never

from canary.application import ApplicationSpec, ClusterRef
from canary.documents.alerts import AlertProvider, alert_provider_mistakes
from canary.documents.applications import application_mistakes, application_spec, missing_of_application
from canary.documents.canaries import canary_spec, missing_of_canary
from canary.documents.canary_rules import canary_mistakes
from canary.documents.catalogue import Catalogue, Entry, Reference, catalogue
from canary.documents.flagger import Canary, MetricTemplate
from canary.documents.fleet import AttachedCluster, Fleet, fleet_mistakes
from canary.documents.kurator import Application
from canary.documents.metrics import provider_mistakes
from canary.documents.mistake import SENTENCE, Mistake, Path, of_document, show, under
from canary.documents.reading import AnyDocument, Key
from canary.documents.rules import namespace_mistakes, object_name_mistakes
from canary.documents.schema import refused
from canary.errors import TemplateError
from canary.queries import check_template, render_query
from canary.spec import CanarySpec


@dataclass(frozen=True)
class ResolvedApplication:
    """An Application without mistakes, and the place of its document."""

    document: int
    spec: ApplicationSpec


@dataclass(frozen=True)
class ResolvedCanary:
    """A Flagger Canary without mistakes, and the place of its document."""

    document: int
    spec: CanarySpec
    cluster: ClusterRef


@dataclass(frozen=True)
class Resolution:
    """What a set of documents comes to."""

    applications: tuple[ResolvedApplication, ...]
    canaries: tuple[ResolvedCanary, ...]
    mistakes: tuple[Mistake, ...]
    unresolved: tuple[Reference, ...]
    """What is referred to and was not given; each has its mistake too."""


def resolve(documents: Sequence[object], cluster: str | None = None) -> Resolution:
    """Make specs of *documents*, each a mapping as YAML or JSON gives it.

    Args:
        documents: everything that was given together, in order.
        cluster: where Flagger's Canaries are, which do not say so themselves.
    """
    given = catalogue(documents)
    mistakes, unresolved = [*given.mistakes], list[Reference]()
    for entry in given.entries.values():
        missing = [replace(each, document=entry.index) for each in _missing(entry.model, given)]
        unresolved += missing
        own = [each.mistake for each in missing] + list(_mistakes(entry.model, given, cluster))
        said = {mistake.path for mistake in own}
        own += (mistake for mistake in refused(entry.model) if mistake.path not in said)
        mistakes += of_document(entry.index, filter(entry.reading.is_certain, own))
    wrong = {mistake.document for mistake in mistakes if not mistake.is_warning}
    sound = [entry for entry in given.entries.values() if entry.index not in wrong]
    applications = tuple(_applications(sound, given))
    canaries = tuple(_canaries(sound, given, cluster))
    mistakes += _spec_mistakes(applications, canaries, _unrenderable(given))
    is_valid = all(mistake.is_warning for mistake in mistakes)
    return Resolution(
        applications=applications if is_valid else (),
        canaries=canaries if is_valid else (),
        mistakes=tuple(mistakes),
        unresolved=tuple(unresolved),
    )


def _missing(model: AnyDocument, given: Catalogue) -> Iterator[Reference]:
    match model:
        case Application():
            return missing_of_application(model, given)
        case Canary():
            return missing_of_canary(model, given)
        case Fleet() | AttachedCluster() | MetricTemplate() | AlertProvider():
            return iter(())
        case _:
            assert_never(model)


def _mistakes(model: AnyDocument, given: Catalogue, cluster: str | None) -> Iterator[Mistake]:
    yield from object_name_mistakes(("metadata", "name"), model.metadata.name)
    yield from namespace_mistakes(("metadata", "namespace"), model.metadata.namespace)
    match model:
        case Application():
            yield from application_mistakes(model, given)
        case Canary():
            yield from canary_mistakes(model)
            if cluster is None:
                yield Mistake((), "does not say which cluster it is in: name it with --cluster")
        case MetricTemplate():
            yield from under(("spec", "provider"), provider_mistakes(model.spec.provider))
            yield from _template_mistakes(model)
        case AlertProvider():
            yield from under(("spec",), alert_provider_mistakes(model.spec))
        case AttachedCluster():
            yield from object_name_mistakes(("spec", "kubeconfig", "name"), model.spec.kubeconfig.name)
        case Fleet():
            yield from fleet_mistakes(model)
        case _:
            assert_never(model)


def _template_mistakes(model: MetricTemplate) -> Iterator[Mistake]:
    try:
        check_template(model.metadata.name, model.spec.query)
    except TemplateError as error:
        yield Mistake(("spec", "query"), show(error, SENTENCE))


def _applications(entries: Iterable[Entry], given: Catalogue) -> Iterator[ResolvedApplication]:
    for entry in entries:
        if isinstance(entry.model, Application):
            yield ResolvedApplication(entry.index, application_spec(entry.model, given))


def _canaries(entries: Iterable[Entry], given: Catalogue, cluster: str | None) -> Iterator[ResolvedCanary]:
    for entry in entries:
        if isinstance(entry.model, Canary) and cluster is not None:
            spec = canary_spec(entry.model, cluster, given)
            yield ResolvedCanary(entry.index, spec, given.cluster_named(cluster))


@dataclass(frozen=True)
class _Use:
    """A spec and where in its document it comes from."""

    document: int
    owner: str
    target: Path
    metrics: Path
    spec: CanarySpec

    @property
    def what(self) -> str:
        """The target, as a mistake names it."""
        target = self.spec.target
        return f"{target.kind} {self.spec.namespace}/{target.name} in cluster {self.spec.cluster}"


def _uses(applications: Iterable[ResolvedApplication], canaries: Iterable[ResolvedCanary]) -> Iterator[_Use]:
    for application in applications:
        owner = f"Application {application.spec.namespace}/{application.spec.name}"
        for index, policy in enumerate(application.spec.policies):
            rollout: Path = ("spec", "syncPolicies", index, "rollout")
            metrics: Path = (*rollout, "rolloutPolicy", "trafficAnalysis", "metrics")
            for spec in policy.canaries:
                yield _Use(application.document, owner, (*rollout, "workload"), metrics, spec)
    for canary in canaries:
        owner = f"Canary {canary.spec.namespace}/{canary.spec.name}"
        metrics = ("spec", "analysis", "metrics")
        yield _Use(canary.document, owner, ("spec", "targetRef"), metrics, canary.spec)


def _unrenderable(given: Catalogue) -> frozenset[Key]:
    """The templates that render for nobody, which is said of themselves already."""
    return frozenset(
        key
        for key, entry in given.entries.items()
        if isinstance(entry.model, MetricTemplate) and any(_template_mistakes(entry.model))
    )


def _spec_mistakes(
    applications: Iterable[ResolvedApplication],
    canaries: Iterable[ResolvedCanary],
    unrenderable: frozenset[Key],
) -> Iterator[Mistake]:
    """Yield the mistakes that only show once references are looked up."""
    owners: dict[str, str] = {}
    found: dict[tuple[int, Path], Mistake] = {}  # one for all the clusters of a policy
    for use in _uses(applications, canaries):
        for mistake in _use_mistakes(use, owners.get(use.spec.tail), unrenderable):
            found.setdefault((mistake.document, mistake.path), mistake)
        owners.setdefault(use.spec.tail, use.owner)
    yield from found.values()


def _use_mistakes(use: _Use, owner: str | None, unrenderable: frozenset[Key]) -> Iterator[Mistake]:
    if owner is not None:
        message = f"{use.what} is the target of {owner} already: a target has one canary"
        yield Mistake(use.target, message, document=use.document)
    for index, metric in enumerate(use.spec.analysis.metrics):
        template = metric.template
        if template is None:  # built in, or its document cannot be read
            continue
        if Key("MetricTemplate", template.namespace, template.name) in unrenderable:
            continue
        try:
            render_query(use.spec, metric, metric.interval)
        except TemplateError as error:
            yield Mistake((*use.metrics, index), show(error, SENTENCE), document=use.document)
