"""Children: they end when told, when they must, and when their parent does."""

import asyncio
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from starter.processes import Child, ChildDiedError, Program

SLEEPER = "import time; print('up', flush=True); time.sleep(600)"
PARENT = """
import asyncio, os, signal
from pathlib import Path, PosixPath
from starter.processes import Child, Program

async def main():
    print((await Child.start({program!r})).pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


@pytest.fixture
def module(tmp_path: Path) -> Any:
    """Make a program of a module with this text."""

    def make(text: str, *, is_kept: bool = False) -> Program:
        (tmp_path / "playing.py").write_text(text)
        environment = {"PYTHONPATH": str(tmp_path)}
        return Program("player", ["playing"], tmp_path / "log", environment, is_kept=is_kept)

    return make


async def ended(pid: int) -> None:
    while is_alive(pid):  # noqa: ASYNC110 — not a child of ours: nothing to await
        await asyncio.sleep(0.02)


async def died(child: Child) -> None:
    while True:
        child.require_alive()
        await asyncio.sleep(0.02)


def is_alive(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):  # the second where it goes while it is read
        return False


async def test_a_child_ends_when_told(module: Any) -> None:
    child = await Child.start(module(SLEEPER))
    await child.stop()

    assert not is_alive(child.pid)


async def test_one_that_does_not_listen_is_killed(module: Any) -> None:
    program = module(f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n{SLEEPER}")
    program = replace(program, patience=0.3)
    child = await Child.start(program)
    while "up" not in program.log.read_text():  # noqa: ASYNC110 — a file has no event
        await asyncio.sleep(0.02)
    await child.stop()

    assert not is_alive(child.pid)


async def test_a_death_is_told_with_the_last_words(module: Any) -> None:
    program = module("raise SystemExit('no port is free')")
    child = await Child.start(program)
    await ended(child.pid)

    with pytest.raises(ChildDiedError, match=r"(?s)The player has ended.*no port is free"):
        await died(child)


@pytest.mark.parametrize("fate", [pytest.param("bound", id="bound"), pytest.param("kept", id="kept")])
async def test_only_a_kept_child_outlives_its_parent(module: Any, fate: str) -> None:
    program = module(SLEEPER, is_kept=fate == "kept")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PARENT.format(program=program)), stdout=subprocess.PIPE
    )
    out, _ = await process.communicate()
    pid = int(out)
    if fate == "kept":
        assert is_alive(pid)
        os.kill(pid, signal.SIGTERM)
    await ended(pid)
