"""`canary history`: every rollout of a canary, and of one rollout every check and every command."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from temporalio.client import Client

from starter import record, tables, words
from starter.errors import Exit
from starter.evidence import Called, Commanded, Evidence, Moved
from starter.names import Reference
from starter.options import Output
from starter.rollouts import SHOWN_OF_RUN, Rollout, choose, find_rollouts
from starter.store import ReportStore

Numbered = tuple[int, Rollout]
"""A rollout and its number, 1 for the newest."""
COLUMNS = ("ROLLOUT", "RUN", "CLUSTER", "NAME", "REVISION", "STARTED", "CLOSED", "OUTCOME", "MESSAGE")


@dataclass(frozen=True)
class Request:
    """Whose rollouts are wanted, where reports are stored, and perhaps which one."""

    reference: Reference
    reports: Path
    run: str | None = None


async def print_history(client: Client, request: Request, output: Output, *, color: bool) -> int:
    """Print the rollouts of a name, newest first, with all their checks where one is meant or wanted wide."""
    rollouts = await wanted(client, request)
    if output in (Output.JSON, Output.YAML):
        show = tables.print_json if output is Output.JSON else tables.print_yaml
        show({"items": [await record.as_data(rollout) for _, rollout in rollouts]})
    elif output is Output.TABLE and request.run is None:
        tables.Table(COLUMNS, color=color).print([_summary(*numbered) for numbered in rollouts])
    else:
        await print_whole(rollouts, color=color)
    return Exit.DONE


async def wanted(client: Client, request: Request) -> list[Numbered]:
    """Give the rollouts that are meant, each with its number."""
    found = await find_rollouts(client, request.reference, ReportStore(request.reports))
    chosen = None if request.run is None else choose(found, request.run)
    return [(number, rollout) for number, rollout in enumerate(found, 1) if chosen in (None, rollout)]


async def print_whole(rollouts: Sequence[Numbered], *, color: bool) -> None:
    """Print each rollout: its summary, then what happened line by line."""
    for number, rollout in rollouts:
        tables.Table(COLUMNS, color=color).print([_summary(number, rollout)])
        for item in await rollout.evidence():
            print("\n".join(lines(item)))
        print()


def lines(item: Evidence) -> list[str]:
    """Say a move, a command or a check."""
    if isinstance(item, Moved):
        return [f"  {tables.stamp(item.at)} {words.moved_line(item)}"]
    if isinstance(item, Commanded):
        return [f"  {tables.stamp(item.at)} {words.command_line(item)}"]
    if isinstance(item, Called):
        return [f"  {tables.stamp(item.at)} {words.hook_line(answer)}" for answer in item.hooks]
    verdict = item.verdict
    head = f"  {tables.stamp(item.at)} check at weight {item.weight}: {verdict.result} {verdict.message}"
    details = [words.hook_line(answer) for answer in item.hooks]
    for metric, measurement, judged in item.measurements:
        details.append(words.measurement_line(metric, measurement, judged))
        details.append(f"  query: {' '.join(measurement.query.split())}")
    return [head.rstrip(), *(f"      {text}" for text in details)]


def _summary(number: int, rollout: Rollout) -> list[object]:
    row = rollout.row
    return [
        number,
        rollout.run[:SHOWN_OF_RUN],
        row.cluster,
        row.name,
        row.revision,
        rollout.started,
        rollout.closed,
        rollout.outcome or row.phase,
        row.message,
    ]
