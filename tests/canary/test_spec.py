"""What a spec says of itself and its objects."""

import pytest

from tests.canary.rollouts import a_spec


def test_names_what_stands_beside_the_target_and_its_service() -> None:
    spec = a_spec()

    assert spec.primary == "podinfo-primary"
    assert (spec.service.primary, spec.service.canary) == ("podinfo-primary", "podinfo-canary")
    assert spec.service.names == ("podinfo", "podinfo-canary", "podinfo-primary")


@pytest.mark.parametrize(
    ("application", "document"),
    [
        pytest.param(None, "Canary test/podinfo", id="a Canary"),
        pytest.param("team/shop", "Application team/shop", id="an Application"),
    ],
)
def test_names_the_document_that_delivers_it(application: str | None, document: str) -> None:
    assert a_spec(application=application).document == document


@pytest.mark.parametrize(
    ("application", "remedy"),
    [
        pytest.param(None, "take the canary out first (canary delete), and apply it anew", id="a Canary"),
        pytest.param(
            "team/shop",
            "take rollout out of its policy first, and put it in again once the canary is gone",
            id="an Application",
        ),
    ],
)
def test_tells_how_to_begin_anew(application: str | None, remedy: str) -> None:
    assert a_spec(application=application).how_to_begin_anew == remedy
