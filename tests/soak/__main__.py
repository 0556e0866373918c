"""`make soak`: things are done to many canaries at random, and what must never be is looked for."""

import argparse
import asyncio
import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

from temporalio.service import RPCError

from sandbox.client import NotFoundError, Reflector
from sandbox.objects import Object
from tests.conformance.load import Load
from tests.conformance.world import World
from tests.soak import rules
from tests.soak.deeds import by_fate, by_people
from tests.soak.subject import IN_VAIN, INTERVAL, Subject
from tests.soak.subjects import MEMBERS, subjects

BUILD = Path("build")
ROUTES = "/apis/networking.istio.io/v1beta1/virtualservices"
WORKLOADS = ("/apis/apps/v1/deployments", "/apis/apps/v1/daemonsets", "/api/v1/services")


def main() -> int:
    """Soak for as long as is said; 1 if a rule was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=240.0, help="how long things are done")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 10_000, help="of what is done")
    parser.add_argument("--propagation", type=float, default=0.0, help="seconds that the meshes take")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    BUILD.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="soak-", dir=BUILD)).absolute()
    print(f"logs and databases are in {folder}, and stay there if a rule was broken", flush=True)
    broken = asyncio.run(Soak(options.seed, options.seconds).run(folder, options.propagation))
    if not broken:
        shutil.rmtree(folder)
    print(*broken or ["nothing was broken"], sep="\n")
    return 1 if broken else 0


class Soak:
    """One run: what is told of it, and which rules were broken."""

    def __init__(self, seed: int, seconds: float) -> None:
        self._seed = seed
        self._seconds = seconds
        self._began = time.monotonic()
        self._broken: list[str] = []

    async def run(self, folder: Path, propagation: float) -> list[str]:
        """Do it, on meshes that take so many seconds; gives what was broken."""
        async with World(folder, propagation=propagation) as world:
            all_ = subjects(world, self._seed)
            await asyncio.gather(*(subject.begin() for subject in all_.values()))
            async with AsyncExitStack() as stack:
                users = {name: await stack.enter_async_context(one.asked()) for name, one in all_.items()}
                await stack.enter_async_context(self._watched(world, all_))
                await self._do(world, all_)
                await asyncio.gather(*(self._settle(name, one) for name, one in all_.items()))
            for name, subject in all_.items():
                self._judge_after(name, subject, users[name])
            self._judge("workers", rules.of_logs(world.worker_logs()))
        return self._broken

    async def _do(self, world: World, subjects: dict[str, Subject]) -> None:
        chance = random.Random(f"{self._seed} world")
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_doing("all", partial(by_fate, world, chance)))
            for name, subject in subjects.items():
                group.create_task(self._keep_doing(name, partial(by_people, subject)))

    async def _keep_doing(self, who: str, deed: Callable[[], Awaitable[str]]) -> None:
        end = time.monotonic() + self._seconds
        while time.monotonic() < end:
            try:
                self._tell(who, await deed())
            except (*IN_VAIN, NotFoundError) as error:  # routes that are not there yet are not annotated
                self._tell(who, f"in vain: {getattr(error, 'cause', None) or type(error).__name__}")
            except AssertionError as error:
                self._judge(who, [str(error)])

    async def _settle(self, name: str, subject: Subject) -> None:
        try:
            await subject.settle()
        except (AssertionError, RPCError) as error:
            self._judge(name, [f"{error}; the weights were {subject.case.weights[-5:]}"])

    @asynccontextmanager
    async def _watched(self, world: World, subjects: dict[str, Subject]) -> AsyncIterator[None]:
        """Look at everything that is written."""
        places = {subject.case.namespace: (name, subject) for name, subject in subjects.items()}

        async def look(kind: str, found: Object) -> None:
            name, subject = places.get(found["metadata"]["namespace"], ("", None))
            if subject is not None and kind != "DELETED":
                is_routes = "http" in found["spec"]
                self._judge(
                    name, rules.of_routes(found) if is_routes else rules.of_primary(found, subject.good)
                )

        watches = [
            asyncio.create_task(Reflector(world.clusters[member].api, path, look).run())
            for member in MEMBERS
            for path in (ROUTES, *WORKLOADS)
        ]
        try:
            yield
        finally:
            for watch in watches:
                watch.cancel()
            await asyncio.gather(*watches, return_exceptions=True)

    def _judge_after(self, name: str, subject: Subject, users: Load) -> None:
        shifts = subject.case.cluster.trail.of(subject.case.namespace)
        served = sum(tally.served for tally in users.tallies.values())
        failed = sum((tally.failures for tally in users.tallies.values()), Counter[str]())
        weights = [shift.weight for shift in shifts]
        self._tell(name, f"{served} requests were served, failed {dict(failed)}; the weights were {weights}")
        self._judge(name, [*rules.of_users(users), *rules.of_steps(shifts, INTERVAL)])

    def _judge(self, who: str, broken: list[str]) -> None:
        for each in broken:
            self._broken.append(f"{who}: {each}")
            self._tell(who, f"BROKEN: {each}")

    def _tell(self, who: str, what: str) -> None:
        print(f"{time.monotonic() - self._began:7.1f} s  {who:12} {what}", flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
