"""What is seen of a canary, however odd its objects are."""

import json
from typing import Any

import pytest

from activities.cluster import marks, paths
from activities.cluster.daemons import OVER_CAPACITY
from activities.cluster.digest import digest
from activities.cluster.observation import ObservationActivities, read_primary, read_workload
from canary.observation import Observation, Workload
from canary.revision import SCALE_TO_ZERO
from canary.spec import WorkloadKind
from canary.status import Revision
from tests.activities.cluster.member import NAMESPACE, WORKLOADS, Member, Object, given, spec
from tests.activities.cluster.story import Story

DAEMON_SET = spec(WorkloadKind.DAEMON_SET)


async def observe(member: Member, wanted: Any = None) -> Observation:
    seen: Observation = await member.run(ObservationActivities(member).observe, wanted or spec())
    return seen


async def target(member: Member) -> Workload:
    seen = await observe(member)
    assert seen.target is not None
    return seen.target


async def test_what_is_not_there_is_nothing(member: Member) -> None:
    seen = await observe(member)

    assert (seen.target, seen.primary, seen.routes) == (None, None, None)


async def test_a_target_is_its_template_its_configs_and_its_counters(story: Story) -> None:
    made = await story.begin()
    status = {
        "observedGeneration": 1,
        "replicas": 3,
        "updatedReplicas": 2,
        "availableReplicas": 1,
        "readyReplicas": 1,
    }
    await story.member.kube.patch(
        "/apis/apps/v1/namespaces/default/deployments/podinfo/status", {"status": status}
    )
    seen = await target(story.member)

    assert seen.revision == made
    assert set(made.configs) == {"configmap/podinfo-env", "configmap/podinfo-vol", "secret/podinfo-secret"}
    assert (seen.desired, seen.replicas, seen.updated, seen.available, seen.ready) == (2, 3, 2, 1, 1)
    assert (seen.is_observed, seen.has_exceeded_deadline, seen.is_paused) == (True, False, False)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"metadata": {"labels": {"a": "b"}, "annotations": {"c": "d"}}}, id="labels"),
        pytest.param({"spec": {"replicas": 9}}, id="size"),
        pytest.param({"spec": {"minReadySeconds": 9}}, id="another field"),
        pytest.param({"spec": {"template": {"metadata": {"annotations": {}}}}}, id="nothing"),
    ],
)
async def test_what_no_pod_is_made_of_is_no_revision(story: Story, change: Any) -> None:
    made = await story.begin()
    await story.member.change("Deployment", "podinfo", change)

    assert (await target(story.member)).revision == made


@pytest.mark.parametrize(
    ("kind", "name", "change"),
    [
        pytest.param(
            "Deployment", "podinfo", {"spec": {"template": {"metadata": {"labels": {"a": "b"}}}}}, id="pod"
        ),
        pytest.param("ConfigMap", "podinfo-env", {"data": {"color": "green"}}, id="config"),
        pytest.param("ConfigMap", "podinfo-vol", {"binaryData": {"bin": "AAEE"}}, id="binary data"),
        pytest.param("Secret", "podinfo-secret", {"stringData": {"apiKey": "other"}}, id="secret"),
    ],
)
async def test_what_pods_are_made_of_is_another_revision(
    story: Story, kind: str, name: str, change: Any
) -> None:
    made = await story.begin()
    await story.member.change(kind, name, change)

    assert (await target(story.member)).revision != made


async def test_a_daemon_set_that_was_taken_away_is_the_same_revision(member: Member) -> None:
    await member.add(*given("daemonset", *WORKLOADS))
    before = await observe(member, DAEMON_SET)
    selector = {"spec": {"template": {"spec": {"nodeSelector": {SCALE_TO_ZERO: "true"}}}}}
    await member.change("DaemonSet", "podinfo", selector)
    after = await observe(member, DAEMON_SET)

    assert before.target is not None
    assert after.target is not None
    assert before.target.revision == after.target.revision


@pytest.mark.proves("D30")
@pytest.mark.parametrize(
    ("subset", "notes", "ready"),
    [
        pytest.param({"addresses": [{"ip": "10.0.0.1"}]}, {}, 1, id="one of two ends"),
        pytest.param({"notReadyAddresses": [{"ip": "10.0.0.1"}]}, {}, 0, id="both end"),
        pytest.param({"addresses": [{"ip": f"10.0.0.{n}"} for n in (1, 2, 3)]}, {}, 2, id="more addresses"),
        pytest.param({}, {OVER_CAPACITY: "truncated"}, 2, id="not all addresses are told"),
        pytest.param(None, {}, 2, id="no Service yet"),
    ],
)
async def test_a_daemon_sets_pods_that_end_are_not_ready(
    member: Member, subset: Object | None, notes: dict[str, str], ready: int
) -> None:
    """Its status counts a pod until it is gone; the Service in front leads there no more.

    D30: docs/architecture.md.
    """
    await member.add(*given("daemonset", *WORKLOADS))
    counters = ("desiredNumberScheduled", "currentNumberScheduled", "numberReady", "numberAvailable")
    status = {"numberMisscheduled": 0, "updatedNumberScheduled": 2, **dict.fromkeys(counters, 2)}
    path = f"{paths.one('DaemonSet', NAMESPACE, 'podinfo')}/status"
    await member.kube.patch(path, {"status": status}, kind="merge")
    if subset is not None:
        ports = {"ports": [{"port": 9898}]} if subset else {}
        metadata = {"name": "podinfo-canary", "annotations": notes}
        subsets = [{**subset, **ports}] if subset else []
        await member.add({"apiVersion": "v1", "kind": "Endpoints", "metadata": metadata, "subsets": subsets})
    found = (await observe(member, DAEMON_SET)).target

    assert found is not None
    assert (found.desired, found.ready, found.available) == (2, ready, ready)


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        pytest.param({"app": "podinfo"}, "", id="as it was"),
        pytest.param(
            {"app": "podinfo-v2"},
            "it selects its pods by app=podinfo-v2, and its primary was made by app=podinfo-primary",
            id="another value",
        ),
        pytest.param({"name": "podinfo"}, "it selects its pods by name=podinfo", id="another label"),
        pytest.param({"tier": "web"}, "podinfo: spec.selector.matchLabels must contain one of", id="none"),
    ],
)
async def test_a_target_that_was_made_anew_with_another_selector_is_told(
    story: Story, labels: dict[str, str], told: str
) -> None:
    """The canary's Service would lead to none of its pods."""
    await story.begin()
    await story.member.delete("Deployment", "podinfo")
    (body,) = given("canary", "Deployment")
    body["spec"]["selector"] = {"matchLabels": labels}
    body["spec"]["template"]["metadata"]["labels"] = labels
    await story.member.add(body)

    unfit = (await target(story.member)).unfit
    assert unfit.startswith(told)
    assert bool(unfit) is bool(told)


async def test_a_pause_of_somebody_elses_is_told_and_ours_is_not(story: Story) -> None:
    await story.begin()
    await story.member.change("Deployment", "podinfo", {"spec": {"paused": True}})
    theirs = (await target(story.member)).is_paused
    await story.member.change("Deployment", "podinfo", {"metadata": {"annotations": {marks.PAUSED: "true"}}})

    assert (theirs, (await target(story.member)).is_paused) == (True, False)


@pytest.mark.parametrize("kind", [WorkloadKind.DEPLOYMENT, WorkloadKind.DAEMON_SET])
@pytest.mark.parametrize(
    "found",
    [
        pytest.param({"metadata": {"name": "a"}}, id="nothing but a name"),
        pytest.param(
            {"metadata": {"name": "a", "annotations": None, "labels": None}, "spec": {}}, id="nulls"
        ),
        pytest.param({"metadata": {"name": "a"}, "spec": {}, "status": None}, id="no status"),
        pytest.param(
            {"metadata": {"name": "a"}, "spec": {}, "status": {"conditions": None}}, id="no conditions"
        ),
        pytest.param(
            {"metadata": {"name": "a"}, "spec": {}, "status": {"conditions": [{}]}}, id="odd condition"
        ),
    ],
)
def test_odd_workloads_are_read(kind: WorkloadKind, found: Any) -> None:
    assert read_workload(kind, found).name == "a"
    assert read_primary(kind, found).revision == Revision(template="")


@pytest.mark.parametrize(
    "configs", ["", "{", "[]", "null", '{"a": 1}', '"x"', json.dumps({"configmap/a": {"b": "c"}})]
)
def test_a_memory_that_cannot_be_read_is_none(configs: str) -> None:
    found = {"metadata": {"name": "a", "annotations": {marks.PROMOTED: "abc", marks.CONFIGS: configs}}}

    assert marks.read_promoted(found["metadata"]) is None


@pytest.mark.parametrize("kind", ["Deployment", "DaemonSet", "VirtualService", "Service", "ConfigMap"])
def test_odd_objects_have_a_digest(kind: str) -> None:
    metadata = {"name": "a", "uid": "1", "resourceVersion": "2"}

    assert digest(kind, {"metadata": metadata}).uid == "1"
    assert digest(kind, {"metadata": metadata, "spec": {}, "status": {}}).uid == "1"


def test_a_deadline_that_has_passed_is_seen() -> None:
    condition = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}
    found = {"metadata": {"name": "a"}, "spec": {}, "status": {"conditions": [condition]}}

    assert read_workload(WorkloadKind.DEPLOYMENT, found).has_exceeded_deadline
