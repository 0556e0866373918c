"""That the stories say what a named cluster lacks, in one sentence, and how to mend it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sandbox.apiserver.server import ApiServer
from sandbox.client import KubeClient
from sandbox.handover import kubeconfig
from sandbox.installed import install
from tests.conformance.ground import Need
from tests.conformance.named import PREFIX, Named, Settings, UnfitError
from tests.conformance.workload import LABEL, namespace

TESTING = Path(__file__).parents[2] / "docs/testing.md"
WAYS = {"mesh": "http://mesh", "services": "http://services"}


@pytest.fixture
async def api() -> AsyncIterator[KubeClient]:
    """A cluster with Istio's kinds and our Gateway, and nothing that runs."""
    server = await ApiServer.start()
    async with KubeClient(server.url) as client:
        await install(client, "http://127.0.0.1:9090")
        yield client
    await server.stop()


@pytest.fixture
def file(api: KubeClient, tmp_path: Path) -> Path:
    path = tmp_path / "theirs"
    path.write_text(kubeconfig({"one": api.url}, "one"))
    return path


async def unfit(settings: Settings, folder: Path) -> str:
    """Why the stories cannot be told there."""
    ground = Named(settings)
    try:
        with pytest.raises(UnfitError) as found:
            await ground.start(folder)
    finally:
        await ground.stop()
    return str(found.value)


@pytest.mark.parametrize(
    ("told", "why"),
    [
        pytest.param({"services": "http://s"}, "CONFORMANCE_MESH is not set", id="no way through the mesh"),
        pytest.param({"mesh": "http://m"}, "CONFORMANCE_SERVICES is not set", id="no way past the mesh"),
        pytest.param(WAYS | {"contexts": "a,b"}, "CONFORMANCE_MESH says 1", id="two contexts, one mesh"),
        pytest.param(WAYS | {"contexts": "a,b,c"}, "CONFORMANCE_CONTEXTS names 3", id="three contexts"),
    ],
)
async def test_says_what_the_environment_lacks(tmp_path: Path, told: dict[str, str], why: str) -> None:
    assert why in await unfit(Settings(kubeconfig=tmp_path, **told), tmp_path)


async def test_says_what_kubectl_says_of_a_wrong_context(file: Path, tmp_path: Path) -> None:
    assert 'context "two" does not exist' in await unfit(
        Settings(kubeconfig=file, contexts="two", **WAYS), tmp_path
    )


async def test_says_that_the_gateway_has_no_address(file: Path, tmp_path: Path) -> None:
    assert "CONFORMANCE_GATEWAY is not set" in await unfit(Settings(kubeconfig=file, **WAYS), tmp_path)


async def test_says_that_there_is_no_gateway_to_be_bound_to(
    api: KubeClient, file: Path, tmp_path: Path
) -> None:
    await api.delete("/apis/networking.istio.io/v1beta1/namespaces/istio-system/gateways/public-gateway")
    settings = Settings(kubeconfig=file, gateway="http://gateway", **WAYS)

    assert "no Gateway istio-system/public-gateway" in await unfit(settings, tmp_path)


async def test_leaves_alone_what_another_run_left(api: KubeClient, file: Path, tmp_path: Path) -> None:
    await api.create("/api/v1/namespaces", namespace("theirs"))
    settings = Settings(kubeconfig=file, gateway="http://gateway", **WAYS)

    assert f"kubectl delete namespace -l {LABEL}" in await unfit(settings, tmp_path)
    assert "deletionTimestamp" not in (await api.get("/api/v1/namespaces/theirs"))["metadata"]


async def test_tells_where_all_is_of_a_cluster_that_will_do(file: Path, tmp_path: Path) -> None:
    ground = Named(Settings(kubeconfig=file, gateway="http://gateway", **WAYS))
    found = await ground.start(tmp_path)
    place = found["clusters"]["kurator-member1"]
    async with KubeClient(place["api"]) as through:
        await through.get("/api/v1/namespaces/default")
        log = (await through.get("/_sandbox/requests"))["requests"]
    await ground.stop()

    assert (place["gateway"], place["mesh"], place["services"]) == ("http://gateway", *WAYS.values())
    assert log[-1]["path"] == "/api/v1/namespaces/default"
    assert place["api"] in (tmp_path / "kubeconfig").read_text()
    assert {Need.MEMBERS, Need.SCRAPES, Need.QUOTA, Need.CONNECT} < ground.lacks.keys()


def test_says_which_variable_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{PREFIX}KUBECONFIG", "theirs")
    monkeypatch.setenv(f"{PREFIX}SCRAPE_INTERVAL", "soon")

    with pytest.raises(UnfitError, match="CONFORMANCE_SCRAPE_INTERVAL: Input should be a valid number"):
        Settings.read()


def test_every_variable_is_documented() -> None:
    variables = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields} - {f"{PREFIX}KUBECONFIG"}
    rows = [
        line.split("|")[1].strip(" `") for line in TESTING.read_text().splitlines() if f"`{PREFIX}" in line
    ]

    assert sorted(row for row in rows if row.startswith(PREFIX)) == sorted(variables)
