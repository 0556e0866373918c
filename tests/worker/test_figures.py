"""What is counted of rollouts, and what is forgotten."""

import logging
from datetime import timedelta

import pytest
from prometheus_client import CollectorRegistry

from canary.notice import Decided
from canary.spec import CanarySpec
from canary.status import Outcome
from tests.worker.rollouts import NOW, decided, spec_of
from worker.figures import Figures

PLACE = {"namespace": "webapp", "cluster": "member1"}


class Counted:
    """Figures, and what they come to."""

    def __init__(self, *decisions: Decided) -> None:
        self.registry = CollectorRegistry()
        self.figures = Figures(self.registry)
        self.tell(*decisions)

    def tell(self, *decisions: Decided) -> None:
        for one in decisions:
            record = logging.makeLogRecord({"msg": "decided", "decided": one})
            self.figures.handle(record)

    def count(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, {"name": "backend", **PLACE, **labels})

    def took(self, outcome: str) -> float | None:
        return self.count("flagger_canary_duration_seconds_sum", outcome=outcome)

    def values(self, after: float) -> dict[str, float]:
        found = self.figures.values(NOW + timedelta(seconds=after))
        return {f"{spec.target.name}/{metric}": value for spec, metric, value in found}


@pytest.mark.parametrize(
    ("outcome", "skip", "word"),
    [
        (Outcome.PROMOTED, False, "Promoted"),
        (Outcome.PROMOTED, True, "FastPromoted"),
        (Outcome.ROLLED_BACK, False, "RolledBack"),
        (Outcome.ABORTED, False, "Aborted"),
        (Outcome.ABORTED, True, "Aborted"),
        (Outcome.REVERTED, False, "Superseded"),
        (Outcome.HALTED, False, "Halted"),
    ],
)
@pytest.mark.proves("T19", "C37")
def test_a_rollouts_duration_has_its_outcome(outcome: Outcome, skip: bool, word: str) -> None:  # noqa: FBT001 — a parameter
    """Flagger's `canary_duration_seconds` is the length of one tick; ours is the rollout's.

    C37, T19: Flagger's recorder.go.
    """
    spec = spec_of(skip=skip)
    counted = Counted(decided(0, spec=spec), decided(90, spec=spec), decided(810, outcome, spec=spec))

    assert counted.took(word) == 810
    assert counted.count("flagger_canary_duration_seconds_count", outcome=word) == 1


@pytest.mark.parametrize(
    ("spec", "outcome", "counter", "strategy", "status"),
    [
        (spec_of(), Outcome.PROMOTED, "successes", "canary", "completed"),
        (spec_of(skip=True), Outcome.PROMOTED, "successes", "canary", "skipped"),
        (spec_of(iterations=2), Outcome.ROLLED_BACK, "failures", "blue-green", "completed"),
        (spec_of(iterations=2, match=({},)), Outcome.HALTED, "failures", "ab-testing", "completed"),
        (spec_of(), Outcome.ABORTED, "failures", "canary", "completed"),
    ],
)
def test_counts_successes_and_failures(
    spec: CanarySpec, outcome: Outcome, counter: str, strategy: str, status: str
) -> None:
    counted = Counted(decided(0, spec=spec), decided(9, outcome, spec=spec), decided(10, outcome, spec=spec))
    labels = {"deployment_strategy": strategy, "analysis_status": status}

    assert counted.count(f"flagger_canary_{counter}_total", **labels) == 1


def test_a_rollout_that_was_reverted_is_neither() -> None:
    counted = Counted(decided(0), decided(9, Outcome.REVERTED))
    names = {sample.name for metric in counted.registry.collect() for sample in metric.samples}

    assert not {name for name in names if "successes" in name or "failures" in name}


def test_counts_the_next_rollout_as_well() -> None:
    counted = Counted(decided(5, Outcome.PROMOTED), decided(20, Outcome.PROMOTED, started=10))

    assert counted.took("Promoted") == 5 + 10


def test_a_revision_that_another_replaces_in_mid_run_was_superseded() -> None:
    counted = Counted(decided(0), decided(40, revision="b"), decided(100, Outcome.PROMOTED, revision="b"))

    assert counted.took("Superseded") == 40
    assert counted.took("Promoted") == 60


def test_remembers_what_was_measured_in_seconds_and_percent() -> None:
    counted = Counted(decided(0, request_success_rate=99.5, request_duration=250, custom=7))

    assert counted.values(after=10) == {
        "backend/request-success-rate": 99.5,
        "backend/request-duration": 0.25,
        "backend/custom": 7,
    }


def test_a_check_without_data_takes_the_value_away() -> None:
    counted = Counted(decided(0, request_success_rate=99.5, custom=7), decided(90, custom=None))

    assert counted.values(after=100) == {}


def test_a_decision_without_a_check_leaves_the_values() -> None:
    counted = Counted(decided(0, custom=7), decided(90))

    assert counted.values(after=100) == {"backend/custom": 7}


def test_values_that_nobody_renews_are_not_told_for_ever() -> None:
    counted = Counted(decided(0, spec=spec_of(interval=timedelta(seconds=90)), custom=7))

    assert counted.values(after=3 * 90 + 59) == {"backend/custom": 7}
    assert counted.values(after=3 * 90 + 61) == {}


def test_knows_the_last_decision() -> None:
    counted = Counted(decided(0), decided(90))

    assert counted.figures.last_decision(spec_of().tail) == NOW + timedelta(seconds=90)
    assert counted.figures.last_decision("other") is None


@pytest.mark.proves("T19")
def test_forgets_every_series_of_a_canary_that_is_gone() -> None:
    """Flagger never takes the series of a deleted Canary away (T19: Flagger's recorder.go)."""
    other = spec_of("frontend")
    counted = Counted(decided(9, Outcome.PROMOTED), decided(9, Outcome.ROLLED_BACK, spec=other))
    counted.figures.forget_all_but({other.tail}, NOW + timedelta(hours=1))
    left = {sample.labels["name"] for metric in counted.registry.collect() for sample in metric.samples}

    assert left == {"frontend"}
    assert counted.figures.last_decision(spec_of().tail) is None


def test_keeps_what_visibility_does_not_know_yet() -> None:
    counted = Counted(decided(9, Outcome.PROMOTED))
    counted.figures.forget_all_but(set(), NOW + timedelta(seconds=10))

    assert counted.took("Promoted") == 9


def test_other_records_are_not_counted() -> None:
    counted = Counted()
    counted.figures.handle(logging.makeLogRecord({"msg": "decided", "decided": "not one"}))

    assert list(counted.figures.values(NOW)) == []
