"""Documents at the edge of what is allowed: this is no mistake, and one more is."""

from typing import Any

import pytest

from canary.documents.resolve import resolve
from tests.canary.examples import read

LONGEST_PREFIX = ".".join(["a" * 63] * 3 + ["a" * 61])
NO_OBJECT_NAME = (
    "is no name of a Kubernetes object: allowed are lower-case letters, digits, '-' and '.', "
    "with a letter or digit first and last"
)
NO_LABEL = (
    "is no value of a label: allowed are up to 63 letters, digits, '-', '_' and '.', "
    "with a letter or digit first and last"
)
NO_LABEL_KEY = (
    "is no key of a label: allowed are up to 63 letters, digits, '-', '_' and '.', "
    "after a domain and '/' or without"
)


def documents() -> list[Any]:
    """A Canary in which nothing is wrong, and what it names."""
    return read("flagger-canary.yaml", "metric-template.yaml")


def lines(section: str, changes: dict[str, Any]) -> list[str]:
    """The mistakes in a Canary of which one section was changed."""
    given = documents()
    given[0]["spec"][section] |= changes
    return [str(mistake) for mistake in resolve(given, "member").mistakes]


@pytest.mark.parametrize(
    ("section", "changes"),
    [
        pytest.param(
            "autoscalerRef",
            {"primaryScalerReplicas": {"minReplicas": 2, "maxReplicas": 2}},
            id="as many pods at least as at most",
        ),
        pytest.param(
            "service",
            {"apex": {"labels": {f"{LONGEST_PREFIX}/team": "shop"}}},
            id="the longest domain of a label",
        ),
    ],
)
def test_the_edge_is_allowed(section: str, changes: dict[str, Any]) -> None:
    assert lines(section, changes) == []


@pytest.mark.parametrize(
    ("section", "changes", "expected"),
    [
        pytest.param(
            "autoscalerRef",
            {"primaryScalerReplicas": {"minReplicas": 3, "maxReplicas": 2}},
            ["spec.autoscalerRef.primaryScalerReplicas.minReplicas: must be at most maxReplicas, 2, is 3"],
            id="more pods at least than at most",
        ),
        pytest.param(
            "service",
            {"apex": {"labels": {f"{LONGEST_PREFIX}b/team": "shop"}}},
            [f"spec.service.apex.labels.{'a' * 60}...: {'a' * 60}... {NO_LABEL_KEY}"],
            id="a longer domain",
        ),
        pytest.param(
            "service",
            {"apex": {"labels": {"team": "a b"}}},
            [f"spec.service.apex.labels.team: a b {NO_LABEL}"],
            id="a label of the apex",
        ),
    ],
)
def test_one_more_is_a_mistake(section: str, changes: dict[str, Any], expected: list[str]) -> None:
    assert lines(section, changes) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("Back", f"spec.targetRef.name: Back {NO_OBJECT_NAME}", id="not a name"),
        pytest.param(
            "b" * 246,
            "spec.targetRef.name: must have at most 245 characters, has 246: -primary is put to it",
            id="too long for what is made of it",
        ),
    ],
)
def test_a_target_beside_a_service_of_another_name_is_named_as_objects_are(name: str, expected: str) -> None:
    given = documents()
    given[0]["spec"]["service"]["name"] = "backend"
    given[0]["spec"]["targetRef"]["name"] = name

    assert [str(mistake) for mistake in resolve(given, "member").mistakes] == [expected]


@pytest.mark.parametrize(("written", "read"), [(0, 1), (1, 1), (2, 2)])
def test_a_threshold_is_one_failed_check_at_least(written: int, read: int) -> None:
    given = documents()
    given[0]["spec"]["analysis"]["threshold"] = written

    [canary] = resolve(given, "member").canaries

    assert canary.spec.analysis.threshold == read


@pytest.mark.parametrize("attribute", ["domain", "path"])
def test_an_attribute_of_a_cookie_ends_where_the_next_begins(attribute: str) -> None:
    given = documents()
    given[0]["spec"]["analysis"]["sessionAffinity"] = {"cookieName": "c", attribute: "x; y"}

    [line] = [str(mistake) for mistake in resolve(given, "member").mistakes]

    assert line == (
        f"spec.analysis.sessionAffinity.{attribute}: x; y ends a cookie's attribute: "
        "allowed is anything without ';'"
    )
