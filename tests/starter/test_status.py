"""Following: one line per change, and the exit code of the outcome."""

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest

from canary.status import Phase
from starter.errors import Exit, TimedOutError
from starter.names import Reference
from starter.options import Output
from starter.status import print_status, watch_status


@pytest.mark.parametrize(
    ("phase", "code"),
    [
        pytest.param(Phase.SUCCEEDED, Exit.DONE, id="promoted"),
        pytest.param(Phase.FAILED, Exit.REFUSED, id="rolled back"),
        pytest.param(Phase.INITIALIZING, Exit.DONE, id="not there yet"),
    ],
)
async def test_the_exit_code_says_how_it_stands(engine: Any, phase: Phase, code: Exit) -> None:
    spec = engine.spec(namespace=engine.namespace())
    await engine.canary(spec, engine.row(spec, phase))

    assert await print_status(engine.client, Reference("backend", spec.namespace), color=False) is code


async def test_json_holds_the_state(engine: Any, capsys: Any) -> None:
    spec = engine.spec(namespace=engine.namespace())
    await engine.canary(spec, engine.row(spec, Phase.FAILED))

    reference = Reference("backend", spec.namespace)
    assert await print_status(engine.client, reference, Output.JSON, color=False) is Exit.REFUSED
    found = json.loads(capsys.readouterr().out)
    assert (found["kind"], found["status"]["phase"]) == ("Canary", "Failed")
    assert found["status"]["isResting"] is True


async def test_watching_prints_each_change_until_the_end(engine: Any, capsys: Any) -> None:
    spec = engine.spec(namespace=engine.namespace())
    canary = await engine.canary(spec)
    rollout = await engine.rollout(spec, engine.row(spec, Phase.PROGRESSING, weight=10))
    watching = asyncio.create_task(
        watch_status(engine.client, Reference("backend", spec.namespace), None, color=False)
    )
    output = await engine.printed(capsys, "Progressing")
    await rollout.signal("show", engine.row(spec, Phase.PROGRESSING, weight=20))
    output += await engine.printed(capsys, "20 ")
    failed = engine.row(spec, Phase.FAILED, last_transition_time=engine.later(1), message="Canary failed!")
    await rollout.signal("show", failed)
    await rollout.signal("finish", "RolledBack")
    await canary.signal("show", failed)

    assert await watching is Exit.REFUSED
    output += capsys.readouterr().out
    assert [line.split()[3:5] for line in output.splitlines()[1:]] == [
        ["Progressing", "10"],
        ["Progressing", "20"],
        ["Failed", "0"],
    ]


async def test_a_rollouts_last_word_counts_until_the_canary_took_it_over(engine: Any) -> None:
    spec = engine.spec(namespace=engine.namespace())
    await engine.canary(spec)
    ended = engine.row(spec, Phase.FAILED, last_transition_time=engine.later(5))
    rollout = await engine.rollout(spec, ended)
    await rollout.signal("finish", "RolledBack")
    await engine.ended(rollout)

    with pytest.raises(TimedOutError):
        await watch_status(
            engine.client, Reference("backend", spec.namespace), timedelta(seconds=1), color=False
        )


@pytest.mark.parametrize("seconds", [0, 0.2])
async def test_a_timeout_ends_the_wait(engine: Any, seconds: float) -> None:
    spec = engine.spec(namespace=engine.namespace())
    await engine.canary(spec, engine.row(spec, Phase.INITIALIZING))

    with pytest.raises(TimedOutError, match="Not at rest within"):
        await watch_status(
            engine.client, Reference("backend", spec.namespace), timedelta(seconds=seconds), color=False
        )
