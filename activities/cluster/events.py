"""Kubernetes Events about a canary's target, as `kubectl describe` and `kubectl get events` show them.

Best effort, as Events are everywhere: the record that lasts is the history of the rollout's workflow.
"""

import logging
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus

from activities.cluster.api import ClusterApi, Object
from activities.cluster.clusters import Clusters
from activities.cluster.errors import ApiError
from activities.cluster.paths import collection, one
from canary.notice import Announcement
from canary.spec import CanarySpec, WorkloadKind

COMPONENT = "durable-canary"
"""Who says so, as `kubectl describe` has it in its column From."""
_REMEMBERED = 4096
_LONGEST_MESSAGE = 1024
"""What the newer of the two Event APIs allows."""
_KNOWN_FOR = timedelta(minutes=10)
"""A target that is made anew under the same name has another uid."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Key:
    """What makes an Event the same as one before, as client-go sees it."""

    cluster: str
    namespace: str
    kind: str
    name: str
    uid: str
    type: str
    reason: str
    message: str


@dataclass(frozen=True)
class _Seen:
    name: str
    count: int


class Events:
    """Writes Events; one that repeats is counted, not written anew."""

    def __init__(self, clusters: Clusters) -> None:
        self._clusters = clusters
        self._seen: OrderedDict[_Key, _Seen] = OrderedDict()
        self._uids: dict[str, tuple[str, datetime]] = {}
        self._refused: set[str] = set()

    async def tell(self, announcement: Announcement) -> None:
        """Write an Event; that it is forbidden is logged once for each cluster."""
        cluster = announcement.spec.cluster
        try:
            await self._write(await self._clusters.get(cluster), announcement)
        except ApiError as error:
            if error.status != HTTPStatus.FORBIDDEN:
                raise
            if cluster not in self._refused:
                self._refused.add(cluster)
                logger.warning("events are refused", extra={"cluster": cluster, "cause": str(error)})

    async def _write(self, api: ClusterApi, announcement: Announcement) -> None:
        key = await self._key(api, announcement)
        seen = self._seen.get(key)
        if seen is not None and await _count(api, key, seen, announcement.at):
            seen = _Seen(seen.name, seen.count + 1)
        else:
            created = await api.create(collection("Event", key.namespace), _event(key, announcement.at))
            seen = _Seen(created["metadata"]["name"], 1)
        self._seen[key] = seen
        self._seen.move_to_end(key)
        if len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)

    async def _key(self, api: ClusterApi, announcement: Announcement) -> _Key:
        spec, notice = announcement.spec, announcement.notice
        return _Key(
            cluster=spec.cluster,
            namespace=spec.namespace,
            kind=spec.target.kind,
            name=spec.target.name,
            uid=announcement.uid or await self._uid(api, spec, announcement.at),
            type=notice.type,
            reason=notice.reason,
            message=notice.message[:_LONGEST_MESSAGE],
        )

    async def _uid(self, api: ClusterApi, spec: CanarySpec, now: datetime) -> str:
        """Ask for the target's uid, without which no Event shows in `kubectl describe`."""
        uid, asked = self._uids.get(spec.tail, ("", now))
        if uid and now - asked < _KNOWN_FOR:
            return uid
        found = await api.find(one(spec.target.kind, spec.namespace, spec.target.name))
        if found is None:
            return ""
        self._uids[spec.tail] = (str(found["metadata"]["uid"]), now)
        return self._uids[spec.tail][0]


async def _count(api: ClusterApi, key: _Key, seen: _Seen, now: datetime) -> bool:
    """Count an Event once more; not, where it is forgotten: an API server keeps Events for an hour."""
    change = {"count": seen.count + 1, "lastTimestamp": _time(now)}
    try:
        await api.patch(one("Event", key.namespace, seen.name), change)
    except ApiError as error:
        if error.status == HTTPStatus.NOT_FOUND:
            return False
        raise
    return True


def _event(key: _Key, now: datetime) -> Object:
    involved = {
        "apiVersion": "v1" if key.kind == WorkloadKind.SERVICE else "apps/v1",
        "kind": key.kind,
        "namespace": key.namespace,
        "name": key.name,
    }
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"generateName": f"{key.name}.", "namespace": key.namespace},
        "involvedObject": involved | ({"uid": key.uid} if key.uid else {}),
        "type": key.type,
        "reason": key.reason,
        "message": key.message,
        "source": {"component": COMPONENT},
        "reportingComponent": COMPONENT,
        "reportingInstance": "",
        "firstTimestamp": _time(now),
        "lastTimestamp": _time(now),
        "count": 1,
    }


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
