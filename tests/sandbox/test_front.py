"""The address in front of a real API server; here ours stands behind it, which takes any address."""

import asyncio
import os
import ssl
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from sandbox.apiserver.server import ApiServer
from sandbox.client import ApiError, KubeClient, Reflector
from sandbox.front import Front, Upstream

CORE = "/api/v1/namespaces/default"
# An address of this test process alone.
HOST = f"127.98.{os.getpid() % 250 + 1}.{os.getpid() // 250 % 250 + 1}"
DISGUISED = HOST.replace("127.", "240.", 1)


@pytest.fixture
async def server() -> AsyncIterator[ApiServer]:
    server = await ApiServer.start()
    yield server
    await server.stop()


@pytest.fixture
async def client(server: ApiServer) -> AsyncIterator[KubeClient]:
    front = await Front.start(Upstream(server.url, ssl.create_default_context(), "secret"))
    async with KubeClient(front.url) as client:
        yield client
    await front.stop()


def endpoints(port: int = 80) -> dict[str, Any]:
    subset = {"addresses": [{"ip": HOST}], "ports": [{"name": "http", "port": port, "protocol": "TCP"}]}
    return {"metadata": {"name": "web"}, "subsets": [subset]}


def address(obj: dict[str, Any]) -> str:
    return str(obj["subsets"][0]["addresses"][0]["ip"])


async def until(holds: Any) -> None:
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110 — a server tells nobody
            await asyncio.sleep(0.01)


async def test_addresses_are_in_disguise_behind_it(server: ApiServer, client: KubeClient) -> None:
    await client.create(f"{CORE}/endpoints", endpoints())
    async with KubeClient(server.url) as behind:
        stored = await behind.get(f"{CORE}/endpoints/web")

    assert address(stored) == DISGUISED
    assert address(await client.get(f"{CORE}/endpoints/web")) == HOST


async def test_watches_are_passed_on_and_cut_by_a_fault(client: KubeClient) -> None:
    seen: list[str] = []

    async def note(_: str, obj: dict[str, Any]) -> None:
        seen.append(address(obj))

    following = asyncio.create_task(Reflector(client, f"{CORE}/endpoints", note).run())
    await client.create(f"{CORE}/endpoints", endpoints())
    await until(lambda: seen == [HOST])
    async with aiohttp.ClientSession() as session:
        fault = [{"do": "closeWatches", "path": "endpoints", "times": 1}]
        async with session.put(f"{client.url}/_sandbox/faults", json=fault) as answer:
            assert answer.ok
    await client.patch(f"{CORE}/endpoints/web", {"metadata": {"labels": {"a": "b"}}})
    await until(lambda: seen == [HOST, HOST])
    following.cancel()


async def test_a_service_is_reached_by_its_proxy(client: KubeClient) -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(text=request.path_qs)

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, HOST, 0).start()
    port = runner.addresses[0][1]
    ports = [{"name": "http", "port": 80}]
    await client.create(f"{CORE}/services", {"metadata": {"name": "web"}, "spec": {"ports": ports}})
    await client.create(f"{CORE}/endpoints", endpoints(port))
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{client.url}{CORE}/services/web:80/proxy/a/b?c=d") as found:
            assert (found.status, await found.text()) == (200, "/a/b?c=d")
        async with session.get(f"{client.url}{CORE}/services/none:80/proxy/") as found:
            assert found.status == 404
    await runner.cleanup()


async def test_faults_and_the_request_log_are_before_it(client: KubeClient) -> None:
    async with aiohttp.ClientSession() as session:
        fault = [{"do": "status", "status": 503, "method": "POST", "times": 1}]
        async with session.put(f"{client.url}/_sandbox/faults", json=fault) as answer:
            assert answer.ok
    with pytest.raises(ApiError) as failure:
        await client.create(f"{CORE}/endpoints", endpoints())
    await client.create(f"{CORE}/endpoints", endpoints())
    log = await client.get("/_sandbox/requests")

    assert failure.value.status == 503
    assert [one["status"] for one in log["requests"] if one["method"] == "POST"] == [503, 201]


async def test_a_server_that_is_away_is_said_to_be(server: ApiServer, client: KubeClient) -> None:
    await server.stop()

    with pytest.raises(ApiError, match="behind the front cannot be reached") as failure:
        await client.get(f"{CORE}/endpoints")
    assert failure.value.status == 503


async def test_no_protobuf_is_let_through(server: ApiServer, client: KubeClient) -> None:
    wanted = {"Accept": "application/vnd.kubernetes.protobuf;as=Table, application/json"}
    async with aiohttp.ClientSession(headers=wanted) as session:
        async with session.get(f"{client.url}{CORE}/endpoints") as answer:
            assert (answer.status, answer.content_type) == (200, "application/json")
        only = {"Accept": "application/vnd.kubernetes.protobuf"}
        async with session.get(f"{client.url}{CORE}/endpoints", headers=only) as answer:
            assert (answer.status, answer.content_type) == (200, "application/json")
    assert server.url != client.url


async def test_a_server_with_pods_of_its_own_gets_everything_as_it_is(server: ApiServer) -> None:
    front = await Front.start(Upstream(server.url, has_sandbox_pods=False))
    async with KubeClient(front.url) as client, KubeClient(server.url) as behind:
        await client.create(f"{CORE}/endpoints", endpoints())
        await client.create(
            f"{CORE}/services", {"metadata": {"name": "web"}, "spec": {"ports": [{"port": 80}]}}
        )
        stored = await behind.get(f"{CORE}/endpoints/web")
        with pytest.raises(ApiError):  # nothing listens there
            await client.get(f"{CORE}/services/web:80/proxy/")
        asked = (await behind.get("/_sandbox/requests"))["requests"]
    await front.stop()

    assert address(stored) == HOST
    assert asked[-1]["path"] == f"{CORE}/services/web:80/proxy/"


async def test_a_watch_ends_when_the_server_ends_it(client: KubeClient) -> None:
    began = time.monotonic()
    path = f"{client.url}{CORE}/endpoints?watch=1&timeoutSeconds=1"
    async with aiohttp.ClientSession() as session, session.get(path) as answer:
        assert await answer.read() == b""

    assert time.monotonic() - began < 5
