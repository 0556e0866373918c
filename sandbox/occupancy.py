"""What a sandbox holds while it runs, so that two never get in each other's way."""

import contextlib
import fcntl
import socket
from collections.abc import Iterator
from pathlib import Path

SUBNETS = range(10, 140)
# Held for as long as the addresses of a subnet are in use.
CLAIM_PORT = 61999
_LOCALHOST = "127.0.0.1"


class AlreadyRunningError(Exception):
    """Another sandbox lives in the directory."""


@contextlib.contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Be the only sandbox in `directory`; the kernel lets go when the process dies."""
    with (directory / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise AlreadyRunningError(f"A sandbox is running in {directory}.") from error
        yield


def is_running(directory: Path) -> bool:
    """Tell whether a sandbox lives in `directory`."""
    if not (directory / "lock").exists():
        return False
    try:
        with locked(directory):
            return False
    except AlreadyRunningError:
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
