"""The number of the target's pods, fenced like its traffic."""

import asyncio
from datetime import datetime
from http import HTTPStatus
from typing import Any

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.cluster import marks, paths
from activities.cluster.api import ApiError, ClusterApi, Clusters, Object, Patch
from activities.cluster.autoscaling import find_autoscaler
from activities.cluster.guard import guarded
from activities.cluster.traffic import CONFLICTS, Written
from canary.revision import SCALE_TO_ZERO
from canary.spec import CanarySpec, WorkloadKind
from canary.stored import Stored


class ScaleRequest(Stored):
    """The size the target shall have, and when that was decided."""

    spec: CanarySpec
    replicas: int | None
    """None: as many as the primary has, or its autoscaler's minimum."""
    decided_at: datetime


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
        path = paths.one(spec.target.kind, spec.namespace, spec.target.name)
        for _ in range(CONFLICTS):
            found = await api.find(path)
            if found is None and request.replicas == 0:
                return Written.DONE
            if found is None:
                text = f"{spec.target.kind} {spec.target.name} is gone."
                raise ApplicationError(text, type="NotFound", non_retryable=True)
            if marks.is_superseded(found["metadata"], request.decided_at):
                return Written.SUPERSEDED
            if await _write(api, path, found, await _change(api, request, found)):
                return Written.DONE
        raise ApplicationError(f"{path} is being changed all the time.", type="Conflict")


async def _write(api: ClusterApi, path: str, found: Object, body: dict[str, Any]) -> bool:
    body["metadata"]["resourceVersion"] = found["metadata"]["resourceVersion"]
    try:
        await api.patch(path, body, kind=Patch.MERGE)
    except ApiError as error:
        if error.status == HTTPStatus.CONFLICT:
            return False
        raise
    return True


async def _change(api: ClusterApi, request: ScaleRequest, found: Object) -> dict[str, Any]:
    fence: dict[str, Any] = {"annotations": {marks.DECIDED_AT: marks.stamp(request.decided_at)}}
    if request.spec.target.kind is WorkloadKind.DAEMON_SET:
        value = "true" if request.replicas == 0 else None
        selector = {"nodeSelector": {SCALE_TO_ZERO: value}}
        return {"metadata": fence, "spec": {"template": {"spec": selector}}}
    replicas = request.replicas
    if replicas is None:
        replicas = found["spec"].get("replicas", 1) or await _size_from_zero(api, request.spec)
    return {"metadata": fence, "spec": {"replicas": replicas}}


async def _size_from_zero(api: ClusterApi, spec: CanarySpec) -> int:
    """Flagger's size of a canary that is scaled up (dossier §1.6, ScaleFromZero)."""
    primary, autoscaler = await asyncio.gather(
        api.find(paths.one(spec.target.kind, spec.namespace, spec.primary)), find_autoscaler(api, spec)
    )
    if autoscaler is not None:
        return max(int(autoscaler["spec"].get("minReplicas", 1)), 1)
    return max(int((primary or {"spec": {}})["spec"].get("replicas", 1)), 1)
