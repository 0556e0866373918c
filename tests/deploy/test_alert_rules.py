"""The alert rules: as Prometheus reads them, over what workers really serve."""

import re
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from ruamel.yaml import YAML

from canary.status import Phase
from sandbox.metrics.labels import labels_of
from sandbox.metrics.promql import engine
from sandbox.metrics.tsdb import Tsdb
from tests.deploy.conftest import ROOT
from tests.worker.rollouts import NOW
from tests.worker.visibility import Shown, standing
from worker.gauges import Standing

RULES: list[dict[str, Any]] = [
    rule
    for group in YAML(typ="safe").load((ROOT / "deploy/alerts.yaml").read_text())["groups"]
    for rule in group["rules"]
]
GONE = ["CanaryEngineGone"]
UNDER_WAY = standing(Phase.PROGRESSING, is_rollout=True)


async def fired(worker: Sequence[Standing] | None, *, after: timedelta, is_up: bool = True) -> list[str]:
    """Give the alerts whose condition holds, a while after the rollouts last decided something."""
    db = Tsdb()
    at = round((NOW + after).timestamp() * 1000)
    if worker is not None:
        shown = Shown(*worker)
        await shown.scrape()
        if not is_up:
            shown.error = TimeoutError()
            await shown.scrape(after=after.total_seconds())
        _keep(db, shown.registry, at)
    return [rule["alert"] for rule in RULES if engine.instant(rule["expr"], db, at).value]


def _keep(db: Tsdb, registry: CollectorRegistry, at: int) -> None:
    for metric in registry.collect():
        for sample in metric.samples:
            db.append(
                labels_of({"__name__": sample.name, "instance": "w", **sample.labels}), at, sample.value
            )


@pytest.mark.parametrize(
    ("worker", "minutes", "expected"),
    [
        pytest.param(None, 1, GONE, id="no worker"),
        pytest.param([], 1, [], id="no canary"),
        pytest.param([standing(Phase.SUCCEEDED)], 60, [], id="idle"),
        pytest.param([UNDER_WAY], 14, [], id="decides in time"),
        pytest.param([UNDER_WAY], 16, ["CanaryRolloutUndecided"], id="does not decide"),
        pytest.param([standing(Phase.WAITING, is_rollout=True)], 60, [], id="waits for a person"),
        pytest.param([standing(Phase.FAILED)], 1, ["CanaryFailed"], id="rolled back"),
        pytest.param(
            [standing(Phase.FAILED, traffic_weight=100)],
            1,
            ["CanaryPersonNeeded", "CanaryFailed"],
            id="promotion failed",
        ),
        pytest.param(
            [standing(Phase.PROMOTING, is_rollout=True, needs_person=True)],
            1,
            ["CanaryPersonNeeded"],
            id="holds and asks",
        ),
    ],
)
async def test_fires_when_it_must(
    worker: Sequence[Standing] | None, minutes: float, expected: list[str]
) -> None:
    assert await fired(worker, after=timedelta(minutes=minutes)) == expected


async def test_fires_while_temporal_is_away() -> None:
    assert await fired([], after=timedelta(minutes=1), is_up=False) == ["CanaryTemporalAway"]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule["alert"]))
def test_says_who_is_called_and_what_to_do(rule: dict[str, Any]) -> None:
    allowed = {"alert", "expr", "for", "labels", "annotations"}
    texts = rule["annotations"]

    assert set(rule) <= allowed
    assert re.fullmatch(r"\d+[smh]", rule.get("for", "0s"))
    assert rule["labels"]["severity"] in ("critical", "warning")
    assert set(texts) == {"summary", "description"}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule["alert"]))
def test_names_only_labels_that_are_there(rule: dict[str, Any]) -> None:
    kept = re.findall(r"by \(([^)]*)\)", rule["expr"])
    known = {label.strip() for labels in kept for label in labels.split(",")}
    named = set(re.findall(r"\$labels\.(\w+)", str(rule["annotations"])))

    assert named <= known


def test_every_page_that_is_named_is_there() -> None:
    pages = re.findall(r"docs/[\w-]+\.md", str(RULES))

    assert [page for page in pages if not (ROOT / page).is_file()] == []
