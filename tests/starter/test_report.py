"""Reports: the evidence of rollouts as text, JSON and one page, also of those that Temporal has forgotten."""

import json
import re
from html import escape
from pathlib import Path
from typing import Any

import pytest

from canary.status import Outcome, Person, Phase
from starter.commands import command
from starter.history import Request
from starter.names import Reference
from starter.options import Form
from starter.report import print_report
from workflows.contract import Given, RolloutStart, RolloutView, Verb

HOSTILE = "<script>alert('1')</script> {{ 7 * 7 }}"


LOADS = re.compile(r"<(script|img|link|iframe)\b|\b(src|href|on\w+)=|@import|url\(")
"""What makes a browser load something or run it."""


async def report(engine: Any, spec: Any, folder: Path, form: Form, **request: Any) -> None:
    reference = Reference("backend", spec.namespace, request.pop("cluster", None))
    await print_report(engine.client, Request(reference, folder, **request), form, color=False)


async def aborted(engine: Any, spec: Any, reason: str = "too slow") -> Any:
    rollout = await engine.rollout(spec, engine.row(spec, Phase.PROGRESSING))
    await engine.analysed(rollout)
    await rollout.execute_update("abort", command("ada", reason))
    await rollout.signal("finish", "Aborted")
    await engine.ended(rollout)
    return rollout


def store(engine: Any, spec: Any, folder: Path, run: str = "0a1b2c3d", **status: Any) -> Path:
    """Write a report as a worker does."""
    start = RolloutStart(spec=spec, revision=engine.status().revision, promoted=engine.status().promoted)
    given = Given(verb=Verb.ABORT, by=Person(who="grace", reason="page", at=engine.later(60)))
    view = RolloutView(
        spec=spec, status=engine.status(**status), checks=(engine.record(start),), commands=(given,)
    )
    path = folder / spec.tail / f"20260102T030405Z-{run}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(view.model_dump_json(indent=1))
    return path


async def test_text_tells_checks_and_who_took_a_hand(engine: Any, tmp_path: Path, capsys: Any) -> None:
    spec = engine.spec(namespace=engine.namespace())
    await aborted(engine, spec)

    await report(engine, spec, tmp_path, Form.TEXT)

    output = capsys.readouterr().out
    assert "request-success-rate 99.5 % (min 99, 120 requests) Successful" in output
    assert "query: sum(rate(x))" in output
    assert "confirm-promotion lead closed 403" in output
    assert "abort by ada: too slow" in output


async def test_the_page_holds_everything_and_loads_nothing(engine: Any, tmp_path: Path, capsys: Any) -> None:
    spec = engine.spec(namespace=engine.namespace())
    await aborted(engine, spec)

    await report(engine, spec, tmp_path, Form.HTML)

    page = capsys.readouterr().out
    assert not LOADS.search(page)
    for text in (
        "Aborted",
        "check at weight 10",
        "99.5 %",
        "min 99",
        "120 requests",
        "sum(rate(x))",
        "lead closed",
        "ada",
    ):
        assert text in page


async def test_the_page_runs_nothing_that_somebody_wrote(engine: Any, tmp_path: Path, capsys: Any) -> None:
    spec = engine.spec(namespace=engine.namespace())
    await aborted(engine, spec, HOSTILE)

    await report(engine, spec, tmp_path, Form.HTML)

    page = capsys.readouterr().out
    assert not LOADS.search(page)
    assert escape(HOSTILE) in page.replace("&#34;", "&quot;").replace("&#39;", "&#x27;")


async def test_a_stored_report_outlives_temporal(engine: Any, tmp_path: Path, capsys: Any) -> None:
    spec = engine.spec(namespace=engine.namespace())
    path = store(engine, spec, tmp_path, outcome=Outcome.ABORTED, message="Aborted by grace.")

    await report(engine, spec, tmp_path, Form.JSON)

    (item,) = json.loads(capsys.readouterr().out)["items"]
    assert (item["outcome"], item["message"], item["source"]) == ("Aborted", "Aborted by grace.", str(path))
    assert item["checks"][0]["metrics"][0]["query"] == "sum(rate(kept))"
    assert [(each["verb"], each["who"]) for each in item["commands"]] == [("abort", "grace")]


@pytest.mark.parametrize("length", [8, 36])
async def test_what_temporal_holds_is_not_told_twice(
    engine: Any, tmp_path: Path, capsys: Any, length: int
) -> None:
    spec = engine.spec(namespace=engine.namespace())
    rollout = await aborted(engine, spec)
    store(engine, spec, tmp_path, rollout.result_run_id[:length])

    await report(engine, spec, tmp_path, Form.JSON)

    (item,) = json.loads(capsys.readouterr().out)["items"]
    assert item["source"] == "Temporal"


async def test_one_run_of_both_is_chosen(engine: Any, tmp_path: Path, capsys: Any) -> None:
    spec = engine.spec(namespace=engine.namespace())
    await aborted(engine, spec)
    store(engine, spec, tmp_path, "0a1b2c3d")

    await report(engine, spec, tmp_path, Form.JSON, run="0a1b")

    assert [item["run"] for item in json.loads(capsys.readouterr().out)["items"]] == ["0a1b2c3d"]


async def test_another_cluster_namespace_or_name_is_not_meant(
    engine: Any, tmp_path: Path, capsys: Any
) -> None:
    spec = engine.spec(namespace=engine.namespace())
    store(engine, spec, tmp_path)
    store(engine, engine.spec(namespace=spec.namespace, name="frontend"), tmp_path)
    store(engine, engine.spec(namespace="other"), tmp_path)
    store(engine, engine.spec(namespace=spec.namespace, cluster="two"), tmp_path)

    await report(engine, spec, tmp_path, Form.JSON, cluster="one")

    items = json.loads(capsys.readouterr().out)["items"]
    assert [(item["cluster"], item["namespace"], item["name"]) for item in items] == [
        ("one", spec.namespace, "backend")
    ]


async def test_a_broken_report_is_named_and_hides_no_other(engine: Any, tmp_path: Path, capsys: Any) -> None:
    spec = engine.spec(namespace=engine.namespace())
    broken = store(engine, spec, tmp_path, "broken00")
    broken.write_text('{"spec": 1}')
    store(engine, spec, tmp_path)

    await report(engine, spec, tmp_path, Form.JSON)

    ended = capsys.readouterr()
    assert len(json.loads(ended.out)["items"]) == 1
    assert ended.err.startswith(f"warning: {broken}: not a report of a rollout (")
