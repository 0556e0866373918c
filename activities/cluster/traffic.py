"""Moving traffic: the VirtualService's weights, fenced."""

from datetime import datetime
from enum import StrEnum
from http import HTTPStatus

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.cluster import adoption, marks, paths, routes, services, virtualservice
from activities.cluster.api import ClusterApi, Object
from activities.cluster.clusters import Clusters
from activities.cluster.errors import ApiError
from activities.cluster.guard import CONFLICTS, guarded
from canary.observation import Routes, is_outdated
from canary.routing import Routing
from canary.spec import CanarySpec
from canary.stored import Stored


class Written(StrEnum):
    """What became of a fenced write."""

    DONE = "Done"
    SUPERSEDED = "Superseded"
    """A later decision had already been written; nothing was changed."""
    NOT_SERVING = "NotServing"
    """The side that the traffic has gone to does not serve; nothing was changed."""
    UNPAUSED = "Unpaused"
    """Done, but a newer template would still get pods: not all of them are of the present one yet."""
    OUTDATED = "Outdated"
    """It stands on what was seen before the engine was away; nothing was changed."""


class Shifted(Stored):
    """What became of a write of routes, and the routes as they were read back from it."""

    written: Written
    routes: Routes | None = None
    """None where a later decision stands."""


class ShiftRequest(Stored):
    """What the routes shall say, and when that was decided."""

    spec: CanarySpec
    routing: Routing
    decided_at: datetime
    seen: Routes | None = None
    """The routes as the decision saw them: if they still stand they need not be read again."""


class TrafficActivities:
    """Writes the routes of a canary."""

    def __init__(self, clusters: Clusters) -> None:
        self._clusters = clusters

    @activity.defn
    @guarded
    async def shift_traffic(self, request: ShiftRequest) -> Shifted:
        """Write the routes as they are wanted, and read back what stands.

        The write carries the moment of its decision and the object's resourceVersion: a write that hangs
        and arrives late finds a newer object, reads the later decision in it, and changes nothing.
        """
        spec = request.spec
        api = await self._clusters.get(spec.cluster)
        path = paths.one("VirtualService", spec.namespace, spec.service.name)
        if _is_late(request):
            return await _answer_late(api, path, request)
        if stored := await _write_unread(api, path, request):
            return _done(spec, stored)
        for _ in range(CONFLICTS):
            found = await api.find(path)
            if found is None:
                if stored := await _create(api, request):
                    return _done(spec, stored)
                continue
            if marks.is_superseded(found["metadata"], request.decided_at):
                return Shifted(written=Written.SUPERSEDED)
            if stored := await _write(api, path, _shift(request, found)):
                return _done(spec, stored)
        text = (
            f"VirtualService {spec.service.name} in namespace {spec.namespace} is being changed all the time."
        )
        raise ApplicationError(text, type="Conflict")


def _is_late(request: ShiftRequest) -> bool:
    """Whether nobody was there to write it: the side that is to get traffic may have stopped serving since.

    More for the canary is not written late either where it was refused for so long. The way back is, else
    whoever refuses it would never be told of.
    """
    info = activity.info()
    since = request.decided_at if _grows(request) else info.current_attempt_scheduled_time
    return is_outdated(since, info.started_time)


async def _answer_late(api: ClusterApi, path: str, request: ShiftRequest) -> Shifted:
    """Answer without writing.

    More for the canary may stand already, written by a worker that died before it could say so: looked at
    anew it would be taken for somebody else's and put back. Traffic that went back is looked at all the same,
    for what serves now decides what is scaled down.
    """
    found = await api.find(path) if _grows(request) else None
    if found and marks.read_stamp(found["metadata"]) == request.decided_at:
        return _done(request.spec, found)
    return Shifted(written=Written.OUTDATED)


def _grows(request: ShiftRequest) -> bool:
    return request.routing.weight > (request.seen.canary if request.seen else 0)


def _done(spec: CanarySpec, stored: Object) -> Shifted:
    return Shifted(written=Written.DONE, routes=routes.read_routes(spec, stored))


async def _write_unread(api: ClusterApi, path: str, request: ShiftRequest) -> Object | None:
    """Write onto the object that the decision saw; None if somebody has written it since."""
    seen = request.seen
    if seen is None or not seen.version or (seen.decided_at and seen.decided_at > request.decided_at):
        return None
    changes = routes.changes(request.spec, request.routing, None)
    metadata = {"resourceVersion": seen.version, "annotations": _fence(request)}
    return await _write(api, path, {"metadata": metadata, "spec": changes})


def _shift(request: ShiftRequest, found: Object) -> Object:
    """The patch of a live VirtualService; one that somebody made anew is taken over again."""
    spec = request.spec
    before = routes.foreign_spec(spec, found)
    metadata = adoption.taken_over(spec, found, before, {"annotations": _fence(request)})
    return {"metadata": metadata, "spec": routes.changes(spec, request.routing, found)}


def _fence(request: ShiftRequest) -> dict[str, str]:
    return {
        marks.DECIDED_AT: marks.stamp(request.decided_at),
        marks.GENERATED: routes.fingerprint(request.spec),
    }


async def _create(api: ClusterApi, request: ShiftRequest) -> Object | None:
    """Bring back a VirtualService that somebody deleted; None if somebody else did so first."""
    spec = request.spec
    target = await api.find(paths.one(spec.target.kind, spec.namespace, spec.target.name))
    labels = services.own_labels(spec, target) if target else {}
    body = virtualservice.virtual_service(spec, request.routing, labels)
    body["metadata"]["annotations"] |= _fence(request)
    try:
        return await api.create(paths.collection("VirtualService", spec.namespace), body)
    except ApiError as error:
        if error.status == HTTPStatus.CONFLICT:
            return None
        raise


async def _write(api: ClusterApi, path: str, body: Object) -> Object | None:
    """Patch the object of the version in *body*; None if it is gone or no longer the newest."""
    try:
        return await api.patch(path, body)
    except ApiError as error:
        if error.status in (HTTPStatus.CONFLICT, HTTPStatus.NOT_FOUND):
            return None
        raise
