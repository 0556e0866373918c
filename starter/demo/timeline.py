"""What the audience sees: the seed's columns for every cluster, and each check's values with their bounds."""

from collections.abc import Sequence

from canary.status import ListRow
from starter import words
from starter.evidence import Checked, Evidence, Moved
from starter.tables import Table, console

COLUMNS = ("CLUSTER", "NAME", "STATUS", "WEIGHT", "TRAFFIC", "LASTTRANSITIONTIME")
WIDTHS = (15, 8, 12, 6, 7, 20)
CHECK_MARK, CROSS = "✓", "✗"


class Timeline:
    """A table that grows downwards."""

    def __init__(self, *, color: bool) -> None:
        self._console = console(color=color)
        self._table = Table(COLUMNS, color=color, widths=WIDTHS)

    def say(self, text: str, *, is_heading: bool = False) -> None:
        """Tell the audience something."""
        self._console.print(f"\n{text}" if is_heading else text, style="bold" if is_heading else None)

    def begin(self) -> None:
        """Print the header of an act."""
        self._table.print([])

    def show(self, cluster: str, item: Evidence) -> None:
        """Print a move as a row, a check as a line below it."""
        if isinstance(item, Moved):
            self.row(item.row)
        elif isinstance(item, Checked):
            self._console.print(check_line(cluster, item), style=None if is_passed(item) else "red")

    def row(self, row: ListRow) -> None:
        """Print one state."""
        cells: Sequence[object] = (
            row.cluster,
            row.name,
            row.phase,
            row.weight,
            row.traffic_weight,
            row.last_transition_time,
        )
        self._table.print([cells], has_header=False)


def is_passed(item: Checked) -> bool:
    """Whether a check lets the rollout go on."""
    return item.verdict.result == "Successful"


def check_line(cluster: str, item: Checked) -> str:
    """Say a check in one line: each value beside its bounds, and why it failed."""
    values = [words.value_line(metric, measurement) for metric, measurement, _ in item.measurements]
    values += [words.hook_line(answer) for answer in item.check.hooks if not answer.passed]
    mark = CHECK_MARK if is_passed(item) else CROSS
    return f"  {mark} {cluster}: {' · '.join(values)} {item.verdict.message}".rstrip()
