"""The arithmetic of a Deployment's rollout: how many replicas each of its ReplicaSets may have."""

import math
from collections.abc import Iterable

from sandbox.objects import Object

DESIRED = "deployment.kubernetes.io/desired-replicas"
MAXIMUM = "deployment.kubernetes.io/max-replicas"


def replicas_of(obj: Object) -> int:
    """Return the replicas wanted."""
    return int(obj["spec"].get("replicas", 1))


def counter(obj: Object, name: str) -> int:
    """Return a counter of the status; one that is absent is zero."""
    return int(obj.get("status", {}).get(name, 0))


def total_replicas(sets: Iterable[Object]) -> int:
    """Add up the replicas wanted."""
    return sum(replicas_of(item) for item in sets)


def total(sets: Iterable[Object], name: str) -> int:
    """Add up a counter of the status."""
    return sum(counter(item, name) for item in sets)


def active(sets: Iterable[Object]) -> list[Object]:
    """Return the ReplicaSets that are to have replicas."""
    return [item for item in sets if replicas_of(item) > 0]


def is_rolling(deployment: Object) -> bool:
    """Tell whether the strategy is RollingUpdate."""
    return bool(deployment["spec"].get("strategy", {}).get("type", "RollingUpdate") == "RollingUpdate")


def scaled_value(value: int | str, whole: int, *, up: bool) -> int:
    """Resolve a number or a percentage of `whole`."""
    if isinstance(value, int):
        return value
    exact = int(value.removesuffix("%")) * whole / 100
    return math.ceil(exact) if up else math.floor(exact)


def max_surge(deployment: Object) -> int:
    """Return how many replicas there may be beyond those wanted."""
    if not is_rolling(deployment):
        return 0
    return scaled_value(_rolling(deployment).get("maxSurge", "25%"), replicas_of(deployment), up=True)


def max_unavailable(deployment: Object) -> int:
    """Return how many of the replicas wanted may be unavailable."""
    wanted = replicas_of(deployment)
    if not is_rolling(deployment) or not wanted:
        return 0
    down = scaled_value(_rolling(deployment).get("maxUnavailable", "25%"), wanted, up=False)
    if not down and not max_surge(deployment):
        # Neither more nor fewer would be no rollout at all.
        down = 1
    return min(down, wanted)


def new_replicas(deployment: Object, sets: Iterable[Object], new: Object) -> int:
    """Return the replicas the new ReplicaSet may have beside the others."""
    wanted = replicas_of(deployment)
    if not is_rolling(deployment):
        return wanted
    room = wanted + max_surge(deployment) - total_replicas(sets)
    if room <= 0:
        return replicas_of(new)
    return replicas_of(new) + min(room, wanted - replicas_of(new))


def removable(deployment: Object, old: Iterable[Object], new: Object) -> int:
    """Return how many old replicas may go, were all of them available."""
    least = replicas_of(deployment) - max_unavailable(deployment)
    new_unavailable = replicas_of(new) - counter(new, "availableReplicas")
    return total_replicas(old) + replicas_of(new) - least - new_unavailable


def surplus(deployment: Object, sets: Iterable[Object]) -> int:
    """Return how many available replicas there are beyond those that must stay.

    The status of a ReplicaSet made smaller just now still counts pods about to go: they are no surplus.
    """
    available = sum(min(counter(item, "availableReplicas"), replicas_of(item)) for item in sets)
    return available - (replicas_of(deployment) - max_unavailable(deployment))


def proportional(deployment: Object, sets: Iterable[Object]) -> dict[str, int]:
    """Spread a change of size over ReplicaSets in mid-rollout, by name."""
    wanted = replicas_of(deployment)
    allowed = wanted + max_surge(deployment) if wanted else 0
    ordered = list(sets)
    missing = allowed - total_replicas(ordered)
    ordered.sort(key=lambda item: item["metadata"]["creationTimestamp"], reverse=missing > 0)
    ordered.sort(key=replicas_of, reverse=True)
    sizes = {}
    left = missing
    for item in ordered:
        share = _share(deployment, item, left) if left else 0
        sizes[item["metadata"]["name"]] = replicas_of(item) + share
        left -= share
    if left:
        largest = ordered[0]["metadata"]["name"]
        sizes[largest] = max(0, sizes[largest] + left)
    return sizes


def _share(deployment: Object, item: Object, left: int) -> int:
    size, wanted = replicas_of(item), replicas_of(deployment)
    if not wanted:
        return -size
    before = item["metadata"].get("annotations", {}).get(MAXIMUM) or counter(deployment, "replicas") or 1
    # Half up, as Kubernetes rounds; Python's round() takes the even neighbour.
    fraction = math.floor(size * (wanted + max_surge(deployment)) / int(before) + 0.5) - size
    return min(fraction, left) if left > 0 else max(fraction, left)


def _rolling(deployment: Object) -> Object:
    found: Object = deployment["spec"].get("strategy", {}).get("rollingUpdate") or {}
    return found
