import asyncio
import dataclasses
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.cluster import paths
from activities.cluster.api import ClusterApi
from activities.source.delivery import (
    FetchedRevision,
    FetchRevision,
    Members,
    RetireInput,
    SourceActivities,
    SyncInput,
    SyncResult,
)
from canary.application import ClusterRef, GitSource, SyncPolicy
from canary.loadtester import public

CONFIG = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\ndata:\n  marker: {}\n"
POLICY = SyncPolicy(
    name="web", path="./app", clusters=(ClusterRef(name="one"),), target_namespace="default", prune=True
)
CONFIGS = "/api/v1/namespaces/default/configmaps"


@pytest.fixture
def source(members: Any, tmp_path: Path, kubectl: Path) -> SourceActivities:
    return SourceActivities(members, tmp_path / "cache", kubectl)


@pytest.fixture
def environment() -> ActivityEnvironment:
    return ActivityEnvironment()


def sync_of(source: GitSource, revision: str, cluster: str = "one", policy: SyncPolicy = POLICY) -> SyncInput:
    return SyncInput(
        application="team/shop",
        namespace="team",
        source=source,
        revision=f"master@sha1:{revision}",
        policy=policy,
        cluster=cluster,
    )


async def fetch(
    environment: ActivityEnvironment, source: SourceActivities, wanted: GitSource, **known: str
) -> FetchedRevision:
    found: FetchedRevision = await environment.run(
        source.fetch_revision, FetchRevision(source=wanted, namespace="team", **known)
    )
    return found


async def test_a_new_revision_is_news(
    environment: ActivityEnvironment, source: SourceActivities, origin: Any
) -> None:
    commit = origin.commit({"a": "1"})

    found = await fetch(environment, source, origin.source(), known_revision="master@sha1:before")

    assert found == FetchedRevision(revision=f"master@sha1:{commit}")


async def test_the_known_revision_is_looked_at_again_after_the_interval(
    environment: ActivityEnvironment, source: SourceActivities, origin: Any
) -> None:
    commit = origin.commit({"a": "1"})
    wanted = origin.source().model_copy(update={"interval": timedelta(minutes=3)})

    with pytest.raises(ApplicationError, match="No new revision") as caught:
        await fetch(environment, source, wanted, known_revision=f"master@sha1:{commit}")

    assert caught.value.next_retry_delay == timedelta(minutes=3)


async def test_a_failure_is_news_once_and_keeps_the_revision(
    environment: ActivityEnvironment, source: SourceActivities, origin: Any
) -> None:
    wanted = origin.source(branch="gone")
    known = {"known_revision": "master@sha1:before"}

    found = await fetch(environment, source, wanted, **known)
    with pytest.raises(ApplicationError, match="Branch gone is not in") as caught:
        await fetch(environment, source, wanted, known_message=found.message, **known)

    assert found.revision == "master@sha1:before"
    assert caught.value.next_retry_delay == timedelta(seconds=1)


async def test_a_failing_source_is_looked_at_less_and_less(source: SourceActivities, origin: Any) -> None:
    wanted = origin.source(branch="gone")
    message = (await fetch(ActivityEnvironment(), source, wanted)).message
    delays = []
    for attempt in (1, 2, 3, 40):
        environment = ActivityEnvironment()
        environment.info = _attempt(environment, attempt)
        with pytest.raises(ApplicationError) as caught:
            await fetch(environment, source, wanted, known_message=message)
        delays.append(caught.value.next_retry_delay)

    assert delays == [timedelta(seconds=seconds) for seconds in (1, 2, 4, 60)]


def _attempt(environment: ActivityEnvironment, number: int) -> Any:
    return dataclasses.replace(environment.info, attempt=number)


async def test_a_recovered_source_is_news(
    environment: ActivityEnvironment, source: SourceActivities, origin: Any
) -> None:
    known = f"master@sha1:{origin.commit({'a': '1'})}"

    found = await fetch(environment, source, origin.source(), known_revision=known, known_message="was away")

    assert found == FetchedRevision(revision=known)


async def test_a_missing_login_is_news(
    environment: ActivityEnvironment, source: SourceActivities, origin: Any, members: Any
) -> None:
    members.apis["host"] = members.apis["one"]

    found = await fetch(environment, source, origin.source(secret_ref="login"))

    assert found.message == "Secret team/login of the git repository was not found."


async def test_a_policy_is_built_and_applied(
    environment: ActivityEnvironment, source: SourceActivities, origin: Any, api: ClusterApi
) -> None:
    commit = origin.commit({"app/a.yaml": CONFIG.format("hunter2")})

    result: SyncResult = await environment.run(source.sync_policy, sync_of(origin.source(), commit))

    assert (await api.get(f"{CONFIGS}/a"))["data"] == {"marker": "hunter2"}
    assert result.is_done
    assert result.inventory == ("default_a__ConfigMap",)
    assert "hunter2" not in result.model_dump_json()


@pytest.mark.parametrize("is_wanted", [True, False])
async def test_a_public_load_tester_is_brought_where_the_fleet_wants_one(
    environment: ActivityEnvironment,
    source: SourceActivities,
    origin: Any,
    api: ClusterApi,
    is_wanted: bool,  # noqa: FBT001 — a column of the table
) -> None:
    commit = origin.commit({"app/a.yaml": CONFIG.format("red")})
    policy = POLICY.model_copy(update={"public_test_loader": is_wanted})
    wanted = sync_of(origin.source(), commit, policy=policy)
    results = [await environment.run(source.sync_policy, wanted) for _ in range(2)]

    found = await api.find(paths.one("Service", *public("one")))
    assert (found is not None) is is_wanted
    assert [(result.is_done, result.message) for result in results] == [(True, "")] * 2
    assert results[1].inventory == ("default_a__ConfigMap",)  # so no policy takes it away


async def test_what_a_person_should_know_of_a_public_load_tester_is_told(
    environment: ActivityEnvironment, source: SourceActivities, origin: Any, api: ClusterApi
) -> None:
    commit = origin.commit({"app/a.yaml": CONFIG.format("red")})
    tester = public("one")
    await api.apply(
        paths.namespace_path(tester.namespace),
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": tester.namespace}},
    )
    body = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": tester.name}}
    spec = {"spec": {"ports": [{"port": 80}]}}
    await api.create(paths.collection("Service", tester.namespace), body | spec, manager="helm")
    policy = POLICY.model_copy(update={"public_test_loader": True})

    result: SyncResult = await environment.run(
        source.sync_policy, sync_of(origin.source(), commit, policy=policy)
    )
    assert (result.is_done, "was written by helm" in result.message) == (True, True)
    assert (await api.get(f"{CONFIGS}/a"))["data"] == {"marker": "red"}


async def test_equal_builds_have_equal_digests(
    environment: ActivityEnvironment, source: SourceActivities, origin: Any
) -> None:
    results = []
    for text in ("1", "1", "2"):
        commit = origin.commit({"app/a.yaml": CONFIG.format(f"'{text}'"), "other": str(len(results))})
        results.append(await environment.run(source.sync_policy, sync_of(origin.source(), commit)))

    first, second, third = (result.digest for result in results)
    assert first == second != third


async def test_a_fleet_shares_one_build(
    environment: ActivityEnvironment, origin: Any, members: Any, tmp_path: Path, kubectl: Path
) -> None:
    counting = tmp_path / "counting"
    counting.write_text(f'#!/bin/sh\necho x >> {tmp_path}/runs\nexec {kubectl} "$@"\n')
    counting.chmod(0o755)
    source = SourceActivities(members, tmp_path / "cache", counting)
    members.apis["two"] = members.apis["one"]
    commit = origin.commit({"app/a.yaml": CONFIG.format("x")})

    await asyncio.gather(
        *(
            environment.run(source.sync_policy, sync_of(origin.source(), commit, name))
            for name in ("one", "two")
        )
    )

    assert (tmp_path / "runs").read_text() == "x\n"


async def test_a_file_moved_from_one_policy_to_another_is_never_gone(
    environment: ActivityEnvironment, source: SourceActivities, origin: Any, api: ClusterApi
) -> None:
    other = POLICY.model_copy(update={"name": "other", "path": "./other"})
    kept = CONFIG.replace("name: a", "name: {}").format("kept", "x")
    commit = origin.commit({"app/a.yaml": CONFIG.format("x"), "app/kept.yaml": kept})
    await environment.run(source.sync_policy, sync_of(origin.source(), commit))
    commit = origin.commit({"app/a.yaml": None, "other/a.yaml": CONFIG.format("x")})
    wanted = sync_of(origin.source(), commit).model_copy(update={"siblings": (other,)})

    result: SyncResult = await environment.run(source.sync_policy, wanted)

    assert await api.find(f"{CONFIGS}/a")
    assert result.is_waiting


async def keep_login(api: ClusterApi, namespace: str) -> None:
    """Keep a login to a repository in a namespace of the host cluster."""
    meta = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
    await api.apply(paths.namespace_path(namespace), meta)
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "login", "namespace": namespace}}
    body = secret | {"stringData": {"username": "me", "password": "hunter2"}}
    await api.apply(paths.one("Secret", namespace, "login"), body)


@pytest.mark.parametrize("is_built", [True, False], ids=["built before", "fetched before"])
async def test_what_one_secret_has_opened_is_not_for_others(
    source: SourceActivities,
    origin: Any,
    members: Any,
    is_built: bool,  # noqa: FBT001 — a column of the table
) -> None:
    environment = ActivityEnvironment()
    members.apis["host"] = members.apis["one"]
    await keep_login(members.apis["host"], "team")
    await keep_login(members.apis["host"], "strangers")
    commit = origin.commit({"app/a.yaml": CONFIG.format("x"), "b/a.yaml": CONFIG.format("x")})
    mine = sync_of(origin.source(secret_ref="login"), commit)
    assert (await environment.run(source.sync_policy, mine)).is_done
    await origin.stop()  # which stands for a server that refuses them

    policy = POLICY if is_built else POLICY.model_copy(update={"path": "./b"})
    again = mine.model_copy(update={"policy": policy})
    theirs = again.model_copy(update={"namespace": "strangers"})
    without = again.model_copy(update={"source": origin.source()})
    results = [await environment.run(source.sync_policy, wanted) for wanted in (again, theirs, without)]

    assert [result.is_done for result in results] == [True, False, False]
    assert results[2].message.endswith("does not answer.")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        pytest.param({"other/x": "y"}, "Path ./app is not a folder of the repository.", id="path"),
        pytest.param({"app/a.yaml": "kind: [\n"}, "The kustomization cannot be built:", id="yaml"),
        pytest.param(
            {
                "app/a.yaml": CONFIG.format("x"),
                "app/b.yaml": "apiVersion: v1\nkind: Nope\nmetadata: {name: b}\n",
            },
            "Nope default/b cannot be applied: the cluster serves no v1 Nope.",
            id="kind",
        ),
    ],
)
async def test_a_revision_that_cannot_be_applied_changes_nothing(
    source: SourceActivities, origin: Any, api: ClusterApi, files: dict[str, str], message: str
) -> None:
    commit = origin.commit(files)

    result: SyncResult = await ActivityEnvironment().run(source.sync_policy, sync_of(origin.source(), commit))

    assert not result.is_done
    assert result.message.startswith(message)
    assert await api.find(f"{CONFIGS}/a") is None


async def test_a_failed_build_is_tried_anew(
    environment: ActivityEnvironment, origin: Any, members: Any, tmp_path: Path, kubectl: Path
) -> None:
    late = tmp_path / "kubectl"
    source = SourceActivities(members, tmp_path / "cache", late)
    wanted = sync_of(origin.source(), origin.commit({"app/a.yaml": CONFIG.format("x")}))
    with pytest.raises(FileNotFoundError):
        await environment.run(source.sync_policy, wanted)
    late.symlink_to(kubectl)

    result: SyncResult = await environment.run(source.sync_policy, wanted)

    assert result.is_done


async def test_an_unreachable_cluster_is_told_apart(
    environment: ActivityEnvironment, source: SourceActivities, origin: Any
) -> None:
    commit = origin.commit({"app/a.yaml": CONFIG.format("x")})

    result: SyncResult = await environment.run(source.sync_policy, sync_of(origin.source(), commit, "away"))

    assert result.is_unreachable
    assert result.message.startswith("Cluster away does not answer")


async def test_a_policy_that_is_taken_back_is_pruned(
    environment: ActivityEnvironment, source: SourceActivities, origin: Any, api: ClusterApi
) -> None:
    commit = origin.commit({"app/a.yaml": CONFIG.format("x")})
    await environment.run(source.sync_policy, sync_of(origin.source(), commit))
    wanted = RetireInput(application="team/shop", policy="web", cluster="one", prune=True)

    result: SyncResult = await environment.run(source.retire_policy, wanted)

    assert result.is_done
    assert (await api.list(CONFIGS))["items"] == []


async def test_clusters_are_looked_at_before_anything_is_taken_up(
    environment: ActivityEnvironment, source: SourceActivities, members: Any
) -> None:
    wanted = tuple(ClusterRef(name=name) for name in ("one", "away", "nowhere"))

    found = await environment.run(source.check_clusters, Members(clusters=wanted))

    assert members.attached == list(wanted)

    assert found.problems.keys() == {"away", "nowhere"}
    assert found.problems["away"].is_unreachable
    assert not found.problems["nowhere"].is_unreachable
