"""Running the demo as a command: Ctrl-C and a polite kill both take the stage down."""

import asyncio
import signal
from pathlib import Path

from starter.demo.documents import QUICK, SEED
from starter.demo.folder import Place
from starter.demo.story import Play, perform
from starter.errors import Exit
from starter.sandbox import require_extra


def run(folder: Path, *, is_kept: bool, has_seed_timing: bool, color: bool) -> int:
    """Play the demo and give its exit code."""
    require_extra()
    play = Play(Place(folder, is_kept=is_kept), SEED if has_seed_timing else QUICK, color)
    try:
        return asyncio.run(_perform(play))
    except asyncio.CancelledError:
        return Exit.INTERRUPTED


async def _perform(play: Play) -> int:
    task = asyncio.current_task()
    if task is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await perform(play)
