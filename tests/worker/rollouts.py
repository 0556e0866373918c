"""Decisions to make figures of."""

from datetime import UTC, datetime, timedelta
from typing import Any

from canary.analysis import DURATION, SUCCESS_RATE, AnalysisResult, CheckRecord, Measurement, Verdict
from canary.notice import Decided
from canary.spec import AnalysisSpec, CanarySpec, MetricSpec, MetricTemplate, ServiceSpec, TargetRef
from canary.status import Outcome, Phase, Revision, RolloutStatus

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TEMPLATE = MetricTemplate(name="t", namespace="webapp", query="q")
METRICS = (
    MetricSpec(name=SUCCESS_RATE),
    MetricSpec(name=DURATION),
    MetricSpec(name="custom", template=TEMPLATE),
)


def spec_of(target: str = "backend", *, skip: bool = False, **analysis: Any) -> CanarySpec:
    """A canary whose document has another name than its target."""
    return CanarySpec(
        cluster="member1",
        namespace="webapp",
        name=f"{target}-canary",
        target=TargetRef(name=target),
        service=ServiceSpec(name=target, port=9898),
        analysis=AnalysisSpec(metrics=METRICS, **analysis),
        skip_analysis=skip,
    )


def decided(
    after: float,
    outcome: Outcome | None = None,
    *,
    started: float = 0,
    revision: str = "a",
    spec: CanarySpec | None = None,
    **values: float | None,
) -> Decided:
    """A decision *after* so many seconds, of a rollout that began after *started* seconds."""
    at = NOW + timedelta(seconds=after)
    began = NOW + timedelta(seconds=started)
    final = Phase.SUCCEEDED if outcome is Outcome.PROMOTED else Phase.FAILED
    status = RolloutStatus(
        phase=final if outcome else Phase.PROGRESSING,
        revision=Revision(template=revision),
        promoted=Revision(template="0"),
        started_at=began,
        last_transition_time=began,
        due=began,
        actuated_at=began,
        outcome=outcome,
    )
    return Decided(spec or spec_of(), status, at, _check(at, values) if values else None)


def _check(at: datetime, values: dict[str, float | None]) -> CheckRecord:
    return CheckRecord(
        at=at,
        weight=10,
        revision=Revision(template="a"),
        verdict=Verdict(result=AnalysisResult.SUCCESSFUL),
        measurements=tuple(
            Measurement(metric=name.replace("_", "-"), query="q", value=value, at=at)
            for name, value in values.items()
        ),
    )
