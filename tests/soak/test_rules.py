"""That a broken rule is found."""

from typing import Any

import pytest

from tests.conformance.load import Load, Way
from tests.conformance.trail import Shift
from tests.soak import rules

GOOD = {"podinfo:1"}


def routes(*weights: list[int | None]) -> dict[str, Any]:
    """Make a VirtualService with a rule for each list of weights; None: it says none."""
    rules_ = [{"route": [{} if each is None else {"weight": each} for each in rule]} for rule in weights]
    return {"spec": {"http": rules_}}


@pytest.mark.parametrize(
    ("found", "broken"),
    [
        (routes([90, 10], [100, 0]), []),
        (routes([100, 0], [90, 20]), ["weights are [90, 20]"]),
        (routes([0], [None]), []),
        ({"spec": {"tcp": []}}, []),
    ],
)
def test_weights_that_do_not_make_a_whole(found: dict[str, Any], broken: list[str]) -> None:
    assert rules.of_routes(found) == broken


@pytest.mark.parametrize(
    ("name", "image", "broken"),
    [
        ("podinfo-primary", "podinfo:1", []),
        ("podinfo-primary", "podinfo:2", ["the primary runs podinfo:2"]),
        ("podinfo", "podinfo:2", []),
    ],
)
def test_a_version_that_was_never_good(name: str, image: str, broken: list[str]) -> None:
    template = {"spec": {"containers": [{"image": image}]}}

    assert rules.of_primary({"metadata": {"name": name}, "spec": {"template": template}}, GOOD) == broken


@pytest.mark.parametrize(
    ("selector", "broken"),
    [
        ({"version": "6.2.1"}, []),
        ({"version": "6.3.1"}, ["the primary runs ghcr.io/stefanprodan/podinfo:6.3.1"]),
        ({"app": "podinfo-primary"}, []),
    ],
)
def test_a_service_that_leads_to_a_version_that_was_never_good(
    selector: dict[str, str], broken: list[str]
) -> None:
    service = {"metadata": {"name": "podinfo-primary"}, "spec": {"selector": selector}}

    assert rules.of_primary(service, {"ghcr.io/stefanprodan/podinfo:6.2.1"}) == broken


@pytest.mark.parametrize(
    ("steps", "broken"),
    [
        ([(0, 0), (0.1, 10), (1.1, 20), (2.2, 30)], []),
        ([(0, 0), (0.1, 10), (1.0, 20)], ["from 10 to 20 after 0.900 s"]),
        ([(0, 50), (0.1, 0), (0.2, 10)], []),
    ],
)
def test_a_step_that_is_early(steps: list[tuple[float, int]], broken: list[str]) -> None:
    assert rules.of_steps([Shift(at, weight, at) for at, weight in steps], 1.0) == broken


@pytest.mark.parametrize(
    ("failed", "broken"),
    [({}, []), ({"500": 3}, []), ({"500": 3, "503": 1}, ["mesh: {'500': 3, '503': 1}"])],
)
def test_a_user_who_failed_but_not_by_a_version(failed: dict[str, int], broken: list[str]) -> None:
    users = Load([Way("mesh", "http://mesh", "podinfo")])
    users.tallies["mesh"].failures.update(failed)

    assert rules.of_users(users) == broken


def test_a_history_that_is_not_replayed_as_it_was_made() -> None:
    fine = ["INFO all is well", '12:00 ERROR alert not sent cause="AlertRefused: by a listener"']
    broken = ["WARN [TMPRL1100] Nondeterminism error", "12:00 ERROR lost"]

    assert rules.of_logs("\n".join([*fine, *broken])) == broken
