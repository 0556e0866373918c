import asyncio
import json
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from activities import webhooks
from activities.webhooks import Webhooks
from canary.errors import MeasurementError, NoAnswerError
from canary.hooks import event_payload
from canary.notice import Announcement, Notice
from canary.revision import checksum
from canary.spec import AnalysisSpec, CanarySpec, HookType, ServiceSpec, TargetRef, WebhookSpec
from canary.status import Phase, Revision
from sandbox.loadtester import LoadTester, Rules

NOW = datetime(2026, 1, 1, tzinfo=UTC)
REVISION = Revision(template="abc", configs={"configmap/a": "1"})
SPEC = CanarySpec(
    cluster="member1",
    namespace="webapp",
    name="backend",
    target=TargetRef(name="backend"),
    service=ServiceSpec(name="backend", port=9898),
    analysis=AnalysisSpec(interval=timedelta(seconds=1)),
)
TOKEN = "t0ken"
SECRETS = {"tester": {"token": f"{TOKEN}\n"}, "empty": {"address": "x"}, "odd": {"token": "a\nb"}}
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Server:
    """A webhook whose answers are given by the test; the last is repeated."""

    def __init__(self) -> None:
        self.handlers: list[Handler] = []
        self.bodies: list[bytes] = []
        self.tokens: list[str | None] = []
        self.types: list[str] = []
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self.http = TestServer(app)

    def answers(self, *statuses: int, text: str = "", headers: dict[str, str] | None = None) -> None:
        async def answer(status: int) -> web.StreamResponse:
            return web.Response(status=status, text=text, headers=headers)

        self.handlers = [lambda _, status=status: answer(status) for status in statuses]  # type: ignore[misc]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http.port}/"

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.bodies.append(await request.read())
        self.tokens.append(request.headers.get("Authorization"))
        self.types.append(f"{request.method} {request.content_type}")
        handler = self.handlers.pop(0) if len(self.handlers) > 1 else self.handlers[0]
        return await handler(request)


@dataclass(frozen=True)
class Route:
    url: str
    proxy: webhooks.Proxy | None = None


class Outside:
    """Everything is where its address says."""

    def __init__(self, proxy: webhooks.Proxy | None = None) -> None:
        self.proxy = proxy

    async def webhook(self, cluster: str, namespace: str, url: str) -> Route:
        assert (cluster, namespace) == ("member1", "webapp")
        return Route(url, self.proxy)


class Safe:
    """Secrets of the canary's namespace; those that may not be read are None."""

    def __init__(self, secrets: Mapping[str, dict[str, str] | None] | None = None) -> None:
        self.secrets = secrets or {}

    async def read(self, cluster: str, namespace: str, name: str) -> dict[str, str] | None:
        assert (cluster, namespace) == ("member1", "webapp")
        if name == "locked":
            raise MeasurementError("Secret locked in namespace webapp cannot be read: 403 Forbidden")
        return self.secrets.get(name)


class Relay:
    """A proxy that answers by itself and keeps what it was sent."""

    def __init__(self, status: int, body: bytes) -> None:
        self.answer = (status, body)
        self.sent: list[tuple[str, bytes | None]] = []
        self.headers: list[Mapping[str, str]] = []

    async def send(
        self, url: str, *, body: bytes | None, headers: Mapping[str, str], seconds: float, limit: int
    ) -> tuple[int, bytes]:
        assert headers["Content-Type"] == "application/json"
        assert seconds > 0
        assert limit == 4096
        self.sent.append((url, body))
        self.headers.append(headers)
        return self.answer


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    await server.http.start_server()
    yield server
    await server.http.close()


@pytest.fixture
async def clients() -> AsyncIterator[tuple[httpx.AsyncClient, httpx.AsyncClient]]:
    async with httpx.AsyncClient() as client, httpx.AsyncClient(verify=False) as unverified:
        yield client, unverified


@pytest.fixture
def hooks(clients: tuple[httpx.AsyncClient, httpx.AsyncClient]) -> Webhooks:
    return Webhooks(Outside(), Safe(), *clients, lambda: NOW)


@pytest.fixture
def trusted(clients: tuple[httpx.AsyncClient, httpx.AsyncClient]) -> Webhooks:
    """Webhooks that may read the namespace's Secrets."""
    return Webhooks(Outside(), Safe(SECRETS), *clients, lambda: NOW)


@pytest.fixture
async def secure_server() -> AsyncIterator[Server]:
    """A webhook whose certificate nobody vouches for."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(Path(__file__).with_name("self-signed.pem"))
    server = Server()
    await server.http.start_server(ssl=context)
    yield server
    await server.http.close()


def hook(url: str, *, retries: int = 0, timeout: float = 5, **metadata: str) -> WebhookSpec:
    return WebhookSpec(
        name="load-test", url=url, retries=retries, timeout=timedelta(seconds=timeout), metadata=metadata
    )


async def test_sends_what_flagger_sends(server: Server, hooks: Webhooks) -> None:
    server.answers(200)
    await hooks.call(SPEC, hook(server.url, cmd="hey"), Phase.PROGRESSING, REVISION)
    await hooks.call(SPEC, hook(server.url), Phase.PROGRESSING, REVISION)
    known = {
        "name": "backend",
        "namespace": "webapp",
        "phase": "Progressing",
        "checksum": checksum(REVISION),
    }

    assert [json.loads(body) for body in server.bodies] == [known | {"metadata": {"cmd": "hey"}}, known]
    assert server.types == ["POST application/json"] * 2


@pytest.mark.parametrize(
    ("status", "passed"),
    [
        (200, True),
        (201, True),
        (202, True),
        (204, True),
        (205, False),
        (403, False),
        (500, False),
        (501, False),
    ],
)
async def test_passes_from_200_to_204(server: Server, hooks: Webhooks, status: int, passed: bool) -> None:  # noqa: FBT001 — a parameter
    server.answers(status, text="" if status in (204, 205) else "said")
    answer = await hooks.call(SPEC, hook(server.url), Phase.PROGRESSING, REVISION)

    assert (answer.passed, answer.status) == (passed, status)
    assert (answer.hook, answer.type, answer.at) == ("load-test", HookType.ROLLOUT, NOW)
    assert answer.message == ("" if status in (204, 205) else "said")


@pytest.mark.parametrize("type_", list(HookType))
@pytest.mark.proves("T18")
async def test_a_hook_of_any_type_that_answers_204_has_passed(  # T18
    server: Server, hooks: Webhooks, type_: HookType
) -> None:
    """In Flagger 204 is a failure (T18: Flagger's webhook.go)."""
    server.answers(204)
    one = hook(server.url).model_copy(update={"type": type_})
    answer = await hooks.call(SPEC, one, Phase.PROGRESSING, REVISION)

    assert (answer.passed, answer.type) == (True, type_)


@pytest.mark.parametrize("type_", [type_ for type_ in HookType if type_.is_gate])
async def test_a_closed_gate_is_asked_once(server: Server, hooks: Webhooks, type_: HookType) -> None:
    server.answers(403, 200, text="closed")
    gate = hook(server.url, retries=3).model_copy(update={"type": type_})
    answer = await hooks.call(SPEC, gate, Phase.WAITING, REVISION)

    assert (answer.passed, answer.status, answer.message) == (False, 403, "closed")
    assert len(server.bodies) == 1


async def test_a_certificate_is_verified_unless_the_hook_says_not_to(
    secure_server: Server, hooks: Webhooks
) -> None:
    secure_server.answers(200)
    strict = hook(f"https://127.0.0.1:{secure_server.http.port}/")
    with pytest.raises(NoAnswerError, match="ConnectError"):
        await hooks.call(SPEC, strict, Phase.PROGRESSING, REVISION)
    answer = await hooks.call(
        SPEC, strict.model_copy(update={"disable_tls": True}), Phase.PROGRESSING, REVISION
    )

    assert answer.passed
    assert len(secure_server.bodies) == 1


async def test_an_event_hook_is_told_what_happened(server: Server, hooks: Webhooks) -> None:
    server.answers(200)
    announcement = Announcement(
        spec=SPEC,
        phase=Phase.PROGRESSING,
        revision=REVISION,
        notice=Notice(reason="Advanced", message="Advance backend.webapp canary weight 10"),
        at=NOW,
    )
    one = hook(server.url, k="v")
    answer = await hooks.announce(one, announcement)

    assert answer.passed
    assert [json.loads(body) for body in server.bodies] == [event_payload(one, announcement)]


async def test_an_answer_of_five_megabytes_is_kept_four_kilobytes_long(
    server: Server, hooks: Webhooks
) -> None:
    server.answers(500, text="x" * 5_000_000)
    answer = await hooks.call(SPEC, hook(server.url), Phase.PROGRESSING, REVISION)

    assert (answer.passed, answer.status, answer.message) == (False, 500, "x" * 4096)


async def test_a_redirect_fails_and_is_named(server: Server, hooks: Webhooks) -> None:
    server.answers(302, headers={"Location": "http://u:p4ss@elsewhere/"})
    answer = await hooks.call(SPEC, hook(server.url), Phase.PROGRESSING, REVISION)

    assert not answer.passed
    assert answer.message == "redirected, which is not followed: http://elsewhere/"
    assert len(server.bodies) == 1


async def test_a_huge_answer_is_read_four_kilobytes_far(server: Server, hooks: Webhooks) -> None:
    written = 0
    closed = asyncio.Event()

    async def floods(request: web.Request) -> web.StreamResponse:
        nonlocal written
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            for _ in range(5_000):
                await response.write(b"x" * 100_000)
                written += 100_000
        finally:
            closed.set()
        return response

    server.handlers = [floods]
    answer = await hooks.call(SPEC, hook(server.url), Phase.PROGRESSING, REVISION)
    await asyncio.wait_for(closed.wait(), 5)

    assert answer.passed
    assert answer.message == "x" * 4096
    assert written < 50_000_000


async def test_a_hook_that_answers_too_late_has_failed(server: Server, hooks: Webhooks) -> None:
    async def trickles(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while request.transport and not request.transport.is_closing():
            await response.write(b"x")
            await asyncio.sleep(0.05)
        return response

    server.handlers = [trickles]
    answer = await hooks.call(SPEC, hook(server.url, timeout=0.3), Phase.PROGRESSING, REVISION)

    assert not answer.passed
    assert answer.message == "no answer within 0.3 s"


async def test_retries_what_may_pass_after_a_pause(server: Server, hooks: Webhooks) -> None:
    server.answers(500, 200)
    started = time.monotonic()
    answer = await hooks.call(SPEC, hook(server.url, retries=1), Phase.PROGRESSING, REVISION)

    assert answer.passed
    assert len(server.bodies) == 2
    assert time.monotonic() - started >= 1.0


@pytest.mark.parametrize("status", [403, 501])
async def test_does_not_retry_a_plain_no(server: Server, hooks: Webhooks, status: int) -> None:
    server.answers(status, 200)
    answer = await hooks.call(SPEC, hook(server.url, retries=3), Phase.PROGRESSING, REVISION)

    assert not answer.passed
    assert len(server.bodies) == 1


@pytest.mark.proves("T18")
async def test_keeps_the_text_of_the_last_failure(server: Server, hooks: Webhooks) -> None:
    """Flagger drops the body of an answer in the 500s, which says what was wrong.

    T18: Flagger's webhook.go.
    """
    server.answers(500, text="command bats failed")
    answer = await hooks.call(SPEC, hook(server.url, retries=1), Phase.PROGRESSING, REVISION)

    assert (answer.status, answer.message) == (500, "command bats failed")
    assert len(server.bodies) == 2


@pytest.mark.parametrize("status", [429, 502, 503, 504])
async def test_a_gateway_without_the_hook_is_no_answer(server: Server, hooks: Webhooks, status: int) -> None:
    server.answers(status, text="no endpoints")
    with pytest.raises(NoAnswerError, match=f"Webhook load-test does not answer: {status} no end") as caught:
        await hooks.call(SPEC, hook(server.url), Phase.PROGRESSING, REVISION)

    assert caught.value.status == status


async def test_no_connection_is_no_answer_and_hides_credentials(
    hooks: Webhooks, unused_tcp_port: int
) -> None:
    url = f"http://u:p4ss@127.0.0.1:{unused_tcp_port}/"
    with pytest.raises(NoAnswerError, match="Webhook load-test does not answer: ConnectError") as caught:
        await hooks.call(SPEC, hook(url), Phase.PROGRESSING, REVISION)

    assert "p4ss" not in str(caught.value)
    assert caught.value.__cause__ is None


async def test_a_url_that_cannot_be_read_has_failed(hooks: Webhooks) -> None:
    answer = await hooks.call(SPEC, hook("http://tester:port/"), Phase.PROGRESSING, REVISION)

    assert (answer.passed, answer.status) == (False, None)


async def test_a_proxied_hook_is_called_by_the_proxy(
    clients: tuple[httpx.AsyncClient, httpx.AsyncClient],
) -> None:
    relay = Relay(202, b" queued ")
    hooks = Webhooks(Outside(relay), Safe(), *clients, lambda: NOW)
    answer = await hooks.call(SPEC, hook("http://tester.webapp/"), Phase.PROGRESSING, REVISION)

    assert (answer.passed, answer.message) == (True, "queued")
    assert relay.sent[0][0] == "http://tester.webapp/"
    assert json.loads(relay.sent[0][1] or b"")["name"] == "backend"


async def test_credentials_are_not_sent_where_they_would_be_dropped(
    clients: tuple[httpx.AsyncClient, httpx.AsyncClient],
) -> None:
    relay = Relay(202, b"")
    hooks = Webhooks(Outside(relay), Safe(), *clients, lambda: NOW)
    answer = await hooks.call(SPEC, hook("http://u:p4ss@tester.webapp/"), Phase.PROGRESSING, REVISION)

    assert not answer.passed
    assert "drops the credentials" in answer.message
    assert relay.sent == []


async def test_speaks_the_load_testers_protocol(hooks: Webhooks) -> None:
    tester = await LoadTester.start()
    url = f"{tester.url}/"
    fails = hook(url, type="bash", cmd="echo broken; false")
    try:
        queued = await hooks.call(SPEC, hook(url, type="cmd", cmd="true"), Phase.PROGRESSING, REVISION)
        failed = await hooks.call(SPEC, fails, Phase.PROGRESSING, REVISION)
        halted = await hooks.call(SPEC, hook(f"{url}gate/halt"), Phase.PROGRESSING, REVISION)
    finally:
        await tester.stop()

    assert (queued.passed, queued.status) == (True, 202)
    assert (failed.passed, failed.status) == (False, 500)
    assert "broken" in failed.message
    assert (halted.passed, halted.status, halted.message) == (False, 403, "Forbidden")


def guarded(url: str, secret: str = "tester") -> WebhookSpec:
    return hook(url, type="bash", cmd="true").model_copy(update={"secret_ref": secret})


async def test_a_guarded_load_tester_runs_commands_for_who_carries_its_token(trusted: Webhooks) -> None:
    tester = await LoadTester.start(rules=Rules(token=TOKEN))
    url = f"{tester.url}/"
    try:
        open_ = await trusted.call(SPEC, guarded(url), Phase.PROGRESSING, REVISION)
        shut = await trusted.call(SPEC, hook(url, type="bash", cmd="true"), Phase.PROGRESSING, REVISION)
    finally:
        await tester.stop()

    assert (open_.passed, open_.status) == (True, 200)
    assert (shut.passed, shut.status) == (False, 401)


async def test_a_token_travels_in_a_header_and_is_told_nobody(server: Server, trusted: Webhooks) -> None:
    server.answers(403, text=f"{TOKEN} is not mine, said Bearer {TOKEN}")
    answer = await trusted.call(SPEC, guarded(server.url), Phase.PROGRESSING, REVISION)

    assert server.tokens == [f"Bearer {TOKEN}"]
    assert TOKEN not in server.bodies[0].decode()
    assert answer.message == "… is not mine, said Bearer …"


async def test_a_hook_that_wants_no_token_gets_none(server: Server, trusted: Webhooks) -> None:
    server.answers(200)
    await trusted.call(SPEC, hook(server.url), Phase.PROGRESSING, REVISION)

    assert server.tokens == [None]


async def test_an_event_hook_is_told_with_its_token(server: Server, trusted: Webhooks) -> None:
    server.answers(200)
    await trusted.announce(
        guarded(server.url),
        Announcement(
            spec=SPEC,
            phase=Phase.PROGRESSING,
            revision=REVISION,
            notice=Notice(reason="Advanced", message="on"),
            at=NOW,
        ),
    )

    assert server.tokens == [f"Bearer {TOKEN}"]


async def test_through_an_api_server_a_token_has_a_header_of_its_own(
    clients: tuple[httpx.AsyncClient, httpx.AsyncClient],
) -> None:
    relay = Relay(401, f"no {TOKEN}".encode())
    hooks = Webhooks(Outside(relay), Safe(SECRETS), *clients, lambda: NOW)
    answer = await hooks.call(SPEC, guarded("http://tester.webapp/"), Phase.PROGRESSING, REVISION)

    assert relay.headers[0]["X-Loadtester-Token"] == TOKEN
    assert "Authorization" not in relay.headers[0]
    assert answer.message == "no …"


@pytest.mark.parametrize(
    ("secret", "text"),
    [
        pytest.param("gone", "Secret gone in namespace webapp not found", id="not there"),
        pytest.param("empty", "Secret empty in namespace webapp holds no `token`", id="without a token"),
        pytest.param(
            "odd", "Secret odd in namespace webapp holds a `token` that no header can carry", id="odd"
        ),
        pytest.param(
            "locked", "Secret locked in namespace webapp cannot be read: 403 Forbidden", id="no right"
        ),
    ],
)
async def test_without_its_token_a_hook_is_not_called(
    server: Server, trusted: Webhooks, secret: str, text: str
) -> None:
    server.answers(200)
    answer = await trusted.call(SPEC, guarded(server.url, secret), Phase.PROGRESSING, REVISION)

    assert (answer.passed, answer.status, answer.message) == (False, None, text)
    assert server.bodies == []
