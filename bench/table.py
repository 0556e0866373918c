"""The figures as a table to read, and as JSON."""

import json
from collections.abc import Sequence
from pathlib import Path

from bench.figure import NONE, Figure

HEAD = ("figure", "unit", "n", "min", "median", "max", "must reach", "", "Flagger 1.44")
MANY = 100
"""From here on no decimals."""


def markdown(figures: Sequence[Figure]) -> str:
    """Write the figures as a Markdown table, aligned to be read as it stands, and how each was taken."""
    rows = [HEAD, *(_row(figure) for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in rows
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    notes = [f"- **{figure.name}**: {figure.how}" for figure in figures]
    return "\n".join([*lines, "", *notes])


def write(path: Path, figures: Sequence[Figure]) -> None:
    """Write the figures as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([_entry(figure) for figure in figures], indent=2, ensure_ascii=False) + "\n")


def _row(figure: Figure) -> tuple[str, ...]:
    numbers = (_number(value) for value in (figure.minimum, figure.median, figure.maximum))
    mark = "" if figure.bound == NONE else "yes" if figure.is_reached else "**no**"
    return (
        figure.name,
        figure.unit,
        f"{figure.n:,}",
        *numbers,
        str(figure.bound),
        mark,
        figure.flagger,
    )


def _number(value: float) -> str:
    if value == int(value) or abs(value) >= MANY:
        return f"{value:,.0f}"
    return f"{value:.2f}"


def _entry(figure: Figure) -> dict[str, object]:
    return {
        "name": figure.name,
        "unit": figure.unit,
        "n": figure.n,
        "min": figure.minimum,
        "median": figure.median,
        "max": figure.maximum,
        "how": figure.how,
        "bound": str(figure.bound),
        "isReached": figure.is_reached,
        "flagger": figure.flagger,
        "samples": list(figure.samples),
    }
