"""The primary: made from the target, promoted, put back, and what it remembers of its promotions."""

import asyncio
import json
from collections.abc import Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Any

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.cluster import configs, marks, paths, workloads
from activities.cluster.api import ApiError, ClusterApi, Clusters, Object
from activities.cluster.autoscaling import find_autoscaler
from activities.cluster.guard import guarded
from activities.cluster.observation import revision_of
from activities.cluster.traffic import Written
from canary.revision import SCALE_TO_ZERO, checksum
from canary.spec import CanarySpec, WorkloadKind
from canary.status import Outcome, Revision
from canary.stored import Stored

_MEMORY = (marks.PROMOTED, marks.CONFIGS, marks.OUTCOME, marks.LAST_APPLIED)
"""What a primary remembers while its template is being written."""


class PromoteRequest(Stored):
    """The judged revision that the primary shall run, and when that was decided."""

    spec: CanarySpec
    revision: Revision
    decided_at: datetime


class ConcludeRequest(Stored):
    """How a rollout ended, for the primary to remember."""

    spec: CanarySpec
    revision: Revision
    outcome: Outcome


class PrimaryActivities:
    """Writes the primary workload and the configs it uses."""

    def __init__(self, clusters: Clusters) -> None:
        self._clusters = clusters

    @activity.defn
    @guarded
    async def create_primary(self, spec: CanarySpec) -> Revision:
        """Make the primary from the target at its present size; returns what it was made from.

        A primary that is there already, and remembers what it was promoted to, is left as it is.
        """
        api = await self._clusters.get(spec.cluster)
        kind = spec.target.kind
        target, primary = await asyncio.gather(
            api.get(paths.one(kind, spec.namespace, spec.target.name)),
            api.find(paths.one(kind, spec.namespace, spec.primary)),
        )
        if primary is not None and (known := _remembered(primary)):
            return known
        tracked = await _configs_of(api, spec, target)
        revision = revision_of(target, configs.hashes(tracked))
        await _copy_configs(api, spec, tracked)
        replicas = None if kind is WorkloadKind.DAEMON_SET else max(target["spec"].get("replicas", 1), 1)
        notes = _promoted(revision) | {marks.OUTCOME: ""}
        await _apply(api, spec, target, tracked, notes, replicas)
        await _record(api, spec, target, revision)
        await _copy_autoscaler(api, spec)
        return revision

    @activity.defn
    @guarded
    async def promote(self, request: PromoteRequest) -> Written:
        """Copy the target's template and configs into the primary, if they are still what was judged."""
        spec = request.spec
        api = await self._clusters.get(spec.cluster)
        target, primary = await _both(api, spec)
        tracked = await _configs_of(api, spec, target)
        notes = primary["metadata"].get("annotations") or {}
        stale = marks.is_superseded(primary["metadata"], request.decided_at)
        if stale or revision_of(target, configs.hashes(tracked)) != request.revision:
            return Written.SUPERSEDED
        await _copy_configs(api, spec, tracked, keep_last=True)
        kept = {key: notes[key] for key in _MEMORY if key in notes}
        now = {marks.PROMOTING: request.revision.template, marks.DECIDED_AT: marks.stamp(request.decided_at)}
        await _apply(api, spec, target, tracked, kept | now, _never_smaller(spec, target, primary))
        await _copy_autoscaler(api, spec)
        return Written.DONE

    @activity.defn
    @guarded
    async def restore_primary(self, request: PromoteRequest) -> Written:
        """Put the last promoted template and configs back into the primary."""
        spec = request.spec
        api = await self._clusters.get(spec.cluster)
        target, primary = await _both(api, spec)
        if marks.is_superseded(primary["metadata"], request.decided_at):
            return Written.SUPERSEDED
        notes = primary["metadata"].get("annotations") or {}
        promoted = notes.get(marks.PROMOTED, "")
        name = workloads.record_name(spec, promoted)
        record = await api.find(paths.one("ControllerRevision", spec.namespace, name))
        if record is None:
            text = f"The promoted template {promoted} of {spec.primary} is not recorded in the cluster."
            raise ApplicationError(text, type="NotFound", non_retryable=True)
        template = record["data"]["template"]
        tracked = await configs.read_configs(api, spec.namespace, template)
        await _bring_back(api, spec, tracked)
        kept = {key: notes[key] for key in _MEMORY if key in notes}
        as_was = {**target, "spec": {**target["spec"], "template": template}}
        decided = {marks.DECIDED_AT: marks.stamp(request.decided_at)}
        replicas = _never_smaller(spec, target, primary)
        await _apply(api, spec, as_was, tracked, kept | decided, replicas)
        return Written.DONE

    @activity.defn
    @guarded
    async def conclude(self, request: ConcludeRequest) -> None:
        """Write onto the primary how the rollout ended; after a promotion also what it now runs."""
        spec = request.spec
        api = await self._clusters.get(spec.cluster)
        notes: dict[str, Any] = {
            marks.OUTCOME: str(request.outcome),
            marks.LAST_APPLIED: checksum(request.revision),
            marks.PROMOTING: None,
        }
        if request.outcome is Outcome.HALTED:
            notes.pop(marks.PROMOTING)
        if request.outcome is Outcome.PROMOTED:
            target = await api.get(paths.one(spec.target.kind, spec.namespace, spec.target.name))
            tracked = await _configs_of(api, spec, target)
            if revision_of(target, configs.hashes(tracked)) == request.revision:
                await _record(api, spec, target, request.revision)
            notes |= _promoted(request.revision)
            await _forget_last(api, spec, tracked)
        path = paths.one(spec.target.kind, spec.namespace, spec.primary)
        try:
            await api.patch(path, {"metadata": {"annotations": notes}})
        except ApiError as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise


async def _both(api: ClusterApi, spec: CanarySpec) -> tuple[Object, Object]:
    target, primary = await asyncio.gather(
        api.get(paths.one(spec.target.kind, spec.namespace, spec.target.name)),
        api.get(paths.one(spec.target.kind, spec.namespace, spec.primary)),
    )
    return target, primary


async def _configs_of(api: ClusterApi, spec: CanarySpec, target: Object) -> dict[str, Object | None]:
    return await configs.read_configs(api, spec.namespace, target["spec"]["template"])


async def _apply(  # noqa: PLR0913, PLR0917 — everything a primary is made of, in its one place
    api: ClusterApi,
    spec: CanarySpec,
    target: Object,
    tracked: Mapping[str, Object | None],
    notes: dict[str, str],
    replicas: int | None,
) -> None:
    """Apply the primary with the template of *target*."""
    template = configs.with_primary_names(target["spec"]["template"], tracked)
    body = workloads.primary_workload(spec, target, template, replicas)
    body["metadata"]["annotations"] |= notes
    revision = revision_of(target, configs.hashes(tracked))
    body["spec"]["template"]["metadata"]["annotations"][marks.REVISION] = checksum(revision)
    if spec.target.kind is WorkloadKind.DAEMON_SET:
        selector = body["spec"]["template"]["spec"].get("nodeSelector") or {}
        selector.pop(SCALE_TO_ZERO, None)
    await api.apply(paths.one(spec.target.kind, spec.namespace, spec.primary), body, force=True)


def _never_smaller(spec: CanarySpec, target: Object, primary: Object) -> int | None:
    """The primary's size in a promotion: what it has, or the canary's if that was made larger."""
    if spec.target.kind is WorkloadKind.DAEMON_SET:
        return None
    return max(1, *(int(side["spec"].get("replicas", 1)) for side in (primary, target)))


def _remembered(primary: Object) -> Revision | None:
    notes = primary["metadata"].get("annotations") or {}
    if not notes.get(marks.PROMOTED):
        return None
    return Revision(template=notes[marks.PROMOTED], configs=json.loads(notes.get(marks.CONFIGS) or "{}"))


def _promoted(revision: Revision) -> dict[str, str]:
    return {
        marks.PROMOTED: revision.template,
        marks.CONFIGS: json.dumps(revision.configs, sort_keys=True, separators=(",", ":")),
    }


async def _record(api: ClusterApi, spec: CanarySpec, target: Object, revision: Revision) -> None:
    """Keep the promoted template in the cluster, and drop the records of earlier ones."""
    name = workloads.record_name(spec, revision.template)
    collection = paths.collection("ControllerRevision", spec.namespace)
    body = workloads.revision_record(spec, name, target["spec"]["template"])
    known = await api.list(collection, labelSelector=f"{marks.CANARY}={spec.target.name}")
    names = [item["metadata"]["name"] for item in known["items"]]
    if name not in names:
        await api.create(collection, body)
    await asyncio.gather(*(api.delete(f"{collection}/{old}") for old in names if old != name))


async def _copy_configs(
    api: ClusterApi, spec: CanarySpec, tracked: Mapping[str, Object | None], *, keep_last: bool = False
) -> None:
    """Write the primary's copy of every config; with *keep_last* the one before is kept until the end."""
    for config in tracked.values():
        if config is None:
            continue
        copied = configs.primary_copy(config, spec.target.name)
        path = paths.one(copied["kind"], spec.namespace, copied["metadata"]["name"])
        if keep_last:
            before = await api.find(path)
            if before is not None and not _same_data(before, copied):
                await _write_config(api, _renamed(before, spec, f"{before['metadata']['name']}-last"))
        await _write_config(api, copied)


async def _write_config(api: ClusterApi, body: Object) -> None:
    """Apply a config; an immutable one that differs is made anew."""
    metadata = body["metadata"]
    path = paths.one(body["kind"], metadata["namespace"], metadata["name"])
    before = await api.find(path)
    if before is not None and before.get("immutable") and not _same_data(before, body):
        await api.delete(path)
    await api.apply(path, body, force=True)


async def _bring_back(api: ClusterApi, spec: CanarySpec, tracked: Mapping[str, Object | None]) -> None:
    """Write the kept configs back over the primary's copies."""
    for key, config in tracked.items():
        kind = "Secret" if key.startswith("secret/") else "ConfigMap"
        name = f"{key.split('/', 1)[1]}-primary"
        last = await api.find(paths.one(kind, spec.namespace, f"{name}-last"))
        if last is not None and config is not None:
            await _write_config(api, _renamed(last, spec, name))


async def _forget_last(api: ClusterApi, spec: CanarySpec, tracked: Mapping[str, Object | None]) -> None:
    for key in tracked:
        kind = "Secret" if key.startswith("secret/") else "ConfigMap"
        await api.delete(paths.one(kind, spec.namespace, f"{key.split('/', 1)[1]}-primary-last"))


def _renamed(config: Object, spec: CanarySpec, name: str) -> Object:
    body = configs.primary_copy(config, spec.target.name)
    body["metadata"]["name"] = name
    return body


def _same_data(one: Object, other: Object) -> bool:
    return all((one.get(key) or {}) == (other.get(key) or {}) for key in ("data", "binaryData"))


async def _copy_autoscaler(api: ClusterApi, spec: CanarySpec) -> None:
    """Give the primary the autoscaler its target has, if it has one."""
    found = await find_autoscaler(api, spec)
    if found is not None:
        body = workloads.autoscaler(spec, found)
        path = paths.one("HorizontalPodAutoscaler", spec.namespace, body["metadata"]["name"])
        await api.apply(path, body, force=True)
