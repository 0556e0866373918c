from collections.abc import AsyncIterator

import pytest

from sandbox.apiserver.server import ApiServer
from sandbox.client import KubeClient
from tests.activities.cluster.member import Member
from tests.activities.cluster.story import Story
from tests.clients import api_client
from tests.deploy.rbac import Role

ROLE = Role.load()


@pytest.fixture
async def member() -> AsyncIterator[Member]:
    server = await ApiServer.start()
    client = api_client(server.url)
    async with KubeClient(server.url, link=server.link()) as kube:
        member = Member(server, kube, client)
        yield member
        outside = ROLE.outside(member.asked())
        assert outside == {}, "an activity asked for what deploy/rbac.yaml does not grant"
    await client.close()  # type: ignore[no-untyped-call]
    await server.stop()


@pytest.fixture
def story(member: Member) -> Story:
    return Story(member)
