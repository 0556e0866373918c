"""Child processes that never outlive their parent unless that is wanted."""

import asyncio
import ctypes
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from starter.errors import StarterError

LAST_LINES = 15
_PR_SET_PDEATHSIG = 1


class ChildDiedError(StarterError):
    """A process that was needed has ended by itself."""

    def __init__(self, name: str, log: Path) -> None:
        lines = log.read_text(errors="replace").splitlines()[-LAST_LINES:]
        super().__init__("\n".join([f"The {name} has ended; the last lines of {log}:", *lines]))


@dataclass(frozen=True)
class Program:
    """What to run: a module of ours, where its output goes, and whether it outlives us."""

    name: str
    arguments: Sequence[str]
    log: Path
    environment: Mapping[str, str]
    is_kept: bool = False
    patience: float = 15.0
    """Seconds it gets to end by itself when it is told to."""


class Child:
    """One running process."""

    def __init__(self, program: Program, process: asyncio.subprocess.Process) -> None:
        self._program = program
        self._process = process

    @classmethod
    async def start(cls, program: Program) -> "Child":
        """Run `python -m` with its arguments, in a session of its own: Ctrl-C is ours to pass on."""
        with program.log.open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", *program.arguments),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=dict(program.environment),
                start_new_session=True,
                preexec_fn=None if program.is_kept else _die_with(os.getpid()),
            )
        return cls(program, process)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def require_alive(self) -> None:
        """Fail with its last words where it has ended."""
        if self._process.returncode is not None:
            raise ChildDiedError(self._program.name, self._program.log)

    async def ended(self) -> None:
        """Return when it has ended."""
        await self._process.wait()

    async def stop(self) -> None:
        """End it, by force where it does not listen."""
        if self._process.returncode is not None:
            return
        self._process.terminate()
        try:
            await asyncio.wait_for(self._process.wait(), self._program.patience)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()


def _die_with(parent: int) -> Callable[[], None]:
    """Make what a child does before it begins: ask the kernel to end it when its parent ends."""
    libc = ctypes.CDLL(None)

    def prepare() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)

    return prepare
