"""Printing: tables as kubectl prints them, coloured on a terminal, plain text elsewhere; JSON and YAML."""

import json
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.text import Text
from ruamel.yaml import YAML

GAP = "   "
ENDLESS = 100_000
STYLES = {
    "Succeeded": "green",
    "Initialized": "green",
    "Promoted": "green",
    "Successful": "green",
    "Failed": "red",
    "RolledBack": "red",
    "Aborted": "red",
    "Halted": "bold red",
    "Error": "red",
    "Inconclusive": "yellow",
    "Initializing": "cyan",
    "Progressing": "cyan",
    "Promoting": "cyan",
    "Finalising": "cyan",
    "Waiting": "yellow",
    "WaitingPromotion": "yellow",
}
"""The words that get a colour, where they fill a cell."""


def console(*, color: bool) -> Console:
    """Standard output: styled where it is a terminal and colour is wanted; elsewhere lines are never cut."""
    width = None if sys.stdout.isatty() else ENDLESS
    return Console(
        no_color=not color, width=width, highlight=False, soft_wrap=True, markup=False, emoji=False
    )


class Table:
    """Rows below a header; columns never get narrower, so that rows can follow one by one."""

    def __init__(self, columns: Sequence[str], *, color: bool, widths: Sequence[int] = ()) -> None:
        self._columns = list(columns)
        given = [*widths, *[0] * (len(columns) - len(widths))]
        self._widths = [max(len(name), width) for name, width in zip(columns, given, strict=True)]
        self._console = console(color=color)

    def print(self, rows: Iterable[Sequence[object]], *, has_header: bool = True) -> None:
        """Print rows, wide enough for all of them and all before."""
        cells = [[_cell(value) for value in row] for row in rows]
        for row in cells:
            self._widths = [max(width, len(cell)) for width, cell in zip(self._widths, row, strict=True)]
        for row in [self._columns, *cells] if has_header else cells:
            self._line(row)

    def _line(self, row: Sequence[str]) -> None:
        last = len(row) - 1
        text = Text()
        for index, (cell, width) in enumerate(zip(row, self._widths, strict=True)):
            text.append(cell, STYLES.get(cell))
            text.append("" if index == last else " " * (width - len(cell)) + GAP)
        text.rstrip()
        self._console.print(text)


def stamp(moment: datetime | None) -> str:
    """Write a moment as kubectl does."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if moment else ""


def print_json(value: Any) -> None:
    """Print as JSON."""
    print(json.dumps(value, indent=2), flush=True)


def print_yaml(value: Any) -> None:
    """Print as YAML, a value's text in one line as kubectl has it."""
    yaml = YAML()
    yaml.width = ENDLESS
    yaml.dump(value, sys.stdout)
    sys.stdout.flush()


def _cell(value: object) -> str:
    if isinstance(value, datetime):
        return stamp(value)
    return "" if value is None else str(value)
