"""Rollouts in any state, for tables of decisions."""

from datetime import UTC, datetime, timedelta
from typing import Any

from canary.analysis import Check, Measurement
from canary.observation import Observation, Routes, Workload
from canary.situation import Situation
from canary.spec import AnalysisSpec, CanarySpec, MetricSpec, ServiceSpec, StepPlan, TargetRef, ThresholdRange
from canary.status import Person, Phase, Revision, RolloutStatus, Wishes
from canary.transition import begin

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
OLD = Revision(template="old")
NEW = Revision(template="new")
NEWER = Revision(template="newer")
ADA = Person(who="ada", reason="looks bad", at=NOW)
ABORT = Wishes(abort=ADA)
RESTART = Wishes(restart=ADA)


def a_spec(**changes: Any) -> CanarySpec:
    """A canary with step 10, maximum 30, two failed checks allowed."""
    steps = changes.pop("steps", StepPlan(step_weight=10, max_weight=30))
    analysis = AnalysisSpec(
        interval=timedelta(seconds=60),
        threshold=changes.pop("threshold", 2),
        steps=steps,
        metrics=(MetricSpec(name="request-success-rate", threshold_range=ThresholdRange(min=99)),),
    )
    spec = CanarySpec(
        cluster="member1",
        namespace="test",
        name="podinfo",
        target=TargetRef(name="podinfo"),
        service=ServiceSpec(name="podinfo", port=9898),
        analysis=analysis,
    )
    return spec.model_copy(update=changes)


def a_workload(name: str = "podinfo", size: int = 2, ready: int | None = None, **changes: Any) -> Workload:
    """A workload of *size* pods, all ready unless said otherwise."""
    up = size if ready is None else ready
    workload = Workload(
        name=name, revision=NEW, desired=size, updated=size, replicas=size, available=up, ready=up
    )
    return workload.model_copy(update=changes)


def a_primary(size: int = 2, ready: int | None = None, **changes: Any) -> Workload:
    """The primary, at the old revision."""
    return a_workload("podinfo-primary", size, ready, revision=OLD, **changes)


def a_status(spec: CanarySpec | None = None, **changes: Any) -> RolloutStatus:
    """A rollout in mid-analysis whose tick is due now."""
    status = begin(spec or a_spec(), NEW, OLD, 2, NOW - timedelta(seconds=60))
    return status.model_copy(update={"canary_unready_since": None, **changes})


def a_case(
    spec: CanarySpec | None = None,
    status: RolloutStatus | None = None,
    check: Check | None = None,
    wishes: Wishes | None = None,
    **seen: Any,
) -> Situation:
    """A situation in which all is well and the routes are as the status says."""
    spec = spec or a_spec()
    status = status or a_status(spec)
    weight = status.traffic_weight
    observation = Observation(
        at=NOW,
        target=seen.get("target", a_workload()),
        primary=seen.get("primary", a_primary()),
        routes=seen.get("routes", Routes(primary=100 - weight, canary=weight, manager="kubectl")),
    )
    return Situation(spec, status, observation, NOW, check, wishes or Wishes())


def a_check(value: float | None = 100.0, error: str = "") -> Check:
    """A check with one measurement."""
    measurement = Measurement(metric="request-success-rate", query="q", value=value, error=error, at=NOW)
    return Check(observation=Observation(at=NOW), measurements=(measurement,))


def at_weight(weight: int, **changes: Any) -> RolloutStatus:
    """A rollout under analysis with *weight* on the canary."""
    return a_status(**{"canary_weight": weight, "traffic_weight": weight, **changes})


def in_phase(phase: Phase, weight: int = 30, **changes: Any) -> RolloutStatus:
    """A rollout past its analysis, with *weight* still on the canary."""
    return a_status(**{"phase": phase, "traffic_weight": weight, **changes})
