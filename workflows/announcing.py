"""How workflows tell what happens: announcements by log record, alerts by activity.

A log record is written once and not again in a replay, and costs no event of the history; the worker's herald
makes Kubernetes Events and event hooks of it, as best it can. The history itself is the record that lasts.
"""

from temporalio import workflow

from canary.notice import Announcement, Notice, NoticeType
from canary.spec import CanarySpec
from canary.status import Phase, Revision


def announce(spec: CanarySpec, phase: Phase, revision: Revision, notice: Notice) -> None:
    """Tell of a notice whoever listens in this worker."""
    told = Announcement(spec=spec, phase=phase, revision=revision, notice=notice, at=workflow.now())
    is_warning = notice.type is NoticeType.WARNING
    log = workflow.logger.warning if is_warning else workflow.logger.info
    log("announced", extra={"announcement": told, "notice": notice.message, "canary": spec.tail})
