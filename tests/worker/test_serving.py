"""Which clusters a worker serves: those of its own task queue, and none by another's service account."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from ruamel.yaml import YAML
from temporalio.client import Client
from temporalio.testing import ActivityEnvironment

from activities.cluster.errors import ServedElsewhereError
from activities.cluster.examination import ExaminationActivities
from activities.cluster.preflight import PreflightActivities
from activities.cluster.reach import Reach
from activities.source.delivery import Members, SourceActivities
from canary.application import ClusterRef
from canary.examination import Examination
from sandbox.apiserver.server import ApiServer
from tests.activities.cluster.member import ONLINE
from tests.worker.test_clusters import kubeconfig
from tests.workflows.cluster import seed_spec
from worker.assembly import build_activities
from worker.clusters import ClustersFileError, ConfiguredClusters, read_clusters_file
from worker.settings import WorkerSettings

SAID = (
    "Cluster member1 is not known here: the workers of task queue inside serve it by now; apply its documents"
)
OUTSIDE = pytest.mark.parametrize(
    "entry",
    [
        pytest.param("{taskQueue: inside}", id="not reached from here"),
        pytest.param("{taskQueue: inside, kubeconfig: ./kubeconfig}", id="still reached from here"),
    ],
)

Known = Callable[..., ConfiguredClusters]


@pytest.fixture
async def known(tmp_path: Path) -> AsyncIterator[Known]:
    """Make the clusters of a worker from the entry of `member1`."""
    server = await ApiServer.start()
    with (tmp_path / "kubeconfig").open("w") as file:
        YAML(typ="safe").dump(kubeconfig(server.url), file)
    made: list[ConfiguredClusters] = []

    def make(entry: str, task_queue: str = "") -> ConfiguredClusters:
        (tmp_path / "clusters.yaml").write_text(f"clusters:\n  member1: {entry}\n")
        made.append(ConfiguredClusters(tmp_path / "clusters.yaml", task_queue=task_queue))
        return made[-1]

    yield make
    for clusters in made:
        await clusters.close()
    await server.stop()


async def test_a_service_account_is_that_of_the_cluster_the_worker_is_in(known: Known) -> None:
    with pytest.raises(ServedElsewhereError, match=SAID):
        await known("{taskQueue: inside}").get("member1")


async def test_what_runs_goes_on_from_outside_until_it_is_applied_again(known: Known) -> None:
    api = await known("{taskQueue: inside, kubeconfig: ./kubeconfig}").get("member1")

    assert (await api.get("/version"))["major"] == "1"


@pytest.mark.parametrize(
    "entry", ["{taskQueue: inside, kubeconfig: ./kubeconfig}", "{kubeconfig: ./kubeconfig}"]
)
async def test_a_worker_inside_serves_its_own_and_what_is_nobodys(known: Known, entry: str) -> None:
    found = await ActivityEnvironment().run(
        PreflightActivities(known(entry, "inside"), ONLINE).preflight, seed_spec(task_queue="inside")
    )

    assert found.task_queue == ""
    assert "cluster" not in {problem.path for problem in found.problems}


@OUTSIDE
async def test_preflight_names_whom_to_ask(known: Known, entry: str) -> None:
    found = await ActivityEnvironment().run(PreflightActivities(known(entry), ONLINE).preflight, seed_spec())

    assert found.task_queue == "inside"
    assert [problem.message[: len(SAID)] for problem in found.problems] == [SAID]


@OUTSIDE
async def test_a_look_at_a_fleet_names_whom_to_ask(known: Known, entry: str, tmp_path: Path) -> None:
    source = SourceActivities(known(entry), tmp_path, tmp_path)
    found = await ActivityEnvironment().run(
        source.check_clusters, Members(clusters=(ClusterRef(name="member1"),))
    )

    assert (found.problems, found.task_queues) == ({}, {"member1": "inside"})


class Unasked:
    """Metrics of clusters that are not looked at from here."""

    async def ask(self, cluster: str, query: str) -> float | None:
        raise AssertionError(f"{cluster} was asked for {query}")


@OUTSIDE
async def test_the_doctor_is_told_whom_to_ask(known: Known, entry: str) -> None:
    clusters = known(entry)

    async with httpx.AsyncClient() as http:
        doctor = ExaminationActivities(clusters, Unasked(), Reach(clusters), http)
        found = await ActivityEnvironment().run(doctor.examine_clusters, Examination())

    assert (found.findings, found.task_queues) == ((), {"member1": "inside"})


async def test_the_doctor_inside_looks_at_what_it_was_asked_for(known: Known) -> None:
    clusters = known("{kubeconfig: ./nothing}", "inside")

    async with httpx.AsyncClient() as http:
        doctor = ExaminationActivities(clusters, Unasked(), Reach(clusters), http)
        found = await ActivityEnvironment().run(
            doctor.examine_clusters, Examination(clusters=("other",), has_file=False)
        )

    assert [finding.cluster for finding in found.findings] == ["other"]


def test_a_task_queue_without_a_cluster_is_an_error(known: Known) -> None:
    with pytest.raises(
        ClustersFileError, match=r"clusters\.yaml: no cluster of it is served by task queue here\.$"
    ):
        known("{taskQueue: inside}", "here")


@pytest.mark.parametrize("name", ["canary", "canary-checks", "member1-watch", "two words", "' '"])
def test_names_of_queues_do_not_meet_the_shared_ones(tmp_path: Path, name: str) -> None:
    (tmp_path / "clusters.yaml").write_text(f"clusters:\n  member1: {{taskQueue: {name}}}\n")

    with pytest.raises(ClustersFileError, match=r"clusters\.member1\.taskQueue: write a name without blanks"):
        read_clusters_file(tmp_path / "clusters.yaml")


@pytest.mark.parametrize(
    ("task_queue", "engines"),
    [
        pytest.param(
            "",
            {
                "signal_with_start",
                "end_orphan",
                "terminate",
                "start_and_update",
                "update_entity",
                "store_report",
            },
        ),
        pytest.param("inside", set()),
    ],
)
async def test_what_is_the_engines_is_left_to_the_shared_workers(
    known: Known, tmp_path: Path, task_queue: str, engines: set[str]
) -> None:
    settings = WorkerSettings(task_queue=task_queue, cache=tmp_path, reports=tmp_path)
    client: Any = Client.__new__(Client)
    async with AsyncExitStack() as stack:
        found = build_activities(settings, known("{}", task_queue), client, tmp_path, stack)
    names = {act.__name__ for act in (*found.short, *found.checks, *found.watches)}

    assert names >= {"observe", "analyse", "sync_policy", "watch_cluster", "hand_on"}
    assert (
        names
        & {
            "signal_with_start",
            "end_orphan",
            "terminate",
            "start_and_update",
            "update_entity",
            "store_report",
        }
        == engines
    )
