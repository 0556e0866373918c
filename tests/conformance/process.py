"""Processes that die with the tests."""

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

PR_SET_PDEATHSIG = 1
PATIENCE = 10.0
LIBC = ctypes.CDLL(None)


class Process:
    """One module of ours, run as `python -m`, with what it says in a file."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self.log = log
        self._process = process

    @classmethod
    async def start(
        cls, *arguments: str, log: Path, environment: Mapping[str, str] | None = None
    ) -> "Process":
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", *arguments),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=os.environ | dict(environment or {}),
                preexec_fn=lambda: LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM),
                start_new_session=True,
            )
        return cls(process, log)

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether it has not ended."""
        return self._process.returncode is None

    def require_alive(self) -> None:
        """Fail with its last words where it has ended."""
        assert self.is_alive, self.log.read_text()[-2000:]

    async def kill(self) -> None:
        """End it as a power cut does."""
        with contextlib.suppress(ProcessLookupError):  # it may be gone by now
            self._process.kill()
        await self._process.wait()

    async def stop(self) -> None:
        """End it politely, then by force."""
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        try:
            await asyncio.wait_for(self._process.wait(), PATIENCE)
        except TimeoutError:
            await self.kill()
