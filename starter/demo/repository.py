"""The developer of the story: changes an image in git and pushes."""

import io
import re
from pathlib import Path

from dulwich import porcelain
from dulwich.repo import Repo

MANIFEST = "deploy/webapp/backend/deployment.yaml"
AUTHOR = b"Developer <developer@localhost>"
BRANCH = "refs/heads/master"


class Repository:
    """A clone of the sandbox's repository."""

    def __init__(self, clone: Repo, url: str) -> None:
        self._clone = clone
        self._url = url

    @classmethod
    def clone(cls, url: str, folder: Path) -> "Repository":
        """Clone the repository."""
        return cls(porcelain.clone(url, folder, errstream=io.BytesIO()), url)

    def release(self, tag: str) -> str:
        """Put another image tag into the backend's manifest, push, and give the commit."""
        manifest = Path(self._clone.path) / MANIFEST
        text, count = re.subn(r"(image: \S+podinfo):\S+", rf"\g<1>:{tag}", manifest.read_text())
        if not count:
            raise ValueError(f"{MANIFEST} holds no podinfo image.")
        manifest.write_text(text)
        # By its name in the tree: `add` takes a relative path for one inside the clone, and adds nothing.
        self._clone.get_worktree().stage([MANIFEST])
        commit = porcelain.commit(
            self._clone, message=f"Release {tag}", author=AUTHOR, committer=AUTHOR, sign=False
        )
        quiet = io.BytesIO()
        porcelain.push(self._clone, self._url, BRANCH, outstream=quiet, errstream=quiet)
        return commit.decode()

    def close(self) -> None:
        """Release the clone's files."""
        self._clone.close()
