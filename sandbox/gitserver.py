"""A git repository over HTTP, for reading and for pushing.

Its first commit is the tree beside this module, `webapp/`; what is pushed stays on disk and is served again
after a restart.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Self

from aiohttp import web
from dulwich.aiohttp.server import create_repo_app
from dulwich.index import commit_tree
from dulwich.objects import Blob, ObjectID
from dulwich.refs import Ref
from dulwich.repo import Repo

from sandbox.serving import listen, runner_of

FIRST_CONTENT = Path(__file__).with_name("webapp")
BRANCH = b"master"
AUTHOR = b"Sandbox <sandbox@localhost>"
# A push arrives as one request body.
LARGEST_PUSH = 256 * 2**20


class GitServer:
    """The repository `app.git` below a directory, served on a port of its own."""

    def __init__(self, repository: Repo, runner: web.AppRunner, url: str) -> None:
        self.url = url
        self._repository = repository
        self._runner = runner

    @classmethod
    async def start(cls, directory: Path) -> Self:
        """Open or make the repository, and serve it."""
        repository = open_repository(directory / "app.git")
        app = web.Application(client_max_size=LARGEST_PUSH)
        app.add_subapp("/app.git", create_repo_app(repository))
        runner = runner_of(app)
        return cls(repository, runner, await listen(runner) + "/app.git")

    async def stop(self) -> None:
        """Close the port and the repository."""
        await self._runner.cleanup()
        self._repository.close()


def open_repository(path: Path) -> Repo:
    """Open the bare repository at `path`; make it, with its first commit, where there is none."""
    if (path / "HEAD").exists():
        return Repo(str(path))
    path.mkdir(parents=True, exist_ok=True)
    repository = Repo.init_bare(str(path), default_branch=BRANCH)
    repository.get_worktree().commit(
        message=b"Begin with the webapp",
        author=AUTHOR,
        committer=AUTHOR,
        tree=commit_tree(repository.object_store, _first_blobs(repository)),
        ref=Ref(b"refs/heads/" + BRANCH),
    )
    return repository


def _first_blobs(repository: Repo) -> Iterator[tuple[bytes, ObjectID, int]]:
    for path in sorted(FIRST_CONTENT.rglob("*")):
        if path.is_file():
            blob = Blob.from_string(path.read_bytes())
            repository.object_store.add_object(blob)
            yield path.relative_to(FIRST_CONTENT).as_posix().encode(), blob.id, 0o100644
