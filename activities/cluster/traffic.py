"""Moving traffic: the VirtualService's weights, fenced."""

from datetime import datetime
from enum import StrEnum
from http import HTTPStatus

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.cluster import marks, paths, routes
from activities.cluster.api import ApiError, ClusterApi, Clusters, Object
from activities.cluster.guard import guarded
from canary.observation import Routes
from canary.routing import Routing
from canary.spec import CanarySpec
from canary.stored import Stored

CONFLICTS = 5
"""So often a write is tried against a newer object before Temporal's retry takes over."""


class Written(StrEnum):
    """What became of a fenced write."""

    DONE = "Done"
    SUPERSEDED = "Superseded"
    """A later decision had already been written; nothing was changed."""


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
    async def shift_traffic(self, request: ShiftRequest) -> Written:
        """Write the routes as they are wanted.

        The write carries the moment of its decision and the object's resourceVersion: a write that hangs
        and arrives late finds a newer object, reads the later decision in it, and changes nothing.
        """
        api = await self._clusters.get(request.spec.cluster)
        path = paths.one("VirtualService", request.spec.namespace, request.spec.service.name)
        if await _write_unread(api, path, request):
            return Written.DONE
        for _ in range(CONFLICTS):
            found = await api.find(path)
            if found is None:
                found = await self._create(api, request)
            if marks.is_superseded(found["metadata"], request.decided_at):
                return Written.SUPERSEDED
            http = routes.with_weight(request.spec, found, request.routing.weight)
            if await _write(api, path, found["metadata"]["resourceVersion"], http, request):
                return Written.DONE
        raise ApplicationError(f"{path} is being changed all the time.", type="Conflict")

    async def _create(self, api: ClusterApi, request: ShiftRequest) -> Object:
        """Bring back a VirtualService that somebody deleted."""
        body = routes.virtual_service(request.spec, request.routing.weight)
        try:
            return await api.create(paths.collection("VirtualService", request.spec.namespace), body)
        except ApiError as error:
            if error.status != HTTPStatus.CONFLICT:
                raise
            return await api.get(
                paths.one("VirtualService", request.spec.namespace, request.spec.service.name)
            )


async def _write_unread(api: ClusterApi, path: str, request: ShiftRequest) -> bool:
    """Write onto the object that the decision saw, if nobody has written it since; whether that was so."""
    seen = request.seen
    if seen is None or not seen.version or (seen.decided_at and seen.decided_at > request.decided_at):
        return False
    http = routes.our_routes(request.spec, request.routing.weight)
    try:
        return await _write(api, path, seen.version, http, request)
    except ApiError as error:
        if error.status == HTTPStatus.NOT_FOUND:
            return False
        raise


async def _write(api: ClusterApi, path: str, version: str, http: list[Object], request: ShiftRequest) -> bool:
    """Write the routes onto the object of this version; whether it was still the newest."""
    body = {
        "metadata": {
            "resourceVersion": version,
            "annotations": {marks.DECIDED_AT: marks.stamp(request.decided_at)},
        },
        "spec": {"http": http},
    }
    try:
        await api.patch(path, body)
    except ApiError as error:
        if error.status == HTTPStatus.CONFLICT:
            return False
        raise
    return True
