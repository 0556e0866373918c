"""How many replicas a rollout may have, without a cluster."""

from typing import Any

import pytest

from sandbox.controllers import rollout
from sandbox.controllers.rollout import MAXIMUM
from sandbox.controllers.selectors import matches
from sandbox.objects import Object


def _deployment(replicas: int, **rolling: Any) -> Object:
    strategy = {"type": "RollingUpdate", "rollingUpdate": rolling}
    return {"spec": {"replicas": replicas, "strategy": strategy}, "status": {}}


def _set(name: str, replicas: int, *, available: int = 0, maximum: int = 0, age: int = 0) -> Object:
    created = f"2026-01-01T00:00:{60 - age - 1:02}Z"
    meta = {"name": name, "creationTimestamp": created, "annotations": {MAXIMUM: str(maximum)}}
    return {"metadata": meta, "spec": {"replicas": replicas}, "status": {"availableReplicas": available}}


@pytest.mark.parametrize(
    ("replicas", "surge", "unavailable", "expected"),
    [
        pytest.param(4, "25%", "25%", (1, 1), id="defaults"),
        pytest.param(6, "25%", "25%", (2, 1), id="up and down"),
        pytest.param(10, "39%", "39%", (4, 3), id="percentages"),
        pytest.param(1, "25%", "25%", (1, 0), id="one replica is never taken away first"),
        pytest.param(5, 0, 0, (0, 1), id="no room at all becomes one down"),
        pytest.param(2, 0, 9, (0, 2), id="never more than there are"),
        pytest.param(0, "25%", "25%", (0, 0), id="nothing at zero"),
    ],
)
def test_room_of_a_rollout(
    replicas: int, surge: int | str, unavailable: int | str, expected: tuple[int, int]
) -> None:
    deployment = _deployment(replicas, maxSurge=surge, maxUnavailable=unavailable)

    assert (rollout.max_surge(deployment), rollout.max_unavailable(deployment)) == expected


def test_new_set_grows_into_the_surge_only() -> None:
    deployment = _deployment(4, maxSurge=1, maxUnavailable=1)
    old, new = _set("old", 4), _set("new", 0)

    assert rollout.new_replicas(deployment, [old, new], new) == 1


def test_old_replicas_wait_for_new_ones_to_be_available() -> None:
    deployment = _deployment(4, maxSurge=1, maxUnavailable=0)
    old = _set("old", 4, available=4)

    assert rollout.removable(deployment, [old], _set("new", 1, available=0)) == 0
    assert rollout.removable(deployment, [old], _set("new", 1, available=1)) == 1


def test_pods_about_to_go_are_no_surplus() -> None:
    deployment = _deployment(4, maxSurge=1, maxUnavailable=1)
    just_made_smaller = _set("old", 3, available=4)

    assert rollout.surplus(deployment, [just_made_smaller, _set("new", 2, available=1)]) == 1


@pytest.mark.parametrize(
    ("replicas", "old", "new", "expected"),
    [
        pytest.param(15, 8, 5, {"old": 11, "new": 7}, id="growth is shared in proportion"),
        pytest.param(5, 8, 5, {"old": 5, "new": 3}, id="so is shrinking"),
        pytest.param(0, 8, 5, {"old": 0, "new": 0}, id="to zero all go"),
        pytest.param(10, 8, 5, {"old": 8, "new": 5}, id="nothing to share"),
    ],
)
def test_change_of_size_in_mid_rollout(replicas: int, old: int, new: int, expected: dict[str, int]) -> None:
    deployment = _deployment(replicas, maxSurge=3, maxUnavailable=2)
    sets = [_set("old", old, maximum=13, age=9), _set("new", new, maximum=13)]

    assert rollout.proportional(deployment, sets) == expected


def test_what_is_left_over_goes_to_the_largest() -> None:
    deployment = _deployment(11, maxSurge=0, maxUnavailable=1)
    sets = [_set(name, 3, maximum=9, age=age) for age, name in enumerate(("a", "b", "c"))]

    sizes = rollout.proportional(deployment, sets)

    assert sum(sizes.values()) == 11
    assert sizes == {"a": 4, "b": 4, "c": 3}


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        pytest.param(None, False, id="none selects nothing"),
        pytest.param({}, True, id="empty selects all"),
        pytest.param({"matchLabels": {"app": "web"}}, True, id="label"),
        pytest.param({"matchLabels": {"app": "web", "x": "y"}}, False, id="label missing"),
        pytest.param(
            {"matchExpressions": [{"key": "app", "operator": "In", "values": ["web"]}]}, True, id="in"
        ),
        pytest.param(
            {"matchExpressions": [{"key": "x", "operator": "NotIn", "values": ["y"]}]},  # codespell:ignore
            True,
            id="not in",
        ),
        pytest.param({"matchExpressions": [{"key": "app", "operator": "Exists"}]}, True, id="exists"),
        pytest.param({"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]}, False, id="absent"),
    ],
)
def test_label_selector(selector: Object | None, *, expected: bool) -> None:
    assert matches(selector, {"app": "web"}) is expected
