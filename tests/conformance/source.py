"""The git repository of the world, as a developer works with it."""

import asyncio
import io
from pathlib import Path

from dulwich import porcelain
from dulwich.repo import Repo

AUTHOR = b"Developer <developer@localhost>"
BRANCH = "refs/heads/master"


class Source:
    """A clone, and pushing from it, to a branch that nobody else pushes to."""

    def __init__(self, clone: Repo, url: str, branch: str) -> None:
        self.folder = Path(clone.path)
        self._clone = clone
        self._url = url
        self._branch = branch

    @classmethod
    async def clone(cls, url: str, folder: Path, branch: str = "master") -> "Source":
        clone = await asyncio.to_thread(porcelain.clone, url, folder, errstream=io.BytesIO())
        return cls(clone, url, branch)

    async def push(self, files: dict[str, str]) -> str:
        """Write files, commit and push them; gives the commit."""
        return await asyncio.to_thread(self._push, files)

    def close(self) -> None:
        self._clone.close()

    def _push(self, files: dict[str, str]) -> str:
        for name, text in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self._clone.get_worktree().stage(list(files))
        commit = porcelain.commit(self._clone, message="Change", author=AUTHOR, committer=AUTHOR, sign=False)
        quiet, refs = io.BytesIO(), f"{BRANCH}:refs/heads/{self._branch}"
        porcelain.push(self._clone, self._url, refs, outstream=quiet, errstream=quiet)
        return commit.decode()
