import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from sandbox.apiserver import local
from sandbox.apiserver.server import ApiServer
from sandbox.client import ApiError, ConflictError, KubeClient, NotFoundError, Reflector

MAPS = "/api/v1/namespaces/default/configmaps"


@pytest.fixture
async def server() -> AsyncIterator[ApiServer]:
    server = await ApiServer.start()
    yield server
    await server.stop()


@pytest.fixture(params=["by HTTP", "in its process"])
async def client(server: ApiServer, request: pytest.FixtureRequest) -> AsyncIterator[KubeClient]:
    link = server.link() if request.param == "in its process" else None
    async with KubeClient(server.url, link=link) as client:
        yield client


@pytest.fixture
async def other(server: ApiServer) -> AsyncIterator[KubeClient]:
    async with KubeClient(server.url, user_agent="tests") as other:
        yield other


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
    with pytest.raises(NotFoundError) as failure:
        await client.get(f"{MAPS}/ghost")

    assert (failure.value.status, failure.value.reason) == (404, "NotFound")
    assert failure.value.message == 'configmaps "ghost" not found'


async def test_what_the_server_does_not_have_is_not_found(client: KubeClient) -> None:
    for path in ("/apis/nobody.example/v1/things", "/apis/nobody.example", "/nothing"):
        with pytest.raises(NotFoundError):
            await client.get(path)


async def test_the_kinds_are_told(client: KubeClient) -> None:
    groups = [group["name"] for group in (await client.get("/apis"))["groups"]]
    kinds = [one["name"] for one in (await client.get("/api/v1"))["resources"]]

    assert "apps" in groups
    assert "configmaps" in kinds


async def test_a_watch_that_cannot_begin_says_why(client: KubeClient) -> None:
    with pytest.raises(ApiError) as failure:
        async for _ in client.watch(MAPS, resourceVersion="new"):
            pass

    assert (failure.value.status, failure.value.message) == (400, 'Invalid value: "new"')


async def test_a_watch_ends_when_its_time_is_over(client: KubeClient) -> None:
    await client.create(MAPS, config_map("a"))
    async with asyncio.timeout(10):
        seen = [event["type"] async for event in client.watch(MAPS, timeoutSeconds="1")]

    assert seen[0] == "ADDED"


async def test_every_request_is_logged(client: KubeClient, other: KubeClient) -> None:
    await client.create(MAPS, config_map("a"))
    await client.patch(f"{MAPS}/a", {"data": {}}, fieldManager="git")
    with pytest.raises(NotFoundError):
        await client.get(f"{MAPS}/ghost")
    found = (await other.get("/_sandbox/requests"))["requests"]

    assert [(one["method"], one["path"], one["status"], one["manager"]) for one in found] == [
        ("POST", MAPS, 201, "sandbox"),
        ("PATCH", f"{MAPS}/a?fieldManager=git", 200, "git"),
        ("GET", f"{MAPS}/ghost", 404, "sandbox"),
    ]
    assert {one["userAgent"].partition("/")[0] for one in found} == {"sandbox"}
    assert all(one["done"] >= one["time"] for one in found)


async def test_a_fault_meets_everybody(client: KubeClient, other: KubeClient) -> None:
    await other.replace("/_sandbox/faults", [{"do": "status", "status": 409, "userAgent": "sandbox"}])
    with pytest.raises(ConflictError):
        await client.create(MAPS, config_map("a"))

    assert not (await other.list(MAPS))["items"]


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
async def test_a_reflector_survives(client: KubeClient, other: KubeClient, fault: dict[str, Any]) -> None:
    changes = Changes()
    reflector = Reflector(client, MAPS, changes)
    running = asyncio.create_task(reflector.run())
    await reflector.synced.wait()

    await other.replace("/_sandbox/faults", [fault])
    await other.replace("/_sandbox/faults", [fault, {"do": "closeWatches"}])
    await client.create(MAPS, config_map("after"))
    await changes.until(("ADDED", "after"))
    running.cancel()

    assert list(reflector.objects) == ["default/after"]


async def test_a_reflector_notices_what_went_while_it_was_away(client: KubeClient, other: KubeClient) -> None:
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
    await other.replace("/_sandbox/faults", rules)
    await other.delete(f"{MAPS}/gone")
    await changes.until(("DELETED", "gone"))
    running.cancel()

    assert list(reflector.objects) == ["default/kept"]


async def test_whoever_asks_in_a_loop_lets_others_in(client: KubeClient) -> None:
    async def ask() -> None:
        for _ in range(100):
            await client.list(MAPS)

    asking = asyncio.create_task(ask())
    for _ in range(3):
        await asyncio.sleep(0)

    assert not asking.done()
    await asking


async def test_no_answer_is_waited_for_without_end(
    server: ApiServer, other: KubeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "ANSWERED_WITHIN", 0.05)
    await other.replace("/_sandbox/faults", [{"do": "hang", "userAgent": "sandbox"}])
    async with KubeClient(server.url, link=server.link()) as client:
        with pytest.raises(TimeoutError):
            await client.list(MAPS)
