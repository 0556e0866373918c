import asyncio
import logging
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from kubernetes.aio.client import ApiClient

from activities.cluster.api import ClusterApi
from activities.cluster.errors import ApiError
from activities.cluster.events import Events
from activities.cluster.settings import ClusterSettings
from canary.notice import Announcement, Notice, NoticeType
from canary.spec import AnalysisSpec, CanarySpec, ServiceSpec, TargetRef
from canary.status import Phase, Revision
from sandbox.apiserver.server import ApiServer
from sandbox.client import KubeClient
from tests.clients import api_client

KUBECTL = Path(sys.executable).with_name("kubectl")
NOW = datetime(2026, 1, 1, tzinfo=UTC)
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
EVENTS = "/api/v1/namespaces/default/events"
SPEC = CanarySpec(
    cluster="member1",
    namespace="default",
    name="backend",
    target=TargetRef(name="backend"),
    service=ServiceSpec(name="backend", port=9898),
    analysis=AnalysisSpec(),
)


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
        await kube.create(DEPLOYMENTS, deployment())
        yield kube
    await server.stop()


@pytest.fixture
async def events(kube: KubeClient) -> AsyncIterator[Events]:
    client = api_client(kube.url)
    yield Events(cast("Any", Clusters(client)))
    await client.close()  # type: ignore[no-untyped-call]


def deployment() -> dict[str, Any]:
    labels = {"app": "backend"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    spec = {"selector": {"matchLabels": labels}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "backend"}, "spec": spec}


def announcement(
    message: str = "Advance backend.default canary weight 10", *, after: float = 0, **fields: Any
) -> Announcement:
    return Announcement(
        spec=SPEC,
        phase=Phase.PROGRESSING,
        revision=Revision(template="abc"),
        notice=Notice(reason="Advanced", message=message, **fields),
        at=NOW + timedelta(seconds=after),
    )


async def told(kube: KubeClient) -> list[dict[str, Any]]:
    return cast("list[dict[str, Any]]", (await kube.list(EVENTS))["items"])


async def fault(kube: KubeClient, status: int, path: str) -> None:
    rules = [{"id": "f", "do": "status", "status": status, "path": path}]
    await kube.replace("/_sandbox/faults", cast("Any", rules))


@pytest.mark.proves("T21")
async def test_writes_an_event_about_the_target(kube: KubeClient, events: Events) -> None:
    """Flagger's Events have one reason, `Synced`, and are merged by Kubernetes; ours tell theirs.

    T21: Flagger's events.go.
    """
    await events.tell(announcement(type=NoticeType.WARNING))
    target = await kube.get(f"{DEPLOYMENTS}/backend")
    (event,) = await told(kube)
    metadata = event.pop("metadata")

    assert metadata["name"].startswith("backend.")
    assert event == {
        "involvedObject": {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "namespace": "default",
            "name": "backend",
            "uid": target["metadata"]["uid"],
        },
        "type": "Warning",
        "reason": "Advanced",
        "message": "Advance backend.default canary weight 10",
        "source": {"component": "durable-canary"},
        "reportingComponent": "durable-canary",
        "reportingInstance": "",
        "firstTimestamp": "2026-01-01T00:00:00Z",
        "lastTimestamp": "2026-01-01T00:00:00Z",
        "eventTime": None,
        "count": 1,
    }


async def test_counts_what_repeats(kube: KubeClient, events: Events) -> None:
    for after in (0, 10, 20):
        await events.tell(announcement(after=after))
    await events.tell(announcement("Advance backend.default canary weight 20", after=30))
    counted = {event["message"][-2:]: event for event in await told(kube)}

    assert {weight: event["count"] for weight, event in counted.items()} == {"10": 3, "20": 1}
    assert counted["10"]["firstTimestamp"] == "2026-01-01T00:00:00Z"
    assert counted["10"]["lastTimestamp"] == "2026-01-01T00:00:20Z"


async def test_writes_anew_what_the_api_server_has_forgotten(kube: KubeClient, events: Events) -> None:
    await events.tell(announcement())
    await kube.delete(f"{EVENTS}/{(await told(kube))[0]['metadata']['name']}")
    await events.tell(announcement(after=5000))
    await events.tell(announcement(after=5010))

    assert [event["count"] for event in await told(kube)] == [2]


async def test_asks_for_the_uid_only_now_and_then(kube: KubeClient, events: Events) -> None:
    await events.tell(announcement())
    await kube.delete(f"{DEPLOYMENTS}/backend")
    await kube.create(DEPLOYMENTS, deployment())
    await events.tell(announcement("soon", after=10))
    await events.tell(announcement("later", after=1000))
    uids = {event["message"]: event["involvedObject"]["uid"] for event in await told(kube)}

    assert uids["soon"] == uids["Advance backend.default canary weight 10"] != uids["later"]


async def test_takes_the_uid_that_is_known(kube: KubeClient, events: Events) -> None:
    await events.tell(announcement().model_copy(update={"uid": "known"}))

    assert [event["involvedObject"]["uid"] for event in await told(kube)] == ["known"]


async def test_tells_of_a_target_that_is_gone(kube: KubeClient, events: Events) -> None:
    await kube.delete(f"{DEPLOYMENTS}/backend")
    await events.tell(announcement("gone"))

    assert [event["message"] for event in await told(kube)] == ["gone"]


async def test_a_long_message_is_cut(kube: KubeClient, events: Events) -> None:
    await events.tell(announcement("x" * 5000))

    assert [len(event["message"]) for event in await told(kube)] == [1024]


async def test_a_refusal_is_logged_once(
    kube: KubeClient, events: Events, caplog: pytest.LogCaptureFixture
) -> None:
    await fault(kube, 403, "events")
    with caplog.at_level(logging.WARNING):
        await events.tell(announcement())
        await events.tell(announcement("another"))

    assert [record.message for record in caplog.records] == ["events are refused"]


async def test_any_other_failure_is_let_out(kube: KubeClient, events: Events) -> None:
    await fault(kube, 503, "events")

    with pytest.raises(ApiError):
        await events.tell(announcement())


async def test_kubectl_shows_it(kube: KubeClient, events: Events, tmp_path: Path) -> None:
    await events.tell(announcement())
    asked = ["--server", kube.url, "--cache-dir", str(tmp_path), "describe", "deployment", "backend"]
    kubectl = await asyncio.create_subprocess_exec(KUBECTL, *asked, stdout=asyncio.subprocess.PIPE)
    shown, _ = await kubectl.communicate()

    assert b"durable-canary  Advance backend.default canary weight 10" in shown
