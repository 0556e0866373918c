"""Waiting after an apply: first for the source, then for the canaries it brought."""

import asyncio
from typing import Any

import pytest

from canary.application import ApplicationSpec, GitSource
from canary.status import Phase
from starter import offer
from starter.errors import Exit, TimedOutError
from starter.settle import settle
from workflows.contract import ClusterProgress, Command, canary_id


async def applied(engine: Any, namespace: str) -> Any:
    source = GitSource(url="http://git/app.git", branch="master")
    spec = ApplicationSpec(namespace=namespace, name="shop", source=source, policies=())
    made = offer.of_application(spec, Command(id="one"))
    await offer.make(engine.client, made)
    return made


def progress(spec: Any, *, is_ready: bool) -> ClusterProgress:
    return ClusterProgress(
        name="shop-0-one",
        policy="shop-0",
        cluster="one",
        is_ready=is_ready,
        message="Applied" if is_ready else "The build failed",
        canary=canary_id(spec.tail),
    )


async def test_follows_the_canaries_once_the_source_is_synced(engine: Any, capsys: Any) -> None:
    spec = engine.spec(namespace=engine.namespace())
    made = await applied(engine, spec.namespace)
    application = engine.client.get_workflow_handle(made.id)
    await application.signal("progress", progress(spec, is_ready=False))
    waiting = asyncio.create_task(settle(engine.client, [made], None, color=False))
    await engine.printed(capsys, f"{made.id} The build failed")
    await engine.canary(spec, engine.row(spec, Phase.FAILED))
    await application.signal("progress", progress(spec, is_ready=True))

    assert await waiting is Exit.REFUSED
    assert "Failed" in capsys.readouterr().out


@pytest.mark.parametrize("seconds", [0, 0.3])
async def test_the_time_limit_covers_the_source_too(engine: Any, seconds: float) -> None:
    made = await applied(engine, engine.namespace())

    with pytest.raises(TimedOutError, match="it goes on"):
        await settle(engine.client, [made], engine.seconds(seconds), color=False)
