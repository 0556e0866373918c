import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from dulwich import porcelain
from dulwich.repo import Repo

from sandbox.gitserver import GitServer


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[GitServer]:
    server = await GitServer.start(tmp_path / "git")
    yield server
    await server.stop()


def clone(url: str, target: Path) -> None:
    porcelain.clone(url, str(target)).close()


def push_image(checkout: Path, image: str) -> None:
    manifest = checkout / "deploy/webapp/backend/deployment.yaml"
    manifest.write_text(manifest.read_text().replace("podinfo:6.1.0", image))
    with Repo(str(checkout)) as repo:
        repo.get_worktree().stage(["deploy/webapp/backend/deployment.yaml"])
    porcelain.commit(str(checkout), message=b"New image", author=b"A <a@b>", committer=b"A <a@b>")
    porcelain.push(str(checkout), "origin", "master")


async def run(*command: str) -> str:
    child = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await child.communicate()
    assert child.returncode == 0, output.decode()
    return output.decode()


async def test_serves_the_two_trees(server: GitServer, tmp_path: Path) -> None:
    await asyncio.to_thread(clone, server.url, tmp_path / "clone")

    found = {str(p.relative_to(tmp_path / "clone")) for p in (tmp_path / "clone").rglob("*.yaml")}
    assert "deploy/webapp/backend/deployment.yaml" in found
    assert "kustomize/kustomization.yaml" in found


async def test_a_push_is_what_the_next_clone_sees(server: GitServer, tmp_path: Path) -> None:
    await asyncio.to_thread(clone, server.url, tmp_path / "one")
    await asyncio.to_thread(push_image, tmp_path / "one", "podinfo:6.2.0")
    await asyncio.to_thread(clone, server.url, tmp_path / "two")

    assert "podinfo:6.2.0" in (tmp_path / "two/deploy/webapp/backend/deployment.yaml").read_text()


async def test_a_push_survives_a_restart(tmp_path: Path) -> None:
    server = await GitServer.start(tmp_path / "git")
    await asyncio.to_thread(clone, server.url, tmp_path / "one")
    await asyncio.to_thread(push_image, tmp_path / "one", "podinfo:6.2.0")
    await server.stop()

    server = await GitServer.start(tmp_path / "git")
    await asyncio.to_thread(clone, server.url, tmp_path / "two")
    await server.stop()

    assert "podinfo:6.2.0" in (tmp_path / "two/deploy/webapp/backend/deployment.yaml").read_text()


async def test_takes_a_push_larger_than_a_web_form(server: GitServer, tmp_path: Path) -> None:
    await asyncio.to_thread(clone, server.url, tmp_path / "one")
    (tmp_path / "one/deploy/webapp/large.bin").write_bytes(os.urandom(2_000_000))
    large = str(tmp_path / "one/deploy/webapp/large.bin")
    porcelain.add(str(tmp_path / "one"), [large])
    porcelain.commit(str(tmp_path / "one"), message=b"Large", author=b"A <a@b>", committer=b"A <a@b>")
    await asyncio.to_thread(porcelain.push, str(tmp_path / "one"), "origin", "master")
    await asyncio.to_thread(clone, server.url, tmp_path / "two")

    assert (tmp_path / "two/deploy/webapp/large.bin").stat().st_size == 2_000_000


@pytest.mark.skipif(shutil.which("git") is None, reason="no git binary on this machine")
async def test_real_git_clones_and_pushes(server: GitServer, tmp_path: Path) -> None:
    checkout = tmp_path / "clone"
    await run("git", "clone", "-q", server.url, str(checkout))
    (checkout / "deploy/webapp/common/new.yaml").write_text("kind: ConfigMap\n")
    git = ("git", "-C", str(checkout), "-c", "user.name=a", "-c", "user.email=a@b")
    await run(*git, "add", ".")
    await run(*git, "commit", "-q", "-m", "Add a file")
    await run(*git, "push", "-q")

    assert "refs/heads/master" in await run("git", "ls-remote", server.url)
    assert "Add a file" in await run(*git, "log", "origin/master", "--oneline")
