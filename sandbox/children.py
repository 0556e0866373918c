"""Child processes that never outlive the sandbox."""

import asyncio
import contextlib
import ctypes
import functools
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
GRACE = 3.0
LOOK_AGAIN = 0.01

T = TypeVar("T")


async def start(*command: str, log: Path) -> asyncio.subprocess.Process:
    """Start `command` with its output in `log`; the kernel kills it if this process dies."""
    with log.open("ab") as output:
        return await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            preexec_fn=functools.partial(die_with, os.getpid()),
            start_new_session=True,
        )


async def ready(
    child: asyncio.subprocess.Process, ask: Callable[[], Awaitable[T | None]], log: Path, within: float
) -> T:
    """Ask until there is an answer; a child that ends before, or takes longer, is ended and told of."""
    import aiohttp  # here: `hey` needs none, and starts often

    try:
        async with asyncio.timeout(within):
            while child.returncode is None:
                with contextlib.suppress(OSError, aiohttp.ClientError):  # not listening yet
                    if answer := await ask():
                        return answer
                await asyncio.sleep(LOOK_AGAIN)
    except TimeoutError as error:
        await stop(child)
        raise LookupError(f"{log.stem} was not ready within {within:g} s; see {log}.") from error
    except BaseException:
        await stop(child)
        raise
    raise LookupError(f"{log.stem} ended with {child.returncode}; see {log}: {last_line(log)}")


def last_line(log: Path) -> str:
    """What was said last, which as a rule is why a child has ended."""
    return " ".join(log.read_text(errors="replace").strip().splitlines()[-1:])


async def stop(child: asyncio.subprocess.Process) -> None:
    """End a child politely, then by force."""
    if child.returncode is None:
        child.terminate()
        try:
            await asyncio.wait_for(child.wait(), GRACE)
        except TimeoutError:
            child.kill()
            await child.wait()


def die_with(parent: int) -> None:
    """Let the kernel kill this process when its parent dies, and end if it has; where there is Linux."""
    if LIBC is None:
        return
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)  # it died before it could be followed
