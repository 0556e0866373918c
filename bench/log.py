"""What the API server's request log says of the engine."""

from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from tests.conformance.faults import ENGINE
from tests.conformance.world import Cluster

READS = ("GET", "HEAD")


@dataclass(frozen=True)
class Asked:
    """One request: when it came, and for what."""

    at: float
    method: str
    path: str
    status: int

    @property
    def is_watch(self) -> bool:
        """Whether it opened a stream."""
        return "watch=1" in self.path

    @property
    def is_write(self) -> bool:
        """Whether it could change something."""
        return self.method not in READS

    @property
    def is_done(self) -> bool:
        """Whether it was granted."""
        return self.status < HTTPStatus.BAD_REQUEST


async def asked(cluster: Cluster, since: int, *, agent: str = ENGINE) -> list[Asked]:
    """Give what *agent* asked after entry *since*, oldest first, opened streams too."""
    return _read(entry for entry in await cluster.requests(since) if entry["userAgent"] == agent)


async def counted(cluster: Cluster) -> int:
    """Count all requests of the engine so far, however many."""
    counters = (await cluster.api.get("/_sandbox/requests", since=str(1 << 60)))["counters"]
    return sum(count for key, count in counters.items() if key.partition(" ")[2] == ENGINE)


def _read(entries: Iterable[dict[str, Any]]) -> list[Asked]:
    found = [Asked(entry["time"], entry["method"], entry["path"], entry["status"]) for entry in entries]
    return sorted(found, key=lambda one: one.at)
