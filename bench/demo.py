"""How long a newcomer waits: `make demo` on a fresh clone in an empty home, downloads included."""

import asyncio
import os
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.figure import Bound, Figure
from bench.stage import Options

PATIENCE = 600.0
CHECKOUT = Path(__file__).parent.parent


async def measure(options: Options) -> list[Figure]:
    """Clone what is committed, and type `make demo`."""
    seconds = [await _demo() for _ in range(options.many(2, 1))]
    return [
        Figure(
            "`make demo` on a fresh clone",
            "s",
            seconds,
            "from typing it to its end: the environment made, everything downloaded, a promotion and a "
            "rollback in two clusters",
            bound=Bound(maximum=180),
        )
    ]


async def _demo() -> float:
    with TemporaryDirectory(prefix="bench-") as folder:
        home, clone = Path(folder) / "home", Path(folder) / "clone"
        home.mkdir()
        await _run(["git", "clone", "--quiet", "--no-hardlinks", str(CHECKOUT), str(clone)], home)
        begin = time.monotonic()
        await _run(["make", "-C", str(clone), "demo"], home)
        return time.monotonic() - begin


async def _run(command: list[str], home: Path) -> None:
    """Run a command as a newcomer would; its last words are the error where it fails."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=os.environ | {"HOME": str(home)},
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(PATIENCE):
            output, _ = await process.communicate()
    except BaseException:
        process.terminate()
        await process.wait()
        raise
    assert process.returncode == 0, output.decode()[-2000:]
