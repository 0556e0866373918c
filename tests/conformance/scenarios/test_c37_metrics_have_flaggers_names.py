"""C37: Prometheus metrics have Flagger's names and labels."""

from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.conformance.case import Case
from tests.conformance.chorus import together
from tests.conformance.waiting import until
from tests.conformance.workload import BETTER, NAME
from tests.conformance.world import World

SEEN_WITHIN = 20.0
"""Seconds; a worker asks Temporal for all canaries every five."""


@pytest.mark.proves("C37", "T19")
@pytest.mark.conformance
@together
async def test_a_rollout_is_seen_in_flaggers_metrics_until_its_canary_is_gone(world: World) -> None:
    """Status, weights and outcome under Flagger's names; and unlike Flagger's they end with their canary.

    C37, T19: Flagger's recorder.go.
    """
    case = Case(world, "kurator-member1", "metrics")
    await case.deploy()
    await case.initialise(interval="8s", stepWeight=50)
    name = {"name": NAME}

    await _becomes(case, "flagger_canary_status", 1, **name)
    await case.release(BETTER)
    run = await case.rollout_begins()
    await case.weight_is(50)
    await _becomes(case, "flagger_canary_weight", 50, workload=NAME)
    await _becomes(case, "flagger_canary_weight", 50, workload=f"{NAME}-primary")
    await _becomes(case, "flagger_canary_status", 0, **name)
    ended = await case.rollout_ends(run)
    await _becomes(case, "flagger_canary_status", 1, **name)
    await _becomes(case, "flagger_canary_successes_total", 1, **name, analysis_status="completed")
    await case.delete()
    await _becomes(case, "flagger_canary_status", None, **name)

    assert ended.outcome == "Promoted"


async def _becomes(case: Case, metric: str, value: float | None, **labels: str) -> None:
    """Wait until the worker tells one value for the case's namespace and these labels; None: no series."""
    wanted = {"namespace": case.namespace, **labels}

    async def told() -> dict[str, Any] | None:
        text = await case.world.metrics()
        samples = [one for family in text_string_to_metric_families(text) for one in family.samples]
        values = [one.value for one in samples if one.name == metric and wanted.items() <= one.labels.items()]
        is_told = values == ([] if value is None else [value])
        return {metric: values} if text and is_told else None

    await until(told, SEEN_WITHIN, f"{metric} of {wanted} is {value}")
