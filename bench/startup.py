"""How long a sandbox takes to be ready: from the command to endpoints.json, with Temporal."""

import asyncio
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.figure import Bound, Figure
from bench.stage import Options

PATIENCE = 60.0
SHORT = 0.005
# Member clusters beside the host, and the seconds that it may take.
ONE, THREE = (1, 2.0), (3, 3.0)


async def measure(options: Options) -> list[Figure]:
    """Start a sandbox with one member, and one with three, again and again; a first start warms the disk."""
    await _ready(THREE[0])
    return [await _figure(members, bound, options.many(10, 2)) for members, bound in (ONE, THREE)]


async def _figure(members: int, bound: float, times: int) -> Figure:
    word = "one member" if members == 1 else f"{members} members"
    seconds = [await _ready(members) for _ in range(times)]
    how = "from `sandbox up` to endpoints.json: the host and its members, each with an Envoy, git, Temporal"
    return Figure(f"sandbox with {word} ready", "s", seconds, how, bound=Bound(median=bound))


async def _ready(members: int) -> float:
    """Start a sandbox, and end it when it has told how long it took."""
    with TemporaryDirectory(prefix="bench-") as folder:
        endpoints, begin = Path(folder) / "endpoints.json", time.monotonic()
        with (Path(folder) / "sandbox.log").open("wb") as log:
            box = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "sandbox", "up", "--dir", folder, "--clusters", str(members)),
                stdout=log,
                stderr=log,
            )
        try:
            async with asyncio.timeout(PATIENCE):
                while not endpoints.exists() and box.returncode is None:  # noqa: ASYNC110 — a file tells nobody
                    await asyncio.sleep(SHORT)
            assert box.returncode is None, (Path(folder) / "sandbox.log").read_text()[-2000:]
            return time.monotonic() - begin
        finally:
            box.terminate()
            await box.wait()
