"""The number of the target's pods, fenced like its traffic, and the pause that keeps them as judged."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.cluster import marks, paths
from activities.cluster.api import ClusterApi, Object, Patch
from activities.cluster.autoscaling import find_autoscaler
from activities.cluster.clusters import Clusters
from activities.cluster.guard import guarded, until_settled
from activities.cluster.observation import read_workload
from activities.cluster.primary import count_as_promoted
from activities.cluster.replicasets import runs_its_template
from activities.cluster.traffic import Written
from canary.revision import SCALE_TO_ZERO, STARTED_WITH
from canary.spec import CanarySpec, WorkloadKind
from canary.stored import Stored

LOOKS = 10
PAUSE_POLL = timedelta(milliseconds=100)
"""Between two looks for the ReplicaSet of a template that was written a moment ago."""


class ScaleRequest(Stored):
    """The size the target shall have, and when that was decided."""

    spec: CanarySpec
    replicas: int | None
    """None: as many as the primary has, or its autoscaler's minimum."""
    decided_at: datetime
    primary_size: int = 0
    """How many pods the primary was seen to want; 0: it has to be asked."""
    is_paused: bool | None = None
    """Whether a newer template shall wait while these pods are judged; None: as it is.

    It takes effect once all pods are of the present template, and is taken back at zero."""
    configs: str = ""
    """The checksum of the configs that its pods are to be started with, where they run with others; empty: as
    they are."""
    is_first: bool = False
    """Whether the users are with their first primary by now: nothing is done unless that serves, and what it
    was made from counts as promoted from then on."""


class ScalingActivities:
    """Scales the target."""

    def __init__(self, clusters: Clusters) -> None:
        self._clusters = clusters

    @activity.defn
    @guarded
    async def scale_target(self, request: ScaleRequest) -> Written:
        """Bring the target to a size; zero takes its pods away. One that is gone is fine at zero."""
        spec = request.spec
        api = await self._clusters.get(spec.cluster)
        is_service = spec.target.kind is WorkloadKind.SERVICE
        act = _lead if is_service else _scale
        name = spec.service.canary if is_service else f"{spec.target.kind} {spec.target.name}"
        written = await until_settled(lambda: act(api, request), name)
        if request.is_first and written is Written.DONE:
            await until_settled(lambda: count_as_promoted(api, spec), spec.primary)
        return written


async def _scale(api: ClusterApi, request: ScaleRequest) -> Written:
    spec = request.spec
    path = paths.one(spec.target.kind, spec.namespace, spec.target.name)
    found = await api.find(path)
    if found is None and request.replicas == 0:
        return Written.DONE
    if found is None:
        text = f"{spec.target.kind} {spec.target.name} in namespace {spec.namespace} is gone."
        raise ApplicationError(text, type="NotFound", non_retryable=True)
    if marks.is_superseded(found["metadata"], request.decided_at):
        return Written.SUPERSEDED
    if request.is_first and not await _does_primary_serve(api, spec):
        return Written.NOT_SERVING
    is_daemon_set = spec.target.kind is WorkloadKind.DAEMON_SET
    notes: dict[str, Any] = {marks.DECIDED_AT: marks.stamp(request.decided_at)}
    wanted = _selected(request) if is_daemon_set else await _sized(api, request, found, notes)
    if request.configs:
        template = wanted.setdefault("template", {})
        template["metadata"] = {"annotations": {STARTED_WITH: request.configs}}
    version = found["metadata"]["resourceVersion"]
    body = {"metadata": {"resourceVersion": version, "annotations": notes}, "spec": wanted}
    stored = await api.patch(path, body, kind=Patch.MERGE)
    is_open = request.is_paused and not is_daemon_set and not stored["spec"].get("paused")
    return Written.UNPAUSED if is_open else Written.DONE


async def _does_primary_serve(api: ClusterApi, spec: CanarySpec) -> bool:
    primary = await api.find(paths.one(spec.target.kind, spec.namespace, spec.primary))
    return primary is not None and read_workload(spec.target.kind, primary).is_serving


async def _lead(api: ClusterApi, request: ScaleRequest) -> Written:
    """A Service has no size: brought up, the canary's leads where the target does by now."""
    spec = request.spec
    path = paths.one("Service", spec.namespace, spec.service.canary)
    target, canary = await asyncio.gather(
        api.find(paths.one("Service", spec.namespace, spec.target.name)), api.find(path)
    )
    if request.replicas == 0 or target is None or canary is None:
        return Written.DONE
    if marks.is_superseded(canary["metadata"], request.decided_at):
        return Written.SUPERSEDED
    wanted = target["spec"].get("selector") or {}
    present = canary["spec"].get("selector") or {}
    if wanted != present:
        # What a merge patch does not name in a map would stay.
        selector = {**dict.fromkeys(present), **wanted}
        notes = {marks.DECIDED_AT: marks.stamp(request.decided_at)}
        version = canary["metadata"]["resourceVersion"]
        metadata = {"resourceVersion": version, "annotations": notes}
        await api.patch(path, {"metadata": metadata, "spec": {"selector": selector}})
    return Written.DONE


def _selected(request: ScaleRequest) -> Object:
    """A DaemonSet is taken away by a selector that no node fits."""
    selector = {"nodeSelector": {SCALE_TO_ZERO: "true" if request.replicas == 0 else None}}
    return {"template": {"spec": selector}}


async def _sized(api: ClusterApi, request: ScaleRequest, found: Object, notes: dict[str, Any]) -> Object:
    present = found["spec"].get("replicas", 1)
    replicas = request.replicas
    if replicas is None:
        replicas = present or await _size_from_zero(api, request)
    is_growing_from_zero = replicas > 0 and present == 0
    wanted: Object = {"replicas": replicas}
    is_paused, is_ours = bool(found["spec"].get("paused")), marks.PAUSED in marks.notes(found)
    if is_paused and is_growing_from_zero and not await runs_its_template(api, found):
        raise _paused(request.spec)
    if replicas == 0 or request.is_paused is False:
        if is_ours:
            wanted["paused"] = notes[marks.PAUSED] = None
    elif request.is_paused and not is_paused and await _can_be_paused(api, found):
        wanted["paused"], notes[marks.PAUSED] = True, "true"
    return wanted


async def _can_be_paused(api: ClusterApi, found: Object) -> bool:
    """Whether all its pods are of its template; of a target without pods that is only a moment away."""
    for _ in range(LOOKS if found["spec"].get("replicas") == 0 else 1):
        if await runs_its_template(api, found):
            return True
        await asyncio.sleep(PAUSE_POLL.total_seconds())
    activity.logger.warning(
        "not paused: not all pods are of the present template", extra={"target": _name(found)}
    )
    return False


def _name(found: Object) -> str:
    return f"{found['metadata']['namespace']}/{found['metadata']['name']}"


def _paused(spec: CanarySpec) -> ApplicationError:
    """A paused Deployment that grows runs the template from before its pause."""
    target = f"{spec.target.kind} {spec.target.name} in namespace {spec.namespace}"
    remedy = f"kubectl rollout resume deployment/{spec.target.name} -n {spec.namespace}"
    text = f"{target} is paused and would not run its present template; let it: {remedy}."
    return ApplicationError(text, type="Paused", non_retryable=True)


async def _size_from_zero(api: ClusterApi, request: ScaleRequest) -> int:
    """The size of a canary that is scaled up: that of Flagger's `ScaleFromZero`."""
    spec = request.spec
    autoscaler = await find_autoscaler(api, spec)
    if autoscaler is not None:
        return max(int(autoscaler["spec"].get("minReplicas", 1)), 1)
    if request.primary_size:
        return request.primary_size
    primary = await api.find(paths.one(spec.target.kind, spec.namespace, spec.primary))
    return max(int((primary or {"spec": {}})["spec"].get("replicas", 1)), 1)
