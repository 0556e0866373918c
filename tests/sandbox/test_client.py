import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from sandbox.apiserver.server import ApiServer
from sandbox.client import ApiError, KubeClient, Reflector

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


class Changes:
    """Collects what a reflector tells, and waits until it has told enough."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []
        self._news = asyncio.Condition()

    async def __call__(self, kind: str, obj: dict[str, Any]) -> None:
        async with self._news:
            self.seen.append((kind, obj["metadata"]["name"]))
            self._news.notify_all()

    async def until(self, *wanted: tuple[str, str]) -> None:
        async with asyncio.timeout(10), self._news:
            await self._news.wait_for(lambda: set(wanted) <= set(self.seen))


def config_map(name: str, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


async def test_verbs(client: KubeClient) -> None:
    created = await client.create(MAPS, config_map("a", x="1"))
    patched = await client.patch(f"{MAPS}/a", {"data": {"y": "2"}})
    replaced = await client.replace(f"{MAPS}/a", {**patched, "data": {"z": "3"}})
    applied = await client.apply(f"{MAPS}/a", config_map("a", w="4"), manager="git")
    listed = await client.list(MAPS, labelSelector="!none")
    deleted = await client.delete(f"{MAPS}/a")

    assert created["data"] == {"x": "1"}
    assert patched["data"] == {"x": "1", "y": "2"}
    assert replaced["data"] == {"z": "3"}
    assert applied["data"] == {"z": "3", "w": "4"}
    assert [item["metadata"]["name"] for item in listed["items"]] == ["a"]
    assert deleted["status"] == "Success"


async def test_failures_say_what_the_server_said(client: KubeClient) -> None:
    with pytest.raises(ApiError) as failure:
        await client.get(f"{MAPS}/ghost")

    assert (failure.value.status, failure.value.reason) == (404, "NotFound")
    assert failure.value.message == 'configmaps "ghost" not found'


async def test_a_reflector_follows_a_collection(client: KubeClient) -> None:
    await client.create(MAPS, config_map("old"))
    changes = Changes()
    reflector = Reflector(client, MAPS, changes)
    running = asyncio.create_task(reflector.run())
    await reflector.synced.wait()

    await client.create(MAPS, config_map("new"))
    await client.patch(f"{MAPS}/new", {"data": {"a": "b"}})
    await client.delete(f"{MAPS}/old")
    await changes.until(("ADDED", "old"), ("ADDED", "new"), ("MODIFIED", "new"), ("DELETED", "old"))
    running.cancel()

    assert list(reflector.objects) == ["default/new"]
    assert reflector.objects["default/new"]["kind"] == "ConfigMap"


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param({"do": "closeWatches"}, id="closed watches"),
        pytest.param(
            {"do": "gone", "method": "GET", "path": "watch=true", "times": 2}, id="expired versions"
        ),
        pytest.param({"do": "status", "status": 500, "method": "GET", "times": 2}, id="failing server"),
    ],
)
async def test_a_reflector_survives(client: KubeClient, fault: dict[str, Any]) -> None:
    changes = Changes()
    reflector = Reflector(client, MAPS, changes)
    running = asyncio.create_task(reflector.run())
    await reflector.synced.wait()

    await client.replace("/_sandbox/faults", [fault])  # type: ignore[arg-type]
    await client.replace("/_sandbox/faults", [fault, {"do": "closeWatches"}])  # type: ignore[arg-type]
    await client.create(MAPS, config_map("after"))
    await changes.until(("ADDED", "after"))
    running.cancel()

    assert list(reflector.objects) == ["default/after"]


async def test_a_reflector_notices_what_went_while_it_was_away(server: ApiServer, client: KubeClient) -> None:
    await client.create(MAPS, config_map("kept"))
    await client.create(MAPS, config_map("gone"))
    changes = Changes()
    reflector = Reflector(client, MAPS, changes)
    running = asyncio.create_task(reflector.run())
    await reflector.synced.wait()

    rules = [
        {"do": "gone", "method": "GET", "path": "watch=true", "times": 1},
        {"do": "latency", "method": "GET", "path": "configmaps", "seconds": 0.2, "times": 1},
        {"do": "closeWatches"},
    ]
    async with KubeClient(server.url) as other:
        await other.replace("/_sandbox/faults", rules)  # type: ignore[arg-type]
        await other.delete(f"{MAPS}/gone")
    await changes.until(("DELETED", "gone"))
    running.cancel()

    assert list(reflector.objects) == ["default/kept"]
