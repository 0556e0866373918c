"""Every rollout of a canary, wherever it is recorded: Temporal first, then the stored reports."""

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from temporalio.client import Client

from canary.status import ListRow
from starter import chains, listing
from starter.chains import Chain
from starter.endings import AT_ONCE, with_outcomes
from starter.errors import UsageError
from starter.evidence import Evidence
from starter.listing import READABLE, Listed
from starter.names import Reference
from starter.store import ReportStore, Stored
from workflows.contract import ROLLOUT_WORKFLOW

SHORTEST_RUN = 8
"""Fewer digits are a number of the list; so much of a run's id was kept in a report's name."""
SHOWN_OF_RUN = 13
"""Run ids begin with their time in milliseconds: so much tells any two of a canary apart."""


class Rollout(Protocol):
    """One rollout as it is recorded."""

    @property
    def run(self) -> str:
        """The id of its newest execution, or its beginning where no more is known."""
        ...

    @property
    def row(self) -> ListRow:
        """The rollout as lists show it."""
        ...

    @property
    def started(self) -> datetime:
        """When it began."""
        ...

    @property
    def closed(self) -> datetime | None:
        """When it came to its end; None while it runs."""
        ...

    @property
    def outcome(self) -> str:
        """How it ended; empty while it runs."""
        ...

    @property
    def source(self) -> str:
        """Where this is known from."""
        ...

    async def evidence(self) -> list[Evidence]:
        """Give everything that happened, in order."""
        ...


@dataclass(frozen=True)
class _InTemporal:
    client: Client
    listed: Listed
    chain: Chain
    source = "Temporal"

    @property
    def run(self) -> str:
        return self.listed.run_id

    @property
    def row(self) -> ListRow:
        return self.listed.row

    @property
    def started(self) -> datetime:
        return self.chain.started

    @property
    def closed(self) -> datetime | None:
        return self.listed.closed

    @property
    def outcome(self) -> str:
        return self.listed.outcome

    async def evidence(self) -> list[Evidence]:
        return [item async for item in chains.told(self.client, self.chain)]


@dataclass(frozen=True)
class _InStore:
    stored: Stored

    @property
    def run(self) -> str:
        return self.stored.run

    @property
    def row(self) -> ListRow:
        return self.stored.row

    @property
    def started(self) -> datetime:
        return self.stored.started

    @property
    def closed(self) -> datetime | None:
        return self.stored.closed

    @property
    def outcome(self) -> str:
        return self.stored.outcome

    @property
    def source(self) -> str:
        return str(self.stored.path)

    async def evidence(self) -> list[Evidence]:
        return self.stored.evidence()


async def find_rollouts(client: Client, reference: Reference, store: ReportStore) -> list[Rollout]:
    """Give every rollout of a name, newest first; its canary may be gone."""
    held = await _in_temporal(client, reference)
    known = {run for item in held for run in item.chain.runs}
    found = await asyncio.to_thread(store.find, reference, known)
    for text in found.unreadable:
        print(f"warning: {text}", file=sys.stderr)
    rollouts: list[Rollout] = [*held, *(_InStore(stored) for stored in found.reports)]
    if not rollouts:
        raise UsageError(
            f"No rollout of {reference} is recorded, neither in Temporal nor in {store.folder}/."
        )
    return sorted(rollouts, key=lambda rollout: rollout.started, reverse=True)


def choose(rollouts: Sequence[Rollout], wanted: str) -> Rollout:
    """Give the rollout that is meant by a number, 1 for the newest, or by the beginning of a run's id."""
    if wanted.isdecimal() and len(wanted) < SHORTEST_RUN:
        if 1 <= int(wanted) <= len(rollouts):
            return rollouts[int(wanted) - 1]
        raise UsageError(f"--run {wanted}: {len(rollouts)} are recorded, of which 1 is the newest.")
    found = [rollout for rollout in rollouts if wanted and _is_meant(rollout.run, wanted)]
    if len(found) != 1:
        known = ", ".join(rollout.run[:SHOWN_OF_RUN] for rollout in rollouts)
        raise UsageError(f"--run {wanted}: names {len(found)} rollouts; recorded are {known}.")
    return found[0]


def _is_meant(run: str, wanted: str) -> bool:
    return run.startswith(wanted) or (len(run) >= SHORTEST_RUN and wanted.startswith(run))


async def _in_temporal(client: Client, reference: Reference) -> list[_InTemporal]:
    found = listing.workflows(client, ROLLOUT_WORKFLOW, READABLE, reference.scope)
    items = await with_outcomes(client, [item async for item in found if reference.is_meant(item)])
    slots = asyncio.Semaphore(AT_ONCE)

    async def add(item: Listed) -> _InTemporal:
        async with slots:
            return _InTemporal(client, item, await chains.find_chain(client, item))

    return list(await asyncio.gather(*(add(item) for item in items)))
