"""What is told of a rollout as it happens: to Kubernetes Events, event hooks and alerts."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from canary.alert import Severity
from canary.analysis import CheckRecord
from canary.spec import CanarySpec
from canary.status import Phase, Revision, RolloutStatus
from canary.stored import Stored


class NoticeType(StrEnum):
    """Kubernetes' two types of Event."""

    NORMAL = "Normal"
    WARNING = "Warning"


class Notice(Stored):
    """One thing that happened, in Flagger's words."""

    type: NoticeType = NoticeType.NORMAL
    reason: str
    """The kind of thing, as a Kubernetes Event has it: `Advanced`, `CheckFailed`, …"""
    message: str
    severity: Severity | None = None
    """How loud alerts tell of it; None: alerts do not."""
    is_detailed: bool = False
    """Whether an alert of it tells the target, the threshold, the deadline and the routes as well."""
    alert: str = ""
    """What alerts say, where that differs from the message."""
    phase: Phase | None = None
    """The phase it is told with, where that is not the one before it happened."""


class Announcement(Stored):
    """A notice, and the canary it is about as it stood then."""

    spec: CanarySpec
    phase: Phase
    revision: Revision
    notice: Notice
    at: datetime
    uid: str = ""
    """The target's `metadata.uid`, where it is known without asking."""


@dataclass(frozen=True)
class Decided:
    """What a rollout has just decided, for metrics: `extra={"decided": …}` of a log record; never stored."""

    spec: CanarySpec
    status: RolloutStatus
    """As it is since the decision."""
    at: datetime
    check: CheckRecord | None = None
    """The check it stands on."""
    needs_person: bool = False
