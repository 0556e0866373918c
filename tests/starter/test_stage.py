"""The stage: it empties its own folder only, and knows what still runs in it."""

import fcntl
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from starter.demo.folder import MARK, SANDBOX_LOCK, Place, end_worker, take
from starter.demo.stage import Stage
from starter.errors import RefusedError, UsageError
from starter.sandbox import folder_of


async def test_a_folder_with_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")

    with pytest.raises(UsageError, match="holds other files"):
        async with Stage(Place(tmp_path)):
            pass

    assert (tmp_path / "thesis.txt").exists()


@pytest.mark.parametrize("lock", [MARK, SANDBOX_LOCK])
async def test_a_demo_that_runs_or_was_kept_is_not_disturbed(tmp_path: Path, lock: str) -> None:
    (tmp_path / MARK).touch()
    with (tmp_path / lock).open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)

        with pytest.raises(RefusedError, match=r"^A demo runs in .*; end it: canary sandbox down --dir "):
            async with Stage(Place(tmp_path)):
                pass


def test_a_folder_is_held_from_the_first_moment_on(tmp_path: Path) -> None:
    with take(tmp_path / "box"), pytest.raises(RefusedError, match="A demo runs in"):
        take(tmp_path / "box")

    take(tmp_path / "box").close()


@pytest.mark.parametrize("left", [b"", b'{"pid": ', b"{}", b'{"pid": "x"}', b"\xff"])
def test_what_an_ended_demo_left_is_cleared_away_whatever_it_says(tmp_path: Path, left: bytes) -> None:
    (tmp_path / "reports").mkdir()
    for name in (MARK, SANDBOX_LOCK, "endpoints.json", "worker.pid", "reports/one.json"):
        (tmp_path / name).write_bytes(left)

    with take(tmp_path):
        assert [one.name for one in tmp_path.iterdir()] == [MARK]


def test_a_worker_whose_sandbox_is_gone_is_ended_before_its_folder_is_emptied(tmp_path: Path) -> None:
    (tmp_path / MARK).touch()
    with sleeper({"CANARY_CLUSTERS": str(tmp_path / "clusters.yaml")}) as worker:
        (tmp_path / "worker.pid").write_text(f"{worker.pid}\n")
        take(tmp_path).close()

        assert worker.wait() == -signal.SIGTERM


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(
        UsageError, match=r"file cannot be used: Not a directory; name a new folder with --dir\.$"
    ):
        take(tmp_path / "file")


@contextmanager
def sleeper(environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    code = "import time; time.sleep(600)"
    with subprocess.Popen([sys.executable, "-c", code], env=environment) as process:
        yield process
        process.kill()


def test_a_kept_worker_is_ended(tmp_path: Path) -> None:
    with sleeper({"CANARY_CLUSTERS": str(tmp_path / "clusters.yaml")}) as worker:
        (tmp_path / "worker.pid").write_text(f"{worker.pid}\n")
        end_worker(tmp_path)

        assert worker.wait() == -signal.SIGTERM
    assert not (tmp_path / "worker.pid").exists()


def test_another_process_with_its_number_is_not(tmp_path: Path) -> None:
    with sleeper({}) as other:
        (tmp_path / "worker.pid").write_text(f"{other.pid}\n")
        end_worker(tmp_path)

        with pytest.raises(subprocess.TimeoutExpired):
            other.wait(timeout=0.3)


def test_without_a_worker_there_is_nothing_to_end(tmp_path: Path) -> None:
    end_worker(tmp_path)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "folder"),
    [
        pytest.param(["down", "--dir", "d"], "d", id="apart"),
        pytest.param(["down", "--dir=d"], "d", id="joined"),
        pytest.param(["down"], "build/sandbox", id="the sandbox's own"),
    ],
)
def test_the_sandboxes_folder_is_read_from_its_options(arguments: list[str], folder: str) -> None:
    assert folder_of(arguments) == Path(folder)
