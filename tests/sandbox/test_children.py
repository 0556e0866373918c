import asyncio
from pathlib import Path

import pytest

from sandbox import children


async def never() -> None:
    raise ConnectionRefusedError


@pytest.mark.parametrize(
    ("script", "text"),
    [
        pytest.param("exit 3", r"program ended with 3; see .*/program\.log", id="ended"),
        pytest.param("sleep 60", r"program was not ready within 0\.2 s; see .*/program\.log", id="late"),
    ],
)
async def test_a_child_that_is_never_ready_is_ended_and_named(tmp_path: Path, script: str, text: str) -> None:
    log = tmp_path / "program.log"
    child = await children.start("sh", "-c", script, log=log)

    with pytest.raises(LookupError, match=text):
        await children.ready(child, never, log, 0.2)
    assert child.returncode is not None


async def test_a_child_is_asked_until_it_answers(tmp_path: Path) -> None:
    answers = iter([None, "there"])

    async def ask() -> str | None:
        return next(answers)

    child = await children.start("sleep", "60", log=tmp_path / "log")

    assert await children.ready(child, ask, tmp_path / "log", 5) == "there"
    await children.stop(child)


async def test_a_wait_that_is_given_up_ends_the_child(tmp_path: Path) -> None:
    child = await children.start("sleep", "60", log=tmp_path / "log")
    waiting = asyncio.create_task(children.ready(child, never, tmp_path / "log", 60))
    await asyncio.sleep(0.05)
    waiting.cancel()

    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert child.returncode is not None
