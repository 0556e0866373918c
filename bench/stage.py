"""Where a group is measured: a sandbox, Temporal and a worker of its own, gone when it is over."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.conformance.ground import MEMBERS, Sandbox
from tests.conformance.world import World

MEMBER = MEMBERS[0]


@dataclass(frozen=True)
class Options:
    """How thorough a run is."""

    is_quick: bool = False

    def many(self, thorough: int, quick: int) -> int:
        """Choose how often something is tried."""
        return quick if self.is_quick else thorough


@asynccontextmanager
async def stage(propagation: float = 0.0, *, has_mesh: bool = True) -> AsyncIterator[World]:
    """Set up a world with one member cluster whose mesh, if it has one, takes so many seconds."""
    ground = Sandbox(1, propagation, has_mesh=has_mesh)
    with TemporaryDirectory(prefix="bench-") as folder:
        async with World(Path(folder), members=1, ground=ground) as world:
            yield world
