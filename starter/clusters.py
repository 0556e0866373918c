"""What the workers see of the clusters: asked by a workflow, since the command line reaches none."""

import asyncio
from datetime import timedelta

from temporalio.client import Client, WorkflowFailureError
from temporalio.common import WorkflowIDConflictPolicy

from canary.examination import Examination, Finding, Findings
from starter import listing
from starter.commands import person
from starter.listing import Scope
from starter.workers import START_ONE, pollers
from workflows.contract import DOCTOR_WORKFLOW, QUEUE, doctor_id

ANSWERED_WITHIN = timedelta(seconds=105)
"""Longer than the look itself may take, and after it that of the workers inside clusters."""
LEFT_FOR = timedelta(seconds=120)
"""A question that no worker took is over by itself."""


async def look(client: Client) -> Findings:
    """Have a worker look at the clusters of its file, and at those that canaries are in."""
    if not await pollers(client, QUEUE):
        return _about_none("not looked at: no worker is running", START_ONE)
    used = {item.row.cluster for item in await listing.canaries(client, Scope(None))}
    handle = await client.start_workflow(
        DOCTOR_WORKFLOW,
        Examination(clusters=tuple(sorted(used))),
        id=doctor_id(person(None)),
        task_queue=QUEUE,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        execution_timeout=LEFT_FOR,
        result_type=Findings,
    )
    try:
        async with asyncio.timeout(ANSWERED_WITHIN.total_seconds()):
            found: Findings = await handle.result()
    except (TimeoutError, WorkflowFailureError):
        seen = f"no worker has looked at them within {ANSWERED_WITHIN.seconds} s"
        return _about_none(seen, START_ONE)
    if found.findings:
        return found
    return _about_none("none", "name them in the file that CANARY_CLUSTERS names")


def _about_none(seen: str, remedy: str) -> Findings:
    return Findings(findings=(Finding(cluster="", what="clusters", seen=seen, remedy=remedy),))
