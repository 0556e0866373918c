from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from kubernetes.aio.client import ApiClient

from activities.cluster.api import ClusterApi
from activities.cluster.errors import ClusterUnreachableError
from activities.cluster.reach import Reach
from activities.cluster.settings import ClusterSettings
from canary.errors import NoAnswerError
from tests.clients import api_client


class ApiServer:
    """Knows the Service webapp/tester and proxies to it; counts what it is asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self.server = TestServer(app)

    async def _answer(self, request: web.Request) -> web.Response:
        self.asked.append(f"{request.method} {request.path_qs}")
        services = "/api/v1/namespaces/webapp/services/tester"
        if request.path == services:
            return web.json_response({"kind": "Service"})
        if request.path.startswith(services) and "/proxy/" in request.path:
            if request.path.endswith("/moved"):
                return web.Response(status=302, headers={"Location": "/elsewhere"})
            if request.path.endswith("/big"):
                return web.Response(body=b"x" * 5_000_000)
            body = await request.text()
            return web.Response(status=202, text=f"{body} {request.headers.get('X-Scope', '')}".strip())
        if request.path.endswith("/forbidden"):
            return web.json_response({"reason": "Forbidden", "message": "no"}, status=403)
        return web.json_response({"reason": "NotFound", "message": "not found"}, status=404)


class Clusters:
    def __init__(self, client: ApiClient, settings: ClusterSettings | None = None) -> None:
        self.api = ClusterApi(settings or ClusterSettings("member1"), client)

    async def get(self, name: str) -> ClusterApi:
        assert name == "member1"
        return self.api


@pytest.fixture
async def cluster() -> AsyncIterator[ApiServer]:
    api = ApiServer()
    await api.server.start_server()
    yield api
    await api.server.close()


@pytest.fixture
async def client(cluster: ApiServer) -> AsyncIterator[ApiClient]:
    client = api_client(f"http://127.0.0.1:{cluster.server.port}")
    yield client
    await client.close()  # type: ignore[no-untyped-call]


@pytest.mark.parametrize(
    ("url", "service"),
    [
        pytest.param("http://tester.webapp/run?a=1", "tester:80", id="name.namespace that is there"),
        pytest.param("http://tester:8080/", "tester:8080", id="name in the canary's namespace"),
        pytest.param("http://any.other.svc", "any:80", id="svc"),
        pytest.param("https://any.other.svc.cluster.local/x", "https:any:443", id="svc of a domain over TLS"),
        pytest.param("http://example.com/", None, id="two labels that are no Service"),
        pytest.param("http://localhost:9090", None, id="localhost"),
        pytest.param("http://a%2fb/", None, id="what no Service can be called"),
        pytest.param("http://127.0.0.1:9090", None, id="an address"),
        pytest.param("http://[::1]:9090", None, id="an address of IPv6"),
        pytest.param("https://gate.tools.example.com/", None, id="a public name"),
    ],
)
async def test_a_host_is_in_cluster_by_its_name_or_by_a_service(
    client: ApiClient, url: str, service: str | None
) -> None:
    route = await Reach(Clusters(client)).webhook("member1", "webapp", url)

    assert route.url == url
    assert (route.proxy.service if route.proxy else None) == service


@pytest.mark.parametrize(
    "path", ["/../../secrets/creds", "/run/..", "/./run", "/%2e%2e/%2e%2e/secrets/creds", "/run/%2E."]
)
async def test_no_address_leads_out_of_a_proxy(cluster: ApiServer, client: ApiClient, path: str) -> None:
    """Clients fold such a path, and would ask the API server for something else by the worker's rights."""
    with pytest.raises(NoAnswerError, match=r"An address with \. or \.\. in its path"):
        await Reach(Clusters(client)).webhook("member1", "webapp", f"http://tester.webapp{path}")

    assert cluster.asked == []


async def test_public_addresses_cost_no_request(cluster: ApiServer, client: ApiClient) -> None:
    await Reach(Clusters(client)).webhook("member1", "webapp", "https://gate.tools.example.com/")

    assert cluster.asked == []


async def test_a_service_is_looked_up_once(cluster: ApiServer, client: ApiClient) -> None:
    reach = Reach(Clusters(client))
    for _ in range(3):
        await reach.webhook("member1", "webapp", "http://tester.webapp/")

    assert cluster.asked == ["GET /api/v1/namespaces/webapp/services/tester"]


async def test_a_base_url_of_the_cluster_takes_the_place_of_an_in_cluster_host(client: ApiClient) -> None:
    reach = Reach(
        Clusters(
            client,
            ClusterSettings(
                "member1", load_tester="https://lt.example.com/base/", prometheus="http://10.0.0.1:9"
            ),
        )
    )

    hook = await reach.webhook("member1", "webapp", "http://tester.webapp/gate?x=1")
    outside = await reach.webhook("member1", "webapp", "http://gate.tools.example.com/")
    metrics = await reach.prometheus("member1", "webapp", "http://prometheus.monitoring.svc:9090/prefix")

    assert (hook.url, hook.proxy) == ("https://lt.example.com/base/gate?x=1", None)
    assert (outside.url, outside.proxy) == ("http://gate.tools.example.com/", None)
    assert (metrics.url, metrics.proxy) == ("http://10.0.0.1:9/prefix", None)


async def test_a_worker_inside_calls_as_it_stands(cluster: ApiServer, client: ApiClient) -> None:
    route = await Reach(Clusters(client, ClusterSettings("member1", reach="direct"))).webhook(
        "member1", "webapp", "http://tester.webapp/"
    )

    assert (route.url, route.proxy) == ("http://tester.webapp/", None)
    assert cluster.asked == []


async def test_the_clusters_own_prometheus_is_the_default(client: ApiClient) -> None:
    named = await Reach(
        Clusters(client, ClusterSettings("member1", prometheus="http://10.0.0.1:9/p"))
    ).prometheus("member1", "webapp", None)
    inside = await Reach(
        Clusters(client, ClusterSettings("member1", prometheus="http://a.b.svc:9"))
    ).prometheus("member1", "webapp", None)

    assert (named.url, named.proxy) == ("http://10.0.0.1:9/p", None)
    assert inside.proxy is not None
    assert inside.proxy.service == "a:9"


async def test_the_proxy_passes_path_query_body_and_headers_on(cluster: ApiServer, client: ApiClient) -> None:
    route = await Reach(Clusters(client)).webhook("member1", "webapp", "http://tester.webapp:8080/run?a=1")
    assert route.proxy is not None
    status, text = await route.proxy.send(
        route.url, body=b"{}", headers={"X-Scope": "team"}, seconds=5, limit=100
    )

    assert (status, text) == (202, b"{} team")
    assert cluster.asked[-1] == "POST /api/v1/namespaces/webapp/services/tester:8080/proxy/run?a=1"


async def test_the_proxy_reads_no_further_than_the_limit_and_follows_no_redirect(client: ApiClient) -> None:
    route = await Reach(Clusters(client)).webhook("member1", "webapp", "http://tester.webapp/")
    assert route.proxy is not None
    big = await route.proxy.send("http://tester.webapp/big", body=None, headers={}, seconds=5, limit=4096)
    moved = await route.proxy.send("http://tester.webapp/moved", body=None, headers={}, seconds=5, limit=4096)

    assert len(big[1]) == 4096
    assert moved[0] == 302


async def test_a_refused_look_up_is_no_answer(client: ApiClient) -> None:
    with pytest.raises(NoAnswerError, match=r"Host forbidden.webapp does not answer: .*403 Forbidden"):
        await Reach(Clusters(client)).webhook("member1", "webapp", "http://forbidden.webapp/")


async def test_an_api_server_that_is_away_is_told_apart(cluster: ApiServer, client: ApiClient) -> None:
    route = await Reach(Clusters(client)).webhook("member1", "webapp", "http://tester.webapp/")
    await cluster.server.close()
    assert route.proxy is not None

    with pytest.raises(ClusterUnreachableError):
        await route.proxy.send(route.url, body=None, headers={}, seconds=5, limit=100)


async def test_an_address_that_is_no_url_is_no_answer(client: ApiClient) -> None:
    with pytest.raises(NoAnswerError, match="host or port cannot be read"):
        await Reach(Clusters(client)).webhook("member1", "webapp", "http://tester:port/")


@pytest.mark.parametrize("address", [None, "https://prometheus.example.com"])
async def test_a_clusters_authority_goes_with_the_way_to_its_prometheus(
    client: ApiClient, address: str | None
) -> None:
    settings = ClusterSettings("member1", prometheus="https://own.example.com", prometheus_ca="PEM")
    route = await Reach(Clusters(client, settings)).prometheus("member1", "webapp", address)

    assert route.ca == "PEM"
