"""The clusters of a worker: from its file, and from kubeconfig Secrets of the host."""

import base64
import errno
import json
import os
from collections.abc import AsyncIterator
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from ruamel.yaml import YAML

from activities.cluster.errors import ApiError, ClusterUnreachableError, UnknownClusterError
from canary.application import ClusterRef, SecretKey
from sandbox.apiserver.server import ApiServer
from worker.clusters import ClustersFileError, ConfiguredClusters, read_clusters_file
from worker.kubeconfigs import loading

CERTIFICATE = Path(__file__).parents[1] / "activities/self-signed.pem"
MEMBER = ClusterRef(name="member", kubeconfig=SecretKey(namespace="default", name="member", key="config"))


def kubeconfig(url: str, user: dict[str, Any] | None = None, **cluster: Any) -> dict[str, Any]:
    """A kubeconfig of one cluster."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "clusters": [{"name": "here", "cluster": {"server": url, **cluster}}],
        "users": [{"name": "here", "user": user or {}}],
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "here"}}],
    }


@pytest.fixture
async def server() -> AsyncIterator[ApiServer]:
    server = await ApiServer.start()
    yield server
    await server.stop()


@pytest.fixture
async def clusters(server: ApiServer, tmp_path: Path) -> AsyncIterator[ConfiguredClusters]:
    """A worker that knows the host alone."""
    with (tmp_path / "kubeconfig").open("w") as file:
        YAML(typ="safe").dump(kubeconfig(server.url), file)
    (tmp_path / "clusters.yaml").write_text("clusters:\n  host: {kubeconfig: ./kubeconfig}\n")
    clusters = ConfiguredClusters(tmp_path / "clusters.yaml")
    yield clusters
    await clusters.close()


async def keep(clusters: ConfiguredClusters, content: str, key: str = "config") -> None:
    """Write the member's Secret into the host cluster."""
    host = await clusters.get("host")
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "member", "namespace": "default"},
        "data": {key: base64.b64encode(content.encode()).decode()},
    }
    await host.apply("/api/v1/namespaces/default/secrets/member", secret, force=True)


def text(document: dict[str, Any], folder: Path) -> str:
    with (folder / "text").open("w") as file:
        YAML(typ="safe").dump(document, file)
    return (folder / "text").read_text()


async def test_reaches_an_attached_cluster_by_its_secret(
    clusters: ConfiguredClusters, server: ApiServer, tmp_path: Path
) -> None:
    await keep(clusters, text(kubeconfig(server.url), tmp_path))
    await clusters.attach(MEMBER)

    version = await (await clusters.get("member")).get("/version")

    assert version["major"] == "1"


async def test_a_worker_that_starts_anew_still_knows_it(
    clusters: ConfiguredClusters, server: ApiServer, tmp_path: Path
) -> None:
    await keep(clusters, text(kubeconfig(server.url), tmp_path))
    await clusters.attach(MEMBER)
    another = ConfiguredClusters(tmp_path / "clusters.yaml")

    found = await another.get("member")

    assert found.name == "member"
    await another.close()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        pytest.param({"user": {"exec": {"command": "steal"}}}, "users[].user.exec", id="a command"),
        pytest.param({"user": {"auth-provider": {"name": "x"}}}, "auth-provider", id="an auth provider"),
        pytest.param({"user": {"client-key": "/etc/shadow"}}, "client-key", id="a file of this machine"),
        pytest.param({"certificate-authority": "/etc/ca"}, "certificate-authority", id="a CA file"),
        pytest.param({"insecure-skip-tls-verify": True}, "insecure-skip-tls-verify", id="no verification"),
    ],
)
async def test_refuses_a_kubeconfig_that_runs_code_or_reads_files(
    clusters: ConfiguredClusters, server: ApiServer, tmp_path: Path, change: dict[str, Any], named: str
) -> None:
    await keep(clusters, text(kubeconfig(server.url, **change), tmp_path))
    await clusters.attach(MEMBER)

    with pytest.raises(UnknownClusterError) as refused:
        await clusters.get("member")

    assert named in str(refused.value)
    assert "CANARY_ALLOW_EXEC_KUBECONFIG" in str(refused.value)


@pytest.mark.parametrize(
    ("content", "key", "named"),
    [
        pytest.param("{}", "config", "holds no kubeconfig", id="no kubeconfig"),
        pytest.param("a: [", "config", "holds no kubeconfig", id="not YAML"),
        pytest.param("{}", "other", "has no key config", id="another key"),
        pytest.param(
            "{clusters: [x], users: [y], contexts: [z]}",
            "config",
            "Secret member in namespace default of the host cluster: it is no kubeconfig",
            id="texts for entries",
        ),
        pytest.param(
            "{clusters: [], users: [], contexts: []}",
            "config",
            "Secret member in namespace default of the host cluster: Invalid kube-config file",
            id="no context",
        ),
    ],
)
async def test_names_what_a_secret_lacks(
    clusters: ConfiguredClusters, content: str, key: str, named: str
) -> None:
    await keep(clusters, content, key)
    await clusters.attach(MEMBER)

    with pytest.raises(UnknownClusterError, match=named):
        await clusters.get("member")


async def test_names_a_secret_that_is_not_there(clusters: ConfiguredClusters) -> None:
    await clusters.attach(MEMBER)

    with pytest.raises(UnknownClusterError, match="Secret member in namespace default of the host cluster"):
        await clusters.get("member")


@pytest.mark.proves("K7")
async def test_names_a_cluster_that_nobody_knows(clusters: ConfiguredClusters) -> None:
    """Kurator skips the rollout of a cluster that is not there, and says nothing.

    K7: Kurator's rollout_helper.go.
    """
    with pytest.raises(UnknownClusterError, match="Cluster nowhere is not known here"):
        await clusters.get("nowhere")


@pytest.mark.parametrize(
    ("content", "named"),
    [
        pytest.param("clusters:\n  a: {colour: red}\n", "clusters.a.colour", id="unknown field"),
        pytest.param("clusters: [", "not YAML", id="not YAML"),
        pytest.param(
            "clusters:\n  a/b: {}\n", "clusters: a/b is no name of a Kubernetes object", id="no name"
        ),
        pytest.param("clusters:\n  a: {reach: telepathy}\n", "clusters.a.reach", id="unknown way"),
        pytest.param(
            "clusters:\n  a: {scaleDownDelay: soon}\n",
            "clusters.a.scaleDownDelay: must be a duration such as 90s, 3m0s or 1h, is soon",
            id="no duration",
        ),
        *(
            pytest.param(
                f"clusters:\n  a: {{scaleDownDelay: {delay}}}\n",
                "clusters.a.scaleDownDelay: must be between 0s and 8784h",
                id=f"delay of {delay}",
            )
            for delay in ("-5s", "-5", "9999h")
        ),
        pytest.param(
            "clusters:\n  a: {scaleDownDelay: true}\n",
            "clusters.a.scaleDownDelay: must be a duration such as 90s, 3m0s or 1h, is true",
            id="delay that is no number",
        ),
        *(
            pytest.param(
                f"clusters:\n  a: {{{key}: ''}}\n",
                f"clusters.a.{key}: write the path of a file, or leave the key out",
                id=f"empty {key}",
            )
            for key in ("kubeconfig", "prometheusCA")
        ),
        *(
            pytest.param(
                f"clusters:\n  a: {{{key}: '{url}'}}\n",
                f"clusters.a.{key}: write a URL that begins with http:// or https://",
                id=f"{key} at {url}",
            )
            for key, url in (("prometheus", "foo:9090"), ("loadTester", "http://["), ("prometheus", ""))
        ),
        pytest.param(
            "clusters:\n  a: {prometheus: 2001-99-99}\n", "cannot be read: month must be", id="no date"
        ),
        pytest.param("", "a mapping with the key `clusters` is needed", id="empty"),
    ],
)
def test_names_what_is_wrong_in_the_clusters_file(tmp_path: Path, content: str, named: str) -> None:
    path = tmp_path / "clusters.yaml"
    path.write_text(content)

    with pytest.raises(ClustersFileError) as refused:
        read_clusters_file(path)

    assert named in str(refused.value)


def test_names_a_clusters_file_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "clusters.yaml"
    path.write_bytes(b"clusters: {}\n# \xff\n")

    with pytest.raises(ClustersFileError, match=r"clusters\.yaml: cannot be read: 'utf-8' codec"):
        read_clusters_file(path)


def test_names_a_clusters_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ClustersFileError, match="CANARY_CLUSTERS"):
        read_clusters_file(tmp_path / "clusters.yaml")


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("250ms", 0.25),
        ("5s", 5),
        ("2m", 120),
        ("1h", 3600),
        ("1m30s", 90),
        ("30", 30),
        ("0.5", 0.5),
        ("0", 0),
    ],
)
def test_reads_a_scale_down_delay(tmp_path: Path, written: str, expected: float) -> None:
    path = tmp_path / "clusters.yaml"
    path.write_text(f"clusters:\n  a: {{scaleDownDelay: {written}}}\n")

    delay = read_clusters_file(path).clusters["a"].settings("a", tmp_path).scale_down_delay

    assert delay == timedelta(seconds=expected)


@pytest.mark.parametrize(("written", "expected"), [("", True), ("requireSidecars: false", False)])
def test_a_cluster_may_be_without_sidecars(tmp_path: Path, *, written: str, expected: bool) -> None:
    path = tmp_path / "clusters.yaml"
    path.write_text(f"clusters:\n  a: {{{written}}}\n")

    settings = read_clusters_file(path).clusters["a"].settings("a", tmp_path)

    assert settings.requires_sidecars is expected


@pytest.mark.parametrize(("written", "expected"), [("", "istio-system"), ("rootNamespace: mesh", "mesh")])
def test_reads_the_root_namespace_of_the_mesh(tmp_path: Path, written: str, expected: str) -> None:
    path = tmp_path / "clusters.yaml"
    path.write_text(f"clusters:\n  a: {{{written}}}\n")

    settings = read_clusters_file(path).clusters["a"].settings("a", tmp_path)

    assert settings.root_namespace == expected


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        pytest.param("", "ours:1", id="the worker's"),
        pytest.param(", guardedLoadTester: ours:2", "ours:2", id="the cluster's own"),
        pytest.param(", guardedLoadTester: ''", "", id="none here"),
    ],
)
async def test_a_cluster_may_have_another_load_tester(
    server: ApiServer, tmp_path: Path, entry: str, expected: str
) -> None:
    (tmp_path / "kubeconfig").write_text(text(kubeconfig(server.url), tmp_path))
    (tmp_path / "clusters.yaml").write_text(f"clusters:\n  a: {{kubeconfig: ./kubeconfig{entry}}}\n")
    clusters = ConfiguredClusters(tmp_path / "clusters.yaml", guarded_load_tester="ours:1")
    settings = (await clusters.get("a")).settings
    await clusters.close()

    assert settings.guarded_load_tester == expected


async def test_an_attached_cluster_has_the_workers_load_tester(
    clusters: ConfiguredClusters, server: ApiServer, tmp_path: Path
) -> None:
    await keep(clusters, text(kubeconfig(server.url), tmp_path))
    await clusters.attach(MEMBER)
    guarded = ConfiguredClusters(tmp_path / "clusters.yaml", guarded_load_tester="ours:1")
    settings = (await guarded.get("member")).settings
    await guarded.close()

    assert settings.guarded_load_tester == "ours:1"


def test_names_what_is_no_image(tmp_path: Path) -> None:
    (tmp_path / "clusters.yaml").write_text("clusters:\n  a: {guardedLoadTester: 'a b'}\n")

    with pytest.raises(ClustersFileError, match=r"clusters\.a\.guardedLoadTester: write an image"):
        ConfiguredClusters(tmp_path / "clusters.yaml")


async def test_an_authority_lies_beside_the_clusters_file(server: ApiServer, tmp_path: Path) -> None:
    (tmp_path / "kubeconfig").write_text(text(kubeconfig(server.url), tmp_path))
    (tmp_path / "ca.pem").write_bytes(CERTIFICATE.read_bytes())
    (tmp_path / "clusters.yaml").write_text(
        "clusters:\n  a: {kubeconfig: ./kubeconfig, prometheusCA: ./ca.pem}\n"
    )
    clusters = ConfiguredClusters(tmp_path / "clusters.yaml")
    settings = (await clusters.get("a")).settings
    await clusters.close()

    assert settings.prometheus_ca == CERTIFICATE.read_text()


@pytest.mark.parametrize("content", [None, b"", b"no certificate", b"\xff\xfe"])
def test_names_an_authority_that_cannot_be_read(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "ca.pem").write_bytes(content)
    (tmp_path / "clusters.yaml").write_text("clusters:\n  a: {prometheusCA: ./ca.pem}\n")

    with pytest.raises(ClustersFileError, match=r"^clusters\.a\.prometheusCA: .*/ca\.pem: no certificates"):
        ConfiguredClusters(tmp_path / "clusters.yaml")


@pytest.mark.parametrize(
    "entry",
    [
        pytest.param("{kubeconfig: ./nothing}", id="no kubeconfig"),
        pytest.param("{kubeconfig: ./kubeconfig, context: nowhere}", id="no such context"),
        pytest.param("{}", id="no service account here"),
    ],
)
async def test_a_way_in_that_cannot_be_read_is_named(server: ApiServer, tmp_path: Path, entry: str) -> None:
    (tmp_path / "kubeconfig").write_text(text(kubeconfig(server.url), tmp_path))
    (tmp_path / "clusters.yaml").write_text(f"clusters:\n  a: {entry}\n")

    with pytest.raises(UnknownClusterError, match="Cluster a is not known here: its way in cannot be read: "):
        await ConfiguredClusters(tmp_path / "clusters.yaml").get("a")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        pytest.param(b"", "it is no kubeconfig (TypeError)", id="empty"),
        pytest.param(b"a: [", "line 1 is not YAML", id="not YAML"),
        pytest.param(b"token: MARKER\n\tx", "line 2 is not YAML", id="a tab"),
        pytest.param(b"- MARKER", "it is no kubeconfig (TypeError)", id="a list"),
        pytest.param(b"\xff\xfe\x00", "it is no kubeconfig (UnicodeDecodeError)", id="not text"),
        pytest.param(
            b"{clusters: [{name: here, cluster: {server: 7}}], users: [{name: here, user: {token: MARKER}}], "
            b"contexts: [{name: here, context: {cluster: here, user: here}}], current-context: here}",
            "it is no kubeconfig (AttributeError)",
            id="a number for an address",
        ),
        pytest.param(
            b"{clusters: [{name: here, cluster: {server: 'https://x', proxy-url: 7}}], users: [{name: here, "
            b"user: {}}], contexts: [{name: here, context: {cluster: here, user: here}}], "
            b"current-context: here}",
            "it is no kubeconfig (TypeError)",
            id="a number for a proxy",
        ),
        pytest.param(
            b"{clusters: [{name: here, cluster: {server: 'https://x', certificate-authority-data: TUFSS0VS}}]"
            b", users: [{name: here, user: {}}], contexts: [{name: here, context: {cluster: here, "
            b"user: here}}], current-context: here}",
            "its certificates or keys are no PEM",
            id="no certificate",
        ),
        pytest.param(
            b"{clusters: [{name: here, server: 'https://x', token: MARKER}], users: [{name: here, user: {}}]"
            b", contexts: [{name: here, context: {cluster: here, user: here}}], current-context: here}",
            "Expected key cluster in",
            id="a token where no token belongs",
        ),
    ],
)
async def test_a_kubeconfig_that_cannot_be_used_is_named_without_what_it_holds(
    tmp_path: Path, content: bytes, why: str
) -> None:
    (tmp_path / "kubeconfig").write_bytes(content)
    (tmp_path / "clusters.yaml").write_text("clusters:\n  a: {kubeconfig: ./kubeconfig}\n")

    with pytest.raises(UnknownClusterError) as refused:
        await ConfiguredClusters(tmp_path / "clusters.yaml").get("a")

    told = str(refused.value)
    assert told.startswith(f"Cluster a is not known here: its way in cannot be read: {tmp_path}/kubeconfig: ")
    assert why in told
    assert "\n" not in told
    assert "MARKER" not in told
    assert refused.value.__cause__ is None  # it would go into histories with the error


def test_a_file_that_may_not_be_read_is_told_with_whom_it_is_to_be_readable_for() -> None:
    with (
        pytest.raises(UnknownClusterError, match=rf"/k: Permission denied; let user {os.geteuid()}, as whom"),
        loading("a", "/k"),
    ):
        raise PermissionError(errno.EACCES, "Permission denied", "/k")


async def test_a_password_in_a_netrc_is_not_for_an_api_server(
    server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login ada password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with (tmp_path / "kubeconfig").open("w") as file:
        YAML(typ="safe").dump(kubeconfig(server.url, {"token": "a-token"}), file)
    (tmp_path / "clusters.yaml").write_text("clusters:\n  host: {kubeconfig: ./kubeconfig}\n")
    clusters = ConfiguredClusters(tmp_path / "clusters.yaml")

    found = await (await clusters.get("host")).list("/api/v1/namespaces")

    assert found["kind"] == "NamespaceList"
    await clusters.close()


NOWHERE = "http://127.0.0.1:1"
"""A proxy that does not answer: whoever is asked through it is not reached."""


@pytest.mark.parametrize(
    ("named", "is_reached"),
    [
        pytest.param({}, True, id="none"),
        pytest.param({"proxy-url": NOWHERE}, False, id="of the kubeconfig"),
        pytest.param({"http_proxy": NOWHERE}, False, id="of the environment"),
        pytest.param({"http_proxy": NOWHERE, "no_proxy": "127.0.0.1"}, True, id="exempted"),
    ],
)
async def test_an_api_server_is_asked_by_its_proxy(
    server: ApiServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    named: dict[str, str],
    is_reached: bool,  # noqa: FBT001 — a column of the table
) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    environment = named.keys() - {"proxy-url"}
    for name in environment:
        monkeypatch.setenv(name, named[name])
    with (tmp_path / "kubeconfig").open("w") as file:
        way: dict[str, Any] = {key: value for key, value in named.items() if key not in environment}
        YAML(typ="safe").dump(kubeconfig(server.url, **way), file)
    (tmp_path / "clusters.yaml").write_text("clusters:\n  host: {kubeconfig: ./kubeconfig}\n")
    clusters = ConfiguredClusters(tmp_path / "clusters.yaml")
    host = await clusters.get("host")

    if is_reached:
        assert (await host.list("/api/v1/namespaces"))["kind"] == "NamespaceList"
    else:
        with pytest.raises(ClusterUnreachableError, match="host does not answer: Connection refused"):
            await host.list("/api/v1/namespaces")
    await clusters.close()


class Guarded:
    """Stands in for an API server that lets in whoever has the token of the moment."""

    def __init__(self) -> None:
        self.token = "first"
        self.asked: list[str] = []

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(request.headers.get("Authorization", ""))
        is_known = self.asked[-1] == f"Bearer {self.token}"
        return web.json_response(
            {"major": "1"}, status=HTTPStatus.OK if is_known else HTTPStatus.UNAUTHORIZED
        )


@pytest.fixture
async def guarded() -> AsyncIterator[tuple[Guarded, str]]:
    guarded, app = Guarded(), web.Application()
    app.router.add_get("/version", guarded.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield guarded, site.name
    await runner.cleanup()


async def test_an_expired_token_of_a_secret_is_replaced_by_the_one_that_is_there(
    clusters: ConfiguredClusters, guarded: tuple[Guarded, str], tmp_path: Path
) -> None:
    server, url = guarded
    await keep(clusters, text(kubeconfig(url, {"token": "first"}), tmp_path))
    await clusters.attach(MEMBER)
    member = await clusters.get("member")
    await member.get("/version")
    server.token = "second"
    await keep(clusters, text(kubeconfig(url, {"token": "second"}), tmp_path))

    version = await member.get("/version")

    assert version["major"] == "1"
    assert server.asked == ["Bearer first", "Bearer first", "Bearer second"]


async def test_an_expired_token_of_a_file_or_a_command_is_replaced(
    guarded: tuple[Guarded, str], tmp_path: Path
) -> None:
    server, url = guarded
    said = tmp_path / "said"
    command = {"apiVersion": "client.authentication.k8s.io/v1", "command": "cat", "args": [str(said)]}
    (tmp_path / "kubeconfig").write_text(text(kubeconfig(url, {"exec": command}), tmp_path))
    (tmp_path / "clusters.yaml").write_text("clusters:\n  a: {kubeconfig: ./kubeconfig}\n")
    clusters = ConfiguredClusters(tmp_path / "clusters.yaml")
    answers = []
    for server.token in ("first", "second"):
        credential = {**command, "kind": "ExecCredential", "status": {"token": server.token}}
        said.write_text(json.dumps(credential))
        answers.append(await (await clusters.get("a")).get("/version"))
    await clusters.close()

    assert [answer["major"] for answer in answers] == ["1", "1"]


async def test_credentials_that_stay_refused_are_read_again_once_in_a_while(
    clusters: ConfiguredClusters, guarded: tuple[Guarded, str], tmp_path: Path
) -> None:
    server, url = guarded
    await keep(clusters, text(kubeconfig(url, {"token": "stolen"}), tmp_path))
    await clusters.attach(MEMBER)
    member = await clusters.get("member")
    for _ in range(3):
        with pytest.raises(ApiError, match="401"):
            await member.get("/version")

    assert server.asked == ["Bearer stolen"] * 4


async def test_a_secret_that_cannot_be_read_any_more_leaves_the_refusal(
    clusters: ConfiguredClusters, guarded: tuple[Guarded, str], tmp_path: Path
) -> None:
    _, url = guarded
    await keep(clusters, text(kubeconfig(url, {"token": "stolen"}), tmp_path))
    await clusters.attach(MEMBER)
    member = await clusters.get("member")
    await keep(clusters, "{}")

    with pytest.raises(ApiError, match="401"):
        await member.get("/version")
