from collections.abc import AsyncIterator

import pytest

from sandbox.apiserver.server import ApiServer
from sandbox.client import KubeClient
from tests.activities.cluster.member import Member
from tests.activities.cluster.story import Story
from tests.clients import api_client


@pytest.fixture
async def member() -> AsyncIterator[Member]:
    server = await ApiServer.start()
    client = api_client(server.url)
    async with KubeClient(server.url) as kube:
        yield Member(server, kube, client)
    await client.close()  # type: ignore[no-untyped-call]
    await server.stop()


@pytest.fixture
def story(member: Member) -> Story:
    return Story(member)
