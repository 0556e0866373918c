"""Figures of rollouts as they decide: what is counted, and what was seen last.

A rollout tells of each decision by a log record, as it announces (worker/herald.py): no event of its history.
Counters begin anew with each worker, as Prometheus expects of them.
"""

import logging
import threading
from collections.abc import Collection, Iterator
from datetime import datetime, timedelta

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics

from canary.analysis import DURATION
from canary.notice import Decided
from canary.spec import CanarySpec
from canary.status import Outcome

BUCKETS = (30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 28800)
"""Seconds that a rollout takes, from half a minute to eight hours."""
SUPERSEDED = "Superseded"
OUTCOMES = {
    Outcome.PROMOTED: "Promoted",
    Outcome.ROLLED_BACK: "RolledBack",
    Outcome.ABORTED: "Aborted",
    Outcome.REVERTED: SUPERSEDED,
    Outcome.HALTED: "Halted",
}
"""Argo's words; a promotion that stands still half-way has none there."""
FAST = "FastPromoted"
"""Promoted without an analysis."""
FAILURES = (Outcome.ROLLED_BACK, Outcome.ABORTED, Outcome.HALTED)
FRESH = timedelta(minutes=1)
"""So much longer than three intervals a value is told; then another worker has the rollout, or it is over."""

_LABELS = ("name", "namespace", "cluster")


class Figures(logging.Handler):
    """Hears decisions, counts how rollouts end, and remembers the last decision of each."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__()
        disable_created_metrics()  # type: ignore[no-untyped-call]
        strategy = (*_LABELS, "deployment_strategy", "analysis_status")
        self._successes = Counter(
            "flagger_canary_successes", "Rollouts that were promoted.", strategy, registry=registry
        )
        self._failures = Counter(
            "flagger_canary_failures", "Rollouts that were not promoted.", strategy, registry=registry
        )
        self._durations = Histogram(
            "flagger_canary_duration_seconds",
            "How long a revision was rolled out, from its beginning to its outcome.",
            (*_LABELS, "outcome"),
            buckets=BUCKETS,
            registry=registry,
        )
        self._guard = threading.Lock()
        self._last: dict[str, Decided] = {}
        self._values: dict[str, dict[str, float]] = {}
        self._begun: dict[str, datetime] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Take a decision over from the thread in which its workflow runs."""
        decided = getattr(record, "decided", None)
        if isinstance(decided, Decided):
            with self._guard:
                self._note(decided)

    def last_decision(self, tail: str) -> datetime | None:
        """When a rollout last decided something, as far as this worker knows."""
        with self._guard:
            return self._last[tail].at if tail in self._last else None

    def values(self, now: datetime) -> Iterator[tuple[CanarySpec, str, float]]:
        """Every metric's value of the last check, by the name of the metric; old ones are not told."""
        with self._guard:
            fresh = [last for last in self._last.values() if _is_fresh(last, now)]
            found = [(last.spec, self._values.get(last.spec.tail, {})) for last in fresh]
        for spec, values in found:
            for metric, value in values.items():
                yield spec, metric, value

    def forget_all_but(self, tails: Collection[str], now: datetime) -> None:
        """Drop every series of canaries that are gone."""
        with self._guard:
            for tail, last in list(self._last.items()):
                if tail not in tails and not _is_fresh(last, now):
                    self._forget(tail)

    def _note(self, decided: Decided) -> None:
        tail, status = decided.spec.tail, decided.status
        before = self._last.get(tail)
        is_same = before is not None and before.status.started_at == status.started_at
        if before is None or not is_same:
            self._begun[tail] = status.started_at
        elif before.status.revision != status.revision:
            self._observe(decided, SUPERSEDED)
            self._begun[tail] = decided.at
        if decided.check is not None:
            self._values[tail] = _values(decided)
        has_ended = is_same and before is not None and before.status.outcome is not None
        if status.phase.is_final and status.outcome is not None and not has_ended:
            self._end(decided, status.outcome)
        self._last[tail] = decided

    def _end(self, decided: Decided, outcome: Outcome) -> None:
        is_skipped = decided.spec.skip_analysis
        is_fast = is_skipped and outcome is Outcome.PROMOTED
        self._observe(decided, FAST if is_fast else OUTCOMES[outcome])
        labels = (decided.spec.analysis.strategy, "skipped" if is_skipped else "completed")
        if outcome is Outcome.PROMOTED:
            self._successes.labels(*_identity(decided.spec), *labels).inc()
        elif outcome in FAILURES:
            self._failures.labels(*_identity(decided.spec), *labels).inc()

    def _observe(self, decided: Decided, outcome: str) -> None:
        took = decided.at - self._begun[decided.spec.tail]
        self._durations.labels(*_identity(decided.spec), outcome).observe(took.total_seconds())

    def _forget(self, tail: str) -> None:
        series = dict(zip(_LABELS, _identity(self._last[tail].spec), strict=True))
        for metric in (self._successes, self._failures, self._durations):
            metric.remove_by_labels(series)
        for known in (self._last, self._values, self._begun):
            known.pop(tail, None)


def _identity(spec: CanarySpec) -> tuple[str, str, str]:
    """The labels every series has; the name is the target's, as Flagger's is."""
    return spec.target.name, spec.namespace, spec.cluster


def _is_fresh(decided: Decided, now: datetime) -> bool:
    return now - decided.at < 3 * decided.spec.analysis.interval + FRESH


def _values(decided: Decided) -> dict[str, float]:
    """What the check measured; a duration in seconds, as Flagger tells it."""
    if decided.check is None:
        return {}
    built_in = {metric.name for metric in decided.spec.analysis.metrics if metric.template is None}
    return {
        found.metric: found.value / 1000 if found.metric == DURATION and DURATION in built_in else found.value
        for found in decided.check.measurements
        if found.value is not None
    }
