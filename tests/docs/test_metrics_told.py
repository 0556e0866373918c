"""Every metric that a worker serves is told, and none that it does not."""

import re

import pytest
from prometheus_client import CollectorRegistry

from canary.status import Outcome, Phase
from tests.docs.pages import ROOT
from tests.worker.visibility import Shown, standing
from worker.figures import FAST, OUTCOMES, Figures

PAGE = (ROOT / "docs/operations.md").read_text()


def told() -> set[str]:
    rows = [line.split("|")[1] for line in PAGE.splitlines() if line.startswith("| `")]
    return {name for row in rows for name in re.findall(r"`((?:flagger|canary)_\w+)`", row)}


async def served() -> set[str]:
    shown = Shown(standing(Phase.PROGRESSING, is_rollout=True))
    shown.tell(request_duration=250)
    await shown.scrape()
    registry = CollectorRegistry()
    Figures(registry)
    counted = {f"{one.name}_total" if one.type == "counter" else one.name for one in registry.collect()}
    return counted | {one.name for one in shown.registry.collect()}


@pytest.mark.proves("C37")
async def test_every_metric_is_told_and_no_other() -> None:
    """Dashboards of Flagger's users go by its names and labels (C37: Flagger's recorder.go)."""
    assert told() == await served()


def test_every_outcome_is_told() -> None:
    assert set(OUTCOMES) == set(Outcome)
    assert [word for word in (FAST, *OUTCOMES.values()) if word not in PAGE] == []
