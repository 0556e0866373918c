"""The way out: the workload is brought back as it was, and what was made for the canary is deleted."""

import asyncio
from datetime import datetime
from http import HTTPStatus

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.cluster import adoption, loadtester, marks, paths, records, routes, workloads
from activities.cluster.api import ApiError, ClusterApi, Clusters, Object, Patch
from activities.cluster.guard import guarded
from activities.cluster.initialisation import ENDPOINTS_POLL, wait_for_endpoints
from activities.cluster.observation import read_workload
from canary.revision import SCALE_TO_ZERO, template_hash
from canary.spec import CanarySpec, WorkloadKind
from canary.stored import Stored

OWNED = ("ConfigMap", "Secret", "HorizontalPodAutoscaler", "Service", "DestinationRule")
"""Kinds that are found by their label; the workloads and the VirtualService go by name."""


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
        if target is None or primary is None:
            return
        # Written, not tested: a version that is stale is then a conflict, which is tried again.
        version = target["metadata"]["resourceVersion"]
        changes: list[Object] = [{"op": "replace", "path": "/metadata/resourceVersion", "value": version}]
        record = await records.last_promoted(api, spec)
        if record is not None and record.revision.template != template_hash(target["spec"]["template"]):
            changes.append({"op": "replace", "path": "/spec/template", "value": record.template})
        if marks.PAUSED in (target["metadata"].get("annotations") or {}):
            changes.append({"op": "add", "path": "/spec/paused", "value": False})
        if spec.target.kind is WorkloadKind.DEPLOYMENT:
            replicas = max(primary["spec"].get("replicas", 1), 1)
            changes.append({"op": "add", "path": "/spec/replicas", "value": replicas})
        await api.patch(path, changes, kind=Patch.JSON)
        if spec.target.kind is WorkloadKind.DAEMON_SET:
            selector = {"nodeSelector": {SCALE_TO_ZERO: None}}
            await api.patch(path, {"spec": {"template": {"spec": selector}}})

    @activity.defn
    @guarded
    async def restore_routes(self, request: RemovalRequest) -> None:
        """Once the target has endpoints: the apex selector back, the VirtualService as it was or gone."""
        spec = request.spec
        api = await self._clusters.get(spec.cluster)
        target = await api.find(paths.one(spec.target.kind, spec.namespace, spec.target.name))
        if target is not None and spec.target.kind is not WorkloadKind.SERVICE:
            if spec.revert_on_deletion:
                await _wait_until_served(api, spec, target)
            await _restore_apex(api, spec, target)
        await _restore_virtual_service(api, spec)

    @activity.defn
    @guarded
    async def remove_objects(self, request: RemovalRequest) -> None:
        """Delete everything that was made for the canary; what is already gone is fine."""
        spec = request.spec
        api = await self._clusters.get(spec.cluster)
        kind = spec.target.kind
        if spec.test_loader is not None:
            for body in loadtester.objects(spec):
                await api.delete(paths.one(body["kind"], spec.namespace, body["metadata"]["name"]))
        # What tells of a promotion goes first: a primary would be made anew from it.
        await _delete_labelled(api, spec, records.KIND)
        await api.delete(paths.one(kind, spec.namespace, spec.primary))
        await asyncio.gather(*(_delete_labelled(api, spec, owned) for owned in OWNED))
        path = paths.one(kind, spec.namespace, spec.target.name)
        if await api.find(path) is not None:
            await api.patch(path, {"metadata": {"annotations": {marks.DECIDED_AT: None, marks.PAUSED: None}}})


async def _wait_until_served(api: ClusterApi, spec: CanarySpec, target: Object) -> None:
    """Wait until the target answers; without a Service in front of it, its own counters are believed."""
    if await api.find(paths.one("Service", spec.namespace, spec.service.canary)) is not None:
        await wait_for_endpoints(api, spec, spec.service.canary)
    elif not read_workload(spec.target.kind, target).is_serving:
        text = f"{spec.target.kind} {spec.target.name} in namespace {spec.namespace} has no ready pod yet."
        raise ApplicationError(text, type="NotReady", next_retry_delay=ENDPOINTS_POLL)


async def _restore_apex(api: ClusterApi, spec: CanarySpec, target: Object) -> None:
    """Give an adopted apex its selector and ports back; ours leads to the target until it is deleted."""
    path = paths.one("Service", spec.namespace, spec.service.name)
    found = await api.find(path)
    if found is None:
        return
    kept = adoption.original(found)
    label, value = workloads.selector_label(target)
    metadata: Object = {"resourceVersion": found["metadata"]["resourceVersion"]}
    wanted: Object = {"selector": {label: value}}
    if kept is not None:
        metadata, wanted = adoption.given_back(found, kept), kept["spec"]
    elif not _leads_to_primary(spec, target, found):
        return
    # A merge patch: what is not named in the map would stay.
    gone = dict.fromkeys(found["spec"].get("selector") or {})
    selector = {**gone, **(wanted["selector"] or {})}
    await api.patch(path, {"metadata": metadata, "spec": {**wanted, "selector": selector}})


def _leads_to_primary(spec: CanarySpec, target: Object, apex: Object) -> bool:
    """Whether an apex that nobody noted the original of has the primary's selector."""
    label, value = workloads.selector_label(target)
    selector = apex["spec"].get("selector") or {}
    return marks.is_ours(spec, apex["metadata"]) or selector == {label: f"{value}-primary"}


async def _restore_virtual_service(api: ClusterApi, spec: CanarySpec) -> None:
    """Write an adopted VirtualService as it was, and delete one of ours."""
    path = paths.one("VirtualService", spec.namespace, spec.service.name)
    found = await api.find(path)
    if found is None:
        return
    kept = adoption.original(found)
    if kept is not None:
        gone = dict.fromkeys(found.get("spec") or {})
        body = {"metadata": adoption.given_back(found, kept), "spec": {**gone, **kept["spec"]}}
        await api.patch(path, body)
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
