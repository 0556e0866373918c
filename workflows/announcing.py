"""How workflows tell what happens: announcements by log record, alerts by activity.

A log record is written once and not again in a replay, and costs no event of the history; the worker's herald
makes Kubernetes Events and event hooks of it, as best it can. A herald outside of a cluster that only its own
workers reach can not: then it is handed to theirs. The history itself is the record that lasts.
"""

import asyncio

from temporalio import workflow

from activities.announcements import AnnouncementActivities
from canary.analysis import CheckRecord
from canary.notice import Announcement, Decided, Notice, NoticeType
from canary.spec import CanarySpec
from canary.status import Phase, Revision, RolloutStatus
from workflows.options import ANNOUNCEMENT
from workflows.serving import at


def announce(spec: CanarySpec, phase: Phase, revision: Revision, notice: Notice, uid: str = "") -> None:
    """Tell of a notice whoever listens in this worker; *uid* is the target's, where it is known."""
    told = Announcement(spec=spec, phase=phase, revision=revision, notice=notice, at=workflow.now(), uid=uid)
    is_warning = notice.type is NoticeType.WARNING
    log = workflow.logger.warning if is_warning else workflow.logger.info
    log("announced", extra={"announcement": told, "notice": notice.message})
    if spec.task_queue:
        handed_on = workflow.start_activity_method(
            AnnouncementActivities.hand_on,
            told,
            summary=notice.reason,
            **at(spec.task_queue, ANNOUNCEMENT),
        )
        handed_on.add_done_callback(_note_failure)


def _note_failure(handed_on: asyncio.Task[None]) -> None:
    """Log what was not told: nothing waits for it."""
    if not handed_on.cancelled() and (error := handed_on.exception()):
        workflow.logger.info("not handed on", extra={"cause": str(error.__cause__ or error)})


def note_decision(
    spec: CanarySpec, status: RolloutStatus, check: CheckRecord | None, *, needs_person: bool
) -> None:
    """Leave what was decided to the worker's metrics."""
    decided = Decided(spec=spec, status=status, at=workflow.now(), check=check, needs_person=needs_person)
    workflow.logger.debug("decided", extra={"decided": decided})
