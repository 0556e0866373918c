"""The demo as a process: the whole story, and that nothing of it is left behind."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

Demo = asyncio.subprocess.Process


@asynccontextmanager
async def demo(folder: Path, *options: str) -> AsyncIterator[Demo]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "starter", "demo", "--dir", str(folder), *options),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def typed(*command: object) -> str:
    """What a `canary` command prints; it must succeed."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "starter", *map(str, command)),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    out, _ = await process.communicate()
    assert process.returncode == 0, out.decode()
    return out.decode()


async def said(process: Demo, text: str) -> None:
    assert process.stdout is not None
    async for line in process.stdout:
        if text in line.decode():
            return
    pytest.fail(f"The demo ended before it said {text!r}.")


def left_behind(folder: Path) -> set[str]:
    """The processes that know the demo's folder, by their command line or environment."""
    return {entry.name for entry in Path("/proc").iterdir() if entry.name.isdigit() and _knows(entry, folder)}


def _knows(entry: Path, folder: Path) -> bool:
    try:
        text = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return False
    return str(folder).encode() in text


async def nothing_is_left(folder: Path) -> None:
    while left_behind(folder):  # noqa: ASYNC110 — not children of ours: nothing to await
        await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    ("moment", "sent", "code"),
    [
        pytest.param("Starting", signal.SIGINT, 130, id="Ctrl-C at the start"),
        pytest.param("All up", signal.SIGINT, 130, id="Ctrl-C in the middle"),
        pytest.param("Starting", signal.SIGTERM, 130, id="a polite kill"),
        pytest.param("All up", signal.SIGKILL, -9, id="a kill"),
    ],
)
async def test_ended_at_any_time_it_leaves_no_process_behind(
    tmp_path: Path, moment: str, sent: signal.Signals, code: int
) -> None:
    async with demo(tmp_path / "box") as process:
        await said(process, moment)
        process.send_signal(sent)

        assert await process.wait() == code
    await nothing_is_left(tmp_path)


@pytest.mark.conformance
@pytest.mark.timeout(240)
async def test_the_whole_story(tmp_path: Path) -> None:
    """Played with `--keep`, so that the commands which it leaves a person with can be tried as well."""
    box = tmp_path / "box"
    async with demo(box, "--keep") as process:
        out, _ = await process.communicate()
    told = out.decode()
    listed = await typed("--sandbox", box, "get", "-A", "-o", "wide")
    recorded = await typed(
        *("--sandbox", box, "history", "backend", "-n", "webapp", "--cluster", "kurator-member1"),
    )
    ended = await typed("sandbox", "down", "--dir", box)

    assert process.returncode == 0, told
    assert re.search(r"^Promoted after \d+ s\..* failed 0 times\.$", told, re.MULTILINE)
    assert re.search(r"^RolledBack after \d+ s\.", told, re.MULTILINE)
    for cluster in ("kurator-member1", "kurator-member2"):
        rows = re.findall(rf"^{cluster} +backend +(\w+) +(\d+) +\d+ ", told, re.MULTILINE)
        weights = [int(weight) for phase, weight in rows if phase == "Progressing"]
        assert weights[:6] == sorted(weights[:6])
        assert set(weights) == {0, 10, 20, 30, 40, 50}
        assert [phase for phase, _ in rows if phase in ("Promoting", "Finalising", "Succeeded")] == [
            "Promoting",
            "Finalising",
            "Succeeded",
        ]
        assert re.search(rf"^  ✗ {cluster}: request-success-rate [\d.]+ % \(min 99", told, re.MULTILINE)
        assert re.search(rf"^webapp .*{cluster}.* Failed", listed, re.MULTILINE), listed
    assert re.findall(r"\b(?:Promoted|RolledBack)\b", recorded) == ["RolledBack", "Promoted"], recorded
    assert f"sandbox down --dir {box}" in told, ended
    await nothing_is_left(tmp_path)


async def test_a_part_that_falls_down_is_named(tmp_path: Path) -> None:
    async with demo(tmp_path / "box") as process:
        await said(process, "Act 1")
        sandbox = json.loads((tmp_path / "box" / "endpoints.json").read_text())["pid"]
        os.kill(sandbox, signal.SIGKILL)
        assert process.stdout is not None
        rest = (await process.stdout.read()).decode()

        assert f"The sandbox has ended; the last lines of {tmp_path}/box/sandbox.log" in rest
        assert await process.wait() == 1
    await nothing_is_left(tmp_path)
