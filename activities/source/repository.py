"""Git repositories: what a branch, tag or commit points at, and the files of a commit.

Every repository has one bare clone in the cache, or one for each Secret that it is read with, shared by all
workers of a machine behind a file lock. A clone is shallow: it holds the commits that were asked for, and
nothing of their past.
"""

import fcntl
import hashlib
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import urllib3
from dulwich.client import GitClient, HTTPUnauthorized, default_urllib3_manager, get_transport_and_path
from dulwich.config import ConfigDict
from dulwich.errors import GitProtocolError, NotGitRepository
from dulwich.objects import Commit, ObjectID, Tag
from dulwich.refs import Ref
from dulwich.repo import Repo

from activities.source.checkout import write_tree
from activities.source.errors import SourceError
from canary.application import GitSource

SCHEMES = ("http", "https")
DEFAULT_BRANCH = "master"
# What git itself sends for "all of the past" when it unshallows a clone.
WHOLE_PAST = 2**31 - 1
COMMIT_LENGTH = 40
# Each fetch brings a pack; a clone of that many is slow and mostly past, and quicker made anew.
MOST_PACKS = 100
# Without one of them it is no clone.
PARTS = ("HEAD", "objects", "refs")

T = TypeVar("T")


@dataclass(frozen=True)
class Login:
    """The user name and password or token for a repository."""

    secret: str
    """`<namespace>/<name>` of the Secret that holds them."""
    username: str
    password: str


class Repository:
    """One git repository, read over HTTP; every method blocks.

    Args:
        source: Where it is and which revision is followed.
        cache: The directory of all bare clones.
        login: How to get in, where it is not public.
    """

    def __init__(self, source: GitSource, cache: Path, login: Login | None = None) -> None:
        self._source = source
        self._login = login
        self._shown = without_user(source.url)
        if urlsplit(source.url).scheme not in SCHEMES:
            raise SourceError(
                f"Git repository {self._shown} is not supported: the URL must be http or https."
            )
        # Whoever comes with another Secret, or none, must not be served what this one has opened.
        known = f"{source.url}\n{login.secret}" if login else source.url
        self._clone = cache / f"{hashlib.sha256(known.encode()).hexdigest()[:24]}.git"

    def resolve(self) -> str:
        """Name the revision that is to be delivered now, as Flux does: `<branch>@sha1:<commit>`."""
        source = self._source
        if source.commit:
            with self._holding(ObjectID(source.commit.encode())):
                pass
            return f"{source.branch}@sha1:{source.commit}" if source.branch else f"sha1:{source.commit}"
        refs = self._ask(lambda client, path: client.get_refs(path).refs)
        if source.tag:
            name, ref = f"Tag {source.tag}", f"refs/tags/{source.tag}"
        else:
            name, ref = f"Branch {self._branch}", f"refs/heads/{self._branch}"
        found = refs.get(Ref(f"{ref}^{{}}".encode())) or refs.get(Ref(ref.encode()))
        if found is None:
            raise SourceError(f"{name} is not in git repository {self._shown}.")
        return f"{source.tag or self._branch}@sha1:{found.decode()}"

    def export(self, revision: str, folder: Path) -> None:
        """Write the files of *revision* below *folder*, fetching the commit where the cache lacks it."""
        commit = ObjectID(commit_of(revision).encode())
        with self._holding(commit) as clone:
            write_tree(clone, _commit(clone, commit).tree, folder)

    @property
    def _branch(self) -> str:
        return self._source.branch or DEFAULT_BRANCH

    @contextmanager
    def _holding(self, commit: ObjectID) -> Iterator[Repo]:
        """Lock the clone, with this commit in it."""
        if len(commit) != COMMIT_LENGTH:
            raise SourceError(f"Commit {commit.decode()} is not a full SHA-1 of 40 hexadecimal digits.")
        with self._locked():
            with closing(self._open()) as clone:
                if commit in clone.object_store:
                    yield clone
                    return
            self._make_room()
            with closing(self._open()) as clone:
                self._fetch(clone, commit)
                yield clone

    def _fetch(self, clone: Repo, commit: ObjectID) -> None:
        try:
            self._want(clone, lambda _refs, depth=None: [commit], depth=1)  # noqa: ARG005 — dulwich passes it by name
        except SourceError:
            # Many servers give a commit only while a branch or tag points at it.
            self._want(clone, lambda refs, depth=None: _tips(refs), depth=WHOLE_PAST)  # noqa: ARG005 — as above
        if commit not in clone.object_store:
            raise SourceError(f"Commit {commit.decode()} is not in git repository {self._shown}.")

    def _want(self, clone: Repo, wants: Callable[..., list[ObjectID]], *, depth: int) -> None:
        self._ask(lambda client, path: client.fetch(path, clone, determine_wants=wants, depth=depth))

    def _ask(self, question: Callable[[GitClient, bytes], T]) -> T:
        url, login = self._source.url, self._login
        timeout = self._source.timeout.total_seconds()
        # Typed wider than what the function below takes, though it is made for it.
        pool: Any = default_urllib3_manager(ConfigDict(), base_url=url, timeout=timeout)
        client, path = get_transport_and_path(
            url,
            config=ConfigDict(),
            pool_manager=pool,
            username=login.username if login else None,
            password=login.password if login else None,
        )
        with closing(client):
            try:
                return question(client, path.encode())
            except NotGitRepository as error:
                raise SourceError(f"Git repository {self._shown} was not found.") from error
            except HTTPUnauthorized as error:
                raise SourceError(f"Git repository {self._shown} refused access.") from error
            except (GitProtocolError, urllib3.exceptions.HTTPError, ConnectionError, TimeoutError) as error:
                raise SourceError(f"Git repository {self._shown} does not answer.") from error
            except OSError as error:  # what was answered could not be written down
                raise self._unkept(error) from error

    def _unkept(self, error: OSError) -> SourceError:
        why = error.strerror or type(error).__name__
        return SourceError(f"Git repository {self._shown} cannot be kept by the worker: {why}.")

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            self._clone.parent.mkdir(parents=True, exist_ok=True)
            with self._clone.with_suffix(".lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield
        except OSError as error:
            raise self._unkept(error) from error

    def _open(self) -> Repo:
        if all((self._clone / part).exists() for part in PARTS):
            return Repo(str(self._clone))
        # Made and cleared beside its place: a worker that is killed meanwhile leaves no half a clone there.
        beside = self._clone.with_suffix(".new")
        _clear(beside)
        _clear(self._clone)
        beside.mkdir()
        Repo.init_bare(str(beside)).close()
        beside.rename(self._clone)
        return Repo(str(self._clone))

    def _make_room(self) -> None:
        if len(list(self._clone.glob("objects/pack/*.pack"))) >= MOST_PACKS:
            _clear(self._clone)


def _clear(clone: Path) -> None:
    gone = clone.with_suffix(".old")
    if gone.exists():
        shutil.rmtree(gone)
    if clone.exists():
        clone.rename(gone)
        shutil.rmtree(gone)


def commit_of(revision: str) -> str:
    """Take the commit out of a revision's name."""
    return revision.rpartition("sha1:")[2]


def without_user(url: str) -> str:
    """Show a URL without its user name, password and query."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _tips(refs: dict[bytes, bytes | None]) -> list[ObjectID]:
    return sorted({ObjectID(sha) for sha in refs.values() if sha})


def _commit(clone: Repo, sha: ObjectID) -> Commit:
    found = clone[sha]
    while isinstance(found, Tag):
        found = clone[found.object[1]]
    if not isinstance(found, Commit):
        raise SourceError(f"Revision {sha.decode()} is not a commit.")
    return found
