from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
from kubernetes.aio.client import ApiClient

from activities.cluster.api import ClusterApi
from activities.cluster.errors import ApiError
from activities.cluster.secrets import ClusterSecrets
from activities.cluster.settings import ClusterSettings
from canary.errors import MeasurementError
from sandbox.apiserver.server import ApiServer
from sandbox.client import KubeClient
from tests.clients import api_client


class Clusters:
    def __init__(self, client: ApiClient) -> None:
        self.api = ClusterApi(ClusterSettings("member1"), client)

    async def get(self, name: str) -> ClusterApi:
        assert name == "member1"
        return self.api


@pytest.fixture
async def kube() -> AsyncIterator[KubeClient]:
    server = await ApiServer.start()
    async with KubeClient(server.url) as kube:
        body = {"metadata": {"name": "login"}, "stringData": {"username": "u", "password": "pässword"}}
        await kube.create("/api/v1/namespaces/default/secrets", body)
        yield kube
    await server.stop()


@pytest.fixture
async def secrets(kube: KubeClient) -> AsyncIterator[ClusterSecrets]:
    client = api_client(kube.url)
    yield ClusterSecrets(Clusters(client))
    await client.close()  # type: ignore[no-untyped-call]


async def test_reads_a_secret_decoded(secrets: ClusterSecrets) -> None:
    found = await secrets.read("member1", "default", "login")

    assert found == {"username": "u", "password": "pässword"}


async def test_a_secret_that_is_not_there_is_none(secrets: ClusterSecrets) -> None:
    assert await secrets.read("member1", "default", "other") is None


async def test_a_refusal_is_named(kube: KubeClient, secrets: ClusterSecrets) -> None:
    rules = [{"id": "f", "do": "status", "status": 403, "path": "secrets"}]
    await kube.replace("/_sandbox/faults", cast("Any", rules))

    with pytest.raises(MeasurementError, match="Secret login in namespace default cannot be read: 403 Forb"):
        await secrets.read("member1", "default", "login")


async def test_what_may_pass_is_let_out(kube: KubeClient, secrets: ClusterSecrets) -> None:
    rules = [{"id": "f", "do": "status", "status": 503, "path": "secrets"}]
    await kube.replace("/_sandbox/faults", cast("Any", rules))

    with pytest.raises(ApiError):
        await secrets.read("member1", "default", "login")
