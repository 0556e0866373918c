"""How the pods of a DaemonSet take each other's place, node by node, without a cluster."""

from datetime import UTC, datetime
from typing import Any

import pytest

from sandbox.controllers.placements import HASH, Placement, Updating
from sandbox.objects import Object

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
SURGING = {"maxSurge": 1, "maxUnavailable": 0}


def pod(name: str, digest: str, *, is_ready: bool = True, age: int = 0, phase: str = "Running") -> Object:
    condition = {
        "type": "Ready",
        "status": "True" if is_ready else "False",
        "lastTransitionTime": "2026-01-01T11:00:00Z",
    }
    return {
        "metadata": {
            "name": name,
            "labels": {HASH: digest},
            "creationTimestamp": f"2026-01-01T10:00:{59 - age:02}Z",
        },
        "status": {"phase": phase, "conditions": [condition]},
    }


def updating(rolling: Object | None = None, **strategy: Any) -> Updating:
    spec = {"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": rolling or {}, **strategy}}
    return Updating({"spec": spec}, "new", NOW)


def names(pods: list[Object]) -> list[str]:
    return [one["metadata"]["name"] for one in pods]


def nodes(*pods: list[Object]) -> dict[str, Placement]:
    return {f"node-{number}": Placement(is_wanted=True, pods=each) for number, each in enumerate(pods)}


OLD, NEW = pod("old", "old", age=9), pod("new", "new")
UNREADY_OLD, UNREADY_NEW = pod("old", "old", is_ready=False, age=9), pod("new", "new", is_ready=False)


@pytest.mark.parametrize(
    ("pods", "expected"),
    [
        pytest.param([OLD], [], id="one is not too many"),
        pytest.param([OLD, UNREADY_NEW], [], id="the old one serves until the new one does"),
        pytest.param([OLD, NEW], ["old"], id="the new one serves"),
        pytest.param([UNREADY_OLD, UNREADY_NEW], ["old"], id="neither serves"),
        pytest.param([OLD, pod("older", "old", age=20)], ["old"], id="two of the old template"),
        pytest.param([pod("late", "new", phase="Failed"), NEW], ["late"], id="one has ended"),
    ],
)
def test_who_is_too_many_where_new_pods_come_first(pods: list[Object], expected: list[str]) -> None:
    assert names(updating(SURGING).surplus(Placement(is_wanted=True, pods=pods))) == expected


def test_without_surge_the_oldest_alone_stays() -> None:
    found = Placement(is_wanted=True, pods=[NEW, OLD])

    assert names(updating().surplus(found)) == ["new"]
    assert names(updating(SURGING).surplus(Placement(is_wanted=False, pods=[NEW, OLD]))) == ["old", "new"]


@pytest.mark.parametrize(
    ("placements", "leaving", "begun"),
    [
        pytest.param(nodes([OLD], [OLD]), [], ["node-0"], id="so many at once"),
        pytest.param(nodes([OLD, UNREADY_NEW], [OLD]), [], [], id="one is on its way"),
        pytest.param(nodes([OLD, NEW], [OLD]), ["old"], ["node-1"], id="one is there"),
        pytest.param(nodes([UNREADY_OLD], [UNREADY_OLD]), [], ["node-0", "node-1"], id="none serves"),
        pytest.param(nodes([NEW], []), [], [], id="nothing old"),
    ],
)
def test_new_pods_come_first(placements: dict[str, Placement], leaving: list[str], begun: list[str]) -> None:
    found = updating(SURGING).step(placements)

    assert (names(found.leaving), found.nodes) == (leaving, begun)


@pytest.mark.parametrize(
    ("placements", "leaving"),
    [
        pytest.param(nodes([OLD], [OLD]), ["old"], id="so many at once"),
        pytest.param(nodes([UNREADY_NEW], [OLD]), [], id="one is on its way"),
        pytest.param(nodes([UNREADY_OLD], [UNREADY_OLD]), ["old", "old"], id="none serves"),
    ],
)
def test_old_pods_go_first_without_surge(placements: dict[str, Placement], leaving: list[str]) -> None:
    found = updating().step(placements)

    assert (names(found.leaving), found.nodes) == (leaving, [])


def test_what_changes_on_deletion_is_left_alone() -> None:
    assert updating(type="OnDelete").step(nodes([OLD])) == ([], [])
