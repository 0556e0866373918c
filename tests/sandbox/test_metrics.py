import asyncio
import gc
import json
import math
import os
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from prometheus_api_client import PrometheusConnect

from sandbox.client import KubeClient
from sandbox.metrics import exposition
from sandbox.metrics.server import MetricsServer

# Other tests, at the same time in other processes, have loopback addresses of their own.
SUBNET = f"127.{100 + os.getpid() % 100}.0"


class Pods:
    """An API server that knows pods only, and the pods themselves."""

    def __init__(self) -> None:
        self.url = ""
        self.texts: dict[str, str] = {}
        self._pods: dict[str, dict[str, Any]] = {}
        self._version = 0
        self._events: list[dict[str, Any]] = []
        self._changed = asyncio.Condition()
        self._runners: list[web.AppRunner] = []

    async def start(self) -> None:
        app = web.Application()
        app.router.add_get("/api/v1/pods", self._serve)
        self.url = f"http://127.0.0.1:{await self._listen(app, '127.0.0.1', 0)}"

    async def stop(self) -> None:
        for runner in self._runners:
            await runner.cleanup()

    async def run(self, name: str, text: str, *, port: int = 15020, annotations: Any = None) -> None:
        """Run a pod that serves `text` on its sidecar's port, or where its annotations say."""
        address = f"{SUBNET}.{len(self._pods) + 1}"
        self.texts[name] = text
        app = web.Application()

        async def serve(_: web.Request) -> web.Response:
            return web.Response(text=self.texts[name], status=200 if self.texts[name] else 500)

        app.router.add_get("/{path:.*}", serve)
        await self._listen(app, address, port)
        await self.change(
            "ADDED",
            {
                "metadata": {
                    "namespace": "webapp",
                    "name": name,
                    "annotations": annotations or {"sidecar.istio.io/status": "{}"},
                },
                "spec": {"containers": [{"name": "app", "ports": [{"containerPort": port}]}]},
                "status": {"phase": "Running", "podIP": address},
            },
        )

    async def change(self, kind: str, pod: dict[str, Any]) -> None:
        self._version += 1
        pod = pod | {"metadata": pod["metadata"] | {"resourceVersion": str(self._version)}}
        self._pods[pod["metadata"]["name"]] = pod
        async with self._changed:
            self._events.append({"type": kind, "object": pod})
            self._changed.notify_all()

    async def delete(self, name: str) -> None:
        await self.change("DELETED", self._pods[name])

    async def fail(self, name: str) -> None:
        pod = self._pods[name]
        await self.change("MODIFIED", pod | {"status": pod["status"] | {"phase": "Failed"}})

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        if "watch" not in request.query:
            meta = {"resourceVersion": str(self._version)}  # one event, one version
            items = list(self._pods.values())
            return web.json_response(
                {"apiVersion": "v1", "kind": "PodList", "metadata": meta, "items": items}
            )
        answer = web.StreamResponse()
        await answer.prepare(request)
        seen = int(request.query["resourceVersion"])
        while True:
            async with self._changed:
                while self._version == seen:
                    await self._changed.wait()
            for event in self._events[seen:]:
                await answer.write(json.dumps(event).encode() + b"\n")
            seen = self._version

    async def _listen(self, app: web.Application, host: str, port: int) -> int:
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, host, port).start()
        self._runners.append(runner)
        return int(runner.addresses[0][1])


class Prom:
    """A caller of the metrics server."""

    def __init__(self, session: aiohttp.ClientSession, server: MetricsServer) -> None:
        self.server = server
        self._session = session

    async def get(self, path: str, **parameters: str) -> tuple[int, Any]:
        async with self._session.get(f"{self.server.url}{path}", params=parameters) as answer:
            return answer.status, json.loads(await answer.text() or "null")

    async def query(self, query: str) -> list[dict[str, Any]]:
        _, body = await self.get("/api/v1/query", query=query)
        return list(body["data"]["result"])

    async def until(self, query: str, is_met: Callable[[list[Any]], bool]) -> list[Any]:
        while True:
            found = await self.query(query)
            if is_met(found):
                return found
            await asyncio.sleep(0.01)

    async def switch(self, **faults: Any) -> tuple[int, str]:
        async with self._session.put(self.server.faults_url, json=faults) as answer:
            return answer.status, await answer.text()

    async def heal(self) -> None:
        async with self._session.delete(self.server.faults_url) as answer:
            assert answer.ok


@pytest.fixture
async def pods() -> AsyncIterator[Pods]:
    cluster = Pods()
    await cluster.start()
    yield cluster
    await cluster.stop()


@pytest.fixture
async def prom(pods: Pods) -> AsyncIterator[Prom]:
    async with KubeClient(pods.url) as client, aiohttp.ClientSession() as session:
        server = await MetricsServer.start(client, scrape_interval=0.05)
        yield Prom(session, server)
        await server.stop()


def any_result(found: list[Any]) -> bool:
    return bool(found)


def no_result(found: list[Any]) -> bool:
    return not found


async def test_scrapes_the_sidecar_of_a_pod_that_comes_up(pods: Pods, prom: Prom) -> None:
    await pods.run("backend-1", 'istio_requests_total{response_code="200"} 7\n')
    [found] = await prom.until("istio_requests_total", any_result)

    assert found["metric"] == {
        "__name__": "istio_requests_total",
        "response_code": "200",
        "namespace": "webapp",
        "pod": "backend-1",
        "instance": f"{SUBNET}.1:15020",
        "job": "kubernetes-pods",
    }
    assert found["value"][1] == "7"
    assert [series["value"][1] for series in await prom.query("up")] == ["1"]


async def test_scrapes_where_the_annotations_say(pods: Pods, prom: Prom) -> None:
    wanted = {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": "9797",
        "prometheus.io/path": "/app/metrics",
    }
    await pods.run("backend-1", "hits 1\n", port=9797, annotations=wanted)
    await pods.run("backend-2", "hits 2\n", port=9898, annotations={"prometheus.io/scrape": "true"})

    assert len(await prom.until("hits", lambda found: len(found) == 2)) == 2


async def test_a_pod_without_sidecar_or_annotation_is_not_scraped(pods: Pods, prom: Prom) -> None:
    await pods.run("quiet", "hits 1\n", annotations={"prometheus.io/scrape": "false"})
    await pods.run("loud", "hits 2\n")
    await prom.until("hits", any_result)

    assert [series["metric"]["pod"] for series in await prom.query("up")] == ["loud"]


@pytest.mark.parametrize("ending", ["delete", "fail"])
async def test_the_series_of_a_gone_pod_end_at_once_and_stay_in_ranges(
    pods: Pods, prom: Prom, ending: str
) -> None:
    await pods.run("backend-1", "hits 1\n")
    await prom.until("count_over_time(hits[1m])", lambda found: bool(found) and found[0]["value"][1] >= "2")
    await (pods.delete if ending == "delete" else pods.fail)("backend-1")

    await prom.until("hits or up", no_result)
    assert await prom.query("count_over_time(hits[1m])")


async def test_a_failed_scrape_is_down_and_ends_the_series(pods: Pods, prom: Prom) -> None:
    await pods.run("backend-1", "hits 1\n")
    await prom.until("hits", any_result)
    pods.texts["backend-1"] = ""

    await prom.until("up == 0", any_result)
    assert await prom.query("hits") == []
    pods.texts["backend-1"] = "hits 2\n"
    await prom.until("hits == 2 and up == 1", any_result)


async def test_a_series_that_is_served_no_more_ends(pods: Pods, prom: Prom) -> None:
    await pods.run("backend-1", 'hits{path="/"} 1\nhits{path="/old"} 1\n')
    await prom.until("hits", lambda found: len(found) == 2)
    pods.texts["backend-1"] = 'hits{path="/"} 2\n'

    assert len(await prom.until("hits", lambda found: len(found) == 1)) == 1


async def test_a_label_that_clashes_with_the_targets_is_renamed(pods: Pods, prom: Prom) -> None:
    await pods.run("backend-1", 'hits{pod="inner"} 1\n')
    [found] = await prom.until("hits", any_result)

    assert (found["metric"]["pod"], found["metric"]["exported_pod"]) == ("backend-1", "inner")


async def test_the_usual_client_library_works(pods: Pods, prom: Prom) -> None:
    await pods.run("backend-1", 'istio_requests_total{response_code="200"} 7\n')
    await prom.until("istio_requests_total", any_result)

    def ask() -> tuple[Any, ...]:
        client = PrometheusConnect(url=prom.server.url)
        with client:
            found = client.custom_query("sum by (pod) (istio_requests_total)")
            return client.check_prometheus_connection(), found[0]["metric"], found[0]["value"][1]

    assert await asyncio.to_thread(ask) == (True, {"pod": "backend-1"}, "7")


async def test_a_form_says_what_an_address_does_and_has_the_last_word(prom: Prom) -> None:
    """Long queries come as a POST."""
    url = f"{prom.server.url}/api/v1/query"
    form = {"query": "vector(2)", "time": "7"}
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, params={"query": "vector(1)"}, data=form) as answer,
    ):
        body = await answer.json()

    assert body["data"]["result"] == [{"metric": {}, "value": [7, "2"]}]


@pytest.mark.parametrize(
    ("path", "parameters", "status", "text"),
    [
        ("query", {"query": "foo(up)"}, 400, "unknown function with name"),
        (
            "query",
            {"query": "up", "time": "soon"},
            400,
            'invalid parameter "time": cannot parse "soon"',
        ),
        ("query", {"query": "up", "time": "NaN"}, 400, "to a valid timestamp"),
    ],
)
async def test_a_bad_request_is_answered_with_its_reason(
    prom: Prom, path: str, parameters: dict[str, str], status: int, text: str
) -> None:
    answered, body = await prom.get(f"/api/v1/{path}", **parameters)

    assert answered == status
    assert body["errorType"] == "bad_data"
    assert text in body["error"]


async def test_ended_at_once_it_leaves_nothing_open(caplog: pytest.LogCaptureFixture) -> None:
    async with KubeClient("http://127.0.0.1:1") as client:
        server = await MetricsServer.start(client)
        await server.stop()
    del server
    gc.collect()

    assert not any("Unclosed" in record.getMessage() for record in caplog.records)


async def test_times_may_be_dates(prom: Prom) -> None:
    _, body = await prom.get("/api/v1/query", query="time()", time="2026-02-25T06:13:20.5Z")

    assert body["data"]["result"] == [1772000000.5, "1772000000.5"]


async def test_gone_is_answered_with_503_until_healed(prom: Prom) -> None:
    await prom.switch(gone=True)

    async with aiohttp.ClientSession() as session, session.get(f"{prom.server.url}/-/ready") as answer:
        assert answer.status == 503
    await prom.heal()
    assert (await prom.get("/api/v1/query", query="vector(1)"))[0] == 200


async def test_refused_closes_the_port_and_kept_connections_until_healed(prom: Prom) -> None:
    assert (await prom.get("/api/v1/status/buildinfo"))[0] == 200
    await prom.switch(refused=True)

    with pytest.raises(aiohttp.ClientConnectionError):
        await prom.get("/api/v1/status/buildinfo")
    with pytest.raises(aiohttp.ClientConnectionError):
        await prom.get("/api/v1/status/buildinfo")
    await prom.heal()
    assert (await prom.get("/api/v1/status/buildinfo"))[0] == 200


async def test_latency_delays_the_answer(prom: Prom) -> None:
    await prom.switch(latency=0.3)
    began = asyncio.get_running_loop().time()
    await prom.get("/api/v1/status/buildinfo")

    assert asyncio.get_running_loop().time() - began >= 0.3


async def test_the_scrape_interval_changes_at_once(pods: Pods, prom: Prom) -> None:
    await prom.switch(scrapeInterval=30)
    await pods.run("backend-1", "hits 1\n")
    await prom.until("hits", any_result)
    await prom.switch(scrapeInterval=0.02)

    await prom.until("count_over_time(hits[1m]) > 5", any_result)


@pytest.mark.parametrize("faults", [{"unknown": 1}, {"latency": -1}, {"scrapeInterval": 0}])
async def test_an_unknown_fault_is_refused(prom: Prom, faults: dict[str, Any]) -> None:
    assert (await prom.switch(**faults))[0] == 400


@pytest.mark.parametrize(
    ("line", "labels", "value"),
    [
        ("up 1", {"__name__": "up"}, 1.0),
        ("up{} 1", {"__name__": "up"}, 1.0),
        ('x{a="1",b="2",} 3 1700000000000', {"__name__": "x", "a": "1", "b": "2"}, 3.0),
        (r'x{a="sp ace} \"q\" \\ \n"} +Inf', {"__name__": "x", "a": 'sp ace} "q" \\ \n'}, math.inf),
        ('x { a = "1" , b="" } 1e-3', {"__name__": "x", "a": "1", "b": ""}, 0.001),
    ],
)
def test_the_text_format_is_read(line: str, labels: dict[str, str], value: float) -> None:
    [(series, found)] = exposition.samples(f"# HELP x y\n# TYPE x counter\n\n{line}\n")

    assert exposition.series_labels(series) == labels
    assert found == value


@pytest.mark.parametrize("line", ["up", "up{} ", "up one"])
def test_a_line_without_a_number_is_an_error(line: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        list(exposition.samples(line))
