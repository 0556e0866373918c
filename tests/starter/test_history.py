"""History: every rollout and every check, from what Temporal keeps."""

import json
from typing import Any

import pytest

from canary.status import Phase
from starter.commands import send, wish
from starter.errors import UsageError
from starter.history import print_history, print_one
from starter.names import Reference
from starter.options import Output


async def finished(engine: Any, spec: Any, failure: str = "") -> None:
    rollout = await engine.rollout(spec, engine.row(spec, Phase.PROGRESSING))
    await engine.analysed(rollout)
    await rollout.signal("finish", failure)
    await engine.ended(rollout)


async def test_lists_rollouts_newest_first(engine: Any, capsys: Any) -> None:
    spec = engine.spec(namespace=engine.namespace())
    await finished(engine, spec)
    await finished(engine, spec, "RolledBack")

    await print_history(engine.client, Reference("backend", spec.namespace), Output.TABLE, color=False)

    lines = capsys.readouterr().out.splitlines()[1:]
    assert ["RolledBack" in line for line in lines] == [True, False]
    assert "Promoted" in lines[1]


async def test_one_rollout_shows_query_value_bound_and_verdict(engine: Any, capsys: Any) -> None:
    spec = engine.spec(namespace=engine.namespace())
    await finished(engine, spec)

    await print_one(engine.client, Reference("backend", spec.namespace), 1, color=False)

    output = capsys.readouterr().out
    assert "check at weight 10: Successful" in output
    assert "request-success-rate 99.5 % (min 99, 120 requests) Successful" in output
    assert "query: sum(rate(x))" in output


async def test_who_took_a_hand_stands_between_the_checks(engine: Any, capsys: Any) -> None:
    spec = engine.spec(namespace=engine.namespace())
    await engine.canary(spec)
    rollout = await engine.rollout(spec, engine.row(spec, Phase.PROGRESSING))
    await send(engine.client, Reference("backend", spec.namespace), wish("abort", "ada", "too slow"))
    await rollout.signal("abort")

    await print_one(engine.client, Reference("backend", spec.namespace), 1, color=False)

    output = capsys.readouterr().out
    assert "abort by ada: too slow" in output
    assert "abort by unknown (signal)" in output


async def test_json_holds_the_evidence(engine: Any, capsys: Any) -> None:
    spec = engine.spec(namespace=engine.namespace())
    await finished(engine, spec)

    await print_history(engine.client, Reference("backend", spec.namespace), Output.JSON, color=False)

    (rollout,) = json.loads(capsys.readouterr().out)["items"]
    (check,) = rollout["checks"]
    assert check["result"] == "Successful"
    assert check["metrics"][0]["bounds"] == {"min": 99, "max": None}
    assert check["metrics"][0]["value"] == 99.5


async def test_a_rollout_that_never_was(engine: Any) -> None:
    spec = engine.spec(namespace=engine.namespace())
    await finished(engine, spec)

    with pytest.raises(UsageError, match=r"--rollout 2: backend in namespace .* has 1\."):
        await print_one(engine.client, Reference("backend", spec.namespace), 2, color=False)
