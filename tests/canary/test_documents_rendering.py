"""A spec, written as Flagger's Canary and read again, is the same spec."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from canary.documents.rendering import canary_body
from canary.documents.resolve import resolve
from canary.spec import CanarySpec
from tests.canary.examples import change, read
from tests.canary.test_documents_fields import ALL, Field, changed

RECORDED = Path(__file__).parents[1] / "recorded" / "flagger"
ENOUGH = 3
"""Values of a field that are tried, beside one that changes nothing."""
FIELDS = [
    each
    for each in ALL
    if each.kind == "Canary" and each.path[0] == "spec" and not each.mark and not each.is_silent
]


def spec_of(documents: list[Any]) -> CanarySpec | None:
    """The one canary of documents without mistakes."""
    resolution = resolve(documents, "member")
    return next((each.spec for each in resolution.canaries), None)


def again(spec: CanarySpec, documents: list[Any]) -> CanarySpec | None:
    """The spec that its own rendering is read as, among the other documents."""
    metadata = {"name": spec.name, "namespace": spec.namespace}
    canary = {"apiVersion": "flagger.app/v1beta1", "kind": "Canary", "metadata": metadata}
    body = json.loads(json.dumps(canary_body(spec)))
    others = [each for each in documents if each["kind"] != "Canary"]
    return spec_of([{**canary, "spec": body}, *others])


def recorded() -> Iterator[Any]:
    for file in sorted(RECORDED.glob("*.jsonl")):
        lines = map(json.loads, file.read_text().splitlines())
        given = [line["object"] for line in lines if line["what"] == "given"]
        yield pytest.param([each for each in given if "flagger.app" in each["apiVersion"]], id=file.stem)


@pytest.mark.parametrize("documents", [*recorded()])
def test_what_flagger_took_reads_the_same_once_written(documents: list[Any]) -> None:
    spec = spec_of(documents)

    assert spec is not None
    assert again(spec, documents) == spec


@pytest.mark.parametrize("field", [pytest.param(each, id=".".join(map(str, each.path))) for each in FIELDS])
def test_whatever_a_field_says_is_written(field: Field) -> None:
    found: dict[str, list[Any]] = {}
    for _, documents, _ in changed(field):
        if (spec := spec_of(documents)) is not None:
            found.setdefault(spec.model_dump_json(), documents)
        if len(found) > ENOUGH:
            break

    assert len(found) > 1
    for documents in found.values():
        spec = spec_of(documents)
        assert spec is not None
        assert again(spec, documents) == spec


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("spec.analysis.primaryReadyThreshold", 0),
        ("spec.analysis.canaryReadyThreshold", 0),
        ("spec.analysis.metrics[0].thresholdRange", {"min": 0}),
        ("spec.analysis.interval", "0.5s"),
        ("spec.progressDeadlineSeconds", 30_000_000),
        ("spec.analysis.interval", "8000h"),
        ("spec.service.retries", {}),
        ("spec.revertOnDeletion", False),
    ],
)
def test_what_looks_like_nothing_is_written(path: str, value: object) -> None:
    documents = read("flagger-canary.yaml", "metric-template.yaml")
    before = spec_of(documents)
    change(documents[0], path, value)

    spec = spec_of(documents)

    assert spec is not None
    assert spec != before
    assert again(spec, documents) == spec


def test_what_goes_without_saying_is_left_out() -> None:
    documents = read("flagger-canary.yaml", "metric-template.yaml")
    documents[0]["spec"] = {
        "targetRef": {"kind": "Deployment", "name": "backend"},
        "service": {"port": 80},
        "analysis": {"interval": "1m", "threshold": 5, "stepWeight": 10},
    }
    spec = spec_of(documents)

    assert spec is not None
    assert canary_body(spec) == {
        "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "backend"},
        "service": {"name": "backend", "port": 80},
        "analysis": {"interval": "60s", "threshold": 5, "stepWeight": 10},
        "progressDeadlineSeconds": 600,
        "revertOnDeletion": True,
    }


@pytest.mark.parametrize(("bound", "text"), [(99, "99"), (99.5, "99.5")])
def test_numbers_are_written_as_people_write_them(bound: float, text: str) -> None:
    documents = read("flagger-canary.yaml", "metric-template.yaml")
    change(documents[0], "spec.analysis.metrics[0].thresholdRange", {"min": bound})
    spec = spec_of(documents)

    assert spec is not None
    assert str(canary_body(spec)["analysis"]["metrics"][0]["thresholdRange"]["min"]) == text


def test_a_list_of_weights_says_its_maximum_itself() -> None:
    documents = read("flagger-canary.yaml", "metric-template.yaml")
    change(documents[0], "spec.analysis.stepWeights", [5, 10])
    spec = spec_of(documents)

    assert spec is not None
    assert canary_body(spec)["analysis"]["stepWeights"] == [5, 10]
    assert "maxWeight" not in canary_body(spec)["analysis"]
