"""No field of a document is ignored: it changes a spec, is refused by name, or says nothing on purpose."""

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, replace
from itertools import pairwise, product
from typing import Any, Literal, get_args, get_origin

import pytest
from pydantic import BaseModel
from ruamel.yaml import YAML

from canary.documents import reading
from canary.documents.mistake import Mistake
from canary.documents.reading import KINDS
from canary.documents.resolve import resolve
from canary.documents.schema import Metadata, NotDone
from tests.canary.examples import read

SETS = (
    ("canary.yaml", "fleet.yaml"),
    ("ab-testing.yaml", "fleet.yaml"),
    ("flagger-canary.yaml", "metric-template.yaml"),
    ("session-affinity.yaml",),
    ("blue-green.yaml",),
    ("gates-and-alerts.yaml",),
)
GONE = object()
VALUES = (
    GONE,
    True,
    False,
    1,
    7,
    0.5,
    "x",
    "7s",
    "http://x.example.com/",
    "0123456789abcdef0123456789abcdef01234567",
    "2m0s",
    1000,
    {"k": "v"},
    {"k": ["v"]},
    [{"k": "v"}],
    ["x"],
    [60, 80],
    ["NetworkPolicy/x"],
)
"""What a field is changed to, until something is heard of it."""

OBJECT_META = (
    "annotations",
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "finalizers",
    "generateName",
    "generation",
    "labels",
    "managedFields",
    "name",
    "namespace",
    "ownerReferences",
    "resourceVersion",
    "selfLink",
    "uid",
)
"""The fields of Kubernetes' ObjectMeta, as its API reference (meta/v1) lists them."""

SAYS_NOTHING = {
    **{f"Metadata.{name}": "what the document is referred to by, or others' own" for name in OBJECT_META},
    "apiVersion": "which version of a kind is read, is one for each kind",
    "status": "the cluster's own",
    "ProviderRef.name": "leads to the alert provider, whose fields are looked at",
    "ProviderRef.namespace": "leads to the alert provider, whose fields are looked at",
    "ObjectRef.name": "leads to the metric template, whose fields are looked at",
    "ObjectRef.namespace": "leads to the metric template, whose fields are looked at",
    "ObjectRef.kind": "a MetricTemplate, whatever it says",
    "Destination.fleet": "leads to the fleet, whose fields are looked at",
    "AutoscalerRef.kind": "there is one kind",
    "CanaryBody.provider": "there is one provider",
    "Rollout.trafficRoutingProvider": "there is one provider",
    "FlaggerPlugin.trafficRoutingProvider": "there is one provider",
    "FleetMember.namespace": "Kurator looks in the fleet's own",
    "FleetMember.uid": "the cluster's own",
    "FleetMember.resourceVersion": "the cluster's own",
    "FleetMember.fieldPath": "the cluster's own",
    "GitRepository.gitImplementation": "neither is used; the content is the same",
    "Provider.type": "there is one type, all others are refused",
}
"""Fields that change nothing, and why."""


@dataclass(frozen=True)
class Field:
    """A field of a model, and where it stands in a document of *kind*."""

    kind: str
    path: tuple[str | int, ...]
    owner: str
    annotation: object
    mark: NotDone | None

    @property
    def is_silent(self) -> bool:
        """Whether it is one of those that change nothing."""
        names = (str(self.path[-1]), ".".join(map(str, self.path)), f"{self.owner}.{self.path[-1]}")
        return self.path == ("kind",) or any(name in SAYS_NOTHING for name in names)


def fields(kind: str, model: type[BaseModel], path: tuple[str | int, ...] = ()) -> Iterator[Field]:
    """Every field below *model* that holds no model itself."""
    for name, field in model.model_fields.items():
        here = (*path, field.alias or name)
        mark = next((each for each in field.metadata if isinstance(each, NotDone)), None)
        inner = list(models_in(field.annotation, here))
        if mark is None and inner:
            for place, each in inner:
                yield from fields(kind, each, place)
        else:
            yield Field(kind, here, model.__name__, field.annotation, mark)


def models_in(annotation: Any, path: tuple[str | int, ...]) -> Iterator[tuple[Any, type[BaseModel]]]:
    """The models in `Model | None`, `list[Model]` and `dict[str, Model]`, and where one would stand."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield path, annotation
    else:
        step: tuple[str | int, ...] = {list: (0,), dict: ("x-any",)}.get(get_origin(annotation), ())
        for argument in get_args(annotation):
            yield from models_in(argument, (*path, *step))


ALL = [field for kind, (_, model) in KINDS.items() for field in fields(kind, model)]


def variant(names: tuple[str, ...], *changes: tuple[str, object]) -> list[Any]:
    """Example documents with some fields of the first one changed."""
    documents = read(*names)
    for path, value in changes:
        change(documents[0], tuple(int(part) if part.isdigit() else part for part in path.split(".")), value)
    return documents


def change(place: Any, path: tuple[str | int, ...], value: object) -> None:
    """Set a field, with all that must stand around it."""
    for part, following in pairwise(path):
        empty: Any = [] if isinstance(following, int) else {}
        if isinstance(part, int):
            place.extend([empty] if not place else [])
            place = place[part]
        else:
            place = place.setdefault(part, empty)
    if value is GONE:
        place.pop(path[-1], None)
    else:
        place[path[-1]] = value


def places(document: Any, path: tuple[str | int, ...]) -> Iterator[tuple[str | int, ...]]:
    """Where a path leads to in a document, with every element of a list in turn."""
    if not path:
        yield ()
        return
    part, *rest = path
    if isinstance(part, int) and isinstance(document, list) and document:
        elements: dict[str | int, Any] = dict(enumerate(document))
    else:
        elements = {part: document.get(part) if isinstance(document, dict) else None}
    for each, below in elements.items():
        yield from ((each, *place) for place in places(below, tuple(rest)))


def changed(field: Field) -> Iterator[tuple[list[Any], list[Any], tuple[str | int, ...]]]:
    """Documents beside those in which *field* has another value, and where it stands there."""
    values = (*words_of(field.annotation), *VALUES)
    for before in DOCUMENTS:
        for index, document in enumerate(before):
            if document["kind"] == field.kind:
                for place, value in product(places(document, field.path), values):
                    after = deepcopy(before)
                    change(after[index], place, value)
                    yield before, after, place


def words_of(annotation: object) -> Iterator[object]:
    """What is allowed where only some words are."""
    if get_origin(annotation) is Literal:
        yield from get_args(annotation)
    else:
        for argument in get_args(annotation):
            yield from words_of(argument)


def outcome(documents: list[Any]) -> tuple[object, list[Mistake]]:
    resolution = resolve(documents, "member")
    errors = [mistake for mistake in resolution.mistakes if not mistake.is_warning]
    return ([each.spec for each in (*resolution.applications, *resolution.canaries)], errors)


def matters(field: Field) -> bool:
    """Whether one of the specs changes with the field."""
    return any(
        not errors and specs != outcome(before)[0]
        for before, after, _ in changed(field)
        for specs, errors in [outcome(after)]
    )


def is_named(field: Field, mark: NotDone) -> bool:
    """Whether a value of the field is answered with its name and the reason it has no effect."""
    return any(
        Mistake(place, mark.reason, mark.is_warning) == replace(found, document=0)
        for _, after, place in changed(field)
        for found in resolve(after, "member").mistakes
    )


POLICY = "spec.syncPolicies.0.rollout.rolloutPolicy"
DOCUMENTS = [
    *(variant(names) for names in SETS),
    variant(
        SETS[0],
        (f"{POLICY}.trafficRouting.canaryStrategy", {"stepWeights": [10, 50]}),
        (f"{POLICY}.trafficAnalysis.sessionAffinity", {"cookieName": "x"}),
        ("spec.destination", {"fleet": "quickstart"}),
    ),
    variant(SETS[2], ("spec.analysis.metrics.0.thresholdRange", GONE)),
    variant(SETS[4], ("spec.analysis.match", [{"headers": {"x-canary": {"exact": "yes"}}}])),
]
"""What one field of is changed: each field has its place in one of them."""


def params(which: list[Field]) -> list[Any]:
    return [pytest.param(field, id=f"{field.kind}:{'.'.join(map(str, field.path))}") for field in which]


@pytest.mark.parametrize("field", params([each for each in ALL if not each.mark and not each.is_silent]))
def test_a_field_that_is_read_changes_the_spec(field: Field) -> None:
    assert matters(field)


@pytest.mark.parametrize("field", params([each for each in ALL if each.mark]))
def test_a_field_that_is_not_done_is_named(field: Field) -> None:
    assert field.mark is not None

    assert is_named(field, field.mark)


@pytest.mark.parametrize("name", SAYS_NOTHING)
def test_what_says_nothing_is_a_field(name: str) -> None:
    assert any(
        name in (each.path[-1], ".".join(map(str, each.path)), f"{each.owner}.{each.path[-1]}")
        for each in ALL
    )


def test_metadata_is_kubernetes_object_meta() -> None:
    assert sorted(field.alias or "" for field in Metadata.model_fields.values()) == list(OBJECT_META)


def example(kind: str) -> Any:
    return next(each for names in SETS for each in read(*names) if each["kind"] == kind)


@pytest.mark.parametrize("kind", KINDS)
def test_metadata_as_a_cluster_gives_it_is_read(kind: str) -> None:
    metadata = YAML(typ="safe", pure=True).load(
        """
        labels: {app: shop}
        annotations: {kubectl.kubernetes.io/last-applied-configuration: "{}"}
        creationTimestamp: 2024-01-11T02:40:40Z
        deletionTimestamp: null
        deletionGracePeriodSeconds: 0
        finalizers: [apps.kurator.dev]
        generateName: shop-
        generation: 2
        managedFields:
        - {manager: kubectl, operation: Update, fieldsType: FieldsV1, fieldsV1: {"f:spec": {}}}
        ownerReferences:
        - {apiVersion: v1, kind: ConfigMap, name: x, uid: "1", controller: true}
        resourceVersion: "77"
        selfLink: /apis/x
        uid: 0a6b1a2c-4a7c-4cd5-a4b1-5ee1a3a2d4b7
        """
    )
    given = example(kind)
    given["metadata"] |= metadata

    assert reading.read(given).mistakes == []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("field", "value", "line"),
    [
        pytest.param("label", {}, "metadata.label: unknown field, did you mean labels?", id="mistyped"),
        pytest.param(
            "cluster",
            "member1",
            "metadata.cluster: unknown field; allowed are name, namespace, labels, annotations, finalizers, "
            "generateName, uid, resourceVersion, generation, creationTimestamp, deletionTimestamp, "
            "deletionGracePeriodSeconds, ownerReferences, managedFields, selfLink",
            id="another",
        ),
        pytest.param(
            "labels",
            {"weight": 10},
            "metadata.labels.weight: must be text, is 10; put it in quotes",
            id="no text",
        ),
    ],
)
def test_other_metadata_is_refused_by_name(kind: str, field: str, value: object, line: str) -> None:
    given = example(kind)
    given["metadata"][field] = value

    assert [str(each) for each in reading.read(given).mistakes] == [line]
