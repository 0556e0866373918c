"""How canaries stand, as their gauges tell it."""

import asyncio
from datetime import datetime, timedelta

import pytest
from temporalio.service import RPCError, RPCStatusCode

from canary.status import Phase
from tests.worker.rollouts import NOW
from tests.worker.visibility import PLACE, Shown, standing
from worker.gauges import Standing

BACKEND = {"name": "backend", **PLACE}
LAST_DECISION = "canary_last_decision_timestamp_seconds"


@pytest.mark.parametrize(
    ("phase", "status"),
    [
        (Phase.INITIALIZING, 0),
        (Phase.INITIALIZED, 1),
        (Phase.WAITING, 0),
        (Phase.PROGRESSING, 0),
        (Phase.WAITING_PROMOTION, 0),
        (Phase.PROMOTING, 0),
        (Phase.FINALISING, 0),
        (Phase.SUCCEEDED, 1),
        (Phase.FAILED, 2),
        (Phase.TERMINATING, 0),
    ],
)
@pytest.mark.proves("T19")
async def test_the_status_is_zero_for_whatever_is_under_way(phase: Phase, status: int) -> None:  # T19
    """Flagger's `canary_status` says 1, as for success, while a canary waits or is promoted.

    T19: Flagger's recorder.go.
    """
    shown = Shown(standing(phase))
    await shown.scrape()

    assert shown.value("flagger_canary_status", **BACKEND) == status


async def test_a_running_rollout_speaks_for_its_canary() -> None:
    shown = Shown(
        standing(Phase.SUCCEEDED),
        standing(Phase.PROGRESSING, is_rollout=True, traffic_weight=30),
        standing(Phase.INITIALIZED, target="frontend"),
    )
    await shown.scrape()

    assert shown.value("flagger_canary_status", **BACKEND) == 0
    assert shown.value("flagger_canary_weight", workload="backend", **PLACE) == 30
    assert shown.value("flagger_canary_weight", workload="backend-primary", **PLACE) == 70
    assert shown.value("flagger_canary_weight", workload="frontend-primary", **PLACE) == 100
    assert shown.value("flagger_canary_total", **PLACE) == 2


@pytest.mark.proves("C37")
async def test_says_what_it_is() -> None:
    """Flagger's `canary_info` and `canary_status`, by their names and labels (C37: Flagger's recorder.go)."""
    shown = Shown()
    (info,) = [metric for metric in shown.registry.collect() if metric.name == "flagger_info"]

    assert info.samples[0].labels["mesh_provider"] == "istio"
    assert info.samples[0].value == 1


@pytest.mark.proves("T19")
async def test_a_canary_that_is_gone_vanishes() -> None:  # T19
    """Flagger's gauges of a deleted Canary stay as they were (T19: Flagger's recorder.go)."""
    shown = Shown(standing(Phase.SUCCEEDED))
    await shown.scrape()
    shown.found = ()
    await shown.scrape(after=10)
    left = {sample.name for metric in shown.registry.collect() for sample in metric.samples}

    assert left == {"flagger_info", "canary_visibility_up"}


@pytest.mark.parametrize(
    ("one", "needed"),
    [
        pytest.param(standing(Phase.PROGRESSING, is_rollout=True), 0, id="goes on"),
        pytest.param(standing(Phase.PROMOTING, is_rollout=True, needs_person=True), 1, id="says so"),
        pytest.param(standing(Phase.FAILED), 0, id="failed, users on the primary"),
        pytest.param(standing(Phase.FAILED, traffic_weight=100), 1, id="failed, users on the canary"),
    ],
)
async def test_tells_where_a_person_is_needed(one: Standing, needed: int) -> None:
    shown = Shown(one)
    await shown.scrape()

    assert shown.value("canary_person_needed", **BACKEND) == needed


async def test_the_last_decision_is_told_of_running_rollouts_only() -> None:
    shown = Shown(standing(Phase.SUCCEEDED))
    await shown.scrape()

    assert shown.value(LAST_DECISION, **BACKEND, phase="Succeeded") is None


@pytest.mark.parametrize(
    ("transition", "has_decided", "expected"),
    [
        pytest.param(None, False, 0, id="nothing known but its start"),
        pytest.param(NOW + timedelta(seconds=20), False, 20, id="when its phase began"),
        pytest.param(NOW + timedelta(seconds=20), True, 30, id="seen by this worker"),
        pytest.param(NOW + timedelta(seconds=40), True, 40, id="another worker has it"),
    ],
)
async def test_the_last_decision_is_the_latest_that_is_known(
    transition: datetime | None,
    has_decided: bool,  # noqa: FBT001 — a parameter
    expected: float,
) -> None:
    shown = Shown(standing(Phase.PROGRESSING, is_rollout=True, last_transition_time=transition))
    if has_decided:
        shown.tell()
    await shown.scrape()
    told = shown.value(LAST_DECISION, **BACKEND, phase="Progressing")

    assert told == (NOW + timedelta(seconds=expected)).timestamp()


async def test_tells_what_was_measured() -> None:
    shown = Shown(standing(Phase.PROGRESSING, is_rollout=True))
    shown.tell(request_duration=250)
    await shown.scrape(after=60)

    assert shown.value("flagger_canary_metric_analysis", **BACKEND, metric="request-duration") == 0.25


async def test_visibility_is_not_asked_at_every_scrape() -> None:
    shown = Shown()
    for after in (0, 1, 4, 6, 7):
        await shown.scrape(after=after)

    assert shown.asked == 2


@pytest.mark.parametrize("error", [TimeoutError(), RPCError("away", RPCStatusCode.UNAVAILABLE, b"")])
async def test_while_temporal_is_away_the_last_answer_stands(error: Exception) -> None:
    shown = Shown(standing(Phase.FAILED))
    await shown.scrape()
    assert shown.value("canary_visibility_up") == 1
    shown.error = error
    await shown.scrape(after=10)

    assert shown.value("canary_visibility_up") == 0
    assert shown.value("flagger_canary_status", **BACKEND) == 2


async def test_two_scrapes_at_once_ask_once() -> None:
    shown = Shown()
    await asyncio.gather(shown.scrape(), shown.scrape())

    assert shown.asked == 1
