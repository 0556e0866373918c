import asyncio
import gc
import random
import resource
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from activities.source.errors import SourceError
from activities.source.repository import Repository, without_user
from canary.application import GitSource


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


async def resolve(source: GitSource, cache: Path) -> str:
    return await asyncio.to_thread(Repository(source, cache).resolve)


async def export(source: GitSource, cache: Path, revision: str, folder: Path) -> None:
    await asyncio.to_thread(Repository(source, cache).export, revision, folder)


async def test_a_branch_resolves_to_its_newest_commit(origin: Any, cache: Path) -> None:
    origin.commit({"a": "1"})
    newest = origin.commit({"a": "2"})

    assert await resolve(origin.source(branch="master"), cache) == f"master@sha1:{newest}"


async def test_without_a_revision_master_is_followed(origin: Any, cache: Path) -> None:
    commit = origin.commit({"a": "1"})

    assert await resolve(origin.source(), cache) == f"master@sha1:{commit}"


async def test_an_annotated_tag_resolves_to_its_commit(origin: Any, cache: Path) -> None:
    commit = origin.commit({"a": "1"})
    origin.tag("v1", commit)
    origin.commit({"a": "2"})

    assert await resolve(origin.source(tag="v1", branch="master"), cache) == f"v1@sha1:{commit}"


async def test_a_commit_that_no_branch_points_at_is_found(origin: Any, cache: Path, tmp_path: Path) -> None:
    first = origin.commit({"a": "1"})
    origin.commit({"a": "2"})
    source = origin.source(commit=first)

    revision = await resolve(source, cache)
    await export(source, cache, revision, tmp_path / "tree")

    assert revision == f"sha1:{first}"
    assert (tmp_path / "tree" / "a").read_text() == "1"


async def test_each_revision_is_exported_as_it_was(origin: Any, cache: Path, tmp_path: Path) -> None:
    source = origin.source(branch="master")
    origin.commit({"a": "1", "deep/er/b": "x"})
    first = await resolve(source, cache)
    await export(source, cache, first, tmp_path / "first")
    origin.commit({"a": "2", "deep/er/b": None})
    await export(source, cache, await resolve(source, cache), tmp_path / "second")

    assert (tmp_path / "first" / "deep/er/b").read_text() == "x"
    assert (tmp_path / "second" / "a").read_text() == "2"
    assert not (tmp_path / "second" / "deep").exists()


async def test_a_commit_in_the_cache_needs_no_server(origin: Any, cache: Path, tmp_path: Path) -> None:
    source = origin.source(branch="master")
    origin.commit({"a": "1"})
    revision = await resolve(source, cache)
    await export(source, cache, revision, tmp_path / "first")
    await origin.stop()

    await export(source, cache, revision, tmp_path / "second")

    assert (tmp_path / "second" / "a").read_text() == "1"


async def test_a_clone_does_not_grow_for_ever(
    origin: Any, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activities.source.repository.MOST_PACKS", 2)
    source = origin.source(branch="master")
    for number in range(4):
        origin.commit({"a": str(number)})
        await export(source, cache, await resolve(source, cache), tmp_path / str(number))

    assert await asyncio.to_thread(lambda: len(list(cache.glob("*.git/objects/pack/*.pack")))) == 2
    assert (tmp_path / "3" / "a").read_text() == "3"


@pytest.mark.parametrize("part", ["HEAD", "objects"])
async def test_half_a_clone_is_made_anew(origin: Any, cache: Path, tmp_path: Path, part: str) -> None:
    """A worker may be killed while it makes one, or clears one away."""
    source = origin.source(branch="master")
    origin.commit({"a": "1"})
    revision = await resolve(source, cache)
    await export(source, cache, revision, tmp_path / "first")

    def halve() -> None:
        (clone,) = cache.glob("*.git")
        shutil.copytree(clone / "refs", clone.with_suffix(".new") / "refs")
        shutil.copytree(clone / "refs", clone.with_suffix(".old") / "refs")
        (clone / part).rename(tmp_path / part)

    await asyncio.to_thread(halve)

    await export(source, cache, revision, tmp_path / "second")

    assert (tmp_path / "second" / "a").read_text() == "1"
    left = await asyncio.to_thread(lambda: sorted(path.suffix for path in cache.iterdir()))
    assert left == [".git", ".lock"]


async def test_a_worker_killed_while_it_makes_a_clone_leaves_no_half_of_one(
    origin: Any, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = origin.source(branch="master")
    origin.commit({"a": "1"})
    revision = await resolve(source, cache)
    seen: list[Path] = []

    class Killed(BaseException):
        """What ends the process."""

    def die(path: str) -> None:
        seen.append(Path(path))
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr("activities.source.repository.Repo.init_bare", die)
        with pytest.raises(Killed):
            await export(source, cache, revision, tmp_path / "first")

    assert [path.suffix for path in seen] == [".new"]
    await export(source, cache, revision, tmp_path / "second")


async def test_a_cache_that_cannot_be_written_is_told(origin: Any, cache: Path, tmp_path: Path) -> None:
    source = origin.source(branch="master")
    origin.commit({"a": "1"})
    revision = await resolve(source, cache)
    await asyncio.to_thread(cache.write_text, "no folder")

    with pytest.raises(SourceError, match=r"app\.git cannot be kept by the worker: File exists\.$"):
        await export(source, cache, revision, tmp_path / "tree")


async def test_several_workers_share_a_cache(origin: Any, cache: Path, tmp_path: Path) -> None:
    source = origin.source(branch="master")
    origin.commit({f"file{number}": str(number) for number in range(50)})
    revision = await resolve(source, cache)

    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(6) as threads:  # not those that the server answers in
        await asyncio.gather(
            *(
                loop.run_in_executor(
                    threads, Repository(source, cache).export, revision, tmp_path / str(number)
                )
                for number in range(6)
            )
        )

    assert all((tmp_path / str(number) / "file49").read_text() == "49" for number in range(6))


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        pytest.param("branch", "none", "Branch none is not in git repository", id="branch"),
        pytest.param("tag", "v9", "Tag v9 is not in git repository", id="tag"),
        pytest.param("commit", "1" * 40, f"Commit {'1' * 40} is not in git repository", id="commit"),
        pytest.param("commit", "abc", "Commit abc is not a full SHA-1", id="short commit"),
    ],
)
async def test_a_revision_that_is_not_there_is_named(
    origin: Any, cache: Path, field: str, value: str, sentence: str
) -> None:
    origin.commit({"a": "1"})

    with pytest.raises(SourceError, match=sentence):
        await resolve(origin.source(**{field: value}), cache)


async def test_a_repository_that_is_not_there_is_named(origin: Any, cache: Path) -> None:
    url = origin.url.replace("app.git", "nope.git")

    with pytest.raises(SourceError, match=r"Git repository .*nope\.git was not found\."):
        await resolve(GitSource(url=url, branch="master"), cache)


async def test_a_server_that_does_not_answer_is_named_without_the_password(cache: Path) -> None:
    source = GitSource(url="http://user:hunter2@127.0.0.1:1/app.git", branch="master")

    with pytest.raises(SourceError) as caught:
        await resolve(source, cache)

    assert str(caught.value) == "Git repository http://127.0.0.1:1/app.git does not answer."


@pytest.mark.filterwarnings("ignore:Unclosed file <tempfile.Spooled:ResourceWarning")  # dulwich's
async def test_a_disk_that_is_full_is_no_silence_of_the_servers(
    origin: Any, cache: Path, tmp_path: Path
) -> None:
    source = origin.source(branch="master")
    origin.commit({"a": random.Random(1).randbytes(500_000).hex()})
    revision = await resolve(source, cache)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))  # for want of a disk to fill
    try:
        with pytest.raises(SourceError, match=r"app\.git cannot be kept by the worker: File too large\.$"):
            await export(source, cache, revision, tmp_path / "tree")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    gc.collect()

    await export(source, cache, revision, tmp_path / "tree")


@pytest.mark.parametrize("url", ["file:///etc", "/etc", "ssh://git@host/x", "ext::sh -c id", "git@host:x"])
def test_only_http_is_read(cache: Path, url: str) -> None:
    with pytest.raises(SourceError, match="must be http or https"):
        Repository(GitSource(url=url), cache)


@pytest.mark.parametrize(
    "links",
    [
        pytest.param({"out": "../../etc"}, id="relative"),
        pytest.param({"out": "/etc/passwd"}, id="absolute"),
        pytest.param({"a/b/here": "../..", "out": "a/b/here/../../.."}, id="through another link"),
    ],
)
async def test_links_out_of_the_repository_are_refused(
    origin: Any, cache: Path, tmp_path: Path, links: dict[str, str]
) -> None:
    origin.commit({"a/b/file": "x"}, links)
    source = origin.source(branch="master")
    revision = await resolve(source, cache)

    with pytest.raises(SourceError, match="leads out of the repository"):
        await export(source, cache, revision, tmp_path / "tree")


async def test_links_within_the_repository_are_kept(origin: Any, cache: Path, tmp_path: Path) -> None:
    origin.commit({"a/b": "x"}, {"c/d": "../a/b"})
    source = origin.source(branch="master")

    await export(source, cache, await resolve(source, cache), tmp_path / "tree")

    assert (tmp_path / "tree/c/d").read_text() == "x"


def test_a_url_is_shown_without_what_is_secret() -> None:
    assert without_user("https://me:pass@host:1/a.git?token=x") == "https://host:1/a.git"
