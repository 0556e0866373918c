"""The way out: the workload is brought back as it was, and what was made for the canary is deleted."""

import asyncio
import json
from datetime import datetime

from temporalio import activity

from activities.cluster import loadtester, marks, paths, workloads
from activities.cluster.api import ClusterApi, Clusters, Object, Patch
from activities.cluster.guard import guarded
from activities.cluster.initialisation import wait_for_endpoints
from canary.revision import SCALE_TO_ZERO, template_hash
from canary.spec import CanarySpec, WorkloadKind
from canary.stored import Stored

OWNED = ("ConfigMap", "Secret", "ControllerRevision", "HorizontalPodAutoscaler", "Service", "DestinationRule")
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

        A target that holds a revision which was never promoted would bring it to every user.
        """
        spec = request.spec
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
        template = await _promoted_template(api, spec, primary)
        if template is not None and template_hash(template) != template_hash(target["spec"]["template"]):
            changes.append({"op": "replace", "path": "/spec/template", "value": template})
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
        if target is not None:
            await wait_for_endpoints(api, spec, spec.service.canary)
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
        await api.delete(paths.one(kind, spec.namespace, spec.primary))
        await asyncio.gather(*(_delete_labelled(api, spec, owned) for owned in OWNED))
        path = paths.one(kind, spec.namespace, spec.target.name)
        if await api.find(path) is not None:
            await api.patch(path, {"metadata": {"annotations": {marks.DECIDED_AT: None}}})


async def _promoted_template(api: ClusterApi, spec: CanarySpec, primary: Object) -> Object | None:
    """The template the primary was last promoted to, from its record; None where there is none."""
    promoted = (primary["metadata"].get("annotations") or {}).get(marks.PROMOTED, "")
    record = await api.find(
        paths.one("ControllerRevision", spec.namespace, workloads.record_name(spec, promoted))
    )
    if record is None:
        return None
    template: Object = record["data"]["template"]
    return template


async def _restore_apex(api: ClusterApi, spec: CanarySpec, target: Object) -> None:
    path = paths.one("Service", spec.namespace, spec.service.name)
    found = await api.find(path)
    if found is None:
        return
    metadata = found["metadata"]
    kept = (metadata.get("annotations") or {}).get(marks.ORIGINAL)
    original = json.loads(kept) if kept else {}
    label, value = workloads.selector_label(target)
    wanted = {
        "selector": original.get("selector") or {label: value},
        "ports": original.get("ports") or found["spec"]["ports"],
    }
    current = found["spec"].get("selector") or {}
    gone = {key: None for key in current if key not in wanted["selector"]}
    await api.patch(
        path,
        {
            "metadata": {
                "resourceVersion": metadata["resourceVersion"],
                "annotations": {marks.ORIGINAL: None},
                "labels": {marks.CANARY: None},
            },
            "spec": wanted | {"selector": {**gone, **wanted["selector"]}},
        },
    )


async def _restore_virtual_service(api: ClusterApi, spec: CanarySpec) -> None:
    path = paths.one("VirtualService", spec.namespace, spec.service.name)
    found = await api.find(path)
    if found is None:
        return
    metadata = found["metadata"]
    kept = (metadata.get("annotations") or {}).get(marks.ORIGINAL)
    if kept:
        body = {**found, "spec": json.loads(kept)}
        for note in (marks.ORIGINAL, marks.DECIDED_AT):
            body["metadata"]["annotations"].pop(note, None)
        await api.replace(path, body)
    elif (metadata.get("labels") or {}).get(marks.CANARY) == spec.target.name:
        await api.delete(path, uid=metadata.get("uid"))


async def _delete_labelled(api: ClusterApi, spec: CanarySpec, kind: str) -> None:
    selector = f"{marks.CANARY}={spec.target.name}"
    found = await api.list_metadata(paths.collection(kind, spec.namespace), labelSelector=selector)
    names = [item["metadata"]["name"] for item in found["items"]]
    await asyncio.gather(*(api.delete(paths.one(kind, spec.namespace, name)) for name in names))
