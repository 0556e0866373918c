"""`canary apply` of many documents: some at once, told of in order, and stopped by one without an answer."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest
from temporalio.client import Client

from canary.spec import AnalysisSpec, CanarySpec, ServiceSpec, TargetRef
from starter import apply
from starter.documents import Documents
from starter.errors import Exit, UnreachableError
from starter.offer import Offer
from workflows.contract import ApplyCanary, ApplyResult, Command

Answer = Callable[[str], Awaitable[ApplyResult]]
MANY = 3 * apply.AT_ONCE


class Wanted:
    """Documents of that many canaries, without a mistake."""

    def __init__(self, count: int) -> None:
        self.count = count

    def offers(self, documents: Any, command: Command) -> list[tuple[int, Offer]]:
        del documents
        return [(index, self._offer(index, command)) for index in range(self.count)]

    def _offer(self, index: int, command: Command) -> Offer:
        spec = CanarySpec(
            cluster="one",
            namespace="shop",
            name=f"app-{index}",
            target=TargetRef(name=f"app-{index}"),
            service=ServiceSpec(name=f"app-{index}", port=80),
            analysis=AnalysisSpec(),
        )
        return apply.offer.of_canary(ApplyCanary(spec=spec, command=command))


class Engine:
    """Answers an offer when it is let go, and remembers how many it was given at once."""

    def __init__(self, answer: Answer) -> None:
        self.begun: list[str] = []
        self.most = 0
        self._open = 0
        self._answer = answer

    async def make(self, client: Client, each: Offer) -> ApplyResult:
        del client
        name = each.id.rpartition("/")[2]
        self.begun.append(name)
        self._open += 1
        self.most = max(self.most, self._open)
        try:
            return await self._answer(name)
        finally:
            self._open -= 1


async def applied(monkeypatch: pytest.MonkeyPatch, answer: Answer, count: int = MANY) -> tuple[Engine, int]:
    """Apply so many documents; gives who was asked, and the exit code."""
    engine = Engine(answer)

    async def is_served(client: Client, done: str) -> None:
        del client, done

    monkeypatch.setattr(apply, "require_worker", is_served)
    monkeypatch.setattr(apply, "offers", Wanted(count).offers)
    monkeypatch.setattr(apply.offer, "make", engine.make)
    command, documents = Command(id="one"), cast("Documents", None)
    code = await apply.apply(cast("Client", None), documents, command, apply.Patience(), color=False)
    return engine, code


def told(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [line.rpartition("/")[2] for line in capsys.readouterr().out.splitlines()]


async def test_many_are_offered_at_once_and_told_of_in_their_order(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def later_ones_first(name: str) -> ApplyResult:
        for _ in range(MANY - int(name.partition("-")[2])):
            await asyncio.sleep(0)
        return ApplyResult(accepted=True, created=True)

    engine, code = await applied(monkeypatch, later_ones_first)

    assert told(capsys) == [f"app-{index} created" for index in range(MANY)]
    assert (engine.most, code) == (apply.AT_ONCE, Exit.DONE)


async def test_after_one_without_an_answer_no_other_is_begun_and_those_under_way_are_told_of(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    are_begun, has_failed = asyncio.Event(), asyncio.Event()

    async def all_but_the_third(name: str) -> ApplyResult:
        if name == f"app-{apply.AT_ONCE - 1}":
            are_begun.set()
        if name == "app-2":
            await are_begun.wait()
            has_failed.set()
            raise UnreachableError("No worker took app-2.")
        await has_failed.wait()
        if name == "app-4":
            raise UnreachableError("No worker took app-4.")
        return ApplyResult(accepted=True)

    with pytest.raises(UnreachableError, match="app-2"):
        await applied(monkeypatch, all_but_the_third)
    captured = capsys.readouterr()

    assert [line.rpartition("/")[2] for line in captured.out.splitlines()] == [
        f"app-{index} unchanged" for index in range(apply.AT_ONCE) if index not in (2, 4)
    ]
    assert captured.err == "error: No worker took app-4.\n"
