"""The store of rollout reports: evidence that outlives Temporal's retention."""

import asyncio
from pathlib import Path

from temporalio import activity

from canary.stored import Stored


class StoredReport(Stored):
    """A report and the name it is kept under, with slashes as folders."""

    name: str
    content: str


class ReportActivities:
    """Keeps reports in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @activity.defn
    async def store_report(self, report: StoredReport) -> None:
        """Write a report; the same again is the same file."""
        await asyncio.to_thread(self._write, report)

    def _write(self, report: StoredReport) -> None:
        path = self._folder / f"{report.name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        partial.write_text(report.content)
        partial.replace(path)
