import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import aiohttp
import pytest

from sandbox.apiserver.server import ApiServer
from sandbox.apiserver.store import HISTORY
from sandbox.client import ApiError, KubeClient

MAPS = "/api/v1/namespaces/default/configmaps"


@pytest.fixture
async def server() -> AsyncIterator[ApiServer]:
    server = await ApiServer.start()
    yield server
    await server.stop()


@pytest.fixture
async def client(server: ApiServer) -> AsyncIterator[KubeClient]:
    async with KubeClient(server.url) as client:
        yield client


async def events(client: KubeClient, **query: str) -> list[dict[str, Any]]:
    return [event async for event in client.watch(MAPS, timeoutSeconds="1", **query)]


async def test_a_version_that_is_forgotten_is_410(server: ApiServer, client: KubeClient) -> None:
    first = await client.create(MAPS, {"metadata": {"name": "a"}})
    stored = server.store.get(("", "configmaps"), "default", "a")
    assert stored
    for _ in range(HISTORY + 1):
        stored = server.store.put(("", "configmaps"), stored)

    (error,) = await events(client, resourceVersion=first["metadata"]["resourceVersion"])
    recent = await events(client, resourceVersion=str(int(stored["metadata"]["resourceVersion"]) - 1))
    assert (error["type"], error["object"]["code"], error["object"]["reason"]) == ("ERROR", 410, "Expired")
    assert [event["type"] for event in recent] == ["MODIFIED"]


async def test_bookmarks_carry_the_newest_version(client: KubeClient) -> None:
    await client.create(MAPS, {"metadata": {"name": "a"}})
    await client.create("/api/v1/namespaces/default/secrets", {"metadata": {"name": "elsewhere"}})
    newest = (await client.list(MAPS))["metadata"]["resourceVersion"]
    watched = client.watch(MAPS, timeoutSeconds="3", resourceVersion="0")
    found = [event async for event in watched]

    assert [event["type"] for event in found] == ["ADDED", "BOOKMARK"]
    assert found[-1]["object"]["metadata"] == {"resourceVersion": newest}


async def test_every_watch_gets_every_change_in_order(client: KubeClient) -> None:
    version = (await client.list(MAPS))["metadata"]["resourceVersion"]
    ready = asyncio.Semaphore(0)

    async def watch() -> list[str]:
        found: list[str] = []
        ready.release()
        async with aclosing(client.watch(MAPS, resourceVersion=version)) as watching:
            while len(found) < 20:
                found.append((await anext(watching))["object"]["metadata"]["name"])
        return found

    watches = [asyncio.create_task(watch()) for _ in range(100)]
    for _ in watches:
        await ready.acquire()
    for i in range(20):
        await client.create(MAPS, {"metadata": {"name": f"m{i}"}})
    results = await asyncio.wait_for(asyncio.gather(*watches), 30)

    assert all(result == [f"m{i}" for i in range(20)] for result in results)


async def test_metadata_only(server: ApiServer, client: KubeClient) -> None:
    await client.create(MAPS, {"metadata": {"name": "a"}, "data": {"x": "secret"}})
    kind = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
    async with aiohttp.request(
        "GET",
        f"{server.url}{MAPS}",
        params={"watch": "1", "timeoutSeconds": "1"},
        headers={"Accept": f"{kind},application/json"},
    ) as answer:
        text = await answer.text()

    assert '"kind":"PartialObjectMetadata"' in text
    assert "secret" not in text


async def test_a_stopped_server_ends_its_watches() -> None:
    server = await ApiServer.start()
    async with KubeClient(server.url) as client:
        await client.create(MAPS, {"metadata": {"name": "a"}})
        watching = client.watch(MAPS, resourceVersion="0")
        await anext(watching)
        await asyncio.wait_for(server.stop(), 5)

        assert [event async for event in watching] == []


async def test_initial_events_need_the_match_they_go_with(client: KubeClient) -> None:
    with pytest.raises(ApiError) as failure:
        await events(client, sendInitialEvents="true")

    assert failure.value.status == 422
