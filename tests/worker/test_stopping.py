"""How a worker ends when it is told to, whatever state Temporal is in."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from temporalio.testing import WorkflowEnvironment

from worker.__main__ import LONGEST_STOP

BIN = Path(sys.executable).parent


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[tuple[asyncio.subprocess.Process, int]]:
    """A worker that is ready, and the process id of its server."""
    (folder / "clusters.yaml").write_text("clusters: {}\n")
    environment = await WorkflowEnvironment.start_local(dev_server_existing_path=str(BIN / "temporal"))
    async with environment:
        address = environment.client.service_client.config.target_host
        worker = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "worker"),
            stderr=asyncio.subprocess.PIPE,
            env={
                **os.environ,
                "TEMPORAL_ADDRESS": address,
                "CANARY_CLUSTERS": str(folder / "clusters.yaml"),
                "CANARY_CACHE": str(folder),
            },
        )
        assert worker.stderr is not None
        try:
            async with asyncio.timeout(30):
                while b"ready" not in await worker.stderr.readline():
                    assert worker.returncode is None
            yield worker, listener(address.rpartition(":")[2])
        finally:
            if worker.returncode is None:
                worker.kill()
            await worker.wait()


def listener(port: str) -> int:
    """The process of the server that was given a port."""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended meanwhile
            words = (process / "cmdline").read_text().split("\0")
            if words[1:3] == ["server", "start-dev"] and port in words:
                return int(process.name)
    raise LookupError(f"Nobody serves {port}.")


@pytest.mark.parametrize(
    ("name", "value", "seen"),
    [
        pytest.param("TEMPORAL_ADDRESS", "bad address", "invalid target URL", id="no address"),
        pytest.param("TEMPORAL_ADDRESS", "http://h:7233", "http://h:7233 is no HOST:PORT", id="a URL"),
        pytest.param("TEMPORAL_PROFILE", "nope", "Profile 'nope' not found", id="no such profile"),
        pytest.param("TEMPORAL_TLS_CLIENT_CERT_PATH", "/nope", "/nope", id="no such file"),
    ],
)
async def test_says_in_one_line_what_keeps_it_from_temporal(
    tmp_path: Path, name: str, value: str, seen: str
) -> None:
    (tmp_path / "clusters.yaml").write_text("clusters: {}\n")
    worker = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "worker"),
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, name: value, "CANARY_CLUSTERS": str(tmp_path / "clusters.yaml")},
    )
    _, told = await worker.communicate()
    [line] = told.decode().splitlines()

    assert worker.returncode == 1
    assert "cannot start: no connection to Temporal: " in line
    assert seen in line
    assert "TEMPORAL_CONFIG_FILE" in line


async def test_ends_at_once_when_nothing_runs(tmp_path: Path) -> None:
    async with serving(tmp_path) as (worker, _):
        worker.send_signal(signal.SIGTERM)

        async with asyncio.timeout(8):
            assert await worker.wait() == 0


@pytest.mark.conformance
async def test_ends_although_temporal_hangs(tmp_path: Path) -> None:
    async with serving(tmp_path) as (worker, server):
        os.kill(server, signal.SIGSTOP)
        try:
            worker.send_signal(signal.SIGTERM)
            async with asyncio.timeout(LONGEST_STOP + 5):
                assert await worker.wait() == 0
        finally:
            os.kill(server, signal.SIGCONT)
