"""Commands: answered by a worker, else recorded for one."""

from typing import Any

import pytest

from canary.status import Phase
from starter.commands import NO_WORKER, person, send, wish
from starter.errors import RefusedError
from starter.names import Reference
from workflows.contract import Command, canary_id, rollout_id


async def received(engine: Any, workflow: str) -> list[Command]:
    commands: list[Command] = await engine.client.get_workflow_handle(workflow).query(
        "commands", result_type=list[Command]
    )
    return commands


async def test_abort_goes_to_the_running_rollout(engine: Any, capsys: Any) -> None:
    spec = engine.spec(namespace=engine.namespace())
    await engine.canary(spec)
    await engine.rollout(spec, engine.row(spec, Phase.PROGRESSING))

    await send(engine.client, Reference("backend", spec.namespace), wish("abort", "ada", "too slow"))

    (command,) = await received(engine, rollout_id(spec.tail))
    assert (command.who, command.reason) == ("ada", "too slow")
    assert capsys.readouterr().out == "abort accepted\n"


async def test_abort_goes_to_the_canary_where_no_rollout_runs(engine: Any) -> None:
    spec = engine.spec(namespace=engine.namespace())
    await engine.canary(spec)

    await send(engine.client, Reference("backend", spec.namespace), wish("abort", "ada", ""))

    assert len(await received(engine, canary_id(spec.tail))) == 1


async def test_a_finished_rollout_is_passed_over(engine: Any) -> None:
    spec = engine.spec(namespace=engine.namespace())
    await engine.canary(spec)
    rollout = await engine.rollout(spec, engine.row(spec, Phase.SUCCEEDED))
    await rollout.signal("finish")
    await rollout.result()

    await send(engine.client, Reference("backend", spec.namespace), wish("abort", "ada", ""))

    assert len(await received(engine, canary_id(spec.tail))) == 1


async def test_a_refusal_is_an_error_with_the_engines_sentence(engine: Any) -> None:
    spec = engine.spec(namespace=engine.namespace())
    await engine.canary(spec)

    with pytest.raises(RefusedError, match=r"Promotion is over; use rollback\."):
        await send(engine.client, Reference("backend", spec.namespace), wish("abort", "ada", "too late"))


async def test_approve_goes_to_the_running_rollout(engine: Any, capsys: Any) -> None:
    spec = engine.spec(namespace=engine.namespace())
    await engine.canary(spec)
    await engine.rollout(spec, engine.row(spec, Phase.WAITING))

    await send(engine.client, Reference("backend", spec.namespace), wish("approve", "ada", "looks fine"))

    (command,) = await received(engine, rollout_id(spec.tail))
    assert (command.who, command.reason) == ("ada", "looks fine")
    assert capsys.readouterr().out == "approve accepted\n"


async def test_a_canary_without_a_rollout_has_no_gate_to_approve(engine: Any) -> None:
    spec = engine.spec(namespace=engine.namespace())
    await engine.canary(spec)

    with pytest.raises(RefusedError, match=r"no rollout is running, so no gate waits\."):
        await send(engine.client, Reference("backend", spec.namespace), wish("approve", "ada", ""))
    assert await received(engine, canary_id(spec.tail)) == []


async def test_a_name_in_two_namespaces_means_the_one_that_was_given(engine: Any) -> None:
    here, there = (engine.spec(namespace=engine.namespace()) for _ in range(2))
    for spec in (here, there):
        await engine.canary(spec)
        await engine.rollout(spec, engine.row(spec, Phase.PROGRESSING))

    await send(engine.client, Reference("backend", there.namespace), wish("abort", "ada", ""))

    assert len(await received(engine, rollout_id(there.tail))) == 1
    assert await received(engine, rollout_id(here.tail)) == []


async def test_without_a_worker_the_same_command_becomes_a_signal(idle: Any, capsys: Any) -> None:
    spec = idle.spec(namespace=idle.namespace())
    canary = await idle.canary(spec)
    wanted = wish("abort", "ada", "at night")

    await send(idle.client, Reference("backend", spec.namespace), wanted)

    signals = [
        event.workflow_execution_signaled_event_attributes
        async for event in canary.fetch_history_events()
        if event.HasField("workflow_execution_signaled_event_attributes")
    ]
    (decoded,) = await idle.client.data_converter.decode(signals[0].input.payloads, [Command])
    assert decoded == wanted.command
    assert capsys.readouterr().out == f"abort {NO_WORKER}\n"


def test_who_is_the_option_then_the_variable_then_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANARY_USER", "grace")

    assert person("ada") == "ada"
    assert person(None) == "grace"
    monkeypatch.delenv("CANARY_USER")
    monkeypatch.setenv("LOGNAME", "root")
    assert person(None) == "root"
