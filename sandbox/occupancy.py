"""What a sandbox holds while it runs, so that two never get in each other's way."""

import contextlib
import fcntl
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import IO

SUBNETS = range(10, 140)
# Held for as long as the addresses of a subnet are in use.
CLAIM_PORT = 61999
_LOCALHOST = "127.0.0.1"


class AlreadyRunningError(Exception):
    """Another sandbox lives in the directory."""


@contextlib.contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Be the only sandbox in `directory`; the kernel lets go when the process dies."""
    with (directory / "lock").open("a+") as lock:
        if not _take(lock):
            raise AlreadyRunningError(f"A sandbox is running in {directory}.")
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield


def is_running(directory: Path) -> bool:
    """Tell whether a sandbox lives in `directory`."""
    return holder(directory) is not None


def holder(directory: Path) -> int | None:
    """Give the process of the sandbox that lives in `directory`; 0 in the moment before it is known."""
    try:
        with (directory / "lock").open() as lock:
            return None if _take(lock) else int(lock.read().strip() or 0)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _take(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextlib.contextmanager
def claimed(count: int) -> Iterator[list[int]]:
    """Claim so many subnets of 127/8 that no other sandbox uses."""
    with contextlib.ExitStack() as claims:
        found: list[int] = []
        for subnet in SUBNETS:
            if len(found) == count:
                break
            claim = claims.enter_context(socket.socket())
            try:
                claim.bind((f"127.{subnet}.255.254", CLAIM_PORT))
                claim.listen()
            except OSError:
                continue  # another's
            found.append(subnet)
        yield found


def free_ports(*wanted: int) -> list[int]:
    """Fill in a free port for every 0, all different; the kernel keeps them from others for a minute."""
    return [port or _kept_free() for port in wanted]


def _kept_free() -> int:
    """Leave a closed connection on a port: who asks for it by number and reuses addresses gets it."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((_LOCALHOST, 0))
        listener.listen(1)
        with socket.create_connection(listener.getsockname()):
            accepted, _ = listener.accept()
            accepted.close()  # the side that closes first keeps the port in TIME_WAIT
        port: int = listener.getsockname()[1]
        return port
