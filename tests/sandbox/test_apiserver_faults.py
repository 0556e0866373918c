import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest

from sandbox.apiserver.server import ApiServer
from sandbox.client import ApiError, KubeClient

MAPS = "/api/v1/namespaces/default/configmaps"
FAULTS = "/_sandbox/faults"


@pytest.fixture
async def client() -> AsyncIterator[KubeClient]:
    server = await ApiServer.start()
    async with KubeClient(server.url, user_agent="tests/1") as client:
        await client.create(MAPS, {"metadata": {"name": "a"}})
        yield client
    await server.stop()


async def switch_on(client: KubeClient, *rules: dict[str, Any]) -> None:
    await client.replace(FAULTS, list(rules))


async def until_asked(client: KubeClient, method: str) -> None:
    """Wait until a request has arrived and is held."""
    async with asyncio.timeout(10):
        while not [r for r in (await client.get("/_sandbox/requests"))["held"] if r["method"] == method]:  # noqa: ASYNC110 — state of the server, asked over HTTP
            await asyncio.sleep(0.01)


async def test_a_status_is_answered_as_often_as_asked_for(client: KubeClient) -> None:
    await switch_on(client, {"do": "status", "status": 409, "method": "PATCH", "times": 1})
    with pytest.raises(ApiError) as failure:
        await client.patch(f"{MAPS}/a", {"data": {"x": "1"}})
    second = await client.patch(f"{MAPS}/a", {"data": {"x": "1"}})

    assert (failure.value.status, failure.value.reason) == (409, "Conflict")
    assert second["data"] == {"x": "1"}


async def test_rules_meet_only_what_they_name(client: KubeClient) -> None:
    rules = [
        {"do": "status", "status": 500, "path": "/secrets"},
        {"do": "status", "status": 500, "userAgent": "^other"},
        {"do": "status", "status": 500, "method": "DELETE"},
    ]
    await switch_on(client, *rules)
    found = await client.get(f"{MAPS}/a")
    with pytest.raises(ApiError) as failure:
        await client.list("/api/v1/namespaces/default/secrets")

    assert found["metadata"]["name"] == "a"
    assert failure.value.status == 500


async def test_latency_delays(client: KubeClient) -> None:
    await switch_on(client, {"do": "latency", "seconds": 0.3, "times": 1})
    clock = asyncio.get_running_loop().time
    start = clock()
    await client.get(f"{MAPS}/a")

    assert 0.3 <= clock() - start < 3


async def test_a_held_write_is_carried_out_once_it_is_let_go(client: KubeClient) -> None:
    await switch_on(client, {"do": "hang", "method": "PATCH"})
    writing = asyncio.create_task(client.patch(f"{MAPS}/a", {"data": {"x": "late"}}))
    await until_asked(client, "PATCH")
    before = await client.get(f"{MAPS}/a")
    await client.delete(FAULTS)
    written = await writing

    assert "data" not in before
    assert written["data"] == {"x": "late"}


async def test_a_held_write_is_carried_out_even_if_its_client_has_gone(client: KubeClient) -> None:
    await switch_on(client, {"do": "hang", "method": "PATCH"})
    writing = asyncio.create_task(client.patch(f"{MAPS}/a", {"data": {"x": "late"}}))
    await until_asked(client, "PATCH")
    writing.cancel()
    await asyncio.gather(writing, return_exceptions=True)
    async with aclosing(client.watch(MAPS, resourceVersion="0")) as watching, asyncio.timeout(10):
        await anext(watching)
        await client.delete(FAULTS)
        event = await anext(watching)

    assert event["object"]["data"] == {"x": "late"}


async def test_watches_are_closed(client: KubeClient) -> None:
    watching = client.watch(MAPS, resourceVersion="0")
    await anext(watching)
    await switch_on(client, {"do": "closeWatches", "path": "configmaps"})

    async with asyncio.timeout(10):
        assert [event async for event in watching] == []


async def test_gone_is_410(client: KubeClient) -> None:
    await switch_on(client, {"do": "gone", "path": "configmaps"})
    with pytest.raises(ApiError) as failure:
        await client.list(MAPS)

    assert (failure.value.status, failure.value.reason) == (410, "Expired")


async def test_gone_ends_a_watch_with_an_error(client: KubeClient) -> None:
    await switch_on(client, {"do": "gone", "path": "watch=true"})
    (event,) = [event async for event in client.watch(MAPS)]

    assert (event["type"], event["object"]["code"]) == ("ERROR", 410)


async def test_an_unknown_fault_is_refused(client: KubeClient) -> None:
    for rule in ({"do": "explode"}, {"do": "hang", "colour": "red"}):
        with pytest.raises(ApiError) as failure:
            await switch_on(client, rule)

        assert failure.value.status == 400


async def test_rules_are_listed_and_dropped(client: KubeClient) -> None:
    await switch_on(client, {"id": "one", "do": "hang", "method": "PUT"})
    listed = await client.get(FAULTS)
    await client.delete(FAULTS)

    assert [(rule["id"], rule["do"]) for rule in listed] == [("one", "hang")]  # type: ignore[index]
    assert await client.get(FAULTS) == []


async def test_the_log_tells_who_asked_what(client: KubeClient) -> None:
    before = (await client.get("/_sandbox/requests"))["requests"][-1]["n"]
    await client.patch(f"{MAPS}/a", {"data": {"x": "1"}}, fieldManager="me")
    log = await client.get("/_sandbox/requests", since=str(before))

    (entry,) = log["requests"]
    assert (entry["method"], entry["status"], entry["userAgent"]) == ("PATCH", 200, "tests/1")
    assert entry["manager"] == "me"
    assert entry["time"] <= entry["done"]
    assert entry["path"] == f"{MAPS}/a?fieldManager=me"
    assert log["counters"]["PATCH tests/1"] == 1


async def test_a_watch_is_logged_while_it_is_open(client: KubeClient) -> None:
    async with aclosing(client.watch(MAPS, resourceVersion="0")) as watching:
        await anext(watching)
        log = await client.get("/_sandbox/requests")

    assert "watch=true" in log["requests"][-1]["path"]
