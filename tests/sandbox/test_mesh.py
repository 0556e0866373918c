"""The mesh as a client of the API server."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from sandbox.apiserver.server import ApiServer
from sandbox.client import KubeClient
from sandbox.installed import install
from sandbox.mesh import mesh
from sandbox.mesh.mesh import Mesh
from sandbox.mesh.validation import mistakes, mistakes_of_rule

Object = dict[str, Any]

ISTIO = "/apis/networking.istio.io/v1beta1/namespaces/default/virtualservices"


class Town:
    """A cluster with Services of one answering pod each, and a mesh in front of them."""

    def __init__(self, client: KubeClient, mesh: Mesh, session: aiohttp.ClientSession) -> None:
        self.client = client
        self.mesh = mesh
        self.session = session
        self._runners: list[web.AppRunner] = []

    async def serve(self, name: str, answer: str = "") -> None:
        """Let a pod answer with `answer` (or its Service's name), the only one behind the Service `name`."""
        runner = web.AppRunner(_answering(answer or name), shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self._runners.append(runner)
        spec = {"ports": [{"name": "http", "port": 80, "protocol": "TCP"}]}
        await self._apply("/api/v1/namespaces/default/services", "v1", "Service", name, spec=spec)
        port = runner.addresses[0][1]
        subset = {
            "addresses": [{"ip": "127.0.0.1"}],
            "ports": [{"name": "http", "port": port, "protocol": "TCP"}],
        }
        await self._apply("/api/v1/namespaces/default/endpoints", "v1", "Endpoints", name, subsets=[subset])

    async def route(self, *destinations: Object, **rule: Any) -> None:
        """Route the host `app` to the destinations."""
        spec = {"hosts": ["app"], "http": [{"route": list(destinations)} | rule]}
        await self._apply(ISTIO, "networking.istio.io/v1beta1", "VirtualService", "app", spec=spec)

    async def switch(self, **faults: Any) -> int:
        """Switch faults, and give the status of the answer."""
        async with self.session.put(self.mesh.faults_url, json=faults) as answer:
            return answer.status

    async def who(self, host: str = "app.default", proxy: str = "") -> str:
        """Ask who answers for a host, in the mesh if nothing else is said."""
        async with self.session.get(f"http://{host}/", proxy=proxy or self.mesh.urls["mesh"]) as answer:
            return await answer.text() if answer.ok else str(answer.status)

    async def close(self) -> None:
        """End the pods."""
        await asyncio.gather(*(runner.cleanup() for runner in self._runners))

    async def _apply(self, collection: str, version: str, kind: str, name: str, **rest: Any) -> None:
        place = {"name": name, "namespace": "default"}
        obj = {"apiVersion": version, "kind": kind, "metadata": place} | rest
        await self.client.apply(f"{collection}/{name}", obj, manager="test")


def _answering(name: str) -> web.Application:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(text=name)

    app = web.Application()
    app.router.add_get("/", answer)
    return app


@pytest.fixture
async def town(tmp_path: Path) -> AsyncIterator[Town]:
    server = await ApiServer.start()
    async with KubeClient(server.url) as client, aiohttp.ClientSession() as session:
        await install(client, "http://127.0.0.1:9")
        mesh = await Mesh.start(client, tmp_path / "mesh", "test")
        town = Town(client, mesh, session)
        names = ("app", "app-primary", "app-canary")
        for name in names:
            await town.serve(name)
        for name in names:
            await becomes(partial(town.who, f"{name}.default"), name)
        yield town
        await mesh.stop()
        await town.close()
    await server.stop()


async def becomes(answer: Callable[[], Awaitable[str]], expected: str) -> None:
    async with asyncio.timeout(5):
        while await answer() != expected:  # noqa: ASYNC110 — Envoy tells nobody
            await asyncio.sleep(0.005)


def to(host: str, weight: int = 100) -> Object:
    return {"destination": {"host": host}, "weight": weight}


async def test_a_virtual_service_is_in_force_within_a_blink(town: Town) -> None:
    began = asyncio.get_running_loop().time()
    await town.route(to("app-canary"))
    await becomes(town.who, "app-canary")

    assert asyncio.get_running_loop().time() - began < 1


async def test_a_deleted_virtual_service_leaves_the_plain_service(town: Town) -> None:
    await town.route(to("app-canary"))
    await becomes(town.who, "app-canary")
    await town.client.delete(f"{ISTIO}/app")

    await becomes(town.who, "app")


async def test_new_addresses_reach_both_paths(town: Town) -> None:
    await town.serve("late")

    await becomes(lambda: town.who("late.default"), "late")
    await becomes(lambda: town.who("late.default", town.mesh.urls["services"]), "late")


async def test_an_invalid_virtual_service_leaves_the_last_valid_one(
    town: Town, caplog: pytest.LogCaptureFixture
) -> None:
    await town.route(to("app-canary"))
    await becomes(town.who, "app-canary")
    await town.route(to("app-primary", 0), to("app-canary", 0))
    await town.serve("later")
    await becomes(lambda: town.who("later.default"), "later")

    assert await town.who() == "app-canary"
    assert "object refused by the mesh" in caplog.messages


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        pytest.param({"route": [to("a", -1), to("b", 101)]}, "route[0].weight: -1 is below 0.", id="weight"),
        pytest.param({"route": [{"destination": {}}]}, "a destination needs a host", id="no host"),
        pytest.param({}, "exactly one of route, redirect", id="nothing to do"),
        pytest.param({"route": [to("a")], "redirect": {}}, "exactly one of route", id="two things to do"),
        pytest.param({"route": [to("a")], "timeout": "5"}, "timeout: '5' is not a duration", id="duration"),
        pytest.param(
            {"route": [to("a")], "match": [{"uri": {"regex": "(?=a)"}}]},
            "match[0].uri.regex: '(?=a)' uses what RE2 does not know.",
            id="look-ahead",
        ),
        pytest.param({"route": [to("a")], "match": [{"uri": {"regex": "("}}]}, "no regular", id="regex"),
        pytest.param({"route": "a"}, "cannot be read", id="wrong type"),
        pytest.param({"redirect": {"uri": "/", "redirectCode": 299}}, "cannot be read", id="redirect code"),
        pytest.param(
            {"route": [to("a")], "fault": {"abort": {"grpcStatus": "NEVER"}}}, "cannot be read", id="status"
        ),
    ],
)
def test_mistakes_are_named_with_their_place(rule: Object, text: str) -> None:
    found = mistakes({"spec": {"hosts": ["app"], "http": [rule]}})

    assert any(text in one for one in found), found


def test_mistakes_of_tcp_routes_are_named() -> None:
    found = mistakes({"spec": {"hosts": ["app"], "tcp": [{"route": [to("a", 0), to("b", 0)]}, {}]}})

    assert found == ["tcp[0].route: total destination weight = 0.", "tcp[1]: route is needed."]


def test_mistakes_of_a_policy_are_named() -> None:
    pool = {"tcp": {"connectTimeout": "1 second"}}
    found = mistakes_of_rule({"spec": {"host": "app", "trafficPolicy": {"connectionPool": pool}}})

    assert found[0].startswith(
        "trafficPolicy.connectionPool.tcp.connectTimeout: '1 second' is not a duration"
    )


async def test_a_slow_control_plane_holds_back_routes_but_not_kube_proxy(town: Town) -> None:
    await town.route(to("app-primary"))
    await becomes(town.who, "app-primary")
    assert await town.switch(propagationDelay=0.5) == 200
    began = asyncio.get_running_loop().time()
    await town.route(to("app-canary"))
    await town.serve("late")
    await becomes(lambda: town.who("late.default", town.mesh.urls["services"]), "late")

    assert await town.who() == "app-primary"
    assert await town.who("late.default") == "502"
    await becomes(town.who, "app-canary")
    assert asyncio.get_running_loop().time() - began > 0.45


async def test_a_slow_control_plane_holds_back_the_addresses_of_pods(town: Town) -> None:
    await town.switch(propagationDelay=0.5)
    await town.serve("app", "app-new")
    await becomes(lambda: town.who(proxy=town.mesh.urls["services"]), "app-new")

    assert await town.who() == "app"
    await becomes(town.who, "app-new")


async def test_what_envoy_hears_of_for_the_first_time_has_no_addresses_yet(town: Town) -> None:
    await town.switch(addressesDelay=30)
    await town.serve("late")
    await town.route(to("late"))
    await becomes(town.who, "503")

    await becomes(lambda: town.who("late.default", town.mesh.urls["services"]), "late")
    assert await town.who("app-primary.default") == "app-primary"
    await town.switch(addressesDelay=0)
    await becomes(town.who, "late")


async def test_what_came_due_while_the_mesh_rested_is_pushed_without_another_change(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mesh, "REST", 0.1)
    await town.switch(addressesDelay=0.05)
    await town.serve("late")

    await becomes(lambda: town.who("late.default"), "late")


async def test_what_envoy_has_heard_of_before_keeps_its_addresses(town: Town) -> None:
    await town.switch(addressesDelay=30)
    await town.serve("app", "app-new")

    await becomes(town.who, "app-new")


async def test_a_mesh_that_starts_slow_serves_what_was_there_before(town: Town, tmp_path: Path) -> None:
    mesh = await Mesh.start(town.client, tmp_path / "slow", "slow", delay=0.5)
    try:
        assert await town.who(proxy=mesh.urls["mesh"]) == "app"
        await town.route(to("app-canary"))
        await becomes(town.who, "app-canary")
        assert await town.who(proxy=mesh.urls["mesh"]) == "app"
        await becomes(lambda: town.who(proxy=mesh.urls["mesh"]), "app-canary")
    finally:
        await mesh.stop()


async def test_switching_the_delay_off_pushes_at_once(town: Town) -> None:
    await town.switch(propagationDelay=30)
    await town.route(to("app-canary"))
    await town.serve("marker")
    await becomes(lambda: town.who("marker.default", town.mesh.urls["services"]), "marker")
    async with town.session.delete(town.mesh.faults_url) as answer:
        assert await answer.json() == {"propagationDelay": 0, "addressesDelay": 0}

    await becomes(town.who, "app-canary")


@pytest.mark.parametrize("faults", [{"propagationDelay": -1}, {"delay": 1}, {"propagationDelay": "1s"}])
async def test_unknown_faults_are_refused(town: Town, faults: Object) -> None:
    assert await town.switch(**faults) == 400


async def test_the_watches_survive_a_cut(town: Town) -> None:
    fault = [{"id": "cut", "do": "closeWatches", "times": 1}]
    async with town.session.put(f"{town.client.url}/_sandbox/faults", json=fault) as answer:
        assert answer.ok
    await town.route(to("app-canary"))

    await becomes(town.who, "app-canary")


async def test_the_mesh_says_when_its_envoy_ended(town: Town, tmp_path: Path) -> None:
    ended = asyncio.create_task(town.mesh.run())
    admin = (tmp_path / "mesh/admin").read_text()
    async with town.session.post(f"http://{admin}/quitquitquit") as answer:
        assert answer.ok

    await asyncio.wait_for(ended, 5)
