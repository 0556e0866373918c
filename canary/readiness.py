"""Whether a workload is ready: what exposure may grow on."""

from datetime import datetime, timedelta
from enum import Enum, auto

from canary.observation import Workload
from canary.stored import Stored


class Readiness(Enum):
    """Ready, not ready yet, or past hope."""

    READY = auto()
    WAITING = auto()
    FAILED = auto()


class ReadinessVerdict(Stored):
    """A workload's readiness and the reason for it."""

    readiness: Readiness
    message: str = ""

    @property
    def is_ready(self) -> bool:
        """Whether exposure may grow on it."""
        return self.readiness is Readiness.READY

    @property
    def has_failed(self) -> bool:
        """Whether its deadline has passed."""
        return self.readiness is Readiness.FAILED


def judge_readiness(
    workload: Workload | None,
    threshold: int,
    deadline: timedelta,
    unready_since: datetime | None,
    now: datetime,
) -> ReadinessVerdict:
    """Say whether *workload* is ready, by Flagger's rules in their order (its `deployment_ready.go`).

    Args:
        workload: what was seen of it; None if it is not there.
        threshold: the percentage of updated pods that must be available.
        deadline: how long it may be unready; Flagger's `progressDeadlineSeconds`.
        unready_since: since when it has been unready without a break, None if it was ready before.
        now: the moment of the judgement.
    """
    if workload is None:
        return ReadinessVerdict(readiness=Readiness.WAITING, message="it is not there")
    if workload.has_exceeded_deadline and workload.is_observed:
        message = f"{workload.name} exceeded its progress deadline{_because(workload)}"
        return ReadinessVerdict(readiness=Readiness.FAILED, message=message)
    waiting = _waits_for(workload, threshold)
    if not waiting:
        return ReadinessVerdict(readiness=Readiness.READY)
    if unready_since is not None and now - unready_since >= deadline:
        message = f"{waiting}; not ready for {deadline.total_seconds():.0f} s{_because(workload)}"
        return ReadinessVerdict(readiness=Readiness.FAILED, message=message)
    return ReadinessVerdict(readiness=Readiness.WAITING, message=f"{waiting}{_because(workload)}")


def _because(workload: Workload) -> str:
    return f": {workload.trouble}" if workload.trouble else ""


def _waits_for(workload: Workload, threshold: int) -> str:
    if workload.unfit:
        return workload.unfit
    prefix = "waiting for rollout to finish:"
    if not workload.is_observed:
        return f"{prefix} observed deployment generation less than desired generation"
    if workload.updated < workload.desired:
        return f"{prefix} {workload.updated} out of {workload.desired} new replicas have been updated"
    if workload.replicas > workload.updated:
        return f"{prefix} {workload.replicas - workload.updated} old replicas are pending termination"
    if workload.available < workload.updated * threshold // 100:
        return (
            f"{prefix} {workload.available} of {workload.updated} (readyThreshold {threshold}%) "
            "updated replicas are available"
        )
    return ""
