"""The play: deliver an application, promote a good version, roll back a bad one, and say where to look."""

import asyncio
import shutil
import sys
from collections.abc import Awaitable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import TypeVar

from canary.application import ApplicationSpec
from canary.status import Outcome
from starter.demo import documents
from starter.demo.actors import Actors
from starter.demo.documents import Pace
from starter.demo.folder import Place
from starter.demo.load import Count, Load
from starter.demo.repository import Repository
from starter.demo.stage import Stage
from starter.demo.timeline import Timeline
from starter.documents import load
from starter.errors import Exit, RefusedError, TimedOutError

Result = TypeVar("Result")

GOOD, BAD = "6.2.0", "6.3.0-err10"
CHECKS = 20
"""No act takes longer than this many checks,"""
SLACK = 60.0
"""and so many seconds beside them."""


@dataclass(frozen=True)
class Play:
    """What is played where, and how fast."""

    place: Place
    pace: Pace
    color: bool = True


async def perform(play: Play) -> int:
    """Play from the first act to the last word."""
    timeline = Timeline(color=play.color)
    timeline.say("Starting two clusters, Temporal, a git server and a worker …")
    begin = perf_counter()
    async with Stage(play.place) as stage:
        timeline.say(f"All up after {perf_counter() - begin:.1f} s. Temporal's UI: {stage.endpoints['ui']}")
        await stage.bear(Story(play, stage, timeline).tell())
        timeline.say("Where to look next:", is_heading=True)
        timeline.say(epilogue(stage, play.place))
        await _curtain(stage, play.place)
    return Exit.DONE


class Story:
    """The three acts."""

    def __init__(self, play: Play, stage: Stage, timeline: Timeline) -> None:
        self._play = play
        self._stage = stage
        self._timeline = timeline
        self._actors = Actors(stage.client, timeline)

    async def tell(self) -> None:
        """Play them in turn, with users at the gateways from the second on."""
        repository = await asyncio.to_thread(
            Repository.clone, self._stage.endpoints["git"], self._play.place.folder / "clone"
        )
        try:
            self._timeline.say(f"Act 1: {self._written} is applied to both clusters.", is_heading=True)
            tails = await self._bounded(self._actors.deliver(self._application()))
            async with Load(self._stage.gateways) as users:
                self._timeline.say(f"Act 2: version {GOOD} is pushed to git.", is_heading=True)
                await asyncio.to_thread(repository.release, GOOD)
                await self._act(tails, users, Outcome.PROMOTED)
                self._timeline.say(
                    f"Act 3: version {BAD} is pushed; it fails one request in ten.", is_heading=True
                )
                await asyncio.to_thread(repository.release, BAD)
                await self._act(tails, users, Outcome.ROLLED_BACK)
        finally:
            repository.close()

    @property
    def _written(self) -> str:
        return str(self._play.place.folder / "canary.yaml")

    def _application(self) -> ApplicationSpec:
        stage, play = self._stage, self._play
        paths = documents.write(play.place.folder, stage.endpoints["git"], stage.clusters, play.pace)
        loaded = load(paths)
        if any(not finding.is_warning for finding in loaded.findings):
            raise RefusedError("\n".join(str(finding) for finding in loaded.findings))
        return loaded.resolution.applications[0].spec

    async def _act(self, tails: list[str], users: Load, expected: Outcome) -> None:
        before, begin = users.count, perf_counter()
        endings = await self._bounded(self._actors.roll_out(tails))
        text = f"{', '.join(sorted(set(endings)))} after {perf_counter() - begin:.0f} s. Meanwhile the users "
        self._timeline.say(f"{text}at the gateways were {_served(users.count - before)}.")
        if set(endings) != {expected}:
            raise RefusedError(f"Expected {expected} in every cluster.")

    async def _bounded(self, act: Awaitable[Result]) -> Result:
        limit = SLACK + CHECKS * self._play.pace.check_seconds
        try:
            async with asyncio.timeout(limit):
                return await act
        except TimeoutError as error:
            folder = self._play.place.folder
            raise TimedOutError(
                f"This act is not over after {limit:g} s; see the logs in {folder}."
            ) from error


def _served(count: Count) -> str:
    return f"served {count.served:,} times and failed {count.failed:,} times"


def epilogue(stage: Stage, place: Place) -> str:
    """Say where to look next."""
    canary = f"{_program()} --sandbox {place.folder}"
    lines = [
        f"  {stage.endpoints['ui']}  every rollout is one workflow, with every check and decision",
        f"  {canary} get -A -o wide",
        f"  {canary} history backend -n webapp --cluster {stage.clusters[0]} -o wide",
        f"  {canary} get application rollout-demo",
    ]
    if place.is_kept:
        lines.append(f"It keeps running. End it: {_program()} sandbox down --dir {place.folder}")
    return "\n".join(lines)


def _program() -> str:
    """The command as it can be typed here: in a fresh checkout it is not on the path."""
    if shutil.which("canary"):
        return "canary"
    own = Path(sys.executable).with_name("canary")
    return str(own.relative_to(Path.cwd()) if own.is_relative_to(Path.cwd()) else own)


async def _curtain(stage: Stage, place: Place) -> None:
    """Keep it running, or let a person look as long as they like, or end."""
    if place.is_kept:
        stage.keep()
    elif sys.stdin.isatty() and sys.stdout.isatty():
        print("Press Enter to end it.", flush=True)
        await _line()
    else:
        print("All of it ends now, these addresses too: --keep leaves it running.", flush=True)


async def _line() -> None:
    """Wait for a line without a thread, so that Ctrl-C ends the wait."""
    loop = asyncio.get_running_loop()
    typed = asyncio.Event()
    loop.add_reader(sys.stdin, typed.set)
    try:
        await typed.wait()
    finally:
        loop.remove_reader(sys.stdin)
