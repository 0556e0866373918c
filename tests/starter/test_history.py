"""History: every rollout and every check, from what Temporal keeps."""

import json
from pathlib import Path
from typing import Any

import pytest

from canary.status import Phase
from starter.commands import send, wish
from starter.errors import UsageError
from starter.history import Request, print_history
from starter.names import Reference
from starter.options import Output


async def finished(engine: Any, spec: Any, failure: str = "") -> Any:
    rollout = await engine.rollout(spec, engine.row(spec, Phase.PROGRESSING))
    await engine.analysed(rollout)
    await rollout.signal("finish", failure)
    await engine.ended(rollout)
    return rollout


async def show(engine: Any, spec: Any, output: Output = Output.TABLE, run: str | None = None) -> None:
    request = Request(Reference("backend", spec.namespace), Path("nowhere"), run)
    await print_history(engine.client, request, output, color=False)


async def test_lists_rollouts_newest_first(engine: Any, capsys: Any) -> None:
    spec = engine.spec(namespace=engine.namespace())
    await finished(engine, spec)
    await finished(engine, spec, "RolledBack")

    await show(engine, spec)

    lines = capsys.readouterr().out.splitlines()[1:]
    assert ["RolledBack" in line for line in lines] == [True, False]
    assert "Promoted" in lines[1]


async def test_one_rollout_shows_query_value_bound_and_verdict(engine: Any, capsys: Any) -> None:
    spec = engine.spec(namespace=engine.namespace())
    await finished(engine, spec)

    await show(engine, spec, run="1")

    output = capsys.readouterr().out
    assert "check at weight 10: Successful" in output
    assert "request-success-rate 99.5 % (min 99, 120 requests) Successful" in output
    assert "query: sum(rate(x))" in output


async def test_a_rollout_is_found_by_its_run_too(engine: Any, capsys: Any) -> None:
    spec = engine.spec(namespace=engine.namespace())
    await finished(engine, spec)
    rollout = await finished(engine, spec, "RolledBack")

    await show(engine, spec, run=rollout.result_run_id)

    output = capsys.readouterr().out
    assert "RolledBack" in output
    assert output.count("check at weight") == 1


async def test_who_took_a_hand_stands_between_the_checks(engine: Any, capsys: Any) -> None:
    spec = engine.spec(namespace=engine.namespace())
    await engine.canary(spec)
    rollout = await engine.rollout(spec, engine.row(spec, Phase.PROGRESSING))
    await send(engine.client, Reference("backend", spec.namespace), wish("abort", "ada", "too slow"))
    await rollout.signal("abort")

    await show(engine, spec, run="1")

    output = capsys.readouterr().out
    assert "abort by ada: too slow" in output
    assert "abort by unknown (signal)" in output


async def test_json_holds_the_evidence(engine: Any, capsys: Any) -> None:
    spec = engine.spec(namespace=engine.namespace())
    await finished(engine, spec)

    await show(engine, spec, Output.JSON)

    (rollout,) = json.loads(capsys.readouterr().out)["items"]
    (check,) = rollout["checks"]
    assert check["result"] == "Successful"
    assert check["metrics"][0]["bounds"] == {"min": 99, "max": None}
    assert check["metrics"][0]["value"] == 99.5


async def test_a_rollout_that_was_continued_as_new_is_one(engine: Any, capsys: Any) -> None:
    spec = engine.spec(namespace=engine.namespace())
    first = await engine.rollout(spec, engine.row(spec, Phase.PROGRESSING))
    second = await engine.continued(first)
    await second.signal("finish")
    await engine.ended(second)

    await show(engine, spec, Output.JSON)

    (rollout,) = json.loads(capsys.readouterr().out)["items"]
    began = (
        await engine.client.get_workflow_handle(first.id, run_id=first.result_run_id).describe()
    ).start_time
    assert len(rollout["checks"]) == 2
    assert rollout["started"] == began.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert rollout["run"] == second.run_id


async def test_checks_of_a_deleted_execution_are_carried_on(engine: Any, capsys: Any) -> None:
    spec = engine.spec(namespace=engine.namespace())
    first = await engine.rollout(spec, engine.row(spec, Phase.PROGRESSING))
    second = await engine.continued(first)
    await engine.forgotten(first.id, first.result_run_id)

    await show(engine, spec, Output.JSON)

    (rollout,) = json.loads(capsys.readouterr().out)["items"]
    assert [check["metrics"][0]["value"] for check in rollout["checks"]] == [99.1, 99.5]
    await second.signal("finish")


@pytest.mark.parametrize(
    ("run", "sentence"),
    [
        pytest.param("2", r"--run 2: 1 are recorded, of which 1 is the newest\.", id="number"),
        pytest.param("0", r"--run 0: 1 are recorded", id="zero"),
        pytest.param("zz", r"--run zz: names 0 rollouts; recorded are [0-9a-f-]{13}\.", id="run"),
        pytest.param("", r"--run : names 0 rollouts", id="nothing"),
    ],
)
async def test_a_rollout_that_never_was(engine: Any, run: str, sentence: str) -> None:
    spec = engine.spec(namespace=engine.namespace())
    await finished(engine, spec)

    with pytest.raises(UsageError, match=sentence):
        await show(engine, spec, run=run)


async def test_a_name_without_rollouts(engine: Any) -> None:
    spec = engine.spec(namespace=engine.namespace())

    with pytest.raises(UsageError, match=r"is recorded, neither in Temporal nor in nowhere/\."):
        await show(engine, spec)
