"""The doctor's look at a cluster: each thing that is missing, and what mends it."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from temporalio.testing import ActivityEnvironment

from activities.cluster.api import ClusterApi
from activities.cluster.errors import UnknownClusterError
from activities.cluster.examination import REVIEWS, ExaminationActivities
from activities.cluster.reach import Reach
from activities.cluster.rights import PROXY, RIGHTS
from activities.cluster.settings import ClusterSettings
from canary.errors import NoAnswerError
from canary.examination import Examination, Finding
from sandbox.apiserver.server import ApiServer as SandboxServer
from tests.clients import api_client

GRANTED = sum(len(right.resources) * len(right.verbs) for right in RIGHTS)
OF_PROXY = len(PROXY.verbs)


class ApiServer:
    """Answers what a doctor asks, as a test wants it."""

    def __init__(self) -> None:
        self.minor = "35+"
        self.istio = ["virtualservices", "destinationrules", "gateways"]
        self.denied: set[tuple[str, str, str, str]] = set()
        self.has_reviews = True
        self.tester = 200
        self.testers: dict[str, str] = {}
        """What deployed load testers say of themselves, by name."""
        app = web.Application()
        app.router.add_get("/version", self._version)
        app.router.add_get("/apis/networking.istio.io/v1beta1", self._istio)
        app.router.add_get("/apis/apps/v1/deployments", self._deployments)
        app.router.add_post(REVIEWS, self._review)
        app.router.add_get("/tester/healthz", self._healthz)
        self.http = TestServer(app)

    async def _version(self, _: web.Request) -> web.Response:
        return web.json_response({"major": "1", "minor": self.minor, "gitVersion": f"v1.{self.minor}.0"})

    async def _istio(self, _: web.Request) -> web.Response:
        return web.json_response({"resources": [{"name": name} for name in self.istio]})

    async def _review(self, request: web.Request) -> web.Response:
        if not self.has_reviews:
            return web.json_response({"reason": "NotFound", "message": "no such thing"}, status=404)
        asked = (await request.json())["spec"]["resourceAttributes"]
        key = (asked["group"], asked["resource"], asked["subresource"], asked["verb"])
        return web.json_response({"status": {"allowed": key not in self.denied}}, status=201)

    async def _deployments(self, request: web.Request) -> web.Response:
        if ("apps", "deployments", "", "list") in self.denied:
            return web.json_response({"reason": "Forbidden", "message": "no"}, status=403)
        wanted = request.query["labelSelector"].removeprefix("durable-canary.dev/load-tester=")
        names = [name.split(".") for name, said in self.testers.items() if said == wanted]
        items = [{"metadata": {"name": name, "namespace": namespace}} for name, namespace in names]
        return web.json_response({"items": items})

    async def _healthz(self, _: web.Request) -> web.Response:
        return web.Response(status=self.tester)


class Clusters:
    """Those of a file, each at the same server."""

    def __init__(self, url: str, *settings: ClusterSettings) -> None:
        self._known = {each.name: ClusterApi(each, api_client(url)) for each in settings}

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._known)

    async def get(self, name: str) -> ClusterApi:
        if name not in self._known:
            raise UnknownClusterError(name)
        return self._known[name]

    async def attach(self, _cluster: Any) -> None:
        raise NotImplementedError

    async def close(self) -> None:
        for api in self._known.values():
            await api.close()


class Metrics:
    def __init__(self) -> None:
        self.is_away = False
        self.broken = ""
        """The cluster over which our own code stumbles."""

    async def ask(self, cluster: str, query: str) -> float | None:
        if cluster == self.broken:
            raise KeyError("MARKER")
        if self.is_away:
            raise NoAnswerError("Prometheus http://p:9090", "ConnectTimeout")
        assert query
        return 1.0


class Scene:
    """One look at a time at a server."""

    def __init__(self, server: ApiServer, http: httpx.AsyncClient) -> None:
        self.server = server
        self.metrics = Metrics()
        self._http = http

    async def look(
        self, *settings: ClusterSettings, used: tuple[str, ...] = (), url: str = ""
    ) -> dict[str, Finding]:
        clusters = Clusters(url or str(self.server.http.make_url("")).rstrip("/"), *settings)
        doctor = ExaminationActivities(clusters, self.metrics, Reach(clusters), self._http)
        found = await ActivityEnvironment().run(doctor.examine_clusters, Examination(clusters=used))
        await clusters.close()
        return {f"{one.what} of {one.cluster}": one for one in found.findings}


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    server = ApiServer()
    await server.http.start_server()
    async with httpx.AsyncClient() as http:
        yield Scene(server, http)
    await server.http.close()


ONE = ClusterSettings("one", reach="direct")


async def test_a_cluster_that_has_everything(scene: Scene) -> None:
    found = await scene.look(ONE)

    assert {name: one.seen for name, one in found.items()} == {
        "Kubernetes of one": "v1.35+.0",
        "Istio of one": "serves v1beta1",
        "rights of one": f"all {GRANTED} granted",
        "load testers of one": "none that is open to everybody",
        "Prometheus of one": "answers",
    }
    assert not any(one.remedy for one in found.values())


async def test_a_right_that_is_missing_is_named_with_its_command(scene: Scene) -> None:
    scene.server.denied = {("apps", "deployments", "", "patch"), ("apps", "deployments", "", "get")}
    rights = (await scene.look(ONE))["rights of one"]

    assert rights.seen == "may not get, patch deployments.apps"
    assert rights.remedy.startswith("run: kubectl apply -f deploy/rbac.yaml && kubectl create")
    assert not rights.is_warning


async def test_the_proxy_is_asked_for_where_it_is_used(scene: Scene) -> None:
    scene.server.denied = {("", "services", "proxy", "create")}
    direct = (await scene.look(ONE))["rights of one"]
    proxied = (await scene.look(ClusterSettings("one", reach="apiServer")))["rights of one"]

    assert direct.seen == f"all {GRANTED} granted"
    assert proxied.seen == "may not create services/proxy"


async def test_rights_that_cannot_be_asked_are_a_warning(scene: Scene) -> None:
    scene.server.has_reviews = False
    rights = (await scene.look(ONE))["rights of one"]

    assert rights.seen.startswith("cannot be asked: ")
    assert (rights.is_warning, rights.remedy) == (True, "compare with deploy/rbac.yaml")


@pytest.mark.parametrize(("minor", "remedy"), [("26", "upgrade Kubernetes to 1.27 or newer"), ("27", "")])
async def test_a_kubernetes_that_is_too_old(scene: Scene, minor: str, remedy: str) -> None:
    scene.server.minor = minor

    assert (await scene.look(ONE))["Kubernetes of one"].remedy == remedy


async def test_a_missing_kind_of_istio(scene: Scene) -> None:
    scene.server.istio = ["virtualservices"]
    istio = (await scene.look(ONE))["Istio of one"]

    assert istio.seen == "networking.istio.io/v1beta1 lacks destinationrules"
    assert istio.remedy == "install Istio 1.18 or newer: istioctl install"


async def test_a_prometheus_that_is_away(scene: Scene) -> None:
    scene.metrics.is_away = True
    prometheus = (await scene.look(ONE))["Prometheus of one"]

    assert prometheus.seen == "Prometheus http://p:9090 does not answer: ConnectTimeout."
    assert prometheus.remedy == "give cluster one a `prometheus:` URL in the worker's clusters file"


async def test_load_testers_that_obey_everybody_are_named(scene: Scene) -> None:
    scene.server.testers = {"b-testloader.shop": "open", "a-testloader.web": "open", "c.web": "guarded"}
    found = (await scene.look(ONE))["load testers of one"]

    assert found.seen == "whoever reaches a-testloader.web, b-testloader.shop can run commands there"
    assert (found.is_warning, "CANARY_GUARDED_LOAD_TESTER" in found.remedy) == (True, True)


async def test_load_testers_that_may_not_be_listed_are_a_warning(scene: Scene) -> None:
    scene.server.denied = {("apps", "deployments", "", "list")}
    found = (await scene.look(ONE))["load testers of one"]

    assert found.seen.startswith("cannot be listed: ")
    assert (found.is_warning, found.remedy) == (True, "compare with deploy/rbac.yaml")


@pytest.mark.parametrize(("status", "seen"), [(200, "answers"), (500, "answers 500 to GET /healthz")])
async def test_a_load_tester_is_asked_where_one_is_named(scene: Scene, status: int, seen: str) -> None:
    scene.server.tester = status
    settings = ClusterSettings("one", reach="direct", load_tester=str(scene.server.http.make_url("/tester/")))

    assert (await scene.look(settings))["load tester of one"].seen == seen


async def test_a_load_tester_that_is_away(scene: Scene) -> None:
    settings = ClusterSettings("one", reach="direct", load_tester="http://127.0.0.1:1")
    tester = (await scene.look(settings))["load tester of one"]

    assert tester.seen == "does not answer: ConnectError"
    assert tester.remedy == "see `loadTester:` of cluster one in the worker's clusters file"


async def test_a_cluster_that_is_away_is_not_asked_any_further(scene: Scene) -> None:
    found = await scene.look(ONE, url="http://127.0.0.1:1")

    assert found["API server of one"].seen.startswith("Cluster one does not answer: ")
    assert list(found) == ["API server of one"]


async def test_a_mistake_of_ours_over_one_cluster_is_named_and_takes_nothing_from_the_others(
    scene: Scene,
) -> None:
    scene.metrics.broken = "two"
    found = await scene.look(ONE, ClusterSettings("two", reach="direct"))

    assert found["Prometheus of one"].seen == "answers"
    assert [name for name in found if name.endswith(" two")] == ["examination of two"]
    assert found["examination of two"].seen == "could not be looked at: KeyError"
    assert found["examination of two"].remedy


async def test_a_cluster_that_only_canaries_name_is_looked_at_too(scene: Scene) -> None:
    found = await scene.look(ONE, used=("elsewhere",))

    assert found["API server of elsewhere"].seen.startswith("Cluster elsewhere is not known here: ")
    assert "Istio of one" in found


async def test_a_host_needs_nothing_of_istio_unless_canaries_are_in_it(scene: Scene) -> None:
    scene.server.istio = []
    host = ClusterSettings("host", reach="direct")

    assert list(await scene.look(host)) == ["Kubernetes of host"]
    assert (await scene.look(host, used=("host",)))["Istio of host"].remedy


async def test_the_sandbox_is_in_order(scene: Scene) -> None:
    server = await SandboxServer.start()
    found = await scene.look(ONE, url=server.url)
    await server.stop()

    assert found["Kubernetes of one"].remedy == ""
    assert found["rights of one"].seen == f"all {GRANTED} granted"
