"""A Deployment's status: its counters, and the conditions that tell how a rollout goes."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sandbox.controllers.conditions import condition_of, remove_condition, set_condition
from sandbox.controllers.pods import format_time, parse_time, utc_now
from sandbox.controllers.rollout import counter, max_unavailable, replicas_of, total, total_replicas
from sandbox.objects import Object

# The largest int32 says "no deadline".
NO_DEADLINE = 2**31 - 1
AVAILABLE, PROGRESSING, FAILURE = "Available", "Progressing", "ReplicaFailure"
PAUSED, RESUMED = "DeploymentPaused", "DeploymentResumed"
FOUND, CREATED, CREATE_FAILED = "FoundNewReplicaSet", "NewReplicaSetCreated", "ReplicaSetCreateError"
UPDATED, COMPLETE, TIMED_OUT = "ReplicaSetUpdated", "NewReplicaSetAvailable", "ProgressDeadlineExceeded"


def condition(kind: str, status: str, reason: str, message: str, now: datetime) -> Object:
    """Make a condition of a Deployment."""
    time = format_time(now)
    return {
        "type": kind,
        "status": status,
        "lastUpdateTime": time,
        "lastTransitionTime": time,
        "reason": reason,
        "message": message,
    }


def note(deployment: Object, state: str, reason: str, text: str) -> bool:
    """Say in the Deployment's own status how its rollout goes; False if nobody watches its progress."""
    if has_deadline(deployment):
        set_condition(deployment["status"], condition(PROGRESSING, state, reason, text, utc_now()))
    return has_deadline(deployment)


def has_deadline(deployment: Object) -> bool:
    """Tell whether progress is watched at all."""
    return bool(deployment["spec"].get("progressDeadlineSeconds", NO_DEADLINE) != NO_DEADLINE)


def status_of(deployment: Object, sets: Sequence[Object], new: Object | None, now: datetime) -> Object:
    """Count the ReplicaSets and judge availability; counters that are zero are left out."""
    available = total(sets, "availableReplicas")
    counters = {
        "observedGeneration": deployment["metadata"]["generation"],
        "replicas": total(sets, "replicas"),
        "updatedReplicas": counter(new, "replicas") if new else 0,
        "readyReplicas": total(sets, "readyReplicas"),
        "availableReplicas": available,
        "unavailableReplicas": max(0, total_replicas(sets) - available),
        "collisionCount": counter(deployment, "collisionCount"),
    }
    status: Object = {name: value for name, value in counters.items() if value}
    status["terminatingReplicas"] = total(sets, "terminatingReplicas")
    status["conditions"] = [dict(item) for item in deployment.get("status", {}).get("conditions", [])]
    if available >= replicas_of(deployment) - max_unavailable(deployment):
        fresh = (AVAILABLE, "True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
    else:
        text = "Deployment does not have minimum availability."
        fresh = (AVAILABLE, "False", "MinimumReplicasUnavailable", text)
    set_condition(status, condition(*fresh, now))
    return status


def is_complete(deployment: Object, status: Object) -> bool:
    """Tell whether every replica is new and available."""
    wanted = replicas_of(deployment)
    names = ("updatedReplicas", "replicas", "availableReplicas")
    is_seen = status.get("observedGeneration", 0) >= deployment["metadata"]["generation"]
    return is_seen and all(status.get(name, 0) == wanted for name in names)


def judge_progress(deployment: Object, status: Object, new: Object | None, now: datetime) -> None:
    """Say in `status` how the rollout goes, compared with the Deployment's present status."""
    if not has_deadline(deployment):
        remove_condition(status, PROGRESSING)
        return
    current = condition_of(deployment.get("status", {}), PROGRESSING)
    is_resync = status.get("replicas", 0) == status.get("updatedReplicas", 0)
    if is_resync and current and current["reason"] == COMPLETE:
        return
    subject = (
        f'ReplicaSet "{new["metadata"]["name"]}"' if new else f'Deployment "{deployment["metadata"]["name"]}"'
    )
    if is_complete(deployment, status):
        text = f"{subject} has successfully progressed."
        set_condition(status, condition(PROGRESSING, "True", COMPLETE, text, now))
    elif _has_moved(deployment.get("status", {}), status):
        fresh = condition(PROGRESSING, "True", UPDATED, f"{subject} is progressing.", now)
        if current and current["status"] == "True":
            fresh["lastTransitionTime"] = current["lastTransitionTime"]
        # With the same reason too: the time of the last progress is what the deadline counts from.
        remove_condition(status, PROGRESSING)
        set_condition(status, fresh)
    elif _is_timed_out(deployment, current, now):
        text = f"{subject} has timed out progressing."
        set_condition(status, condition(PROGRESSING, "False", TIMED_OUT, text, now))


def seconds_to_deadline(deployment: Object, status: Object, now: datetime) -> float | None:
    """Return when to look again for a rollout that is stuck, None if there is nothing to wait for."""
    current = condition_of(deployment.get("status", {}), PROGRESSING)
    if not has_deadline(deployment) or not current:
        return None
    if is_complete(deployment, status) or current["reason"] == TIMED_OUT:
        return None
    # Times are kept in whole seconds: only a second later has the deadline passed for certain.
    return max(0.0, (_deadline(deployment, current) - now).total_seconds()) + 1.0


def _has_moved(old: Object, new: Object) -> bool:
    def outdated(status: Object) -> int:
        return int(status.get("replicas", 0) - status.get("updatedReplicas", 0))

    grown = ("updatedReplicas", "readyReplicas", "availableReplicas")
    return outdated(new) < outdated(old) or any(new.get(name, 0) > old.get(name, 0) for name in grown)


def _is_timed_out(deployment: Object, current: Object | None, now: datetime) -> bool:
    if not current or current["reason"] == COMPLETE:
        return False
    return bool(current["reason"] == TIMED_OUT) or _deadline(deployment, current) < now


def _deadline(deployment: Object, current: Object) -> datetime:
    allowed = timedelta(seconds=deployment["spec"]["progressDeadlineSeconds"])
    return parse_time(current["lastUpdateTime"]) + allowed
