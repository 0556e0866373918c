"""Rollouts in any state, for tables of decisions."""

from datetime import UTC, datetime, timedelta
from typing import Any

from canary.analysis import Check, GateCheck, HookAnswer, Measurement
from canary.observation import Observation, Routes, Workload
from canary.situation import Situation
from canary.spec import (
    AnalysisSpec,
    CanarySpec,
    HookType,
    MetricSpec,
    ServiceSpec,
    StepPlan,
    TargetRef,
    ThresholdRange,
    WebhookSpec,
)
from canary.status import Person, Phase, Revision, RolloutStatus, Wishes
from canary.transition import begin

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
OLD = Revision(template="old")
NEW = Revision(template="new")
NEWER = Revision(template="newer")
ADA = Person(who="ada", reason="looks bad", at=NOW)
ABORT = Wishes(abort=ADA)
LEAVE = Wishes(abort=ADA, leave=ADA)
RESTART = Wishes(restart=ADA)
APPROVE = Wishes(approve=ADA)


def a_spec(**changes: Any) -> CanarySpec:
    """A canary with step 10, maximum 30, two failed checks allowed; *changes* of it and of its analysis."""
    own = {name: changes.pop(name) for name in list(changes) if name in AnalysisSpec.model_fields}
    analysis = AnalysisSpec(
        interval=timedelta(seconds=60),
        threshold=2,
        steps=StepPlan(step_weight=10, max_weight=30),
        metrics=(MetricSpec(name="request-success-rate", threshold_range=ThresholdRange(min=99)),),
    ).model_copy(update=own)
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
    gates: GateCheck | None = None,
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
        routes=seen.get("routes", routes_at(weight, is_mirrored=status.is_mirrored)),
    )
    return Situation(spec, status, observation, NOW, check, wishes or Wishes(), gates)


def routes_at(weight: int, *, is_mirrored: bool = False) -> Routes:
    """Routes with *weight* on the canary."""
    return Routes(primary=100 - weight, canary=weight, is_mirrored=is_mirrored, manager="kubectl")


def hook(type_: HookType, name: str = "") -> WebhookSpec:
    """A webhook of a type, named after it."""
    return WebhookSpec(name=name or str(type_), url="http://tester.test/", type=type_)


def answer(type_: HookType, *, passed: bool = True, message: str = "") -> HookAnswer:
    """What a webhook of a type answered."""
    return HookAnswer(hook=str(type_), type=type_, passed=passed, message=message, at=NOW)


def asked(*answers: HookAnswer, rollback: tuple[HookAnswer, ...] = ()) -> GateCheck:
    """What gates answered."""
    return GateCheck(observation=Observation(at=NOW), answers=answers, rollback=rollback)


def a_check(value: float | None = 100.0, error: str = "") -> Check:
    """A check with one measurement."""
    measurement = Measurement(metric="request-success-rate", query="q", value=value, error=error, at=NOW)
    return Check(observation=Observation(at=NOW), measurements=(measurement,))


def at_weight(weight: int, **changes: Any) -> RolloutStatus:
    """A rollout under analysis with *weight* on the canary."""
    grown = {"canary_weight": weight, "traffic_weight": weight, "exposure": weight, "has_begun": True}
    return a_status(**{**grown, "exposed_at": NOW - timedelta(minutes=9), **changes})


def in_phase(phase: Phase, weight: int = 30, **changes: Any) -> RolloutStatus:
    """A rollout past its analysis, with *weight* still on the canary."""
    return a_status(**{"phase": phase, "traffic_weight": weight, "has_begun": True, **changes})
