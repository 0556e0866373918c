"""Lists of canaries, rollouts and Applications: their columns, once or live, from visibility alone."""

import asyncio
from collections.abc import Callable, Sequence
from enum import StrEnum

from temporalio.client import Client

from starter import flagger, kurator, listing, tables, words
from starter.endings import with_outcomes
from starter.errors import Exit
from starter.listing import READABLE, RUNNING, Listed, Scope
from starter.objects import Part, print_objects
from starter.options import Output
from workflows import contract

REFRESH = 1.0
"""Seconds between two looks at visibility with `--watch`."""


class Kind(StrEnum):
    """What can be listed."""

    APPLICATION = "application"
    CANARY = "canary"
    ROLLOUT = "rollout"


PLURALS = {Kind.APPLICATION: "applications", Kind.CANARY: "canaries", Kind.ROLLOUT: "rollouts"}
KINDS = {
    "application": Kind.APPLICATION,
    "applications": Kind.APPLICATION,
    "app": Kind.APPLICATION,
    "apps": Kind.APPLICATION,
    "canary": Kind.CANARY,
    "canaries": Kind.CANARY,
    "rollout": Kind.ROLLOUT,
    "rollouts": Kind.ROLLOUT,
}


Column = tuple[str, Callable[[Listed], object]]

_NAMESPACE: Column = ("NAMESPACE", lambda item: item.row.namespace)
_CLUSTER: Column = ("CLUSTER", lambda item: item.row.cluster)
_NAME: Column = ("NAME", lambda item: item.row.name)
_STATUS: Column = ("STATUS", lambda item: item.row.phase)
_WEIGHT: Column = ("WEIGHT", lambda item: item.row.weight)
_TRAFFIC: Column = ("TRAFFIC", lambda item: item.row.traffic_weight)
_SINCE: Column = ("LASTTRANSITIONTIME", lambda item: item.row.last_transition_time)
_FAILED: Column = ("FAILEDCHECKS", lambda item: item.row.failed_checks)
_REVISION: Column = ("REVISION", lambda item: item.row.revision)
_APPLICATION: Column = ("APPLICATION", lambda item: item.row.application)
_MESSAGE: Column = ("MESSAGE", lambda item: words.said(item.row))
_OUTCOME: Column = ("OUTCOME", lambda item: item.outcome)
_STARTED: Column = ("STARTED", lambda item: item.started)
_CLOSED: Column = ("CLOSED", lambda item: item.closed)

COLUMNS: dict[Kind, tuple[Column, ...]] = {
    Kind.APPLICATION: (_NAME, _STATUS, _REVISION, _SINCE, _MESSAGE),
    Kind.CANARY: (_CLUSTER, _NAME, _STATUS, _WEIGHT, _TRAFFIC, _SINCE),
    Kind.ROLLOUT: (_CLUSTER, _NAME, _STATUS, _WEIGHT, _TRAFFIC, _OUTCOME, _STARTED, _CLOSED),
}
WIDE: dict[Kind, tuple[Column, ...]] = {
    Kind.APPLICATION: (),
    Kind.CANARY: (_FAILED, _REVISION, _APPLICATION, _MESSAGE),
    Kind.ROLLOUT: (_FAILED, _REVISION, _APPLICATION, _MESSAGE),
}

OBJECTS: dict[Kind, Callable[[Listed], Part]] = {
    Kind.APPLICATION: kurator.application_of_row,
    Kind.CANARY: flagger.canary_of_item,
    Kind.ROLLOUT: flagger.canary_of_item,
}
"""As what an item is printed in JSON and YAML: a rollout as its canary, as that rollout knows it."""


async def fetch(client: Client, kind: Kind, scope: Scope) -> list[Listed]:
    """Look at visibility once."""
    match kind:
        case Kind.CANARY:
            return await listing.canaries(client, scope)
        case Kind.ROLLOUT:
            found = listing.workflows(client, contract.ROLLOUT_WORKFLOW, READABLE, scope)
            return await with_outcomes(client, [item async for item in found])
        case Kind.APPLICATION:
            applications = listing.workflows(client, contract.APPLICATION_WORKFLOW, RUNNING, scope)
            return [item async for item in applications]


async def print_list(client: Client, kind: Kind, scope: Scope, output: Output, *, color: bool) -> int:
    """Print the list once."""
    items = await fetch(client, kind, scope)
    if output in (Output.JSON, Output.YAML):
        print_objects([OBJECTS[kind](item) for item in items], output)
    elif not items:
        place = "" if scope.namespace is None else f" in namespace {scope.namespace} (-A shows all)"
        print(f"No {PLURALS[kind]}{place}.")
    else:
        columns = columns_of(kind, output, scope)
        tables.Table([name for name, _ in columns], color=color).print(cells(columns, items))
    return Exit.DONE


async def watch_list(client: Client, kind: Kind, scope: Scope, output: Output, *, color: bool) -> None:
    """Print the list, then each row again whenever it changes, until interrupted."""
    columns = columns_of(kind, output, scope)
    table = tables.Table([name for name, _ in columns], color=color)
    seen: dict[str, Sequence[object]] = {}
    is_first = True
    while True:
        items = await fetch(client, kind, scope)
        rows = {item.run_id: row for item, row in zip(items, cells(columns, items), strict=True)}
        table.print([row for key, row in rows.items() if seen.get(key) != row], has_header=is_first)
        seen, is_first = rows, False
        await asyncio.sleep(REFRESH)


def columns_of(kind: Kind, output: Output, scope: Scope) -> list[Column]:
    """Choose the columns: with the namespace where all are listed, with everything where wide."""
    front = [_NAMESPACE] if scope.namespace is None else []
    return [*front, *COLUMNS[kind], *(WIDE[kind] if output is Output.WIDE else ())]


def cells(columns: Sequence[Column], items: Sequence[Listed]) -> list[Sequence[object]]:
    """Give the cells of each item."""
    return [[read(item) for _, read in columns] for item in items]
