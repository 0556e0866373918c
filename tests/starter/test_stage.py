"""The stage: it empties its own folder only, and knows what still runs in it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from starter.demo.folder import Place, end_worker
from starter.demo.stage import Stage
from starter.errors import RefusedError, UsageError
from starter.sandbox import folder_of


async def test_a_folder_with_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")

    with pytest.raises(UsageError, match="holds other files"):
        async with Stage(Place(tmp_path)):
            pass

    assert (tmp_path / "thesis.txt").exists()


async def test_a_demo_that_runs_is_not_disturbed(tmp_path: Path) -> None:
    (tmp_path / "endpoints.json").write_text(json.dumps({"pid": os.getpid()}))

    with pytest.raises(RefusedError, match="A demo runs in"):
        async with Stage(Place(tmp_path)):
            pass


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
