"""The way out: the workload is brought back as it was, and what was made for the canary is deleted."""

import asyncio
from datetime import datetime
from http import HTTPStatus

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.cluster import adoption, loadtester, marks, paths, records, routes, services, workloads
from activities.cluster.api import ClusterApi, Object, Patch
from activities.cluster.clusters import Clusters
from activities.cluster.daemons import without_ending_pods
from activities.cluster.errors import ApiError
from activities.cluster.guard import guarded
from activities.cluster.initialisation import ENDPOINTS_POLL, wait_for_endpoints
from activities.cluster.observation import read_workload
from activities.cluster.records import Record
from activities.cluster.restoring import bring_back_configs
from canary.readiness import judge_readiness
from canary.revision import SCALE_TO_ZERO, template_hash
from canary.spec import CanarySpec, WorkloadKind
from canary.stored import Stored

OWNED = ("ConfigMap", "Secret", "HorizontalPodAutoscaler", "Service", "DestinationRule", "Deployment")
"""Kinds that are found by their label; the VirtualService and a DaemonSet go by name."""


class RemovalRequest(Stored):
    """The canary to take out."""

    spec: CanarySpec
    decided_at: datetime


class RemovalActivities:
    """Gives a workload its own Service and routes back, and deletes what was made for it."""

    def __init__(self, clusters: Clusters) -> None:
        self._clusters = clusters

    @activity.defn
    @guarded
    async def restore_target(self, request: RemovalRequest) -> None:
        """Bring the target to the primary's size, with the promoted template.

        A target that holds a revision which was never promoted would bring it to every user. With
        `revertOnDeletion: false`, said in the document and warned of, the target stays as it is, at zero as a
        rule, and nothing serves once the primary is gone; Service and routes are given back all the same, for
        then scaling it up is all that is left to do.
        """
        spec = request.spec
        if not spec.revert_on_deletion or spec.target.kind is WorkloadKind.SERVICE:
            return
        api = await self._clusters.get(spec.cluster)
        path = paths.one(spec.target.kind, spec.namespace, spec.target.name)
        target, primary = await asyncio.gather(
            api.find(path), api.find(paths.one(spec.target.kind, spec.namespace, spec.primary))
        )
        if target is None:
            _refuse_to_leave_users(spec, primary)
            return
        if primary is None and not _is_scaled_by_us(target):
            return
        if not _is_scaled_by(target, before=request.decided_at) and not _is_away(target):
            # Never taken from its users, or given back by an attempt before: it is as it should be.
            await api.patch(path, _fence(request, target), kind=Patch.JSON)
            return
        record = await records.last_promoted(api, spec)
        if record is not None:
            await bring_back_configs(api, spec, record)
        wanted = [*_fence(request, target), *_as_promoted(spec, target, primary, record)]
        await api.patch(path, wanted, kind=Patch.JSON)
        if spec.target.kind is WorkloadKind.DAEMON_SET:
            selector = {"nodeSelector": {SCALE_TO_ZERO: None}}
            await api.patch(path, {"spec": {"template": {"spec": selector}}})

    @activity.defn
    @guarded
    async def restore_routes(self, request: RemovalRequest) -> bool:
        """Once the target is ready: the apex selector back, the VirtualService as it was or gone.

        Says whether there was anything to give back: a write that was called off may have arrived since.
        """
        spec = request.spec
        api = await self._clusters.get(spec.cluster)
        target, apex, routed = await asyncio.gather(
            api.find(paths.one(spec.target.kind, spec.namespace, spec.target.name)),
            api.find(paths.one("Service", spec.namespace, spec.service.name)),
            api.find(paths.one("VirtualService", spec.namespace, spec.service.name)),
        )
        service = _apex_as_it_was(spec, target, apex)
        if service is None and not (routed and _is_led_by_us(spec, routed)):
            return False
        if target is not None and spec.revert_on_deletion:
            await _wait_until_ready(api, request, target)
        if service is not None:
            await api.patch(paths.one("Service", spec.namespace, spec.service.name), service)
        if routed is not None:
            await _restore_virtual_service(api, spec, routed)
        return True

    @activity.defn
    @guarded
    async def remove_objects(self, request: RemovalRequest) -> None:
        """Delete everything that was made for the canary; what is already gone is fine."""
        spec = request.spec
        api = await self._clusters.get(spec.cluster)
        kind = spec.target.kind
        if spec.test_loader is not None:
            for part in loadtester.KINDS:
                await _delete_own(api, spec, part, spec.test_loader.name)
        # What tells of a promotion goes first: a primary would be made anew from it.
        await _delete_labelled(api, spec, records.KIND)
        await _delete_own(api, spec, str(kind), spec.primary)
        await asyncio.gather(*(_delete_labelled(api, spec, owned) for owned in OWNED))
        path = paths.one(kind, spec.namespace, spec.target.name)
        target = await api.find(path)
        if target is not None:
            body: Object = {"metadata": {"annotations": {marks.DECIDED_AT: None, marks.PAUSED: None}}}
            if marks.PAUSED in marks.notes(target):
                body["spec"] = {"paused": None}
            await api.patch(path, body)


async def _delete_own(api: ClusterApi, spec: CanarySpec, kind: str, name: str) -> None:
    """Delete an object by its name if it is ours: it may be what the canary was refused for."""
    path = paths.one(kind, spec.namespace, name)
    found = await api.find(path)
    if found is not None and marks.is_ours(spec, found["metadata"]):
        await api.delete(path, uid=found["metadata"]["uid"])


def _refuse_to_leave_users(spec: CanarySpec, primary: Object | None) -> None:
    """Keep the users with a primary that serves, where there is no target to lead them back to."""
    if primary is None or not read_workload(spec.target.kind, primary).is_serving:
        return
    text = (
        f"{spec.target.kind} {spec.target.name} in namespace {spec.namespace} is gone, and {spec.primary} "
        f"serves its users: bring {spec.target.name} back, or delete {spec.primary} too."
    )
    raise ApplicationError(text, type="NotReady", non_retryable=True)


def _is_scaled_by_us(target: Object) -> bool:
    return marks.read_stamp(target["metadata"]) is not None


def _is_scaled_by(target: Object, *, before: datetime) -> bool:
    """Whether an earlier decision than *before* has scaled it: that moment's own fence says nothing."""
    moment = marks.read_stamp(target["metadata"])
    return moment is not None and moment < before


def _is_away(target: Object) -> bool:
    """Whether somebody has taken its pods away, as Flagger does."""
    selector = (target["spec"].get("template") or {}).get("spec", {}).get("nodeSelector") or {}
    return target["spec"].get("replicas") == 0 or SCALE_TO_ZERO in selector


def _fence(request: RemovalRequest, target: Object) -> list[Object]:
    """A JSON patch that lets no earlier decision write the target any more, though it may be on its way."""
    note, moment = marks.DECIDED_AT, marks.stamp(request.decided_at)
    if not target["metadata"].get("annotations"):
        return [{"op": "add", "path": "/metadata/annotations", "value": {note: moment}}]
    return [{"op": "add", "path": f"/metadata/annotations/{note.replace('/', '~1')}", "value": moment}]


def _as_promoted(
    spec: CanarySpec, target: Object, primary: Object | None, record: Record | None
) -> list[Object]:
    """A JSON patch that gives the target the promoted template, and the size of the primary or its last."""
    # Written, not tested: a version that is stale is then a conflict, which is tried again.
    version = target["metadata"]["resourceVersion"]
    changes: list[Object] = [{"op": "replace", "path": "/metadata/resourceVersion", "value": version}]
    if record is not None and record.revision.template != template_hash(target["spec"]["template"]):
        changes.append({"op": "replace", "path": "/spec/template", "value": record.template})
    if marks.PAUSED in marks.notes(target):
        changes.append({"op": "add", "path": "/spec/paused", "value": False})
    if spec.target.kind is WorkloadKind.DEPLOYMENT:
        last = record.size if record else 1
        replicas = primary["spec"].get("replicas", 1) if primary else last
        changes.append({"op": "add", "path": "/spec/replicas", "value": max(replicas, 1)})
    return changes


async def _wait_until_ready(api: ClusterApi, request: RemovalRequest, target: Object) -> None:
    """Wait until the target can bear what the primary bears, and is known to the Service in front of it."""
    spec = request.spec
    if spec.target.kind is WorkloadKind.SERVICE:
        return
    workload = await without_ending_pods(api, spec, read_workload(spec.target.kind, target))
    threshold = spec.analysis.canary_ready_threshold
    # Without a moment since which it is unready there is no deadline: the primary serves meanwhile.
    verdict = judge_readiness(workload, threshold, spec.progress_deadline, None, request.decided_at)
    if not verdict.is_ready or not workload.is_serving:
        what = f"{spec.target.kind} {spec.target.name} in namespace {spec.namespace}"
        text = f"{what} is not ready yet: {verdict.message or 'no pod is ready'}."
        raise ApplicationError(text, type="NotReady", next_retry_delay=ENDPOINTS_POLL)
    if await api.find(paths.one("Service", spec.namespace, spec.service.canary)) is not None:
        await wait_for_endpoints(api, spec, spec.service.canary)


def _apex_as_it_was(spec: CanarySpec, target: Object | None, found: Object | None) -> Object | None:
    """A merge patch that gives an adopted apex back; ours leads to the target until it is deleted."""
    if found is None or spec.target.kind is WorkloadKind.SERVICE:
        return None
    kept = adoption.original(found)
    if kept is not None:
        metadata = adoption.given_back(found, kept)
        wanted = kept["spec"] | {"ports": services.ports_given_back(spec, target, found, kept)}
    elif target is not None and _leads_to_primary(spec, target, found):
        label, value = workloads.selector_label(target)
        if found["spec"].get("selector") == {label: value}:
            return None
        metadata = {"resourceVersion": found["metadata"]["resourceVersion"]}
        wanted = {"selector": {label: value}}
    else:
        return None
    # What a merge patch does not name in a map would stay.
    gone = dict.fromkeys(found["spec"].get("selector") or {})
    return {"metadata": metadata, "spec": {**wanted, "selector": {**gone, **(wanted["selector"] or {})}}}


def _leads_to_primary(spec: CanarySpec, target: Object, apex: Object) -> bool:
    """Whether an apex that nobody noted the original of has the primary's selector."""
    label, value = workloads.selector_label(target)
    selector = apex["spec"].get("selector") or {}
    return marks.is_ours(spec, apex["metadata"]) or selector == {label: f"{value}-primary"}


def _is_led_by_us(spec: CanarySpec, found: Object) -> bool:
    return (
        adoption.original(found) is not None
        or marks.is_ours(spec, found["metadata"])
        or bool(routes.released(spec, found))
    )


async def _restore_virtual_service(api: ClusterApi, spec: CanarySpec, found: Object) -> None:
    """Give an adopted VirtualService back, and delete one of ours."""
    path = paths.one("VirtualService", spec.namespace, spec.service.name)
    kept = adoption.original(found)
    if kept is not None:
        wanted = routes.given_back(spec, found, kept["spec"])
        await api.patch(path, {"metadata": adoption.given_back(found, kept), "spec": wanted})
    elif marks.is_ours(spec, found["metadata"]):
        await api.delete(path, uid=found["metadata"].get("uid"))
    elif changes := routes.released(spec, found):
        await api.patch(path, {"metadata": adoption.given_back(found, {}), "spec": changes})


async def _delete_labelled(api: ClusterApi, spec: CanarySpec, kind: str) -> None:
    """Delete what was made for the canary; of a kind that the cluster does not know there is nothing."""
    selector = f"{marks.CANARY}={marks.owner(spec.target.name)}"
    try:
        found = await api.list_metadata(paths.collection(kind, spec.namespace), labelSelector=selector)
    except ApiError as error:
        if error.status == HTTPStatus.NOT_FOUND:
            return
        raise
    names = [item["metadata"]["name"] for item in found["items"]]
    await asyncio.gather(*(api.delete(paths.one(kind, spec.namespace, name)) for name in names))
