"""What workflows announce is told on: in order, and one listener in trouble is nobody else's."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime

import pytest

from activities.announcements import AnnouncementActivities
from canary.analysis import HookAnswer
from canary.errors import NoAnswerError
from canary.notice import Announcement, Notice
from canary.spec import AnalysisSpec, CanarySpec, HookType, ServiceSpec, TargetRef, WebhookSpec
from canary.status import Phase, Revision
from worker.herald import EventHooks, Herald, listening

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LOGGER = logging.getLogger("temporalio.workflow")


class Ear:
    """Keeps what it is told; hangs on one canary until it is let go."""

    def __init__(self, hangs_on: str = "") -> None:
        self.heard: list[str] = []
        self.hangs_on = hangs_on
        self.go = asyncio.Event()
        self.has_news = asyncio.Event()

    async def tell(self, announcement: Announcement) -> None:
        if announcement.spec.name == self.hangs_on:
            await self.go.wait()
        if announcement.notice.message == "breaks":
            raise RuntimeError("broken")
        self.heard.append(announcement.notice.message)
        self.has_news.set()

    async def has_heard(self, *messages: str) -> bool:
        async with asyncio.timeout(5):
            while self.heard != list(messages):
                self.has_news.clear()
                await self.has_news.wait()
        return True


def announcement(message: str, name: str = "backend", *hooks: WebhookSpec) -> Announcement:
    return Announcement(
        spec=CanarySpec(
            cluster="member1",
            namespace="webapp",
            name=name,
            target=TargetRef(name=name),
            service=ServiceSpec(name=name, port=9898),
            analysis=AnalysisSpec(webhooks=hooks),
        ),
        phase=Phase.PROGRESSING,
        revision=Revision(template="abc"),
        notice=Notice(reason="R", message=message),
        at=NOW,
    )


def announce(*messages: str, name: str = "backend") -> None:
    for message in messages:
        LOGGER.info("announced", extra={"announcement": announcement(message, name)})


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


async def heralded(stack: AsyncExitStack, *listeners: Ear, capacity: int = 100, grace: float = 5) -> Herald:
    herald = await stack.enter_async_context(Herald(*listeners, capacity=capacity, grace=grace))
    stack.enter_context(listening(herald))
    return herald


async def test_tells_in_order_what_threads_announce(stack: AsyncExitStack) -> None:
    ear = Ear()
    await heralded(stack, ear)
    await asyncio.to_thread(announce, "a", "b", "c")

    assert await ear.has_heard("a", "b", "c")


async def test_hears_whatever_level_is_printed(
    stack: AsyncExitStack, caplog: pytest.LogCaptureFixture
) -> None:
    ear = Ear()
    caplog.set_level(logging.ERROR)
    await heralded(stack, ear)
    announce("a")

    assert await ear.has_heard("a")


async def test_other_records_are_nothing_to_tell(stack: AsyncExitStack) -> None:
    ear = Ear()
    await heralded(stack, ear)
    LOGGER.info("something else")
    LOGGER.info("announced", extra={"announcement": "not one"})
    announce("a")

    assert await ear.has_heard("a")


async def test_a_dead_endpoint_delays_its_own_canary_only(stack: AsyncExitStack) -> None:
    ear = Ear(hangs_on="slow")
    await heralded(stack, ear)
    announce("a", "b", name="slow")
    announce("c", name="quick")
    assert await ear.has_heard("c")
    ear.go.set()

    assert await ear.has_heard("c", "a", "b")


async def test_a_dead_listener_delays_no_other(stack: AsyncExitStack) -> None:
    slow, quick = Ear(hangs_on="backend"), Ear()
    await heralded(stack, slow, quick, grace=0)
    announce("a", "b")

    assert await quick.has_heard("a", "b")
    assert slow.heard == []


async def test_drops_the_oldest_and_says_so(stack: AsyncExitStack, caplog: pytest.LogCaptureFixture) -> None:
    ear = Ear(hangs_on="backend")
    await heralded(stack, ear, capacity=2)
    announce("first")
    await asyncio.sleep(0)  # it is taken,
    await asyncio.sleep(0)  # and the listener hangs on it
    announce("a", "b", "c")
    ear.go.set()

    assert await ear.has_heard("first", "b", "c")
    (dropped,) = [record for record in caplog.records if record.message == "announcement dropped"]
    assert dropped.__dict__["notice"] == "a"


async def test_one_that_cannot_be_told_is_logged_and_the_next_is_told(
    stack: AsyncExitStack, caplog: pytest.LogCaptureFixture
) -> None:
    ear = Ear()
    await heralded(stack, ear)
    announce("breaks", "a")

    assert await ear.has_heard("a")
    (failed,) = [record for record in caplog.records if record.message == "announcement not told"]
    assert failed.__dict__["cause"] == "RuntimeError: broken"


async def test_what_was_announced_is_told_before_the_end() -> None:
    ear = Ear()
    async with Herald(ear) as herald:
        with listening(herald):
            announce("a", "b")

    assert ear.heard == ["a", "b"]


async def test_the_end_does_not_wait_for_a_dead_endpoint() -> None:
    ear = Ear(hangs_on="backend")
    async with Herald(ear, grace=0.01) as herald:
        with listening(herald):
            announce("a")

    assert ear.heard == []
    assert LOGGER.handlers == []


class Webhooks:
    """Answers each hook as its name says."""

    def __init__(self) -> None:
        self.called: list[str] = []

    async def announce(self, hook: WebhookSpec, announcement: Announcement) -> HookAnswer:
        assert announcement.notice.message == "a"
        self.called.append(hook.name)
        if hook.name == "away":
            raise NoAnswerError("Webhook away", "ConnectError")
        passed = hook.name != "closed"
        return HookAnswer(hook=hook.name, type=hook.type, passed=passed, status=403, message="no", at=NOW)


async def test_calls_every_event_hook_and_logs_which_was_not_told(caplog: pytest.LogCaptureFixture) -> None:
    def hook(name: str, type_: HookType = HookType.EVENT) -> WebhookSpec:
        return WebhookSpec(name=name, url="http://a/", type=type_)

    webhooks = Webhooks()
    wanted = (hook("away"), hook("other", HookType.ROLLOUT), hook("closed"), hook("open"))
    await EventHooks(webhooks).tell(announcement("a", "backend", *wanted))
    causes = {record.__dict__["hook"]: record.__dict__["cause"] for record in caplog.records}

    assert webhooks.called == ["away", "closed", "open"]
    assert causes == {"away": "Webhook away does not answer: ConnectError.", "closed": "403 no"}


async def test_leaves_to_workers_inside_a_cluster_what_is_announced_of_it(stack: AsyncExitStack) -> None:
    ear = Ear()
    herald = await heralded(stack, ear)
    theirs = announcement("theirs")
    theirs = theirs.model_copy(update={"spec": theirs.spec.model_copy(update={"task_queue": "inside"})})
    LOGGER.info("announced", extra={"announcement": theirs})
    announce("ours")
    assert await ear.has_heard("ours")

    await AnnouncementActivities(herald).hand_on(theirs)

    assert await ear.has_heard("ours", "theirs")
