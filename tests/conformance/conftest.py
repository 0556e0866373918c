"""Whole rollouts: real worker, real Temporal, real Envoy, on the sandbox or on clusters that are named."""

from collections.abc import AsyncIterator

import pytest

from sandbox.occupancy import free_ports
from tests.conformance.chorus import Chorus, stories_of
from tests.conformance.ground import Ground
from tests.conformance.named import Named, Settings, UnfitError
from tests.conformance.rights import Ledger
from tests.conformance.waiting import NAMED
from tests.conformance.world import World

FAULTS = ("TMPRL1100", "never retrieved")
"""In a worker's log: a history replayed otherwise than it was made, and a failure that nobody looked at."""


@pytest.fixture(scope="session")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    try:
        ground: Ground | None = Named(Settings.read()) if NAMED else None
        (port,) = free_ports(0)
        folder = tmp_path_factory.mktemp("world")
        async with World(folder, ground=ground, metrics=f"127.0.0.1:{port}") as world:
            async with Ledger(world.clusters.values()) as ledger:
                yield world
            assert ledger.outside == {}, "the engine asked for what deploy/rbac.yaml does not grant"
            logs = world.worker_logs()
            assert [line for line in logs.splitlines() if any(sign in line for sign in FAULTS)] == []
    except UnfitError as error:
        pytest.exit(str(error), returncode=pytest.ExitCode.USAGE_ERROR)


@pytest.fixture(scope="session")
async def chorus(request: pytest.FixtureRequest, world: World) -> AsyncIterator[Chorus]:
    chorus = Chorus(world, stories_of(request.session.items))
    yield chorus
    await chorus.stop()
