import asyncio
import dataclasses
import json
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from temporalio import workflow
from temporalio.client import Client, WorkflowFailureError
from temporalio.common import RetryPolicy
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment, WorkflowEnvironment
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from activities import alerts
from activities.alerts import SLACK_API, AlertActivities, AlertRequest
from canary.alert import AlertProvider, AlertSpec, AlertType, Severity
from canary.notice import Notice
from canary.spec import AnalysisSpec, CanarySpec, ServiceSpec, TargetRef
from canary.status import Phase, Revision

SECRET = "s3cr3t-p4th"
NOTICE = Notice(reason="RolledBack", message="Rolling back", severity=Severity.ERROR)


class Services:
    """What stands at the addresses of alerts; each path answers as the test says, 200 at first."""

    def __init__(self) -> None:
        self.answers: dict[str, list[tuple[int, str]]] = {}
        self.received: list[tuple[str, str, dict[str, Any]]] = []
        self.hanging: set[str] = set()
        app = web.Application()
        app.router.add_post("/{path:.*}", self._answer)
        app.router.add_get("/{path:.*}", self._answer)
        self.http = TestServer(app)

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.http.port}/{path}"

    @property
    def paths(self) -> list[str]:
        return sorted(path for path, _, _ in self.received)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        path = request.path.strip("/")
        self.received.append((path, request.headers.get("Authorization", ""), await request.json()))
        if path in self.hanging:
            response = web.StreamResponse()
            await response.prepare(request)
            while request.transport and not request.transport.is_closing():
                await response.write(b"x")
                await asyncio.sleep(0.02)
            return response
        waiting = self.answers.get(path, [])
        status, text = (waiting.pop(0) if len(waiting) > 1 else waiting[0]) if waiting else (200, "ok")
        headers = {"Location": "/elsewhere"} if status == 302 else None
        return web.Response(status=status, text=text, headers=headers)


@dataclass(frozen=True)
class Route:
    url: str
    proxy: alerts.Proxy | None = None


@dataclass
class Reach:
    """Everything is where its address says, or behind one proxy."""

    proxy: alerts.Proxy | None = None
    asked: list[tuple[str, str, str]] = field(default_factory=list)

    async def alert(self, cluster: str, namespace: str, url: str) -> Route:
        self.asked.append((cluster, namespace, url))
        return Route(url, self.proxy)


@dataclass
class Secrets:
    """Secrets by namespace and name."""

    known: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict)

    async def read(self, cluster: str, namespace: str, name: str) -> dict[str, str] | None:
        assert cluster == "member1"
        return self.known.get((namespace, name))


class Relay:
    """A proxy that takes everything."""

    def __init__(self) -> None:
        self.sent: list[str] = []

    async def send(
        self, url: str, *, body: bytes | None, headers: Mapping[str, str], seconds: float, limit: int
    ) -> tuple[int, bytes]:
        assert body
        assert headers
        assert seconds > 0
        assert limit > 0
        self.sent.append(url)
        return 204, b""


@pytest.fixture
async def services() -> AsyncIterator[Services]:
    services = Services()
    await services.http.start_server()
    yield services
    await services.http.close()


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient() as client:
        yield client


@pytest.fixture
def secrets() -> Secrets:
    return Secrets()


@pytest.fixture
def activities(client: httpx.AsyncClient, secrets: Secrets) -> AlertActivities:
    return AlertActivities(Reach(), secrets, client, seconds=0.5)


def alert_to(
    address: str | None,
    *,
    name: str = "one",
    severity: Severity = Severity.INFO,
    type_: AlertType = AlertType.WEBHOOK,
    **provider: Any,
) -> AlertSpec:
    return AlertSpec(
        name=name,
        severity=severity,
        provider=AlertProvider(type=type_, name="on-call", namespace="ops", address=address, **provider),
    )


def request_of(*wanted: AlertSpec, notice: Notice = NOTICE) -> AlertRequest:
    spec = CanarySpec(
        cluster="member1",
        namespace="webapp",
        name="backend",
        target=TargetRef(name="backend"),
        service=ServiceSpec(name="backend", port=9898),
        analysis=AnalysisSpec(alerts=wanted),
    )
    return AlertRequest(spec=spec, revision=Revision(template="abc"), phase=Phase.FAILED, notice=notice)


async def attempt(activities: AlertActivities, request: AlertRequest, told: Any = None) -> list[Any]:
    """Make one attempt, after one that settled *told*; returns the heartbeats' details."""
    environment = ActivityEnvironment()
    heartbeats: list[Any] = []
    environment.on_heartbeat = lambda *details: heartbeats.append(json.loads(json.dumps(details)))
    environment.info = dataclasses.replace(environment.info, heartbeat_details=[told] if told else [])
    await environment.run(activities.alert, request)
    return heartbeats


async def failure(activities: AlertActivities, request: AlertRequest) -> ApplicationError:
    with pytest.raises(ApplicationError) as caught:
        await attempt(activities, request)
    return caught.value


@pytest.mark.proves("C38")
async def test_tells_whom_it_concerns(services: Services, activities: AlertActivities) -> None:
    """An alert goes to those providers whose severity it has (C38: Flagger's events.go)."""
    wanted = [alert_to(services.url(severity), severity=severity) for severity in Severity]
    for severity in Severity:
        notice = NOTICE.model_copy(update={"severity": severity})
        await attempt(activities, request_of(*wanted, notice=notice))

    assert services.paths == ["error", "info", "info", "info", "warn", "warn"]


async def test_a_notice_without_severity_is_no_alert(services: Services, activities: AlertActivities) -> None:
    notice = NOTICE.model_copy(update={"severity": None})
    await attempt(activities, request_of(alert_to(services.url("a")), notice=notice))

    assert services.received == []


async def test_one_that_fails_keeps_no_other_from_being_told(
    services: Services, activities: AlertActivities
) -> None:
    services.hanging.add("hangs")
    services.answers["away"] = [(503, "")]
    wanted = [alert_to(services.url(path), name=path) for path in ("hangs", "away", "there")]
    error = await failure(activities, request_of(*wanted))

    assert services.paths == ["away", "hangs", "there"]
    assert error.message == (
        "Alert hangs cannot be sent by ops/on-call: no answer within 0.5 s. "
        "Alert away cannot be sent by ops/on-call: it answers 503."
    )
    assert not error.non_retryable


async def test_another_attempt_tells_only_who_was_not_told(
    services: Services, activities: AlertActivities
) -> None:
    wanted = [alert_to(services.url("first")), alert_to(services.url("second"))]
    heartbeats = await attempt(activities, request_of(*wanted), told={"0": ""})

    assert services.paths == ["second"]
    assert heartbeats == [[{"0": "", "1": ""}]]


async def test_another_activity_goes_on_with_the_rest(
    services: Services, activities: AlertActivities
) -> None:
    services.answers["away"] = [(503, ""), (200, "")]
    request = request_of(alert_to(services.url("away")), alert_to(services.url("there")))
    error = await failure(activities, request)
    await attempt(activities, request.model_copy(update={"settled": error.details[0]}))

    assert services.paths == ["away", "away", "there"]


@pytest.mark.parametrize("status", [302, 400, 403, 404])
async def test_a_plain_no_is_not_asked_again(
    services: Services, activities: AlertActivities, status: int
) -> None:
    services.answers[SECRET] = [(status, "")]
    error = await failure(activities, request_of(alert_to(services.url(SECRET)), alert_to(services.url("b"))))

    assert error.non_retryable
    assert f"it answers {status}." in error.message
    assert services.paths == ["b", SECRET]


@pytest.mark.parametrize("status", [408, 429, 500, 502])
async def test_what_may_pass_is_tried_again(
    services: Services, activities: AlertActivities, status: int
) -> None:
    services.answers["a"] = [(status, "")]
    error = await failure(activities, request_of(alert_to(services.url("a"))))

    assert not error.non_retryable


async def test_a_refusal_is_told_when_the_rest_has_been_sent(
    services: Services, activities: AlertActivities
) -> None:
    wanted = [alert_to(services.url("a")), alert_to(services.url("b"))]
    with pytest.raises(ApplicationError, match="no such channel") as caught:
        await attempt(activities, request_of(*wanted), told={"0": "Alert one: no such channel."})

    assert caught.value.non_retryable
    assert services.paths == ["b"]


async def test_an_error_never_holds_an_address(services: Services, activities: AlertActivities) -> None:
    services.answers[SECRET] = [(404, f"Cannot POST /{SECRET}")]
    services.answers["other"] = [(404, "channel_is_archived")]
    dead = alert_to(f"http://u:{SECRET}@127.0.0.1:1/{SECRET}")
    garbled = alert_to(f"http://host:{SECRET}/")
    no_proxy = alert_to(services.url("x"), proxy=f"gopher://{SECRET}")
    gone_proxy = alert_to(services.url("x"), proxy=f"http://u:{SECRET}@127.0.0.1:1")
    wanted = [
        alert_to(services.url(SECRET)),
        dead,
        garbled,
        no_proxy,
        gone_proxy,
        alert_to(services.url("other")),
    ]
    error = await failure(activities, request_of(*wanted))

    assert SECRET not in str(error)
    assert error.message.count("cannot be sent") == 6
    assert "it answers 404 channel_is_archived." in error.message
    assert "its address is no URL" in error.message
    assert "its proxy is no http:// or https:// URL" in error.message


async def test_a_huge_answer_is_not_read_whole(services: Services, activities: AlertActivities) -> None:
    services.answers["a"] = [(500, "x" * 5_000_000)]
    error = await failure(activities, request_of(alert_to(services.url("a"))))

    assert len(error.message) < 200


async def test_address_and_token_come_from_the_secret_of_the_providers_namespace(
    services: Services, secrets: Secrets, activities: AlertActivities
) -> None:
    secrets.known["ops", "login"] = {"address": f" {services.url('hidden')}\n", "token": f"{SECRET}\n"}
    await attempt(activities, request_of(alert_to(None, secret_ref="login")))
    await attempt(activities, request_of(alert_to(None, secret_ref="login", type_=AlertType.ROCKET)))

    assert [(path, authorization) for path, authorization, _ in services.received] == [
        ("hidden", f"Bearer {SECRET}"),
        ("hidden", ""),
    ]
    assert SECRET not in json.dumps([body for _, _, body in services.received])


async def test_a_secret_that_is_missing_is_named_and_may_yet_come(activities: AlertActivities) -> None:
    error = await failure(activities, request_of(alert_to(None, secret_ref="login")))

    assert "Secret login not found in namespace ops" in error.message
    assert not error.non_retryable


async def test_a_provider_without_an_address_is_named(secrets: Secrets, activities: AlertActivities) -> None:
    secrets.known["ops", "empty"] = {}
    error = await failure(activities, request_of(alert_to(None, secret_ref="empty")))

    assert "neither it nor its Secret says `address`" in error.message


async def test_a_token_of_slack_means_its_api(secrets: Secrets, client: httpx.AsyncClient) -> None:
    secrets.known["ops", "bot"] = {"token": "t"}
    reach = Reach(proxy=Relay())  # so that nobody calls out
    error = await failure(
        AlertActivities(reach, secrets, client),
        request_of(alert_to(None, secret_ref="bot", type_=AlertType.SLACK)),
    )

    assert reach.asked == [("member1", "ops", SLACK_API)]
    assert "drops credentials" in error.message


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ('{"ok": false, "error": "channel_not_found"}', "Slack says channel_not_found"),
        ('{"ok": false, "error": "<b>"}', "Slack says no"),
        ("[]", "Slack says no"),
        ("<html>", "Slack says nothing readable"),
    ],
)
async def test_slacks_api_answers_200_in_any_case(
    services: Services, secrets: Secrets, activities: AlertActivities, answer: str, said: str
) -> None:
    secrets.known["ops", "bot"] = {"token": "t", "address": services.url("api")}
    bot = alert_to(None, secret_ref="bot", type_=AlertType.SLACK)
    services.answers["api"] = [(200, '{"ok": true}')]
    await attempt(activities, request_of(bot))
    services.answers["api"] = [(200, answer)]
    error = await failure(activities, request_of(bot))

    assert said in error.message


@pytest.mark.parametrize("path", ["hook", "hook/", "hook/slack"])
async def test_discord_is_told_where_it_reads_slacks_form(
    services: Services, activities: AlertActivities, path: str
) -> None:
    await attempt(activities, request_of(alert_to(services.url(path), type_=AlertType.DISCORD)))

    assert services.paths == ["hook/slack"]


async def test_goes_by_the_providers_proxy(services: Services, activities: AlertActivities) -> None:
    proxy = services.url("")
    await attempt(activities, request_of(alert_to("http://alerts.nowhere.invalid/there", proxy=proxy)))

    assert services.paths == ["there"]


async def test_an_address_in_the_cluster_is_reached_through_it(client: httpx.AsyncClient) -> None:
    relay = Relay()
    activities = AlertActivities(Reach(relay), Secrets(), client)
    await attempt(activities, request_of(alert_to("http://receiver.ops/")))

    assert relay.sent == ["http://receiver.ops/"]


PATIENT = RetryPolicy(initial_interval=timedelta(milliseconds=100), maximum_attempts=3)
"""The third attempt is the last."""
HURRIED = RetryPolicy(initial_interval=timedelta(seconds=2))
"""There is no time for a second attempt."""


@workflow.defn(name="Alerting")
class Alerting:
    @workflow.run
    async def run(self, request: AlertRequest, is_hurried: bool) -> None:  # noqa: FBT001 — a workflow's argument
        await workflow.execute_activity_method(
            AlertActivities.alert,
            request,
            schedule_to_close_timeout=timedelta(seconds=1 if is_hurried else 30),
            heartbeat_timeout=timedelta(seconds=2),
            retry_policy=HURRIED if is_hurried else PATIENT,
        )


@pytest.fixture(scope="module")
async def temporal() -> AsyncIterator[Client]:
    environment = await WorkflowEnvironment.start_local(
        dev_server_existing_path=str(Path(sys.executable).with_name("temporal")),
        data_converter=pydantic_data_converter,
    )
    async with environment:
        yield environment.client


async def failed(
    temporal: Client, activities: AlertActivities, request: AlertRequest, *, is_hurried: bool
) -> ApplicationError:
    worker = Worker(
        temporal,
        task_queue="alerts",
        workflows=[Alerting],
        activities=[activities.alert],
        workflow_runner=UnsandboxedWorkflowRunner(),
    )
    async with worker:
        with pytest.raises(WorkflowFailureError) as caught:
            await temporal.execute_workflow(
                Alerting.run, args=[request, is_hurried], id=str(uuid4()), task_queue="alerts"
            )
    cause = caught.value.cause.__cause__
    assert isinstance(cause, ApplicationError)
    return cause


async def test_temporal_remembers_who_was_told(
    services: Services, activities: AlertActivities, temporal: Client
) -> None:
    services.answers["late"] = [(503, ""), (503, ""), (200, "")]
    services.answers["refuses"] = [(410, "")]
    wanted = [alert_to(services.url(path), name=path) for path in ("early", "late", "refuses")]
    error = await failed(temporal, activities, request_of(*wanted), is_hurried=False)

    assert services.paths == ["early", "late", "late", "late", "refuses"]
    assert "Alert refuses cannot be sent by ops/on-call: it answers 410." in str(error)


async def test_a_workflow_without_time_hears_who_was_told(
    services: Services, activities: AlertActivities, temporal: Client
) -> None:
    services.answers["away"] = [(503, "")]
    wanted = [alert_to(services.url(path), name=path) for path in ("early", "away")]
    error = await failed(temporal, activities, request_of(*wanted), is_hurried=True)

    assert error.type == "AlertNotSent"
    assert error.details == ({"0": ""},)
