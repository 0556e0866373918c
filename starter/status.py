"""`canary status`: one line per change, and an exit code that says how it ended."""

import asyncio
from datetime import timedelta

from temporalio.client import Client

from starter import words
from starter.durations import within
from starter.errors import Exit, TimedOutError
from starter.flagger import canary_of_row
from starter.follow import State, changes, state
from starter.names import Reference, find_canary
from starter.objects import print_object
from starter.options import Output
from starter.tables import Table

COLUMNS = ("LASTTRANSITIONTIME", "CLUSTER", "NAME", "STATUS", "WEIGHT", "TRAFFIC", "FAILEDCHECKS", "MESSAGE")
WIDTHS = (20, 16, 12, 16)


async def print_status(
    client: Client, reference: Reference, output: Output = Output.TABLE, *, color: bool
) -> int:
    """Print the state once."""
    found = await find_canary(client, reference)
    now = await state(client, found.tail)
    if output in (Output.JSON, Output.YAML):
        print_object(canary_of_row(now.row, is_resting=now.is_resting), output)
    else:
        Table(COLUMNS, color=color, widths=WIDTHS).print([line(now)])
    return _exit(now)


async def watch_status(client: Client, reference: Reference, limit: timedelta | None, *, color: bool) -> int:
    """Print a line per change until the canary is at rest."""
    found = await find_canary(client, reference)
    return await follow(client, [found.tail], limit, color=color)


async def follow(client: Client, tails: list[str], limit: timedelta | None, *, color: bool) -> int:
    """Print the changes of several canaries until all are at rest."""
    table = Table(COLUMNS, color=color, widths=WIDTHS)
    table.print([])
    try:
        async with within(limit):
            ends = await asyncio.gather(*(_until_rest(client, tail, table) for tail in tails))
    except TimeoutError as error:
        raise TimedOutError(f"Not at rest within {limit}.") from error
    return max((_exit(end) for end in ends), default=Exit.DONE)


async def _until_rest(client: Client, tail: str, table: Table) -> State:
    last = None
    async for now in changes(client, tail):
        shown = now.row.model_copy(update={"last_transition_time": None})  # the canary repeats its rollout's
        if shown != last:
            table.print([line(now)], has_header=False)
            last = shown
        if now.is_resting:
            break
    return now


def line(now: State) -> list[object]:
    """Give the cells of one state."""
    row = now.row
    return [
        row.last_transition_time,
        row.cluster,
        row.name,
        row.phase,
        row.weight,
        row.traffic_weight,
        row.failed_checks,
        words.said(row),
    ]


def _exit(now: State) -> Exit:
    return Exit.REFUSED if now.has_failed else Exit.DONE
