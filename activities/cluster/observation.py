"""Looking at a canary: its two workloads and its routes, as they stand."""

import asyncio
from datetime import UTC, datetime
from typing import Any, NamedTuple

from temporalio import activity

from activities.cluster import configs, forwarding, marks, paths, services
from activities.cluster.api import ClusterApi, Object
from activities.cluster.clusters import Clusters
from activities.cluster.daemons import without_ending_pods
from activities.cluster.guard import guarded
from activities.cluster.pods import are_starting, refusal_of, trouble_of
from activities.cluster.routes import read_routes
from activities.cluster.workloads import unlike
from activities.moment import temporals_clock
from canary.observation import Observation, Workload
from canary.revision import template_hash
from canary.spec import CanarySpec, WorkloadKind
from canary.status import Revision
from canary.stored import Stored


class RestingCanary(Stored):
    """A canary without a rollout, and what it has rolled out."""

    spec: CanarySpec
    known: tuple[Revision, ...] = ()
    """A target that runs something else is about to be rolled out, whatever its Services do."""
    are_services_asked: bool = False
    """Whether one of its Services has changed: else the apex alone is looked at."""


class ObservationActivities:
    """Reads a canary's objects; nothing is written."""

    def __init__(self, clusters: Clusters) -> None:
        self._clusters = clusters

    @activity.defn
    @guarded
    async def observe(self, spec: CanarySpec) -> Observation:
        """Read the target with its configs, the primary, and the VirtualService."""
        return await self._read(spec, has_routes=True)

    @activity.defn
    @guarded
    async def observe_at_rest(self, resting: RestingCanary) -> Observation:
        """Read the same, and the apex or all Services of a canary that goes on resting."""
        spec = resting.spec
        seen = await self._read(spec, has_routes=True)
        is_own_apex = spec.target.kind is WorkloadKind.SERVICE
        if is_own_apex or seen.target is None or seen.target.revision not in resting.known:
            return seen
        api = await self._clusters.get(spec.cluster)
        names = spec.service.names if resting.are_services_asked else (spec.service.name,)
        found = await asyncio.gather(
            *(api.find(paths.one("Service", spec.namespace, name)) for name in names)
        )
        return seen.model_copy(update={"is_misled": not all(map(services.is_led_by_us, found))})

    @activity.defn
    @guarded
    async def observe_workloads(self, spec: CanarySpec) -> Observation:
        """Read all but the VirtualService, for whoever has just written it and would hear of a change."""
        return await self._read(spec, has_routes=False)

    async def _read(self, spec: CanarySpec, *, has_routes: bool) -> Observation:
        clock = temporals_clock()
        api = await self._clusters.get(spec.cluster)
        kind = spec.target.kind
        routed = paths.one("VirtualService", spec.namespace, spec.service.name)
        target, primary, routes = await asyncio.gather(
            api.find(paths.one(kind, spec.namespace, spec.target.name)),
            api.find(paths.one(kind, spec.namespace, spec.primary)),
            api.find(routed) if has_routes else asyncio.sleep(0),
        )
        seen = await observed(api, spec, Read(target, primary, routes), has_routes=has_routes)
        return seen.model_copy(update={"found_at": clock()})


class Read(NamedTuple):
    """The objects of a canary as they were read."""

    target: Object | None
    primary: Object | None
    routes: Object | None


async def observed(api: ClusterApi, spec: CanarySpec, read: Read, *, has_routes: bool = True) -> Observation:
    """Make an observation of what was read, with the configs of the target, and what ails unready pods."""
    # Evidence of when the cluster was asked; it decides about nothing but whether pods are asked as well.
    at = datetime.now(UTC)  # noqa: TID251 — see above
    routes = None if read.routes is None else read_routes(spec, read.routes)
    seen = Observation(at=at, routes=routes, has_routes=has_routes)
    if spec.target.kind is WorkloadKind.SERVICE:
        return await _with_services(api, spec, seen, read.target, read.primary)
    sides = {
        "target": read.target and await _read_target(api, spec, read.target, at),
        "primary": read.primary
        and await _explained(api, read_primary(spec.target.kind, read.primary), read.primary, at),
    }
    if read.target and read.primary and sides["target"]:
        unfit = unlike(read.target, read.primary)
        sides["target"] = sides["target"].model_copy(update={"unfit": unfit})
    return seen.model_copy(update=sides)


async def _with_services(
    api: ClusterApi, spec: CanarySpec, seen: Observation, target: Object | None, primary: Object | None
) -> Observation:
    """Read two Services by the endpoints they lead to."""
    before, after = await asyncio.gather(
        api.find(paths.one("Endpoints", spec.namespace, spec.primary)),
        api.find(paths.one("Endpoints", spec.namespace, spec.target.name)),
    )
    if target is not None:
        revision = revision_of(forwarding.as_workload(spec, target), {})
        workload = forwarding.read_service(target, after).model_copy(update={"revision": revision})
        seen = seen.model_copy(update={"target": workload})
    if primary is not None:
        workload = forwarding.read_service(primary, before).model_copy(update=_remembered(primary))
        seen = seen.model_copy(update={"primary": workload})
    return seen


async def _read_target(api: ClusterApi, spec: CanarySpec, target: Object, at: datetime) -> Workload:
    template = (target.get("spec") or {}).get("template") or {}
    tracked = await configs.read_configs(api, spec.namespace, template)
    workload = await _explained(api, read_workload(spec.target.kind, target), target, at)
    workload = await without_ending_pods(api, spec, workload)
    return workload.model_copy(update={"revision": revision_of(target, configs.hashes(tracked))})


async def _explained(api: ClusterApi, workload: Workload, found: Object, at: datetime) -> Workload:
    """Say why a workload does not get ready; only pods that do not are asked, and cost a request."""
    if refusal := refusal_of(found):
        return workload.model_copy(update={"trouble": refusal})
    if not workload.desired or workload.ready >= workload.replicas or are_starting(found, at):
        return workload
    return workload.model_copy(update={"trouble": await trouble_of(api, found)})


def revision_of(target: Object, config_hashes: dict[str, str]) -> Revision:
    """What a target runs; a DaemonSet's scale-to-zero selector and what says nothing are no part of it."""
    return Revision(
        template=template_hash((target.get("spec") or {}).get("template") or {}), configs=config_hashes
    )


def read_workload(kind: WorkloadKind, found: Object) -> Workload:
    """Read a workload's counters; absent ones are zero."""
    metadata, spec, status = found["metadata"], found.get("spec") or {}, found.get("status") or {}
    common = {
        "name": metadata["name"],
        "uid": metadata.get("uid", ""),
        "generation": metadata.get("generation", 0),
        "is_observed": status.get("observedGeneration", 0) >= metadata.get("generation", 0),
    }
    if kind is WorkloadKind.DAEMON_SET:
        return Workload(
            **common,
            desired=status.get("desiredNumberScheduled", 0),
            updated=status.get("updatedNumberScheduled", 0),
            replicas=status.get("currentNumberScheduled", 0),
            available=status.get("numberAvailable", 0),
            ready=status.get("numberReady", 0),
        )
    return Workload(
        **common,
        desired=spec.get("replicas", 1),
        updated=status.get("updatedReplicas", 0),
        replicas=status.get("replicas", 0),
        available=status.get("availableReplicas", 0),
        ready=status.get("readyReplicas", 0),
        has_exceeded_deadline=_exceeded(status),
        is_paused=bool(spec.get("paused")) and marks.PAUSED not in marks.notes(found),
    )


def read_primary(kind: WorkloadKind, found: Object) -> Workload:
    """Read the primary, with what it was last promoted to; what cannot be read of that is nothing."""
    return read_workload(kind, found).model_copy(update=_remembered(found))


def _remembered(primary: Object) -> dict[str, Any]:
    notes = marks.notes(primary)
    return {
        "revision": marks.read_promoted(primary["metadata"]) or Revision(template=""),
        "promoting": notes.get(marks.PROMOTING, ""),
        "outcome": notes.get(marks.OUTCOME, ""),
        "last_applied": notes.get(marks.LAST_APPLIED, ""),
    }


def _exceeded(status: dict[str, Any]) -> bool:
    return any(
        condition.get("type") == "Progressing" and condition.get("reason") == "ProgressDeadlineExceeded"
        for condition in status.get("conditions") or []
    )
