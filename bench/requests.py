"""What the engine asks of an API server: for a canary that is idle, and for one whole rollout."""

import asyncio
from collections import Counter

from bench.figure import Bound, Figure
from bench.log import Asked, asked
from bench.stage import MEMBER, Options, stage
from tests.conformance.case import Case
from tests.conformance.faults import ENGINE
from tests.conformance.waiting import until
from tests.conformance.workload import success_rate
from workflows.contract import BELL

STREAM_LIFE = "each lives 300-600 s"
RESYNC = "once in 600 s"
SETTLED = 2.0
"""Seconds after which whatever a change rings has been looked at."""


async def measure(options: Options) -> list[Figure]:
    """Measure both on one canary."""
    async with stage() as world:
        case = Case(world, MEMBER, "asking")
        await case.deploy()
        await case.initialise(interval="2s", metrics=[success_rate()])
        await asyncio.sleep(SETTLED)
        seconds = options.many(60, 10)
        idle = await _idle(case, seconds)
        opened, resync = await _reopened(case), await _resync(case)
        rollouts = [await _rollout(case, trial) for trial in range(options.many(5, 1))]
    return [
        Figure(
            "API requests of an idle canary",
            "1/interval",
            idle,
            f"the log, in each of {len(idle)} intervals of {seconds / len(idle):g} s",
            "12 (15 after a failure)",
            Bound(maximum=0),
        ),
        Figure(
            "… to open the watches again",
            "requests",
            [opened],
            f"all streams of the cluster closed at once; {STREAM_LIFE}, and one cluster has one of each kind "
            "for all its canaries above five namespaces",
        ),
        Figure("… of one canary's resync", "requests", [resync], f"a doorbell without news; {RESYNC}"),
        Figure(
            "API requests of one rollout, step 10 max 50",
            "requests",
            [len(one) for one in rollouts],
            f"the log from the change to rest, watches apart: {_listed(rollouts[0])}",
            "172",
            Bound(maximum=60),
        ),
        Figure(
            "… of these writes",
            "requests",
            [sum(each.is_write for each in one) for one in rollouts],
            "as above, all but GET",
            "28",
            Bound(maximum=25),
        ),
    ]


async def _idle(case: Case, seconds: int) -> list[int]:
    """Count what is asked in each of ten intervals."""
    counts = []
    for _ in range(10):
        before = await case.cluster.asked_so_far()
        await asyncio.sleep(seconds / 10)
        counts.append(len([one for one in await asked(case.cluster, before) if not one.is_watch]))
    return counts


async def _reopened(case: Case) -> int:
    """Close every stream of the engine; gives the requests until all is open again."""
    before = await case.cluster.asked_so_far()
    async with case.cluster.faults.of_api(do="closeWatches", userAgent=ENGINE):
        await asyncio.sleep(0)
    await asyncio.sleep(SETTLED)
    return len(await asked(case.cluster, before))


async def _resync(case: Case) -> int:
    before = await case.cluster.asked_so_far()
    await case.canary.signal(BELL)
    await asyncio.sleep(SETTLED)
    return len([one for one in await asked(case.cluster, before) if not one.is_watch])


async def _rollout(case: Case, trial: int) -> list[Asked]:
    """Roll a version out; gives every request until all is at rest."""
    before = await case.cluster.asked_so_far()
    async with case.canary_load(rate=20):
        ended = await case.roll_out(f"6.2.{trial}", within=90)
    assert ended.outcome == "Promoted", ended
    await until(lambda: _is_quiet(case), 30, "the canary is at rest")
    return [one for one in await asked(case.cluster, before) if not one.is_watch]


async def _is_quiet(case: Case) -> bool:
    before = await case.cluster.asked_so_far()
    await asyncio.sleep(SETTLED)
    return not await asked(case.cluster, before)


def _listed(entries: list[Asked]) -> str:
    """Count the requests by method and object."""
    kinds = Counter(f"{one.method} {_what(one.path)}" for one in entries)
    return ", ".join(f"{count} {what}" for what, count in sorted(kinds.items()))


def _what(path: str) -> str:
    plain = path.partition("?")[0].partition("/namespaces/")[2].partition("/")[2]
    return plain or path.partition("?")[0]
