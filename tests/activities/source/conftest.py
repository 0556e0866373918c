import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from dulwich.index import commit_tree
from dulwich.objects import Blob, Commit, Tag
from dulwich.repo import Repo

from activities.cluster.api import ClusterApi
from activities.cluster.errors import UnknownClusterError
from activities.cluster.settings import ClusterSettings
from canary.application import ClusterRef, GitSource
from sandbox.apiserver.server import ApiServer
from sandbox.gitserver import GitServer
from tests.clients import api_client

LINK = 0o120000
FILE = 0o100644
WHO = "Test <test@localhost> 1 +0000"


class Origin:
    """A repository that the test commits to and the engine reads over HTTP."""

    def __init__(self, repo: Repo, server: GitServer) -> None:
        self.url = server.url
        self._repo = repo
        self._server = server
        self._files: dict[str, tuple[int, bytes]] = {}

    async def stop(self) -> None:
        await self._server.stop()

    def commit(
        self, files: dict[str, str | None], links: dict[str, str] | None = None, branch: str = "master"
    ) -> str:
        for path, text in files.items():
            if text is None:
                del self._files[path]
            else:
                self._files[path] = (FILE, text.encode())
        for path, target in (links or {}).items():
            self._files[path] = (LINK, target.encode())
        store = self._repo.object_store
        entries = []
        for path, (mode, data) in self._files.items():
            blob = Blob.from_string(data)
            store.add_object(blob)
            entries.append((path.encode(), blob.id, mode))
        ref = f"refs/heads/{branch}".encode()
        parent = f"parent {self._repo.refs[ref].decode()}\n" if ref in self._repo.refs else ""
        tree = commit_tree(store, entries).decode()
        text = f"tree {tree}\n{parent}author {WHO}\ncommitter {WHO}\n\nChange\n"
        commit = Commit.from_string(text.encode())
        store.add_object(commit)
        self._repo.refs[ref] = commit.id
        return commit.id.decode()

    def tag(self, name: str, commit: str) -> None:
        tag = Tag.from_string(f"object {commit}\ntype commit\ntag {name}\ntagger {WHO}\n\nRelease\n".encode())
        self._repo.object_store.add_object(tag)
        self._repo.refs[f"refs/tags/{name}".encode()] = tag.id

    def source(self, **fields: str) -> GitSource:
        return GitSource(url=self.url, timeout=timedelta(seconds=10), **fields)


@pytest.fixture
async def origin(tmp_path: Path) -> AsyncIterator[Origin]:
    path = tmp_path / "origin" / "app.git"
    path.mkdir(parents=True)
    repo = Repo.init_bare(str(path), default_branch=b"master")
    server = await GitServer.start(path.parent)
    origin = Origin(repo, server)
    yield origin
    await origin.stop()
    repo.close()


@pytest.fixture
def kubectl() -> Path:
    return Path(sys.executable).with_name("kubectl")


class Members:
    """Member clusters, each an API server of the sandbox."""

    def __init__(self) -> None:
        self.apis: dict[str, ClusterApi] = {}
        self.attached: list[ClusterRef] = []

    async def attach(self, cluster: ClusterRef) -> None:
        self.attached.append(cluster)

    async def get(self, name: str) -> ClusterApi:
        if name not in self.apis:
            raise UnknownClusterError(name)
        return self.apis[name]


@pytest.fixture
async def server() -> AsyncIterator[ApiServer]:
    server = await ApiServer.start()
    yield server
    await server.stop()


@pytest.fixture
async def members(server: ApiServer) -> AsyncIterator[Members]:
    client = api_client(server.url)
    away = api_client("http://127.0.0.1:1")
    members = Members()
    members.apis["one"] = ClusterApi(ClusterSettings("one"), client)
    members.apis["away"] = ClusterApi(ClusterSettings("away"), away)
    yield members
    await client.close()  # type: ignore[no-untyped-call]
    await away.close()  # type: ignore[no-untyped-call]


@pytest.fixture
def api(members: Members) -> ClusterApi:
    return members.apis["one"]
