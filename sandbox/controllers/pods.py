"""What controllers ask about a pod: is it active, ready, available, ending."""

from datetime import UTC, datetime

from sandbox.controllers.conditions import condition_of
from sandbox.objects import Object, is_ending

FINAL_PHASES = ("Succeeded", "Failed")


def is_terminating(pod: Object) -> bool:
    """Tell whether the pod is on its way out."""
    return is_ending(pod) and not is_finished(pod)


def is_finished(pod: Object) -> bool:
    """Tell whether the pod has run to its end."""
    return pod.get("status", {}).get("phase") in FINAL_PHASES


def is_active(pod: Object) -> bool:
    """Tell whether the pod counts as a replica."""
    return not is_finished(pod) and not is_ending(pod)


def ready_since(pod: Object) -> datetime | None:
    """Return when the pod became ready, None if it is not."""
    ready = condition_of(pod.get("status", {}), "Ready")
    return parse_time(ready["lastTransitionTime"]) if ready and ready["status"] == "True" else None


def is_available(pod: Object, min_ready_seconds: int, now: datetime) -> bool:
    """Tell whether the pod has been ready for long enough."""
    since = ready_since(pod)
    return since is not None and (now - since).total_seconds() >= min_ready_seconds


def parse_time(text: str) -> datetime:
    """Read a time as Kubernetes writes it."""
    return datetime.fromisoformat(text)


def format_time(time: datetime) -> str:
    """Write a time as Kubernetes does: whole seconds, UTC."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def utc_now() -> datetime:
    """Return the present time."""
    return datetime.now(UTC)
