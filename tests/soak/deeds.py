"""What people do to a canary at any moment, and what happens to everything around it."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from functools import partial

from tests.conformance.faults import ENGINE
from tests.conformance.world import Cluster, World
from tests.soak.subject import ANSWERED_WITHIN, Subject
from tests.soak.subjects import MEMBERS
from workflows.contract import Verb

PLACE = "/namespaces/soak-"
BETWEEN_DEEDS, BETWEEN_BLOWS = (0.5, 6.0), (2.0, 9.0)
"""Seconds."""


async def push_good(subject: Subject) -> str:
    return f"pushes {await subject.release(is_good=True)}"


async def push_bad(subject: Subject) -> str:
    return f"pushes {await subject.release(is_good=False)}"


async def go_back(subject: Subject) -> str:
    return f"goes back to {await subject.go_back()}"


async def abort(subject: Subject) -> str:
    return await _command(subject, Verb.ABORT)


async def restart(subject: Subject) -> str:
    return await _command(subject, Verb.RESTART)


async def annotate(subject: Subject) -> str:
    """Change what is none of the engine's business."""
    notes = {"metadata": {"annotations": {"team": f"{subject.random.random()}"}}}
    for kind in ("virtualservices", subject.workload):
        await subject.case.cluster.api.patch(subject.case.path(kind), notes)
    return "annotates"


async def change_threshold(subject: Subject) -> str:
    subject.wanted["threshold"] = subject.random.choice([1, 2, 5])
    await subject.apply()
    return f"wants threshold {subject.wanted['threshold']}"


async def suspend(subject: Subject) -> str:
    await subject.apply(suspend=True)
    await asyncio.sleep(subject.random.uniform(1, 5))
    await subject.apply()
    return "suspends, and takes that back"


BY_PEOPLE: dict[Callable[[Subject], Awaitable[str]], int] = {
    push_good: 5,
    push_bad: 4,
    go_back: 2,
    abort: 2,
    restart: 2,
    annotate: 1,
    change_threshold: 1,
    suspend: 1,
}
"""Each with how often it is done beside the others."""


async def by_people(subject: Subject) -> str:
    """After a while do something to a canary, and say what."""
    await asyncio.sleep(subject.random.uniform(*BETWEEN_DEEDS))
    deeds = {partial(deed, subject): share for deed, share in BY_PEOPLE.items()}
    (deed,) = subject.random.choices([*deeds, *subject.others], [*deeds.values(), *subject.others.values()])
    return await deed()


async def _command(subject: Subject, verb: Verb) -> str:
    taker = subject.case.rollout if subject.random.random() < 0.7 else subject.case.canary
    async with asyncio.timeout(ANSWERED_WITHIN):
        return f"{verb}: {(await subject.case.wish(verb, taker)).message}"


async def kill_worker(world: World, chance: random.Random) -> str:
    await world.kill_worker()
    await asyncio.sleep(chance.uniform(0, 3))
    await world.start_worker()
    return "the worker was killed, and is back"


async def kill_one_of_two(world: World, chance: random.Random) -> str:
    async with world.second_worker():
        await asyncio.sleep(chance.uniform(0, 4))
        await world.kill_worker()
        await asyncio.sleep(chance.uniform(0, 6))
        await world.start_worker()
    return "of two workers one was killed, and the other stopped once a third was there"


async def kill_temporal(world: World, chance: random.Random) -> str:
    del chance
    await world.restart_temporal()
    return "Temporal was killed, and is back"


async def refuse(world: World, chance: random.Random) -> str:
    status = chance.choice([409, 429, 500, 503])
    async with _some(world, chance).faults.of_api(do="status", status=status, path=PLACE, userAgent=ENGINE):
        await asyncio.sleep(chance.uniform(0.5, 4))
    return f"an API server answered {status} for a while"


async def slow_down(world: World, chance: random.Random) -> str:
    seconds = chance.uniform(0.2, 1.5)
    async with _some(world, chance).faults.of_api(
        do="latency", seconds=seconds, path=PLACE, userAgent=ENGINE
    ):
        await asyncio.sleep(chance.uniform(1, 5))
    return f"an API server took {seconds:.1f} s for a while"


async def hang_writes(world: World, chance: random.Random) -> str:
    paths, times = "virtualservices|deployments", chance.choice([1, 2, 4])
    async with _some(world, chance).faults.of_api(
        do="hang", method="PATCH", path=paths, userAgent=ENGINE, times=times
    ):
        await asyncio.sleep(chance.uniform(1, 15))
    return f"{times} writes hung, and were carried out late"


async def close_watches(world: World, chance: random.Random) -> str:
    async with _some(world, chance).faults.of_api(do="closeWatches", path="watch=", userAgent=ENGINE):
        return "all watches of a cluster were closed"


async def lose_places(world: World, chance: random.Random) -> str:
    async with _some(world, chance).faults.of_api(do="gone", path="watch=", userAgent=ENGINE, times=5):
        await asyncio.sleep(1)
    return "watches lost their place"


async def lose_metrics(world: World, chance: random.Random) -> str:
    async with _some(world, chance).faults.of_metrics(gone=True):
        await asyncio.sleep(chance.uniform(1, 5))
    return "a Prometheus was away"


async def hasten_mesh(world: World, chance: random.Random) -> str:
    share = chance.random()
    async with _some(world, chance).faults.of_hasty_mesh(share):
        await asyncio.sleep(chance.uniform(1, 8))
    return f"a mesh took only {share:.0%} of its time for a while"


BY_FATE: dict[Callable[[World, random.Random], Awaitable[str]], int] = {
    kill_worker: 3,
    kill_one_of_two: 2,
    kill_temporal: 1,
    refuse: 1,
    slow_down: 1,
    hang_writes: 1,
    close_watches: 1,
    lose_places: 1,
    lose_metrics: 1,
    hasten_mesh: 1,
}


async def by_fate(world: World, chance: random.Random) -> str:
    """After a while let something happen to all, and say what."""
    await asyncio.sleep(chance.uniform(*BETWEEN_BLOWS))
    (blow,) = chance.choices(list(BY_FATE), list(BY_FATE.values()))
    return await blow(world, chance)


def _some(world: World, chance: random.Random) -> Cluster:
    return world.clusters[chance.choice(MEMBERS)]
