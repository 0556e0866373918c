"""A rollout with its whole evidence as plain data, for JSON and YAML."""

from collections.abc import Sequence
from typing import Any

from starter import tables
from starter.evidence import Called, Checked, Commanded, Evidence, Kept, Moved
from starter.rollouts import Rollout


async def as_data(rollout: Rollout) -> dict[str, Any]:
    """Give a rollout and everything that happened in it."""
    found = await rollout.evidence()
    return {
        **rollout.row.model_dump(mode="json"),
        "run": rollout.run,
        "source": rollout.source,
        "outcome": rollout.outcome,
        "started": tables.stamp(rollout.started),
        "closed": tables.stamp(rollout.closed),
        "moves": _moves(found),
        "checks": [_check(each) for each in found if isinstance(each, Checked | Kept)],
        "calls": [
            {"at": tables.stamp(each.at), "hooks": [answer.model_dump(mode="json") for answer in each.hooks]}
            for each in found
            if isinstance(each, Called)
        ],
        "commands": [
            {"verb": str(each.verb), **each.command.model_dump(mode="json")}
            for each in found
            if isinstance(each, Commanded)
        ],
    }


def _moves(found: Sequence[Evidence]) -> list[dict[str, Any]]:
    return [
        {"at": tables.stamp(each.at), **each.row.model_dump(mode="json")}
        for each in found
        if isinstance(each, Moved)
    ]


def _check(item: Checked | Kept) -> dict[str, Any]:
    metrics = [
        {
            **measurement.model_dump(mode="json"),
            "bounds": metric.threshold_range.model_dump(mode="json"),
            "result": str(judged.result),
            "message": judged.message,
        }
        for metric, measurement, judged in item.measurements
    ]
    return {
        "at": tables.stamp(item.at),
        "weight": item.weight,
        "revision": item.revision,
        **item.verdict.model_dump(mode="json"),
        "hooks": [answer.model_dump(mode="json") for answer in item.hooks],
        "metrics": metrics,
    }
