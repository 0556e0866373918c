"""Deleting: the way out is asked for, and waited for."""

from typing import Any

import pytest

from starter.delete import Request, delete
from starter.errors import RefusedError, TimedOutError, UnreachableError, UsageError
from starter.get import Wanted
from starter.listing import Scope
from starter.lists import Kind
from starter.options import Output


def wanted(spec: Any, name: str = "backend") -> Wanted:
    return Wanted(Kind.CANARY, name, Scope(spec.namespace), Output.TABLE)


async def test_waits_for_the_way_out_and_tells_its_end(engine: Any, capsys: Any) -> None:
    spec = engine.spec(namespace=engine.namespace())
    canary = await engine.canary(spec)

    await delete(engine.client, [wanted(spec)], Request(who="ada"))

    await canary.result()
    assert capsys.readouterr().out.splitlines() == [f"{canary.id} is being deleted", "deleted for ada"]


async def test_asks_again_where_the_way_out_goes_on_in_a_new_history(engine: Any, capsys: Any) -> None:
    spec = engine.spec(namespace=engine.namespace(), name="lasting")
    canary = await engine.canary(spec)

    await delete(engine.client, [wanted(spec, "lasting")], Request(who="ada"))

    assert capsys.readouterr().out.splitlines() == [f"{canary.id} is being deleted", "deleted for ada"]


@pytest.mark.parametrize("seconds", [0, 0.3])
async def test_goes_on_when_nobody_waits_any_longer(engine: Any, seconds: float) -> None:
    spec = engine.spec(namespace=engine.namespace(), name="slow")
    await engine.canary(spec)

    with pytest.raises(TimedOutError, match="it goes on"):
        await delete(engine.client, [wanted(spec, "slow")], Request(limit=engine.seconds(seconds)))


async def test_a_refusal_is_told_and_nothing_else(engine: Any, capsys: Any) -> None:
    spec = engine.spec(namespace=engine.namespace())
    await engine.canary(spec)

    with pytest.raises(RefusedError, match="An Application owns it"):
        await delete(engine.client, [wanted(spec)], Request(who="refused"))

    assert capsys.readouterr().out == ""


async def test_without_a_worker_nothing_is_asked(idle: Any) -> None:
    spec = idle.spec(namespace=idle.namespace())
    await idle.canary(spec)

    with pytest.raises(UnreachableError, match="No worker is running, so nothing was deleted; start one"):
        await delete(idle.client, [wanted(spec)], Request())


async def test_a_list_is_not_deleted(engine: Any) -> None:
    with pytest.raises(UsageError, match="Say what to delete"):
        await delete(engine.client, [Wanted(Kind.CANARY, None, Scope("webapp"), Output.TABLE)], Request())
