"""The target's size and its pause: fenced, and with the sandbox's Deployment controller."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError

from activities.cluster import marks, paths
from activities.cluster.scaling import ScaleRequest, ScalingActivities
from activities.cluster.traffic import Written
from canary.revision import SCALE_TO_ZERO, STARTED_WITH, template_hash
from canary.spec import CanarySpec, WorkloadKind
from sandbox.controllers import manager
from tests.activities.cluster.member import NAMESPACE, WORKLOADS, Member, Object, given, spec
from tests.activities.cluster.story import Story

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LATER = NOW + timedelta(seconds=1)
DAEMON_SET = spec(WorkloadKind.DAEMON_SET)


async def scale(
    member: Member, replicas: int | None, at: datetime = NOW, wanted: CanarySpec | None = None, **fields: Any
) -> Written:
    request = ScaleRequest(spec=wanted or spec(), replicas=replicas, decided_at=at, **fields)
    written: Written = await member.run(ScalingActivities(member).scale_target, request)
    return written


async def target(member: Member) -> Object:
    found: Object = (await member.read("Deployment", "podinfo"))["spec"]
    return found


async def size(member: Member) -> int:
    return int((await target(member))["replicas"])


@pytest.fixture
async def deployed(member: Member) -> Member:
    await member.add(*given("canary", "Deployment"))
    return member


async def test_scales_to_what_was_decided(deployed: Member) -> None:
    assert await scale(deployed, 0) is Written.DONE
    assert await size(deployed) == 0
    assert await scale(deployed, 3, LATER) is Written.DONE
    assert await size(deployed) == 3


async def test_a_target_that_has_pods_keeps_its_size_when_it_is_scaled_up(deployed: Member) -> None:
    await scale(deployed, None)

    assert await size(deployed) == 2


@pytest.mark.parametrize(
    ("recording", "wanted", "expected"),
    [
        pytest.param("canary", spec(), 5, id="as many as the primary"),
        pytest.param("hpa", spec(), 2, id="its autoscaler's minimum"),
        pytest.param("hpa", spec(autoscaler="podinfo"), 2, id="its named autoscaler's minimum"),
    ],
)
async def test_scales_up_from_zero(member: Member, recording: str, wanted: CanarySpec, expected: int) -> None:
    await Story(member, wanted).begin(recording)
    await member.change("Deployment", "podinfo-primary", {"spec": {"replicas": 5}})
    await scale(member, 0)
    await scale(member, None, LATER, wanted)

    assert await size(member) == expected


async def test_a_primary_that_is_gone_gives_a_target_of_one(deployed: Member) -> None:
    await scale(deployed, 0)
    await scale(deployed, None, LATER)

    assert await size(deployed) == 1


@pytest.mark.parametrize(
    ("ready", "written", "replicas"),
    [
        pytest.param(None, Written.NOT_SERVING, 2, id="a primary that is gone"),
        pytest.param(0, Written.NOT_SERVING, 2, id="a primary without a pod"),
        pytest.param(1, Written.DONE, 0, id="a primary that serves"),
    ],
)
async def test_the_target_goes_only_where_the_primary_serves(
    member: Member, ready: int | None, written: Written, replicas: int
) -> None:
    await Story(member, spec()).begin("canary")
    if ready is None:
        await member.delete("Deployment", "podinfo-primary")
    else:
        path = "/apis/apps/v1/namespaces/default/deployments/podinfo-primary/status"
        await member.kube.patch(path, {"status": {"replicas": ready, "readyReplicas": ready}})

    assert await scale(member, 0, is_first=True) is written
    assert await size(member) == replicas


async def promoted(member: Member) -> list[str]:
    """The records that count."""
    found = await member.all("ControllerRevision")
    return [one["metadata"]["name"] for one in found if marks.PROMOTED in one["metadata"]["labels"]]


async def test_what_the_first_primary_was_made_from_counts_once_the_users_are_with_it(member: Member) -> None:
    story = Story(member, spec())
    await member.add(*given("canary", *WORKLOADS))
    await story.create()
    before = await promoted(member)
    path = "/apis/apps/v1/namespaces/default/deployments/podinfo-primary/status"
    await member.kube.patch(path, {"status": {"replicas": 1, "readyReplicas": 1}})
    await scale(member, 0, is_first=True)

    (record,) = await promoted(member)
    assert before == []
    assert record.startswith("podinfo-primary-")


async def test_an_earlier_decision_changes_nothing(deployed: Member) -> None:
    await scale(deployed, 0, LATER)

    assert await scale(deployed, 4, NOW) is Written.SUPERSEDED
    assert await size(deployed) == 0


async def test_a_write_that_hangs_and_arrives_late_changes_nothing(deployed: Member) -> None:
    await deployed.fault({"do": "hang", "method": "PATCH", "path": "podinfo", "times": 1})
    late = asyncio.ensure_future(scale(deployed, 4))
    await deployed.until(deployed.holds)
    await scale(deployed, 0, LATER)
    await deployed.fault()

    assert await late is Written.SUPERSEDED
    assert await size(deployed) == 0


async def test_what_somebody_else_writes_meanwhile_is_looked_at_again(deployed: Member) -> None:
    await deployed.fault({"do": "status", "status": 409, "method": "PATCH", "path": "podinfo", "times": 2})

    assert await scale(deployed, 0) is Written.DONE
    assert await size(deployed) == 0


async def test_a_target_that_changes_all_the_time_is_left_to_temporal(deployed: Member) -> None:
    await deployed.fault({"do": "status", "status": 409, "method": "PATCH", "path": "podinfo"})
    with pytest.raises(ApplicationError, match="Deployment podinfo is being changed all the time") as raised:
        await scale(deployed, 0)

    assert not raised.value.non_retryable


async def test_a_target_that_is_gone_is_at_zero(member: Member) -> None:
    assert await scale(member, 0) is Written.DONE
    with pytest.raises(ApplicationError, match="Deployment podinfo in namespace default is gone") as raised:
        await scale(member, 2)

    assert raised.value.non_retryable


@pytest.mark.proves("C18")
async def test_a_daemon_set_is_taken_away_by_a_selector_and_comes_back(member: Member) -> None:
    """A DaemonSet has no replicas: it is at zero by a node selector that nothing has.

    C18: Flagger's daemonset_controller.go.
    """
    (body,) = given("daemonset", "DaemonSet")
    body["spec"]["template"]["spec"]["nodeSelector"] = {"disk": "ssd"}
    await member.add(body)
    await scale(member, 0, wanted=DAEMON_SET)
    away = (await member.read("DaemonSet", "podinfo"))["spec"]["template"]["spec"]["nodeSelector"]
    await scale(member, None, LATER, DAEMON_SET)
    back = (await member.read("DaemonSet", "podinfo"))["spec"]["template"]["spec"]["nodeSelector"]

    assert away == {"disk": "ssd", SCALE_TO_ZERO: "true"}
    assert back == {"disk": "ssd"}


@pytest.mark.proves("D20")
@pytest.mark.parametrize("recording", ["canary", "daemonset"])
async def test_pods_are_started_anew_with_other_configs(member: Member, recording: str) -> None:
    """Flagger's go on with what they read when they started (D20: docs/architecture.md)."""
    kind = WorkloadKind.DEPLOYMENT if recording == "canary" else WorkloadKind.DAEMON_SET
    await member.add(*given(recording, str(kind)))
    before = (await member.read(str(kind), "podinfo"))["spec"]["template"]
    await scale(member, None, wanted=spec(kind), is_paused=False, configs="abc")
    after = (await member.read(str(kind), "podinfo"))["spec"]["template"]

    assert after["metadata"]["annotations"][STARTED_WITH] == "abc"
    assert template_hash(after) == template_hash(before)
    assert before["metadata"].get("annotations", {}).items() <= after["metadata"]["annotations"].items()


@pytest.fixture
async def alive(deployed: Member) -> AsyncIterator[Member]:
    """A cluster whose controllers run."""
    running = asyncio.ensure_future(manager.run(deployed.kube))
    await deployed.until(lambda: has_pods_of(deployed, "podinfo:1", 2))
    yield deployed
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running


async def has_pods_of(member: Member, image: str, count: int) -> bool:
    """Whether the ReplicaSet of an image is to have so many pods, and its Deployment has been looked at."""
    found = await member.all("ReplicaSet")
    sizes = {
        item["spec"]["template"]["spec"]["containers"][0]["image"]: item["spec"]["replicas"] for item in found
    }
    deployment = await member.read("Deployment", "podinfo")
    is_observed = deployment["status"].get("observedGeneration") == deployment["metadata"]["generation"]
    return bool(sizes.get(image, 0) == count and is_observed)


async def has_a_set_of(member: Member, image: str) -> bool:
    images = [
        item["spec"]["template"]["spec"]["containers"][0]["image"] for item in await member.all("ReplicaSet")
    ]
    return image in images


async def under_analysis(member: Member, image: str = "podinfo:2") -> None:
    """Bring a new revision up, paused, as a rollout does."""
    await scale(member, 0)
    await member.until(lambda: has_pods_of(member, "podinfo:1", 0))
    await Story(member).release(image)
    await member.until(lambda: has_a_set_of(member, image))
    await scale(member, 3, is_paused=True)
    await member.until(lambda: has_pods_of(member, image, 3))


@pytest.mark.proves("T22")
async def test_a_target_under_analysis_does_not_run_what_is_pushed(alive: Member) -> None:
    """In Flagger what is pushed in mid-run gets the canary's traffic until the next tick.

    T22: Flagger's job.go.
    """
    await under_analysis(alive)
    await Story(alive).release("podinfo:3")
    await alive.until(lambda: has_pods_of(alive, "podinfo:2", 3))
    paused = await target(alive)
    before = await has_a_set_of(alive, "podinfo:3")
    await scale(alive, None, LATER, is_paused=False)
    await alive.until(lambda: has_a_set_of(alive, "podinfo:3"))

    assert (paused["paused"], before) == (True, False)
    assert "paused" not in await target(alive)


async def test_a_pause_awaits_the_set_of_a_template_that_was_just_written(deployed: Member) -> None:
    await deployed.change("Deployment", "podinfo", {"spec": {"replicas": 0}})
    pausing = asyncio.ensure_future(scale(deployed, 2, is_paused=True))
    await deployed.until(lambda: has_asked_for_sets(deployed))
    uid = (await deployed.read("Deployment", "podinfo"))["metadata"]["uid"]
    await deployed.add(replica_set("own", uid, "podinfo:1"))
    await pausing

    assert (await target(deployed))["paused"] is True


async def has_asked_for_sets(member: Member) -> bool:
    return any("replicasets" in entry["path"] for entry in member.asked())


async def test_a_paused_target_can_be_made_larger(alive: Member) -> None:
    await under_analysis(alive)
    await scale(alive, 5, LATER)
    await alive.until(lambda: has_pods_of(alive, "podinfo:2", 5))

    assert (await target(alive))["paused"] is True


async def test_a_target_at_zero_is_not_paused(alive: Member) -> None:
    await under_analysis(alive)
    await scale(alive, 0, LATER)
    found = await alive.read("Deployment", "podinfo")

    assert "paused" not in found["spec"]
    assert marks.PAUSED not in found["metadata"]["annotations"]
    await alive.until(lambda: has_pods_of(alive, "podinfo:2", 0))


async def test_a_target_is_not_paused_before_its_pods_are_of_its_template(alive: Member) -> None:
    await alive.change("Deployment", "podinfo", {"spec": {"paused": True}})
    await Story(alive).release("podinfo:2")
    await alive.change("Deployment", "podinfo", {"spec": {"paused": None}})
    assert await scale(alive, None, is_paused=True) is Written.UNPAUSED

    assert "paused" not in await target(alive)


async def test_another_deployments_pods_with_the_same_labels_do_not_count(deployed: Member) -> None:
    uid = (await deployed.read("Deployment", "podinfo"))["metadata"]["uid"]
    await deployed.add(replica_set("own", uid, "podinfo:1"), replica_set("other", "another", "podinfo:9"))
    assert await scale(deployed, None, is_paused=True) is Written.DONE

    assert (await target(deployed))["paused"] is True


def replica_set(name: str, owner: str, image: str) -> Object:
    (body,) = given("canary", "Deployment")
    template = body["spec"]["template"]
    template["metadata"]["labels"]["pod-template-hash"] = name
    template["spec"]["containers"][0]["image"] = image
    reference = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "name": name,
        "uid": owner,
        "controller": True,
    }
    labels = template["metadata"]["labels"]
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {"name": name, "labels": labels, "ownerReferences": [reference]},
        "spec": {"replicas": 2, "selector": {"matchLabels": labels}, "template": template},
    }


async def test_somebody_elses_pause_is_left_alone(alive: Member) -> None:
    await alive.change("Deployment", "podinfo", {"spec": {"paused": True}})
    assert await scale(alive, 4, is_paused=True) is Written.DONE
    await scale(alive, 3, LATER, is_paused=False)
    await scale(alive, 0, LATER)

    assert (await target(alive))["paused"] is True
    assert marks.PAUSED not in (await alive.read("Deployment", "podinfo"))["metadata"]["annotations"]


@pytest.mark.proves("T22")
async def test_a_paused_target_that_would_run_another_template_is_not_brought_up(alive: Member) -> None:
    """Un-pausing would start pods that nobody judged, at the canary's weight (T22: Flagger's job.go)."""
    await scale(alive, 0)
    await alive.until(lambda: has_pods_of(alive, "podinfo:1", 0))
    await alive.change("Deployment", "podinfo", {"spec": {"paused": True}})
    await Story(alive).release("podinfo:2")
    with pytest.raises(ApplicationError, match="kubectl rollout resume deployment/podinfo -n default"):
        await scale(alive, 2, LATER)

    assert await size(alive) == 0


async def test_a_pause_is_one_write_with_its_size(alive: Member) -> None:
    since = (alive.asked() or [{"n": 0}])[-1]["n"]
    await scale(alive, 3, is_paused=True)
    asked = alive.asked(since)  # also what was refused, as the controllers write as well
    writes = [entry for entry in asked if entry["method"] != "GET" and entry["status"] < 300]

    assert [entry["path"].partition("?")[0] for entry in writes] == [
        paths.one("Deployment", NAMESPACE, "podinfo")
    ]
