"""An Application's clusters, and by whom they are reached."""

from datetime import timedelta
from typing import Any

import pytest

from canary.application import ApplicationSpec, ClusterRef, GitSource, SyncPolicy
from canary.spec import CanarySpec
from tests.canary.rollouts import a_spec

MAIN = GitSource(url="http://git/shop.git", branch="main")
ONE, TWO, THREE = (ClusterRef(name=name) for name in ("one", "two", "three"))


def canary_in(cluster: ClusterRef) -> CanarySpec:
    """A canary of a cluster."""
    return a_spec(cluster=cluster.name)


def application(*policies: SyncPolicy) -> ApplicationSpec:
    """An Application of some policies."""
    source = GitSource(url="http://git/shop.git")
    return ApplicationSpec(namespace="team", name="shop", source=source, policies=policies)


def policy(name: str, *clusters: ClusterRef) -> SyncPolicy:
    """A policy with a canary in each of its clusters."""
    canaries = tuple(canary_in(cluster) for cluster in clusters)
    return SyncPolicy(name=name, path="./web", clusters=clusters, canaries=canaries)


def test_names_every_cluster_once_in_the_order_of_its_policies() -> None:
    given = application(policy("web", TWO, ONE), policy("extra", THREE, TWO))

    assert given.clusters == (TWO, ONE, THREE)


def test_a_cluster_is_served_by_its_own_workers_and_no_other_one_is() -> None:
    near = ONE.model_copy(update={"task_queue": "near"})
    given = application(policy("web", near, TWO))

    [served] = given.served_by({"one": "inside"}).policies

    assert [(each.name, each.task_queue) for each in served.clusters] == [("one", "inside"), ("two", "")]
    assert [(each.cluster, each.task_queue) for each in served.canaries] == [("one", "inside"), ("two", "")]


def test_a_cluster_without_workers_of_its_own_goes_back_to_the_shared_ones() -> None:
    given = application(policy("web", ONE)).served_by({"one": "inside"})

    assert given.served_by({}) == application(policy("web", ONE))


@pytest.mark.parametrize(
    ("changes", "is_same"),
    [
        pytest.param(
            {"interval": timedelta(minutes=9), "timeout": timedelta(seconds=9)}, True, id="how often"
        ),
        pytest.param({"secret_ref": "git"}, True, id="with which Secret"),
        pytest.param({"url": "http://git/other.git"}, False, id="another repository"),
        pytest.param({"branch": "next"}, False, id="another branch"),
        pytest.param({"tag": "v1"}, False, id="a tag"),
        pytest.param({"commit": "abc"}, False, id="a commit"),
    ],
)
def test_a_source_has_the_same_revisions(changes: dict[str, Any], *, is_same: bool) -> None:
    other = MAIN.model_copy(update=changes)

    assert MAIN.has_revisions_of(other) is is_same
    assert other.has_revisions_of(MAIN) is is_same


def test_a_public_load_tester_stays_when_an_application_goes() -> None:
    shared = policy("web", ONE).model_copy(update={"public_test_loader": True})

    assert application(policy("api", ONE)).left_behind == ""
    assert "public load testers" in application(policy("api", ONE), shared).left_behind
