"""Pods that are not ready say why, where a workload is not ready, and nowhere else (T21)."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from activities.cluster import pods
from activities.cluster.observation import ObservationActivities
from canary.observation import Observation
from tests.activities.cluster.member import NAMESPACE, Member, Object, given, spec

IMAGE = "ghcr.io/shop/podinfo:9-missing"
PULL = f"container podinfo cannot pull image {IMAGE} (ImagePullBackOff)"
CRASH = "container podinfo crashes (CrashLoopBackOff): it ended last with OOMKilled, exit code 137"
NO_NODE = "no node takes its pods (Unschedulable): 0/3 nodes are available: 3 Insufficient cpu"
KILLED = {"terminated": {"reason": "OOMKilled", "exitCode": 137}}


def waiting(reason: str, **fields: Any) -> Object:
    return {"state": {"waiting": {"reason": reason, "message": "Back-off"}}, **fields}


def scheduled(message: str) -> Object:
    return {
        "conditions": [
            {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
        ]
    }


def containing(**fields: Any) -> Object:
    container = {"name": "podinfo", "image": IMAGE, "imageID": "", "ready": False, "restartCount": 0}
    return {"containerStatuses": [container | fields]}


@pytest.fixture
async def unready(member: Member) -> Member:
    """A cluster with a target that has fewer ready pods than it shall have."""
    await member.add(*given("canary", "Deployment"))
    await say(member, ready=0)
    return member


FORBIDDEN = 'pods "podinfo-7c5d-{}" is forbidden: '
QUOTA = FORBIDDEN + "exceeded quota: small, requested: pods=1, used: pods={}, limited: pods=2"
LIMIT = FORBIDDEN.format("x2x9k") + "minimum cpu usage per Container is 1, but request is 100m"
SECURITY = FORBIDDEN.format("x2x9k") + 'violates PodSecurity "restricted:latest": runAsNonRoot != true'
WEBHOOK = 'admission webhook "policy.example.com" denied the request'
INVALID = 'Pod "x" is invalid: spec.containers[0].env[0].value: Invalid value: "hunter2"'


@pytest.mark.parametrize(
    ("message", "told"),
    [
        pytest.param(QUOTA.format("x2x9k", 2), ": exceeded quota: small", id="a quota"),
        pytest.param(QUOTA.format("b7q4z", 3), ": exceeded quota: small", id="the same, again"),
        pytest.param(LIMIT, ": minimum cpu usage per Container is 1", id="a LimitRange"),
        pytest.param(SECURITY, ': violates PodSecurity "restricted:latest"', id="a PodSecurity level"),
        pytest.param(f"{WEBHOOK}: env PASSWORD=hunter2", f": {WEBHOOK}", id="a webhook"),
        pytest.param(INVALID, "", id="a refusal that quotes the pod"),
        pytest.param("", "", id="nobody knows"),
    ],
)
async def test_a_workload_whose_pods_are_refused_says_by_what(
    unready: Member, message: str, told: str
) -> None:
    condition = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": message}
    await say(unready, ready=0, replicas=0, updatedReplicas=0, conditions=[condition])

    seen: Observation = await unready.run(ObservationActivities(unready).observe, spec())

    assert seen.target is not None
    assert seen.target.trouble == f"its pods are refused (FailedCreate){told}"


async def say(member: Member, *, ready: int, **status: Any) -> None:
    """Write what the Deployment's controller would."""
    counters = {"replicas": 2, "updatedReplicas": 2, "availableReplicas": ready, "readyReplicas": ready}
    await member.kube.patch(
        "/apis/apps/v1/namespaces/default/deployments/podinfo/status",
        {"status": {"observedGeneration": 1, **counters, **status}},
    )


async def add_pod(member: Member, name: str, status: Object, app: str = "podinfo") -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": app}},
        "spec": {"containers": [{"name": "podinfo", "image": IMAGE}]},
    }
    await member.add(pod)
    path = f"/api/v1/namespaces/{NAMESPACE}/pods/{name}/status"
    await member.kube.patch(path, {"status": {"phase": "Pending", **status}})


async def trouble(member: Member) -> str:
    seen: Observation = await member.run(ObservationActivities(member).observe, spec())
    assert seen.target is not None
    return seen.target.trouble


def asked_for_pods(member: Member) -> list[str]:
    return [one["path"] for one in member.asked() if "/pods" in one["path"]]


@pytest.mark.proves("T21")
@pytest.mark.parametrize(
    ("status", "expected"),
    [
        pytest.param(containing(**waiting("ImagePullBackOff")), PULL, id="image"),
        pytest.param(containing(**waiting("ErrImagePull")), PULL, id="image, in the same words"),
        pytest.param(containing(**waiting("CrashLoopBackOff"), lastState=KILLED), CRASH, id="crash loop"),
        pytest.param(containing(state=KILLED), CRASH, id="crashed just now"),
        pytest.param(
            containing(state={"running": {"startedAt": "2026-01-01T00:00:00Z"}}, lastState=KILLED),
            CRASH,
            id="runs again, and is not ready",
        ),
        pytest.param(
            containing(**waiting("CreateContainerConfigError")),
            "container podinfo cannot start (CreateContainerConfigError)",
            id="another reason",
        ),
        pytest.param(
            {"initContainerStatuses": containing(**waiting("ErrImagePull"))["containerStatuses"]},
            PULL,
            id="init container",
        ),
        pytest.param(
            scheduled("0/3 nodes are available: 3 Insufficient cpu. preemption: 0/3 nodes are available."),
            NO_NODE,
            id="no node",
        ),
        pytest.param(containing(**waiting("ContainerCreating")), "", id="merely starts"),
        pytest.param(containing(state={"running": {}}), "", id="runs"),
        pytest.param(containing(ready=True, state={"running": {}}, lastState=KILLED), "", id="ready again"),
    ],
)
async def test_a_pod_says_why_it_is_not_ready(unready: Member, status: Object, expected: str) -> None:
    """Flagger says that pods are not ready; what they wait for is said here (T21: Flagger's events.go)."""
    await add_pod(unready, "podinfo-1", status)
    await add_pod(unready, "podinfo-2", status)
    await add_pod(unready, "other", scheduled("not ours"), app="other")

    assert await trouble(unready) == expected


async def test_different_reasons_are_told_together(unready: Member) -> None:
    await add_pod(unready, "podinfo-1", scheduled("0/3 nodes are available: 3 Insufficient cpu."))
    await add_pod(unready, "podinfo-2", containing(**waiting("ErrImagePull")))

    assert await trouble(unready) == f"{PULL}; {NO_NODE}"


async def test_no_pod_is_asked_of_a_workload_whose_pods_are_ready(unready: Member) -> None:
    await add_pod(unready, "podinfo-1", containing(**waiting("ErrImagePull")))
    await say(unready, ready=2)

    assert await trouble(unready) == ""
    assert asked_for_pods(unready) == []


async def test_pods_are_read_page_by_page(unready: Member, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pods, "PAGE", 2)
    for number in range(3):
        await add_pod(unready, f"podinfo-{number}", containing(ready=True))
    await add_pod(unready, "podinfo-3", containing(**waiting("ErrImagePull")))

    assert await trouble(unready) == PULL
    first, second = asked_for_pods(unready)
    assert "labelSelector=app%3Dpodinfo&limit=2" in first
    assert "continue=" in second


async def test_a_missing_right_is_told(unready: Member) -> None:
    await unready.fault({"do": "status", "status": 403, "path": "/pods"})

    assert await trouble(unready) == "why is not known, for the worker may not list pods (deploy/rbac.yaml)"


@pytest.mark.parametrize("fault", [{"do": "status", "status": 503}, {"do": "hang"}])
async def test_a_look_does_not_wait_for_an_explanation(
    unready: Member, fault: Object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pods, "PATIENCE", 0.1)
    await unready.fault({**fault, "path": "/pods"})

    assert await trouble(unready) == ""
    await unready.fault()


@pytest.mark.parametrize(
    ("passed", "said"),
    [pytest.param(1, "", id="a moment ago"), pytest.param(6, PULL, id="long enough ago")],
)
async def test_pods_that_are_only_starting_are_not_asked(unready: Member, passed: int, said: str) -> None:
    moved = (datetime.now(UTC) - timedelta(seconds=passed)).strftime("%Y-%m-%dT%H:%M:%SZ")
    condition = {
        "type": "Progressing",
        "status": "True",
        "reason": "ReplicaSetUpdated",
        "lastUpdateTime": moved,
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    await add_pod(unready, "a", containing(**waiting("ImagePullBackOff")))
    await say(unready, ready=0, conditions=[condition])

    assert await trouble(unready) == said
