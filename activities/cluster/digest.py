"""What a watch compares of an object, so that neither our own writes nor mere counters ring a bell."""

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

from activities.cluster.api import Object
from activities.cluster.foreign import is_by_us_alone
from activities.cluster.marks import DECIDED_AT
from activities.cluster.observation import read_workload
from activities.cluster.services import is_led_by_us
from canary.readiness import judge_readiness
from canary.revision import SCALE_TO_ZERO, template_hash
from canary.spec import WorkloadKind

_WORKLOADS = frozenset({WorkloadKind.DEPLOYMENT, WorkloadKind.DAEMON_SET})
METADATA_ONLY = frozenset({"ConfigMap", "Secret"})
"""Kinds whose content is none of the watch's business: a new version is all it sees."""
_ANY_MOMENT = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Digest:
    """One object, as far as a change of it concerns a canary."""

    uid: str
    wanted: str
    """What somebody writes: the template and the size of a workload, the spec of a route."""
    fence: str
    """When the decision was made that wrote it, if we wrote it."""
    health: tuple[bool, ...] = ()
    """Of a workload: serving, past its deadline."""
    is_at_zero: bool = False
    """Of a workload: no pods are wanted, so that it is no news how those that are left do."""
    is_ready: bool = True
    is_rising: bool = False
    """Of a workload: scaled up from zero, and not ready since."""
    is_settled: bool = True
    """Whether a workload's controller has seen its spec: before, unready says only that it was written."""
    is_ours: bool = False
    """Whether nobody but us has written it; of a Service, whether it leads where we led it."""


def digest(kind: str, found: Object) -> Digest:
    """Take what counts out of an object."""
    metadata = found["metadata"]
    fence = (metadata.get("annotations") or {}).get(DECIDED_AT, "")
    if kind in METADATA_ONLY:
        return Digest(metadata["uid"], metadata["resourceVersion"], fence="")
    if kind not in _WORKLOADS:
        is_ours = is_led_by_us(found) if kind == "Service" else is_by_us_alone(found)
        return Digest(metadata["uid"], _hash(found.get("spec")), fence, is_ours=is_ours)
    workload = read_workload(WorkloadKind(kind), found)
    # Asked without a deadline, readiness depends on no moment.
    readiness = judge_readiness(workload, 100, timedelta(0), None, _ANY_MOMENT)
    health = (workload.is_serving, readiness.has_failed)
    wanted = _wanted(found.get("spec") or {})
    return Digest(
        metadata["uid"],
        wanted,
        fence,
        health,
        is_at_zero=workload.desired == 0,
        is_ready=readiness.is_ready,
        is_settled=workload.is_observed,
        is_ours=is_by_us_alone(found),
    )


def concerns(before: Digest | None, after: Digest | None, *, is_gap: bool = False) -> bool:
    """Whether a change from one digest to the next is to be rung for; None is an object that is not there.

    In a gap there may have been several: that the last fence is ours says nothing of who wrote after it.
    """
    if before is None or after is None:
        return before is not after and not is_own_work(after)
    if before.uid != after.uid:
        return True
    if not after.is_at_zero and _has_turned(before, after):
        return True
    # A fence that is gone or older came with what was written before: `kubectl rollout undo` and `replace`.
    is_fenced = after.fence > before.fence and not is_gap
    is_written_by_us = is_fenced or (after.is_ours and (is_gap or not before.is_ours))
    return before.wanted != after.wanted and not is_written_by_us


def is_own_work(found: Digest | None) -> bool:
    """Whether it is no news that an object is there: we made it, and pods that it may have are not ready."""
    return found is not None and found.is_ours and not (found.health and found.is_ready)


def carried(before: Digest | None, after: Digest | None) -> Digest | None:
    """What is to be remembered of a change.

    A workload that was written is as ready as it was until its controller has seen that; one that was scaled
    up from zero is awaited by whoever did so.
    """
    if before is None or after is None:
        return after
    is_ready = after.is_ready if after.is_settled else before.is_ready and not before.is_at_zero
    is_rising = (before.is_at_zero or before.is_rising) and not after.is_at_zero and not is_ready
    return replace(after, is_ready=is_ready, is_rising=is_rising)


def _has_turned(before: Digest, after: Digest) -> bool:
    """Whether a workload does better or worse by itself, rather than for having been written."""
    is_getting_up = before.is_rising and before.health <= after.health and not after.health[1]
    if before.health != after.health and not is_getting_up:
        return True
    if after.is_ready:
        return not before.is_ready and not before.is_rising
    return before.is_ready and before.is_settled and after.is_settled


def _wanted(spec: dict[str, Any]) -> str:
    template = spec.get("template") or {}
    is_scaled_to_zero = SCALE_TO_ZERO in ((template.get("spec") or {}).get("nodeSelector") or {})
    return f"{template_hash(template)} {spec.get('replicas')} {is_scaled_to_zero}"


def _hash(value: Any) -> str:
    return sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
