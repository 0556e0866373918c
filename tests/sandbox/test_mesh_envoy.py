"""The data plane on a real Envoy, its objects given by hand."""

import asyncio
import collections
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from sandbox.mesh import tables
from sandbox.mesh.actions import Scope, route_action
from sandbox.mesh.clusters import mesh_clusters, service_clusters
from sandbox.mesh.envoy import Envoy
from sandbox.mesh.files import Files
from sandbox.mesh.snapshot import Snapshot

Object = dict[str, Any]


def meta(key: str, created: str = "2026-01-01T00:00:00Z") -> Object:
    namespace, _, name = key.partition("/")
    return {"namespace": namespace, "name": name, "creationTimestamp": created}


def split(canary_weight: int) -> list[Object]:
    return [
        {
            "route": [
                {"destination": {"host": "backend-primary"}, "weight": 100 - canary_weight},
                {"destination": {"host": "backend-canary"}, "weight": canary_weight},
            ]
        }
    ]


class Plane:
    """Backends by name, the cluster's objects, and an Envoy in front of them."""

    def __init__(self, directory: Path, session: aiohttp.ClientSession) -> None:
        self.kinds: dict[str, dict[str, Object]] = {
            name: {}
            for name in (
                *("services", "endpoints", "pods"),
                *("virtual_services", "destination_rules", "gateways"),
            )
        }
        self.served: collections.Counter[str] = collections.Counter()
        self.session = session
        self.reports: list[str] = []
        self._files = Files(directory)
        self._directory = directory
        self._runners: list[web.AppRunner] = []
        self._envoy: Envoy | None = None
        self.kinds["gateways"]["istio-system/public-gateway"] = {
            "metadata": meta("istio-system/public-gateway"),
            "spec": {"servers": [{"port": {"number": 80, "protocol": "HTTP"}, "hosts": ["*"]}]},
        }

    async def backend(self, name: str, namespace: str = "webapp", pods: int = 1) -> None:
        """Add a Service with its Endpoints and pods that answer with their name and what they were asked."""
        addresses = [await self._pod(f"{name}-{number}") for number in range(pods)]
        key = f"{namespace}/{name}"
        self.kinds["services"][key] = {
            "metadata": meta(key),
            "spec": {"ports": [{"name": "http", "port": 9898}]},
        }
        subsets = [
            {
                "addresses": [{"ip": "127.0.0.1", "targetRef": {"kind": "Pod", "name": f"{name}-{number}"}}],
                "ports": [{"name": "http", "port": port}],
            }
            for number, port in enumerate(addresses)
        ]
        self.kinds["endpoints"][key] = {"metadata": meta(key), "subsets": subsets}
        for number in range(pods):
            pod = f"{namespace}/{name}-{number}"
            self.kinds["pods"][pod] = {
                "metadata": meta(pod) | {"labels": {"version": f"v{number}"}},
            }

    def virtual_service(self, key: str, http: list[Object], created: str = "", **spec: Any) -> None:
        """Add a VirtualService; by default for the host `backend` in the mesh."""
        stamp = created or "2026-01-01T00:00:00Z"
        self.kinds["virtual_services"][key] = {
            "metadata": meta(key, stamp),
            "spec": {"hosts": ["backend"], "http": http} | spec,
        }

    def destination_rule(self, key: str, spec: Object) -> None:
        """Add a DestinationRule."""
        self.kinds["destination_rules"][key] = {"metadata": meta(key), "spec": spec}

    async def start(self) -> None:
        """Publish what is there, and start Envoy on it."""
        self.publish()
        self._envoy = await Envoy.start(self._directory, "test")

    def publish(self) -> None:
        """Publish what is there now."""
        now = Snapshot(**{name: dict(objects) for name, objects in self.kinds.items()})
        self._files.publish(
            [*mesh_clusters(now), *service_clusters(now)],
            [
                tables.gateway_table(now),
                tables.mesh_table(now, self.reports.append),
                tables.services_table(now),
            ],
        )

    async def get(
        self, url: str = "http://backend.webapp:9898/", by: str = "mesh", **headers: str
    ) -> tuple[int, Object, aiohttp.ClientResponse]:
        """Ask as a pod does: with a sidecar (`mesh`), without (`services`), or from outside (`gateway`)."""
        assert self._envoy
        proxy = self._envoy.urls[by]
        if by == "gateway":
            host, _, path = url.removeprefix("http://").partition("/")
            url, headers, proxy = f"{proxy}/{path}", {"Host": host} | headers, ""
        async with self.session.get(
            url, headers=headers, proxy=proxy or None, allow_redirects=False
        ) as answer:
            is_json = answer.content_type == "application/json"
            return answer.status, await answer.json() if is_json else {}, answer

    async def who(self, url: str = "http://backend.webapp:9898/", by: str = "mesh", **headers: str) -> str:
        """Tell which backend answered, or with which status nobody did."""
        status, body, _ = await self.get(url, by, **headers)
        return str(body.get("pod", status)).rpartition("-")[0] or str(status)

    async def connect(self, by: str = "mesh", port: int = 9898) -> str:
        """Open a connection that the proxy knows nothing of, and tell which backend is at its other end."""
        assert self._envoy
        proxy = self._envoy.urls[by].removeprefix("http://").partition(":")
        reader, writer = await asyncio.open_connection(proxy[0], int(proxy[2]))
        writer.write(
            f"CONNECT backend.webapp:{port} HTTP/1.1\r\nHost: backend.webapp:{port}\r\n\r\n".encode()
        )
        opened = (await reader.readuntil(b"\r\n\r\n")).split()[1]
        try:
            if opened != b"200":
                return opened.decode()
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = int(head.partition(b"content-length: ")[2].partition(b"\r")[0])
            return str(json.loads(await reader.readexactly(length))["pod"]).rpartition("-")[0]
        finally:
            writer.close()

    async def count(self, times: int) -> collections.Counter[str]:
        """Ask the apex so many times and count who answered."""
        return collections.Counter([await self.who() for _ in range(times)])

    async def stop(self) -> None:
        """End Envoy and the backends."""
        if self._envoy:
            await self._envoy.stop()
        await asyncio.gather(*(runner.cleanup() for runner in self._runners))

    async def _pod(self, name: str) -> int:
        async def answer(request: web.Request) -> web.Response:
            self.served[name] += 1
            await asyncio.sleep(float(request.query.get("delay", "0")))
            headers = {key.lower(): value for key, value in request.headers.items()}
            seen = {"pod": name, "path": request.path_qs, "headers": headers}
            return web.json_response(seen, status=int(request.query.get("status", "200")))

        app = web.Application()
        app.router.add_route("*", "/{path:.*}", answer)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self._runners.append(runner)
        return int(runner.addresses[0][1])


@pytest.fixture
async def plane(tmp_path: Path) -> AsyncIterator[Plane]:
    async with aiohttp.ClientSession() as session:
        plane = Plane(tmp_path / "mesh", session)
        for name in ("backend", "backend-primary", "backend-canary"):
            await plane.backend(name)
        yield plane
        await plane.stop()


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait for what Envoy takes up within milliseconds."""
    async with asyncio.timeout(5):
        while not await condition():  # noqa: ASYNC110 — Envoy tells nobody
            await asyncio.sleep(0.005)


async def test_a_plain_service_is_reached_on_every_path_but_the_gateway(plane: Plane) -> None:
    await plane.start()

    assert await plane.who() == "backend"
    assert await plane.who("http://backend.webapp.svc.cluster.local:9898/", "services") == "backend"
    assert await plane.who("http://backend.webapp/", "gateway") == "404"


async def test_an_unknown_host_or_port_is_refused(plane: Plane) -> None:
    await plane.start()

    assert await plane.who("http://nobody.webapp:9898/") == "502"
    assert await plane.who("http://backend.webapp:1/", "services") == "502"


@pytest.mark.parametrize("by", ["mesh", "services"])
async def test_an_address_is_gone_to_as_it_stands(plane: Plane, by: str) -> None:
    await plane.start()
    port = plane.kinds["endpoints"]["webapp/backend"]["subsets"][0]["ports"][0]["port"]

    assert await plane.who(f"http://127.0.0.1:{port}/", by) == "backend"
    assert await plane.who(f"http://localhost:{port}/", by) == "backend"


async def test_weights_split_the_mesh_and_leave_kube_proxy_alone(plane: Plane) -> None:
    plane.virtual_service("webapp/backend", split(50))
    await plane.start()
    found = await plane.count(400)

    assert found.keys() == {"backend-primary", "backend-canary"}
    assert 140 < found["backend-canary"] < 260
    assert await plane.who(by="services") == "backend"


@pytest.mark.parametrize(("weight", "answers"), [(0, {"backend-primary"}), (100, {"backend-canary"})])
async def test_a_destination_without_weight_gets_nothing(
    plane: Plane, weight: int, answers: set[str]
) -> None:
    plane.virtual_service("webapp/backend", split(weight))
    await plane.start()

    assert (await plane.count(50)).keys() == answers


def test_a_single_destination_goes_out_without_weights() -> None:
    scope = Scope(Snapshot({}, {}, {}, {}, {}, {}), "webapp", 80)

    assert (
        route_action(split(0)[0], scope)["route"]["cluster"]
        == "outbound|80||backend-primary.webapp.svc.cluster.local"
    )


async def test_a_change_of_weights_fails_no_request(plane: Plane) -> None:
    plane.virtual_service("webapp/backend", split(0))
    await plane.start()
    statuses: set[int] = set()
    weights = iter([10, 30, 50, 0, 100])

    async def next_weight_is_served() -> bool:
        status, body, _ = await plane.get()
        statuses.add(status)
        return str(body["pod"]).startswith("backend-canary")

    for weight in weights:
        plane.virtual_service("webapp/backend", split(weight))
        plane.publish()
        if weight:
            await eventually(next_weight_is_served)

    assert statuses == {200}


async def test_pods_are_replaced_without_a_failed_request(plane: Plane) -> None:
    await plane.start()
    answers: set[str] = set()
    for _ in range(10):
        await plane.backend("backend", pods=2)
        plane.publish()
        answers |= (await plane.count(30)).keys()

    assert answers == {"backend"}


async def test_a_udp_port_of_the_same_number_is_no_route(plane: Plane) -> None:
    udp = {"name": "udp", "port": 9898, "protocol": "UDP"}
    plane.kinds["services"]["webapp/backend"]["spec"]["ports"].append(udp)
    await plane.start()

    assert await plane.who() == "backend"


@pytest.mark.parametrize(
    ("host", "answer"),
    [
        ("backend.webapp.svc.cluster.local", "backend-canary"),
        ("app.example.com", "backend-canary"),
        ("backend.webapp", "404"),
        ("backend", "404"),
    ],
)
async def test_the_gateway_routes_by_host(plane: Plane, host: str, answer: str) -> None:
    """A Service has one name outside the mesh."""
    plane.virtual_service(
        "webapp/backend",
        split(100),
        hosts=["backend", "app.example.com"],
        gateways=["istio-system/public-gateway"],
    )
    await plane.start()

    assert await plane.who(f"http://{host}:8080/", "gateway") == answer
    assert await plane.who() == "backend"  # not bound to the mesh


async def test_a_gateway_lets_in_only_its_own_hosts(plane: Plane) -> None:
    server = {"port": {"number": 80, "protocol": "HTTP"}, "hosts": ["webapp/*.example.com"]}
    plane.kinds["gateways"]["webapp/narrow"] = {
        "metadata": meta("webapp/narrow"),
        "spec": {"servers": [server]},
    }
    plane.virtual_service(
        "webapp/backend", split(100), hosts=["app.example.com", "app.example.org"], gateways=["narrow"]
    )
    plane.virtual_service("other/backend", split(0), hosts=["other.example.com"], gateways=["webapp/narrow"])
    await plane.start()

    assert await plane.who("http://app.example.com/", "gateway") == "backend-canary"
    assert await plane.who("http://app.example.org/", "gateway") == "404"
    assert await plane.who("http://other.example.com/", "gateway") == "404"


async def test_a_destination_without_a_service_is_unavailable(plane: Plane) -> None:
    plane.virtual_service("webapp/backend", [{"route": [{"destination": {"host": "missing"}}]}])
    await plane.start()

    assert await plane.who() == "503"


async def test_a_service_without_ready_pods_is_unavailable(plane: Plane) -> None:
    plane.kinds["endpoints"]["webapp/backend"]["subsets"] = []
    await plane.start()

    assert await plane.who() == "503"


async def test_a_dead_pod_is_left_out_by_a_retry(plane: Plane) -> None:
    await plane.backend("backend", pods=1)
    dead = {"addresses": [{"ip": "127.0.0.1"}], "ports": [{"name": "http", "port": 1}]}
    plane.kinds["endpoints"]["webapp/backend"]["subsets"].append(dead)
    await plane.start()

    # Hosts are drawn by lot: one retry in some thousands meets the dead one every time.
    assert (await plane.count(50))["backend"] >= 49


async def test_an_error_of_the_application_is_not_retried(plane: Plane) -> None:
    await plane.start()
    status, _, _ = await plane.get("http://backend.webapp:9898/?status=503")

    assert status == 503
    assert plane.served["backend-0"] == 1


async def test_retries_on_a_named_status_are_made(plane: Plane) -> None:
    rule = {
        "retries": {"attempts": 3, "retryOn": "503", "perTryTimeout": "1s"},
        "route": [{"destination": {"host": "backend"}}],
    }
    plane.virtual_service("webapp/backend", [rule])
    await plane.start()
    await plane.get("http://backend.webapp:9898/?status=503")

    assert plane.served["backend-0"] == 4


TO_CANARY = [{"destination": {"host": "backend-canary"}}]
TO_PRIMARY = [{"destination": {"host": "backend-primary"}}]
COOKIE = {"headers": {"cookie": {"regex": r"^(.*?;\s*)?(canary=always)(;.*)?$"}}}


@pytest.mark.parametrize(
    ("match", "path", "headers", "expected"),
    [
        pytest.param({"uri": {"exact": "/a"}}, "a", {}, True, id="exact path"),
        pytest.param({"uri": {"exact": "/a"}}, "ab", {}, False, id="another path"),
        pytest.param({"uri": {"prefix": "/a"}}, "ab", {}, True, id="prefix"),
        pytest.param({"uri": {"regex": "/a[0-9]+"}}, "a12", {}, True, id="regex"),
        pytest.param({"uri": {"regex": "/a[0-9]+"}}, "a12b", {}, False, id="regex is anchored"),
        pytest.param({"uri": {"prefix": "/A"}, "ignoreUriCase": True}, "ab", {}, True, id="any case"),
        pytest.param({"headers": {"x-user": {"exact": "me"}}}, "", {"X-User": "me"}, True, id="header"),
        pytest.param(
            {"headers": {"x-user": {"regex": "m.*"}}}, "", {"X-User": "me"}, True, id="header regex"
        ),
        pytest.param({"headers": {"x-user": {"regex": "m"}}}, "", {"X-User": "me"}, False, id="whole header"),
        pytest.param(COOKIE, "", {"Cookie": "a=b; canary=always; c=d"}, True, id="cookie"),
        pytest.param(COOKIE, "", {"Cookie": "a=b; canary=never"}, False, id="another cookie"),
        pytest.param({"queryParams": {"v": {"regex": "[2-3]"}}}, "?v=3", {}, True, id="query regex"),
        pytest.param({"headers": {"x-user": {}}}, "", {"X-User": "any"}, True, id="header is there"),
        pytest.param({"headers": {"x-user": {}}}, "", {}, False, id="header is missing"),
        pytest.param({"withoutHeaders": {"x-user": {}}}, "", {}, True, id="without header"),
        pytest.param({"queryParams": {"v": {"exact": "2"}}}, "?v=2", {}, True, id="query"),
        pytest.param({"queryParams": {"v": {"exact": "2"}}}, "?v=3", {}, False, id="another query"),
        pytest.param({"method": {"exact": "POST"}}, "", {}, False, id="method"),
        pytest.param({"authority": {"prefix": "backend.webapp"}}, "", {}, True, id="authority"),
        pytest.param({"port": 9999}, "", {}, False, id="another port"),
        pytest.param({"gateways": ["istio-system/public-gateway"]}, "", {}, False, id="another gateway"),
        pytest.param({"sourceLabels": {"app": "loadtester"}}, "", {}, True, id="source labels fit all"),
    ],
)
async def test_conditions_choose_the_route(
    plane: Plane, match: Object, path: str, headers: dict[str, str], *, expected: bool
) -> None:
    plane.virtual_service("webapp/backend", [{"match": [match], "route": TO_CANARY}, {"route": TO_PRIMARY}])
    await plane.start()
    found = await plane.who(f"http://backend.webapp:9898/{path}", **headers)

    assert found == ("backend-canary" if expected else "backend-primary")


async def test_one_of_several_matches_is_enough(plane: Plane) -> None:
    matches = [{"uri": {"exact": "/a"}}, {"uri": {"exact": "/b"}}]
    plane.virtual_service("webapp/backend", [{"match": matches, "route": TO_CANARY}])
    await plane.start()

    assert await plane.who("http://backend.webapp:9898/b") == "backend-canary"
    assert await plane.who("http://backend.webapp:9898/c") == "404"


async def test_the_first_of_several_routes_that_fits_is_taken(plane: Plane) -> None:
    sticky = {"match": [COOKIE], "route": TO_CANARY}
    insiders = {"match": [{"headers": {"x-user": {"exact": "insider"}}}], "route": TO_PRIMARY}
    plane.virtual_service(
        "webapp/backend", [sticky, insiders, {"route": [{"destination": {"host": "backend"}}]}]
    )
    await plane.start()
    both = {"Cookie": "canary=always", "X-User": "insider"}

    assert await plane.who(**both) == "backend-canary"
    assert await plane.who(**{"X-User": "insider"}) == "backend-primary"
    assert await plane.who() == "backend"


async def test_headers_are_set_added_and_removed_on_both_levels(plane: Plane) -> None:
    rule = {
        "headers": {
            "request": {"set": {"x-set": "route"}, "add": {"x-add": "route"}, "remove": ["x-gone"]},
            "response": {"set": {"x-answer": "route"}},
        },
        "route": [
            {
                "destination": {"host": "backend-canary"},
                "weight": 100,
                "headers": {"response": {"add": {"Set-Cookie": "canary=1; Max-Age=60"}}},
            },
            {"destination": {"host": "backend-primary"}, "weight": 0},
        ],
    }
    plane.virtual_service("webapp/backend", [rule])
    await plane.start()
    _, body, answer = await plane.get(**{"x-set": "client", "x-gone": "client"})
    seen = body["headers"]

    assert (seen["x-set"], seen["x-add"], "x-gone" in seen) == ("route", "route", False)
    assert answer.headers["x-answer"] == "route"
    assert answer.headers["set-cookie"] == "canary=1; Max-Age=60"


async def test_paths_and_authorities_are_rewritten(plane: Plane) -> None:
    rewritten = {"uri": "/new/", "authority": "other.example.com"}
    plane.virtual_service(
        "webapp/backend",
        [{"match": [{"uri": {"prefix": "/old/"}}], "rewrite": rewritten, "route": TO_CANARY}],
    )
    await plane.start()
    _, body, _ = await plane.get("http://backend.webapp:9898/old/page")

    assert (body["path"], body["headers"]["host"]) == ("/new/page", "other.example.com")


async def test_redirects_and_direct_responses_ask_no_backend(plane: Plane) -> None:
    plane.virtual_service(
        "webapp/backend",
        [
            {
                "match": [{"uri": {"prefix": "/away"}}],
                "redirect": {"authority": "example.com", "redirectCode": 307},
            },
            {"directResponse": {"status": 418, "body": {"string": "short and stout"}}},
        ],
    )
    await plane.start()
    moved, _, answer = await plane.get("http://backend.webapp:9898/away")
    direct, _, _ = await plane.get()

    assert (moved, answer.headers["location"], direct) == (307, "http://example.com/away", 418)


async def test_faults_delay_requests(plane: Plane) -> None:
    delay = {"fixedDelay": "300ms", "percentage": {"value": 100}}
    plane.virtual_service("webapp/backend", [{"fault": {"delay": delay}, "route": TO_CANARY}])
    await plane.start()
    began = asyncio.get_running_loop().time()

    assert await plane.who() == "backend-canary"
    assert asyncio.get_running_loop().time() - began > 0.25


async def test_faults_abort_requests(plane: Plane) -> None:
    abort = {"httpStatus": 555, "percentage": {"value": 100}}
    plane.virtual_service("webapp/backend", [{"fault": {"abort": abort}, "route": TO_CANARY}])
    await plane.start()

    assert await plane.who() == "555"


async def test_a_timeout_ends_a_slow_answer(plane: Plane) -> None:
    plane.virtual_service("webapp/backend", [{"route": TO_CANARY, "timeout": "50ms"}])
    await plane.start()

    assert await plane.who("http://backend.webapp:9898/?delay=5") == "504"


async def test_a_mirror_is_asked_and_not_heard(plane: Plane) -> None:
    rule = {"route": TO_PRIMARY, "mirror": {"host": "backend-canary"}, "mirrorPercentage": {"value": 100}}
    plane.virtual_service("webapp/backend", [rule])
    await plane.start()
    found = await plane.count(20)

    async def all_mirrored() -> bool:
        return plane.served["backend-canary-0"] == 20

    assert found == {"backend-primary": 20}
    await eventually(all_mirrored)


async def test_a_share_is_mirrored(plane: Plane) -> None:
    rule = {"route": TO_PRIMARY, "mirror": {"host": "backend-canary"}, "mirrorPercentage": {"value": 25.0}}
    plane.virtual_service("webapp/backend", [rule])
    await plane.start()
    found = await plane.count(400)

    async def share_is_mirrored() -> bool:
        return 60 < plane.served["backend-canary-0"] < 140

    assert found == {"backend-primary": 400}
    await eventually(share_is_mirrored)
    assert plane.served["backend-canary-0"] < 140


def tcp(canary: int, **match: Any) -> list[Object]:
    return [{"route": split(canary)[0]["route"]} | ({"match": [match]} if match else {})]


async def test_connections_are_split_by_weight(plane: Plane) -> None:
    plane.kinds["services"]["webapp/backend"]["spec"]["ports"][0]["appProtocol"] = "TCP"
    plane.virtual_service("webapp/backend", [], tcp=tcp(50, port=9898))
    await plane.start()
    found = collections.Counter([await plane.connect() for _ in range(200)])

    assert 60 < found["backend-canary"] < 140
    assert sum(found.values()) == found["backend-canary"] + found["backend-primary"]
    assert await plane.connect("services") == "backend"


@pytest.mark.parametrize(
    ("port", "tcp_rules", "expected"),
    [
        pytest.param({"appProtocol": "tcp"}, tcp(100), "backend-canary", id="every port"),
        pytest.param({"name": "tcp-api"}, tcp(100), "backend-canary", id="named so"),
        pytest.param({"name": "api"}, tcp(100), "backend-canary", id="of unknown protocol"),
        pytest.param({"appProtocol": "tcp"}, tcp(100, port=1), "backend", id="another port"),
        pytest.param({"appProtocol": "http"}, tcp(100), "backend", id="a port of HTTP"),
        pytest.param({"appProtocol": "tcp"}, [], "backend", id="no routes"),
    ],
)
async def test_requests_to_a_tcp_port_go_as_connections_do(
    plane: Plane, port: Object, tcp_rules: list[Object], expected: str
) -> None:
    name = port.get("name", "http")
    plane.kinds["services"]["webapp/backend"]["spec"]["ports"][0] |= port
    plane.kinds["endpoints"]["webapp/backend"]["subsets"][0]["ports"][0]["name"] = name
    plane.virtual_service("webapp/backend", [], tcp=tcp_rules)
    await plane.start()

    assert await plane.who() == expected


async def test_a_port_of_http_takes_no_connections(plane: Plane) -> None:
    await plane.start()

    assert await plane.connect() == "404"


async def test_cross_origin_policies_are_answered(plane: Plane) -> None:
    policy = {"allowOrigins": [{"exact": "http://ui.example.com"}], "allowMethods": ["GET"], "maxAge": "24h"}
    plane.virtual_service("webapp/backend", [{"corsPolicy": policy, "route": TO_CANARY}])
    await plane.start()
    _, _, answer = await plane.get(Origin="http://ui.example.com")

    assert answer.headers["access-control-allow-origin"] == "http://ui.example.com"


async def test_a_delegate_serves_its_part(plane: Plane) -> None:
    root = {
        "match": [{"uri": {"prefix": "/api"}}],
        "delegate": {"name": "inner", "namespace": "webapp"},
    }
    outside = {"hosts": ["shop.example.com"], "gateways": ["istio-system/public-gateway"]}
    plane.virtual_service("shop/root", [root, {"route": TO_PRIMARY}], **outside)
    plane.virtual_service(
        "webapp/inner",
        [
            {"match": [{"uri": {"prefix": "/api/v2"}}], "route": TO_CANARY},
            {"route": [{"destination": {"host": "backend"}}]},
        ],
        hosts=[],
    )
    await plane.backend("backend-primary", "shop")
    await plane.start()
    paths = ("api/v2/x", "api/v1", "")
    found = [await plane.who(f"http://shop.example.com/{path}", "gateway") for path in paths]

    assert found == ["backend-canary", "backend", "backend-primary"]


async def test_subsets_are_chosen_by_the_labels_of_pods(plane: Plane) -> None:
    await plane.backend("backend", pods=2)
    subsets = [{"name": "new", "labels": {"version": "v1"}}]
    plane.destination_rule("webapp/backend", {"host": "backend", "subsets": subsets})
    plane.virtual_service(
        "webapp/backend", [{"route": [{"destination": {"host": "backend", "subset": "new"}}]}]
    )
    await plane.start()
    pods = {(await plane.get())[1]["pod"] for _ in range(20)}

    assert pods == {"backend-1"}


async def test_traffic_policies_are_taken_by_envoy(plane: Plane) -> None:
    pool = {
        "tcp": {"maxConnections": 10, "connectTimeout": "500ms"},
        "http": {"http1MaxPendingRequests": 5, "maxRequestsPerConnection": 2, "idleTimeout": "1m"},
    }
    ejection = {"consecutive5xxErrors": 1, "interval": "1s", "baseEjectionTime": "10s"}
    ejection |= {"maxEjectionPercent": 100, "minHealthPercent": 0}
    policy = {"connectionPool": pool, "outlierDetection": ejection, "loadBalancer": {"simple": "ROUND_ROBIN"}}
    plane.destination_rule("webapp/backend", {"host": "backend", "trafficPolicy": policy})
    await plane.start()
    await plane.get("http://backend.webapp:9898/?status=500")

    async def only_pod_is_ejected() -> bool:
        return await plane.who() == "503"

    await eventually(only_pod_is_ejected)


async def test_the_older_of_two_for_one_host_wins_and_the_other_is_reported(plane: Plane) -> None:
    plane.virtual_service("webapp/a-new", [{"route": TO_CANARY}], created="2026-02-01T00:00:00Z")
    plane.virtual_service("webapp/b-old", [{"route": TO_PRIMARY}], created="2026-01-01T00:00:00Z")
    await plane.start()

    assert await plane.who() == "backend-primary"
    assert plane.reports == ["VirtualService webapp/a-new has no effect on backend: webapp/b-old is older."]


async def test_hundreds_of_services_are_no_burden(plane: Plane) -> None:
    for number in range(300):
        key = f"webapp/idle-{number}"
        plane.kinds["services"][key] = {"metadata": meta(key), "spec": {"ports": [{"port": 80}]}}
    await plane.start()

    assert await plane.who() == "backend"
    assert await plane.who("http://idle-299.webapp/") == "503"


async def test_what_is_gone_is_no_longer_served(plane: Plane) -> None:
    await plane.start()
    del plane.kinds["services"]["webapp/backend"]
    plane.publish()

    async def refused() -> bool:
        return await plane.who() == "502"

    await eventually(refused)
