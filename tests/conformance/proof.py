"""The table of what was proven: each id of `claims`, by whichever tests are marked `proves(…)`.

A test proves an id if it fails once the behaviour is taken away. The rows of a table are marked one by one.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import pytest

from tests.conformance.claims import CLAIMS, RECORDED

PROPERTY = "proves"
SECONDS = "seconds"
"""The property of a test that was told beside others: how long it took by itself."""


def proven_by(item: pytest.Item) -> list[str]:
    """The ids that a test proves, in the order of the table."""
    found = {str(claim) for mark in item.iter_markers(PROPERTY) for claim in mark.args}
    story = getattr(getattr(item, "function", None), "story", None)
    excuses = getattr(story, "excuses", None)
    if excuses is not None:  # a recording: an excuse that is not needed fails it
        from tests.conformance.recorded.excuses import EVERYWHERE

        # What every story is excused for are our notes on objects: they show no behaviour.
        found |= {excuse.rule for excuse in excuses if excuse not in EVERYWHERE}
        found |= set(RECORDED[item.name.removeprefix("test_").replace("_", "-")])
    if unknown := found - CLAIMS.keys():
        raise pytest.UsageError(f"{item.nodeid} proves {', '.join(sorted(unknown))}: not in claims.py")
    return in_order(found)


def in_order(claims: Iterable[str]) -> list[str]:
    """Sort ids as the table has them."""
    return sorted(claims, key=list(CLAIMS).index)


@dataclass
class _Row:
    """What became of the tests of one id."""

    outcomes: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def verdict(self) -> str:
        if "failed" in self.outcomes:
            return "FAIL"
        return "pass" if "passed" in self.outcomes else "skip"

    def __str__(self) -> str:
        return f"{self.verdict}  {len(self.outcomes):3} tests  {self.seconds:6.1f} s"


class Proof:
    """The plugin that gathers what the tests of each id came to."""

    def __init__(self) -> None:
        self.rows: dict[str, _Row] = {}

    @pytest.hookimpl
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Send with each test what it proves, also from one process to another."""
        for item in items:
            if claims := proven_by(item):
                item.user_properties.append((PROPERTY, claims))

    @pytest.hookimpl
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note what a test came to and how long it took; what is set up for many is not its own."""
        if report.when == "teardown" or (report.when == "setup" and report.passed):
            return
        properties = dict(report.user_properties)
        for claim in _claims_of(report):
            row = self.rows.setdefault(claim, _Row())
            row.outcomes.append(report.outcome)
            row.seconds += float(str(properties.get(SECONDS, report.duration)))

    @pytest.hookimpl
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the table of the ids that ran."""
        if not self.rows:
            return
        terminalreporter.section("what is proven")
        width = max(len(CLAIMS[claim]) for claim in self.rows)
        for claim in in_order(self.rows):
            row = self.rows[claim]
            line = f"{claim:4} {CLAIMS[claim]:{width}}  {row}"
            terminalreporter.write_line(line, red=row.verdict == "FAIL")


def _claims_of(report: pytest.TestReport) -> Iterator[str]:
    for name, value in report.user_properties:
        if name == PROPERTY and isinstance(value, (list, tuple)):
            yield from map(str, value)
