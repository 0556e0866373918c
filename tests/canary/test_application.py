"""An Application's clusters, and by whom they are reached."""

from canary.application import ApplicationSpec, ClusterRef, GitSource, SyncPolicy
from canary.spec import CanarySpec
from tests.canary.rollouts import a_spec

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
