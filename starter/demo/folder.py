"""The folder a demo lives in: whose it is, what still runs in it, and how to end that."""

import json
import os
import shutil
import signal
from dataclasses import dataclass
from pathlib import Path

from starter.errors import RefusedError, UsageError

WORKER_PID = "worker.pid"
MARK = ".canary-demo"
"""Says that a folder is a demo's, and may be emptied by the next."""


@dataclass(frozen=True)
class Place:
    """Where the demo lives, and whether it stays."""

    folder: Path
    is_kept: bool = False


def clear(folder: Path) -> None:
    """Make an empty folder, unless something still runs in it or it is somebody's."""
    endpoints, mark = folder / "endpoints.json", folder / MARK
    if endpoints.exists() and _is_alive(json.loads(endpoints.read_text())["pid"]):
        raise RefusedError(f"A demo runs in {folder}; end it: canary sandbox down --dir {folder}")
    if folder.exists() and any(folder.iterdir()) and not mark.exists():
        raise UsageError(f"{folder} holds other files; name a new folder with --dir.")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    mark.touch()


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def clusters_file(folder: Path) -> Path:
    """Give the file that tells a worker where the clusters are."""
    return (folder / "clusters.yaml").resolve()


def remember_worker(folder: Path, pid: int) -> None:
    """Note which process the worker is, for whoever ends a demo that was kept."""
    (folder / WORKER_PID).write_text(f"{pid}\n")


def end_worker(folder: Path) -> None:
    """End the worker that a kept demo left in a folder; its number may be another process's by now."""
    file = folder / WORKER_PID
    if file.exists() and _serves(pid := int(file.read_text()), folder):
        os.kill(pid, signal.SIGTERM)
    file.unlink(missing_ok=True)


def _serves(pid: int, folder: Path) -> bool:
    """Whether a process was started with this folder's clusters."""
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False
    return f"CANARY_CLUSTERS={clusters_file(folder)}".encode() in environment.split(b"\0")
