"""`canary apply`: documents read and checked here, then offered to the engine, which checks them there."""

import asyncio
import sys
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from temporalio.client import Client

from starter import offer
from starter.documents import Documents, Finding
from starter.errors import Exit
from starter.offer import Offer
from starter.settle import settle
from starter.workers import require_worker
from workflows.contract import ApplyCanary, ApplyResult, Command

AT_ONCE = 8
"""How many documents the engine is given at the same time: it looks into their clusters for each."""
NOTHING = (
    "There is no Application and no Canary among the documents, so nothing was applied: "
    "all others count with those they are given with."
)


@dataclass(frozen=True)
class Patience:
    """Whether to wait until all is at rest, and for how long."""

    is_waiting: bool = False
    limit: timedelta | None = None


@dataclass(frozen=True)
class Applied:
    """What became of one document."""

    document: int
    offer: Offer
    result: ApplyResult

    @property
    def word(self) -> str:
        """What happened, as kubectl says it."""
        if not self.result.accepted:
            return "refused"
        if self.result.created:
            return "created"
        return "configured" if self.result.changed else "unchanged"


def is_valid(documents: Documents) -> bool:
    """Whether nothing but warnings was found."""
    return all(finding.is_warning for finding in documents.findings)


def is_something(documents: Documents) -> bool:
    """Whether there is anything to be delivered; says so where there is not."""
    if documents.resolution.applications or documents.resolution.canaries:
        return True
    print(NOTHING, file=sys.stderr)
    return False


async def apply(
    client: Client, documents: Documents, command: Command, patience: Patience, *, color: bool
) -> int:
    """Offer every document, print what became of it, and wait where that is wished."""
    await require_worker(client, "applied")
    applied: list[Applied] = []
    async for each in _offered(client, offers(documents, command)):
        applied.append(each)
        report(documents.finding(each.document, problem) for problem in each.result.problems)
        print(f"{each.offer.id} {each.word}", flush=True)
    code = exit_code([item.result for item in applied])
    if code is Exit.DONE and patience.is_waiting:
        return await settle(client, [item.offer for item in applied], patience.limit, color=color)
    return code


class _Room:
    """Room for so many offers at once, and for none after one that got no answer."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._is_closed = False

    async def make(self, document: int, each: Offer) -> Applied | None:
        """Make an offer; None if it was not begun."""
        async with self._slots:
            if self._is_closed:
                return None
            try:
                return Applied(document, each, await offer.make(self._client, each))
            except BaseException:
                self._is_closed = True
                raise


async def _offered(client: Client, wanted: Iterable[tuple[int, Offer]]) -> AsyncIterator[Applied]:
    """Make the offers, some at once, and give their answers in the order of the documents.

    After one without an answer no other is begun; those under way are told of, and then that one is raised.
    """
    room = _Room(client)
    making = [asyncio.create_task(room.make(document, each)) for document, each in wanted]
    errors: list[BaseException] = []
    for task in making:
        await asyncio.wait({task})
        if error := task.exception():
            errors.append(error)
        elif answer := task.result():
            yield answer
    for further in errors[1:]:
        print(f"error: {further}", file=sys.stderr)
    if errors:
        raise errors[0]


def offers(documents: Documents, command: Command) -> Iterator[tuple[int, Offer]]:
    """Make an offer of every Application and every canary, with the place of its document."""
    for application in documents.resolution.applications:
        yield application.document, offer.of_application(application.spec, command)
    for canary in documents.resolution.canaries:
        request = ApplyCanary(spec=canary.spec, cluster=canary.cluster, command=command)
        yield canary.document, offer.of_canary(request)


def exit_code(results: Sequence[ApplyResult]) -> Exit:
    """A mistake counts before a cluster that is away, that before a refusal without a mistake."""
    refused = [result for result in results if not result.accepted]
    problems = [problem for result in refused for problem in result.problems if not problem.is_warning]
    if any(not problem.is_unreachable for problem in problems):
        return Exit.USAGE
    if problems:
        return Exit.UNREACHABLE
    return Exit.REFUSED if refused else Exit.DONE


def report(findings: Iterable[Finding]) -> None:
    """Print mistakes one by one, to standard error: what was done goes to standard output."""
    for finding in findings:
        print(finding, file=sys.stderr)
