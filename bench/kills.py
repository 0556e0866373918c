"""A worker killed at random moments: is a step early or skipped, and how soon does it go on."""

import asyncio
import random
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise

from bench.figure import Bound, Figure
from bench.log import Asked, asked
from bench.stage import MEMBER, Options, stage
from tests.conformance.case import Case, Ended
from tests.conformance.trail import Shift
from tests.conformance.waiting import until
from tests.conformance.workload import success_rate
from tests.conformance.world import World

INTERVAL = 3.0
CHECK = 1.0
"""Seconds that Prometheus takes, so that a kill may well hit a check."""
STEP, LAST = 5, 50
STEPS = [*range(0, LAST + 1, STEP), 0]
ROUTES = "/virtualservices"
TICKS = (ROUTES, "/deployments/podinfo-primary")
"""What is written at the end of a tick; the next one comes an interval later."""
READY = re.compile(r"^(\S+) INFO worker ready", re.MULTILINE)
PATIENCE = 60.0


@dataclass
class Book:
    """What is kept of all rollouts."""

    resumed: list[float] = field(default_factory=list)
    """Seconds from a new worker's readiness, or from the moment the next action was due, to that action."""
    gaps: list[float] = field(default_factory=list)
    """Seconds between two weight increases."""
    steps: int = 0
    skipped: int = 0
    unchecked: int = 0


async def measure(options: Options) -> list[Figure]:
    """Kill the worker of rollouts until it was killed often enough."""
    kills, book = options.many(20, 2), Book()
    async with stage() as world:
        case = Case(world, MEMBER, "killed")
        await case.deploy()
        spec = {"interval": f"{INTERVAL:g}s", "stepWeight": STEP, "maxWeight": LAST, "threshold": 5}
        await case.initialise(metrics=[success_rate()], **spec)
        async with case.cluster.faults.of_metrics(latency=CHECK), case.canary_load():
            while len(book.resumed) < kills:
                await _rollout(world, case, book, kills)
    early = [gap for gap in book.gaps if gap < INTERVAL]
    how = f"{len(book.resumed)} SIGKILLs; {book.steps} weight increases, {INTERVAL:g} s apart and checked"
    return [
        Figure("worker killed: steps early", "steps", [len(early)], how, "10.6 s instead of 90 s", NEVER),
        Figure("worker killed: steps skipped", "steps", [book.skipped], how, bound=NEVER),
        Figure("worker killed: steps without a check before", "steps", [book.unchecked], how, bound=NEVER),
        Figure(
            "worker killed: between two weight increases",
            "s",
            book.gaps,
            f"as they stood in the cluster; the interval is {INTERVAL:g} s, a check takes {CHECK:g} s",
        ),
        Figure(
            "worker killed: new worker ready → next action",
            "s",
            book.resumed,
            "the log: from the readiness, or from when it was due if later, to the engine's next write",
            bound=Bound(maximum=5.0),
        ),
    ]


NEVER = Bound(maximum=0)


async def _rollout(world: World, case: Case, book: Book, kills: int) -> None:
    """Roll a version out and kill its worker now and then."""
    begin, since = len(case.cluster.trail.of(case.namespace)), await case.cluster.asked_so_far()
    await case.release(f"6.2.{since}")
    run = await case.rollout_begins()
    async with _ending(case, run) as end:
        while not end.done() and len(book.resumed) < kills:
            await asyncio.wait([end], timeout=random.uniform(0, INTERVAL + CHECK))
            if not end.done():
                book.resumed += await _kill(world, case, since, end)
        ended = await end
    assert ended.outcome == "Promoted", ended
    _judge(book, case.cluster.trail.of(case.namespace)[begin:], ended)


@asynccontextmanager
async def _ending(case: Case, run: str) -> AsyncIterator[asyncio.Task[Ended]]:
    task = asyncio.create_task(case.rollout_ends(run, within=5 * PATIENCE))
    try:
        yield task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _kill(world: World, case: Case, since: int, end: asyncio.Task[Ended]) -> list[float]:
    """Kill the worker and start another; gives how long its next action was late, if any was left."""
    await world.kill_worker()
    before = await _writes(case, since)
    await world.start_worker()
    ready = datetime.fromisoformat(max(READY.findall(world.worker_logs()))).timestamp()

    async def goes_on() -> bool:
        return end.done() or len(await _writes(case, since)) > len(before)

    await until(goes_on, PATIENCE, "the new worker goes on")
    after = (await _writes(case, since))[len(before) :]
    due = before[-1].at + INTERVAL if before and _ends_a_tick(before) else 0.0
    return [max(action.at - max(ready, due), 0.0) for action in after[:1]]


def _ends_a_tick(writes: Sequence[Asked]) -> bool:
    """Whether an interval follows the last of a rollout's writes: also the scaling up, before any weight."""
    has_weight = any(ROUTES in one.path for one in writes)
    return not has_weight or any(path in writes[-1].path for path in TICKS)


async def _writes(case: Case, since: int) -> list[Asked]:
    place = f"/namespaces/{case.namespace}/"
    return [
        one
        for one in await asked(case.cluster, since)
        if one.is_write and one.is_done and place in one.path and "/events" not in one.path
    ]


def _judge(book: Book, shifts: Sequence[Shift], ended: Ended) -> None:
    """Hold what stood in the cluster against what should have."""
    weights = [0, *(shift.weight for shift in shifts)]
    checked = {item.request.weight for item in ended.checks}
    book.steps += len(STEPS) - 2
    book.skipped += len(set(STEPS) - set(weights)) + (weights != STEPS)
    book.unchecked += len(set(STEPS) - {0} - checked)
    book.gaps += [two.decided - one.decided for one, two in pairwise(shifts) if two.weight > one.weight]
