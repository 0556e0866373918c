"""Hooks of a canary get the token of the load testers that are for it, and of no others."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

import httpx
import pytest

from activities import webhooks
from activities.webhooks import Webhooks
from canary.analysis import HookAnswer
from canary.errors import MeasurementError
from canary.loadtester import public
from canary.spec import AnalysisSpec, CanarySpec, ServiceSpec, TargetRef, TestLoader, WebhookSpec
from canary.status import Phase, Revision
from sandbox.loadtester import LoadTester, Rules

NAME = "backend-testloader"
OWN = f"http://{NAME}.webapp/"
SPEC = CanarySpec(
    cluster="member1",
    namespace="webapp",
    name="backend",
    target=TargetRef(name="backend"),
    service=ServiceSpec(name="backend", port=9898),
    analysis=AnalysisSpec(),
    test_loader=TestLoader(name=NAME),
)
SHARED = public("member1")


@dataclass(frozen=True)
class Route:
    url: str
    proxy: webhooks.Proxy | None = None


@dataclass
class Cluster:
    """An API server in front of one load tester, which stands at every address, and the Secrets there."""

    tester: str
    base: str = ""
    """Where hooks are led instead, if anywhere."""
    secrets: dict[tuple[str, str], str] = field(default_factory=dict)
    tokens: list[str | None] = field(default_factory=list)
    """What each call carried."""
    read_secrets: list[str] = field(default_factory=list)

    async def webhook(self, cluster: str, namespace: str, url: str) -> Route:
        assert (cluster, namespace) == ("member1", "webapp")
        return Route(self.base or url, self)

    async def send(
        self, url: str, *, body: bytes | None, headers: Mapping[str, str], seconds: float, limit: int
    ) -> tuple[int, bytes]:
        assert (bool(url), seconds > 0, limit) == (True, True, 4096)
        self.tokens.append(headers.get("X-Loadtester-Token"))
        async with httpx.AsyncClient() as client:
            answer = await client.post(f"{self.tester}/", content=body, headers=headers)
        return answer.status_code, answer.content

    async def read(self, cluster: str, namespace: str, name: str) -> dict[str, str] | None:
        assert cluster == "member1"
        self.read_secrets.append(f"{namespace}/{name}")
        if (token := self.secrets.get((namespace, name))) == "locked":
            raise MeasurementError(f"Secret {name} in namespace {namespace} cannot be read: 403 Forbidden")
        return None if token is None else {"token": token}


@pytest.fixture
async def tester() -> AsyncIterator[LoadTester]:
    tester = await LoadTester.start(rules=Rules(token="let me in"))
    yield tester
    await tester.stop()


@pytest.fixture
def cluster(tester: LoadTester) -> Cluster:
    secrets = dict.fromkeys([("webapp", NAME), SHARED, ("shop", "cart-testloader")], "let me in")
    return Cluster(tester.url, secrets=secrets)


@pytest.fixture
async def hooks(cluster: Cluster) -> AsyncIterator[Webhooks]:
    async with httpx.AsyncClient() as client:
        yield Webhooks(cluster, cluster, client, client, lambda: datetime(2026, 1, 1, tzinfo=UTC))


async def call(
    hooks: Webhooks, url: str = OWN, spec: CanarySpec = SPEC, secret: str | None = None
) -> HookAnswer:
    hook = WebhookSpec(name="load", url=url, metadata={"type": "bash", "cmd": "true"}, secret_ref=secret)
    return await hooks.call(spec, hook, Phase.PROGRESSING, Revision(template="a"))


@pytest.mark.parametrize(
    ("url", "secret"),
    [
        pytest.param(OWN, f"webapp/{NAME}", id="its own"),
        pytest.param(f"http://{NAME}/", f"webapp/{NAME}", id="its own by its short name"),
        pytest.param(f"http://{NAME}.webapp.svc.cluster.local:80/", f"webapp/{NAME}", id="by its full name"),
        pytest.param(SHARED.address, f"{SHARED.namespace}/{SHARED.name}", id="the public one"),
    ],
)
@pytest.mark.proves("T17")
async def test_a_canary_passes_the_guard_of(hooks: Webhooks, cluster: Cluster, url: str, secret: str) -> None:
    """A load tester of Flagger's has no guard; ours lets in the hooks of its own canaries.

    T17: Flagger's pkg/loadtester.
    """
    answer = await call(hooks, url)

    assert (answer.passed, answer.status) == (True, 200)
    assert cluster.read_secrets == [secret]


async def test_a_token_is_read_once(hooks: Webhooks, cluster: Cluster) -> None:
    answers = [await call(hooks) for _ in range(3)]

    assert [answer.passed for answer in answers] == [True] * 3
    assert len(cluster.read_secrets) == 1
    assert cluster.tokens == [None, "let me in", "let me in", "let me in"]


async def test_a_token_that_is_no_longer_the_one_is_read_again(hooks: Webhooks, cluster: Cluster) -> None:
    await call(hooks)
    another = await LoadTester.start(rules=Rules(token="another"))
    cluster.tester, cluster.secrets["webapp", NAME] = another.url, "another"
    try:
        answer = await call(hooks)
    finally:
        await another.stop()

    assert answer.passed
    assert cluster.tokens[-2:] == ["let me in", "another"]


async def test_a_load_tester_that_lets_everybody_in_is_given_no_token(
    hooks: Webhooks, cluster: Cluster
) -> None:
    opened = await LoadTester.start()
    cluster.tester = opened.url
    try:
        answer = await call(hooks)
    finally:
        await opened.stop()

    assert answer.passed
    assert (cluster.tokens, cluster.read_secrets) == ([None], [])


@pytest.mark.parametrize(
    ("url", "spec"),
    [
        pytest.param("http://cart-testloader.shop/", SPEC, id="another workload's"),
        pytest.param("http://tester.webapp/", SPEC, id="a load tester that it was not given"),
        pytest.param(public("member2").address, SPEC, id="another cluster's public one"),
        pytest.param(OWN, SPEC.model_copy(update={"test_loader": None}), id="one it has no longer"),
    ],
)
@pytest.mark.proves("T17")
async def test_a_canary_gets_no_token_for(
    hooks: Webhooks, cluster: Cluster, url: str, spec: CanarySpec
) -> None:
    """Whoever writes a document may name any address, and is given no token for it.

    T17: Flagger's pkg/loadtester.
    """
    answer = await call(hooks, url, spec)

    assert (answer.passed, answer.status) == (False, 401)
    assert (cluster.tokens, cluster.read_secrets) == ([None], [])


async def test_a_token_does_not_go_to_where_hooks_are_led_instead(hooks: Webhooks, cluster: Cluster) -> None:
    cluster.base = "https://tester.example.com/"
    answer = await call(hooks)

    assert answer.status == 401
    assert (cluster.tokens, cluster.read_secrets) == ([None], [])


async def test_a_document_that_names_a_token_is_obeyed(hooks: Webhooks, cluster: Cluster) -> None:
    cluster.secrets["webapp", "mine"] = "mine"
    answer = await call(hooks, secret="mine")

    assert answer.status == 401
    assert (cluster.tokens, cluster.read_secrets) == (["mine"], ["webapp/mine"])


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        pytest.param(None, (401, "Send the load tester's token", 1), id="not there"),
        pytest.param("wrong", (401, "Send the load tester's token", 2), id="another"),
        pytest.param("locked", (None, "cannot be read: 403 Forbidden", 1), id="not to be read"),
    ],
)
async def test_without_its_token_a_hook_does_not_pass(
    hooks: Webhooks, cluster: Cluster, token: str | None, expected: tuple[int | None, str, int]
) -> None:
    status, text, calls = expected
    cluster.secrets = {} if token is None else {("webapp", NAME): token}
    answer = await call(hooks)

    assert (answer.passed, answer.status, len(cluster.tokens)) == (False, status, calls)
    assert text in answer.message
