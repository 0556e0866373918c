"""The folder a demo lives in: whose it is, what still runs in it, and how to end that."""

import fcntl
import os
import shutil
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from starter.errors import RefusedError, UsageError

WORKER_PID = "worker.pid"
MARK = ".canary-demo"
"""Says that a folder is a demo's, and may be emptied by the next; locked by the demo that runs there."""
SANDBOX_LOCK = "lock"
"""Locked by the sandbox that runs in a folder."""


@dataclass(frozen=True)
class Place:
    """Where the demo lives, and whether it stays."""

    folder: Path
    is_kept: bool = False


def take(folder: Path) -> BinaryIO:
    """Empty a folder, or make it, and hold it until what is given is closed.

    A demo holds the mark from its first moment on; a sandbox, that of a kept demo too, its `lock`. The kernel
    lets go of both when their processes end, however they do.

    Raises:
        RefusedError: something runs in it.
        UsageError: it is somebody's, or nothing can be written there.
    """
    mark = folder / MARK
    try:
        if folder.exists() and any(folder.iterdir()) and not mark.exists():
            raise UsageError(f"{folder} holds other files; name a new folder with --dir.")
        folder.mkdir(parents=True, exist_ok=True)
        held = mark.open("ab")
        if not (_can_hold(held) and _is_free(folder / SANDBOX_LOCK)):
            held.close()
            raise RefusedError(f"A demo runs in {folder}; end it: canary sandbox down --dir {folder}")
        end_worker(folder)
        _empty(folder)
    except OSError as error:
        raise UsageError(
            f"{folder} cannot be used: {error.strerror}; name a new folder with --dir."
        ) from error
    return held


def _can_hold(file: BinaryIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_free(lock: Path) -> bool:
    if not lock.exists():
        return True
    with lock.open("rb") as file:
        return _can_hold(file)


def _empty(folder: Path) -> None:
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        elif entry.name != MARK:
            entry.unlink()


def clusters_file(folder: Path) -> Path:
    """Give the file that tells a worker where the clusters are."""
    return (folder / "clusters.yaml").resolve()


def remember_worker(folder: Path, pid: int) -> None:
    """Note which process the worker is, for whoever ends a demo that was kept."""
    (folder / WORKER_PID).write_text(f"{pid}\n")


def end_worker(folder: Path) -> None:
    """End the worker that a kept demo left in a folder; its number may be another process's by now."""
    file = folder / WORKER_PID
    noted = file.read_text(errors="replace").strip() if file.exists() else ""
    if noted.isdecimal() and _serves(int(noted), folder):
        os.kill(int(noted), signal.SIGTERM)
    file.unlink(missing_ok=True)


def _serves(pid: int, folder: Path) -> bool:
    """Whether a process was started with this folder's clusters."""
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False
    return f"CANARY_CLUSTERS={clusters_file(folder)}".encode() in environment.split(b"\0")
