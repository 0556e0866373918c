"""What a worker's environment may say, and what it is told otherwise."""

import os
import subprocess
import sys

import pytest
from pydantic import ValidationError

from worker.settings import WorkerSettings


@pytest.mark.parametrize("address", ["0.0.0.0:9464", "127.0.0.1:0", "worker.canary:9464", "[::1]:9464"])
def test_takes_an_address(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("CANARY_METRICS", address)

    assert WorkerSettings().metrics == address


@pytest.mark.parametrize(
    "address", ["9464", ":9464", "localhost", "localhost:http", "http://a:1/", "127.0.0.1:99999"]
)
def test_refuses_what_is_none(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("CANARY_METRICS", address)

    with pytest.raises(ValidationError, match="write `host:port`"):
        WorkerSettings()


def test_takes_a_log_level_in_small_letters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANARY_LOG_LEVEL", "debug")

    assert WorkerSettings().log_level == "DEBUG"


@pytest.mark.parametrize(
    "image", ["", "durable-canary", "durable-canary:0.1.0", f"r.example.com:5000/a/b:1@sha256:{'0' * 64}"]
)
def test_takes_an_image(monkeypatch: pytest.MonkeyPatch, image: str) -> None:
    monkeypatch.setenv("CANARY_GUARDED_LOAD_TESTER", image)

    assert WorkerSettings().guarded_load_tester == image


@pytest.mark.parametrize("image", ["durable canary", "https://r.example.com/a", "a:", "a@sha256:1"])
def test_refuses_what_is_no_image(monkeypatch: pytest.MonkeyPatch, image: str) -> None:
    monkeypatch.setenv("CANARY_GUARDED_LOAD_TESTER", image)

    with pytest.raises(ValidationError, match="write an image, for instance"):
        WorkerSettings()


def test_takes_a_task_queue_from_the_command_line() -> None:
    started = subprocess.run(
        [sys.executable, "-m", "worker", "--task-queue", "canary-checks"],
        env={**os.environ, "CANARY_TASK_QUEUE": "inside"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert started.returncode == 1
    assert started.stderr.startswith(
        "CANARY_TASK_QUEUE: write a name without blanks that is not `canary`, nor"
    )


def test_names_each_setting_that_is_wrong() -> None:
    environment = {**os.environ, "CANARY_METRICS": "9464", "CANARY_LOG_LEVEL": "loud", "CANARY_CHECKS": "0"}
    started = subprocess.run(
        [sys.executable, "-m", "worker"], env=environment, capture_output=True, text=True, check=False
    )

    assert started.returncode == 1
    assert started.stderr.splitlines() == [
        "CANARY_METRICS: write `host:port`, for instance `0.0.0.0:9464`",
        "CANARY_CHECKS: Input should be greater than 0",
        "CANARY_LOG_LEVEL: write one of `DEBUG`, `INFO`, `WARNING`, `ERROR`",
    ]
