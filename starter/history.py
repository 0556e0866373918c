"""`canary history`: every rollout of a canary, and of one rollout every check and every command."""

from typing import Any

from temporalio.client import Client

from starter import listing, tables, words
from starter.endings import with_outcomes
from starter.errors import Exit, UsageError
from starter.evidence import Checked, Commanded, Evidence, Moved, evidence
from starter.listing import READABLE, Listed
from starter.names import Reference
from starter.options import Output
from workflows import contract

COLUMNS = ("ROLLOUT", "CLUSTER", "NAME", "REVISION", "STARTED", "CLOSED", "OUTCOME", "MESSAGE")


async def print_history(client: Client, reference: Reference, output: Output, *, color: bool) -> int:
    """Print the rollouts of a name, newest first, with all their checks where the output is wide or data."""
    rollouts = await find_rollouts(client, reference)
    if output is Output.TABLE:
        rows = [summary(number, item) for number, item in enumerate(rollouts, 1)]
        tables.Table(COLUMNS, color=color).print(rows)
        return Exit.DONE
    if output is Output.WIDE:
        for number, item in enumerate(rollouts, 1):
            await print_rollout(client, number, item, color=color)
        return Exit.DONE
    show = tables.print_json if output is Output.JSON else tables.print_yaml
    show({"items": [await as_json(client, item) for item in rollouts]})
    return Exit.DONE


async def print_one(client: Client, reference: Reference, number: int, *, color: bool) -> int:
    """Print one rollout, counted from the newest."""
    rollouts = await find_rollouts(client, reference)
    if not 1 <= number <= len(rollouts):
        raise UsageError(f"--rollout {number}: {reference} has {len(rollouts)}.")
    await print_rollout(client, number, rollouts[number - 1], color=color)
    return Exit.DONE


async def find_rollouts(client: Client, reference: Reference) -> list[Listed]:
    """Give every rollout of a name that Temporal still holds; its canary may be gone."""
    found = listing.workflows(client, contract.ROLLOUT_WORKFLOW, READABLE, reference.scope)
    rollouts = [item async for item in found if reference.is_meant(item)]
    if not rollouts:
        raise UsageError(f"No rollout of {reference} is recorded.")
    rollouts.sort(key=lambda item: item.started, reverse=True)
    return await with_outcomes(client, rollouts)


async def print_rollout(client: Client, number: int, item: Listed, *, color: bool) -> None:
    """Print one rollout: its summary, then what happened line by line."""
    tables.Table(COLUMNS, color=color).print([summary(number, item)])
    handle = client.get_workflow_handle(item.id, run_id=item.run_id)
    async for each in evidence(client, handle):
        print("\n".join(lines(each)))
    print()


def summary(number: int, item: Listed) -> list[object]:
    """Give a rollout's cells."""
    row = item.row
    outcome = item.outcome or row.phase
    return [number, row.cluster, row.name, row.revision, item.started, item.closed, outcome, row.message]


def lines(item: Evidence) -> list[str]:
    """Say a move, a command or a check."""
    if isinstance(item, Moved):
        return [f"  {tables.stamp(item.at)} {words.moved_line(item)}"]
    if isinstance(item, Commanded):
        return [f"  {tables.stamp(item.at)} {words.command_line(item)}"]
    verdict = item.verdict
    head = (
        f"  {tables.stamp(item.at)} check at weight {item.request.weight}: {verdict.result} {verdict.message}"
    )
    details = [words.hook_line(answer) for answer in item.check.hooks]
    for metric, measurement, judged in item.measurements:
        details.append(words.measurement_line(metric, measurement, judged))
        details.append(f"  query: {' '.join(measurement.query.split())}")
    return [head.rstrip(), *(f"      {text}" for text in details)]


async def as_json(client: Client, item: Listed) -> dict[str, Any]:
    """Give a rollout with its whole evidence."""
    handle = client.get_workflow_handle(item.id, run_id=item.run_id)
    found = [each async for each in evidence(client, handle)]
    return {
        **item.row.model_dump(mode="json"),
        "outcome": item.outcome,
        "started": tables.stamp(item.started),
        "closed": tables.stamp(item.closed),
        "moves": [
            {"at": tables.stamp(each.at), **each.row.model_dump(mode="json")}
            for each in found
            if isinstance(each, Moved)
        ],
        "checks": [_check_json(each) for each in found if isinstance(each, Checked)],
        "commands": [
            {"verb": each.verb, **each.command.model_dump(mode="json")}
            for each in found
            if isinstance(each, Commanded)
        ],
    }


def _check_json(item: Checked) -> dict[str, Any]:
    metrics = [
        {
            **measurement.model_dump(mode="json"),
            "bounds": metric.threshold_range.model_dump(mode="json"),
            "result": judged.result,
            "message": judged.message,
        }
        for metric, measurement, judged in item.measurements
    ]
    return {
        "at": tables.stamp(item.at),
        "weight": item.request.weight,
        "phase": item.request.phase,
        "revision": item.request.revision.template,
        **item.verdict.model_dump(mode="json"),
        "hooks": [answer.model_dump(mode="json") for answer in item.check.hooks],
        "metrics": metrics,
    }
