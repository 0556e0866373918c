"""The primary: made from the target or from its record, promoted, put back, and what it remembers of that.

What is written over is looked at first and the primary last of all, and every write is bound to the version
that was read: whoever comes late, be it a request or a worker that slept, finds that out before it harms.
"""

from datetime import datetime
from http import HTTPStatus
from typing import Any

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.cluster import forwarding, marks, paths, records, workloads
from activities.cluster.api import ClusterApi, Object
from activities.cluster.autoscaling import copy_autoscaler
from activities.cluster.clusters import Clusters
from activities.cluster.copies import CopyWriter, find_copies, is_superseded
from activities.cluster.errors import ApiError
from activities.cluster.guard import guarded, until_settled
from activities.cluster.origin import Origin, from_record, from_target
from activities.cluster.traffic import Written
from canary.revision import SCALE_TO_ZERO, checksum
from canary.spec import CanarySpec, WorkloadKind
from canary.status import Outcome, Revision
from canary.stored import Stored


class PromoteRequest(Stored):
    """The judged revision that the primary shall run, and when that was decided."""

    spec: CanarySpec
    revision: Revision
    decided_at: datetime
    size: int = 0
    """How many pods the primary began the rollout with: its autoscaler may have taken some away since."""
    is_over: bool = False
    """Of a primary that is put back: nothing is left of its promotion, for all users are with it already."""


class ConcludeRequest(Stored):
    """How a rollout ended, for the primary to remember."""

    spec: CanarySpec
    revision: Revision
    outcome: Outcome
    decided_at: datetime | None = None
    """None: whatever was decided before."""


class PrimaryActivities:
    """Writes the primary workload and the configs it uses."""

    def __init__(self, clusters: Clusters) -> None:
        self._clusters = clusters

    @activity.defn
    @guarded
    async def create_primary(self, spec: CanarySpec) -> Revision:
        """Make the primary; returns what it was made from.

        A primary that remembers what it was promoted to is left as it is. One that somebody deleted is made
        from the record of the last promotion, never from what the target holds by now (T14); only the first
        one of all is made from the target, at its present size, and made anew where that changes before
        anything counts as promoted.
        """
        api = await self._clusters.get(spec.cluster)
        return await until_settled(lambda: _create(api, spec), spec.primary)

    @activity.defn
    @guarded
    async def promote(self, request: PromoteRequest) -> Written:
        """Copy the target's template and configs into the primary, if they are still what was judged."""
        api = await self._clusters.get(request.spec.cluster)
        return await until_settled(lambda: _promote(api, request), request.spec.primary)

    @activity.defn
    @guarded
    async def restore_primary(self, request: PromoteRequest) -> Written:
        """Put the last promoted template and configs back into the primary.

        Its mark of a promotion stays until that has been concluded, unless it is over.
        """
        api = await self._clusters.get(request.spec.cluster)
        return await until_settled(lambda: _restore(api, request), request.spec.primary)

    @activity.defn
    @guarded
    async def conclude(self, request: ConcludeRequest) -> None:
        """Write onto the primary how the rollout ended; after a promotion also what it now runs."""
        api = await self._clusters.get(request.spec.cluster)
        await until_settled(lambda: _conclude(api, request), request.spec.primary)


async def _create(api: ClusterApi, spec: CanarySpec) -> Revision:
    record = await records.last_promoted(api, spec)
    origin = await (from_target(api, spec) if record is None else from_record(api, spec, record))
    primary = await api.find(_path(spec))
    if primary is not None:
        marks.refuse_foreign(spec, str(spec.target.kind), primary)
        known = _remembered(primary)
        if known is not None and not await _is_to_be_renewed(api, spec, known, origin):
            return known
        if known is None:
            _refuse_forgetful(spec, primary, origin)
    writer = CopyWriter(api, spec)
    if record is None:
        origin.refuse_incomplete(spec)
        await writer.write(origin.copies, origin.sources, {})
        await records.remember(api, spec, origin.workload, origin.revision)
    else:
        await writer.bring_back(origin.copies, origin.revision.configs)
    await copy_autoscaler(api, spec)
    notes = marks.promoted(origin.revision) | {marks.OUTCOME: ""}
    await _write(api, spec, _made_from(spec, origin, origin.size), notes, primary)
    return origin.revision


async def _is_to_be_renewed(api: ClusterApi, spec: CanarySpec, known: Revision, origin: Origin) -> bool:
    """Whether the target holds something else by now, and nobody is served by the primary yet.

    A primary of which no record says that it was being made may have been promoted, and its record lost.
    """
    if origin.is_recorded:
        return False
    if origin.revision == known:
        await records.remember(api, spec, origin.workload, known)  # it is there unless somebody deleted it
        return False
    return not _is_emptied(origin.workload) and await records.is_remembered(api, spec, known)


def _is_emptied(target: Object) -> bool:
    """Whether an initialisation has taken the target's pods away: the users are with the primary."""
    if marks.read_stamp(target["metadata"]) is None:
        return False
    selector = target["spec"]["template"].get("spec", {}).get("nodeSelector") or {}
    return target["spec"].get("replicas") == 0 or SCALE_TO_ZERO in selector


async def count_as_promoted(api: ClusterApi, spec: CanarySpec) -> None:
    """Let what the first primary was made from be its first promotion: the users are with it."""
    primary = await api.get(_path(spec))
    known = _remembered(primary)
    if known is None or await records.mark_first(api, spec, known, _size(primary)):
        return
    _warn_unrecorded(spec, known)


def _refuse_forgetful(spec: CanarySpec, primary: Object, origin: Origin) -> None:
    """A primary of ours without its memory serves users: only what it runs may be written over it."""
    made = primary if spec.target.kind is WorkloadKind.SERVICE else primary["spec"]["template"]
    notes = (made.get("metadata") or {}).get("annotations") or {}
    if notes.get(marks.REVISION) != checksum(origin.revision):
        text = (
            f"{spec.target.kind} {spec.primary} in namespace {spec.namespace} no longer tells what it runs, "
            f"and it is not what {spec.target.name} is: delete it, or bring {spec.target.name} back to it."
        )
        raise ApplicationError(text, type="Forgotten", non_retryable=True)


async def _promote(api: ClusterApi, request: PromoteRequest) -> Written:
    spec = request.spec
    origin = await from_target(api, spec)
    if origin.revision != request.revision:
        return Written.SUPERSEDED
    primary = await api.get(_path(spec))
    if _is_superseded(origin, primary, request.decided_at):
        return Written.SUPERSEDED
    marks.refuse_foreign(spec, str(spec.target.kind), primary)
    origin.refuse_incomplete(spec)
    promoted = _remembered(primary) or Revision(template="")
    writer = CopyWriter(api, spec, request.decided_at)
    await writer.write(origin.copies, origin.sources, promoted.configs)
    await records.remember(api, spec, origin.workload, origin.revision)
    twin = await copy_autoscaler(api, spec, at_least=request.size)
    notes = {marks.PROMOTING: origin.revision.template, marks.DECIDED_AT: marks.stamp(request.decided_at)}
    if twin is not None and twin.raised_to:
        notes[marks.RAISED] = "true"
    replicas = max(_size(primary), origin.size if twin is None else twin.raised_to)
    await _write(api, spec, _made_from(spec, origin, replicas), notes, primary)
    return Written.DONE


async def _restore(api: ClusterApi, request: PromoteRequest) -> Written:
    spec = request.spec
    record = await records.last_promoted(api, spec)
    if record is None:
        text = f"What {spec.primary} in namespace {spec.namespace} was promoted to is recorded nowhere."
        raise ApplicationError(text, type="NotFound", non_retryable=True)
    origin = await from_record(api, spec, record)
    primary = await api.find(_path(spec))
    if _is_superseded(origin, primary, request.decided_at):
        return Written.SUPERSEDED
    if primary is not None:
        marks.refuse_foreign(spec, str(spec.target.kind), primary)
    writer = CopyWriter(api, spec, request.decided_at)
    await writer.bring_back(origin.copies, origin.revision.configs)
    notes = {marks.DECIDED_AT: marks.stamp(request.decided_at)}
    if primary is None:
        notes |= marks.promoted(origin.revision)
    elif request.is_over:
        marks.notes(primary).pop(marks.PROMOTING, None)
    # Never smaller: it may have been made larger since its record was written.
    size = origin.size if primary is None else _size(primary)
    await _write(api, spec, _made_from(spec, origin, size), notes, primary)
    if request.is_over:
        await writer.forget_kept(origin.copies)
    return Written.DONE


async def _conclude(api: ClusterApi, request: ConcludeRequest) -> None:
    spec, revision = request.spec, request.revision
    primary = await api.find(_path(spec))
    if primary is not None and _is_concluded_later(primary, request):
        return
    is_promoted = request.outcome is Outcome.PROMOTED
    if is_promoted and not await records.mark_promoted(
        api, spec, revision, _size(primary) if primary else None
    ):
        _warn_unrecorded(spec, revision)
    if primary is None:
        return
    await _forget_kept(api, spec, primary, request)
    notes: dict[str, Any] = {marks.OUTCOME: str(request.outcome), marks.LAST_APPLIED: checksum(revision)}
    if request.outcome is not Outcome.HALTED:
        notes |= {marks.PROMOTING: None, **await _let_shrink(api, spec, primary)}
    if is_promoted:
        notes |= marks.promoted(revision)
    version = primary["metadata"]["resourceVersion"]
    try:
        await api.patch(_path(spec), {"metadata": {"resourceVersion": version, "annotations": notes}})
    except ApiError as error:
        if error.status != HTTPStatus.NOT_FOUND:
            raise


async def _let_shrink(api: ClusterApi, spec: CanarySpec, primary: Object) -> dict[str, None]:
    """Let its autoscaler make a primary as small as it may be, once a promotion is over."""
    if marks.RAISED not in marks.notes(primary):
        return {}
    await copy_autoscaler(api, spec)
    return {marks.RAISED: None}


def _is_concluded_later(primary: Object, request: ConcludeRequest) -> bool:
    return request.decided_at is not None and marks.is_superseded(primary["metadata"], request.decided_at)


def _warn_unrecorded(spec: CanarySpec, revision: Revision) -> None:
    extra = {"primary": spec.primary, "promoted": revision.template}
    activity.logger.warning("the promoted template is recorded nowhere", extra=extra)


async def _forget_kept(api: ClusterApi, spec: CanarySpec, primary: Object, request: ConcludeRequest) -> None:
    """Delete the configs that a promotion kept: those it changed."""
    notes = marks.notes(primary)
    before = _remembered(primary)
    if before is None or not notes.get(marks.PROMOTING) or request.outcome is Outcome.HALTED:
        return
    now = request.revision.configs
    changed = [key for key, hash_ in before.configs.items() if now.get(key) not in (None, hash_)]
    await CopyWriter(api, spec).forget_kept(await find_copies(api, spec, changed))


async def _write(
    api: ClusterApi, spec: CanarySpec, body: Object, notes: dict[str, str], live: Object | None
) -> Object:
    """Write the primary: anew, or over what was read."""
    if live is None:
        body["metadata"]["annotations"] |= notes
        return await api.create(paths.collection(str(spec.target.kind), spec.namespace), body)
    wanted = workloads.renewed(live, body)
    wanted["metadata"]["annotations"] |= notes
    return await api.replace(_path(spec), wanted)


def _made_from(spec: CanarySpec, origin: Origin, replicas: int) -> Object:
    """The primary as it is made from *origin*."""
    if spec.target.kind is WorkloadKind.SERVICE:
        service = forwarding.primary_service(spec, origin.workload)
        service["metadata"]["annotations"][marks.REVISION] = checksum(origin.revision)
        return service
    body = workloads.primary_workload(spec, origin.workload, origin.template_of_primary())
    if spec.target.kind is WorkloadKind.DEPLOYMENT:
        body["spec"]["replicas"] = replicas
    annotations = body["spec"]["template"]["metadata"]["annotations"]
    annotations[marks.REVISION] = checksum(origin.revision)
    return body


def _is_superseded(origin: Origin, primary: Object | None, decided_at: datetime) -> bool:
    if primary is not None and marks.is_superseded(primary["metadata"], decided_at):
        return True
    return is_superseded(origin.copies, decided_at)


def _path(spec: CanarySpec) -> str:
    return paths.one(str(spec.target.kind), spec.namespace, spec.primary)


def _size(workload: Object) -> int:
    return max(int(workload["spec"].get("replicas", 1)), 1)


def _remembered(primary: Object) -> Revision | None:
    return marks.read_promoted(primary["metadata"])
