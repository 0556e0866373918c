"""The files of a git tree on disk, without a way out of their folder."""

import os
import stat
from pathlib import Path

from dulwich.index import validate_path
from dulwich.objects import Blob, ObjectID
from dulwich.repo import Repo

from activities.source.errors import SourceError

LARGEST_TREE = 256 * 2**20


def write_tree(clone: Repo, tree: ObjectID, folder: Path) -> None:
    """Write *tree* below the new directory *folder*; links are written last and may not lead out of it."""
    folder.mkdir()
    links: dict[Path, bytes] = {}
    size = 0
    for entry in clone.object_store.iter_tree_contents(tree):
        if not validate_path(entry.path):
            raise SourceError("The repository holds a file whose name cannot be written.")
        if stat.S_IFMT(entry.mode) not in (stat.S_IFREG, stat.S_IFLNK):
            continue  # a submodule
        blob = clone.object_store[entry.sha]
        if not isinstance(blob, Blob):
            raise SourceError("The repository is damaged: a file is no blob.")
        size += blob.raw_length()
        if size > LARGEST_TREE:
            raise SourceError(f"The repository's files are larger than {LARGEST_TREE // 2**20} MiB.")
        path = folder / os.fsdecode(entry.path)
        if stat.S_ISLNK(entry.mode):
            links[path] = blob.data
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(blob.data)
    _write_links(links, folder)


def _write_links(links: dict[Path, bytes], folder: Path) -> None:
    for path, target in links.items():
        _refuse_outside(path.parent, folder)  # a damaged tree may name a link as a folder
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(os.fsdecode(target))
    for path in links:  # only with all links in place is it known where a chain of them ends
        _refuse_outside(path, folder)


def _refuse_outside(path: Path, folder: Path) -> None:
    if not path.resolve().is_relative_to(folder.resolve()):
        raise SourceError(f"Link {path.relative_to(folder)} leads out of the repository.")
