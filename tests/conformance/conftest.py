"""Whole rollouts: real worker, real Temporal, real Envoy, on the sandbox."""

from collections.abc import AsyncIterator

import pytest

from tests.conformance.chorus import Chorus, stories_of
from tests.conformance.rights import Ledger
from tests.conformance.world import World


@pytest.fixture(scope="session")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with World(tmp_path_factory.mktemp("world")) as world:
        async with Ledger(world.clusters.values()) as ledger:
            yield world
        assert ledger.outside == {}, "the engine asked for what deploy/rbac.yaml does not grant"


@pytest.fixture(scope="session")
async def chorus(request: pytest.FixtureRequest, world: World) -> AsyncIterator[Chorus]:
    chorus = Chorus(world, stories_of(request.session.items))
    yield chorus
    await chorus.stop()
