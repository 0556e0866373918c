"""What one step of a delivery is given, what comes of it, and how long it may take."""

from datetime import timedelta
from typing import NamedTuple

from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError

from activities.heartbeat import HEARTBEAT_TIMEOUT
from canary.application import ApplicationSpec, SyncPolicy
from canary.delivery import Delivery
from workflows import contract
from workflows.options import ActivityOptions
from workflows.serving import at, is_untaken, worded

MARGIN = timedelta(seconds=60)
"""For the requests of a sync, beside its build and its fetch, which have limits of their own."""
FEW = RetryPolicy(initial_interval=timedelta(seconds=1), maximum_attempts=3)
"""What keeps failing becomes a message, and is tried again with a longer back-off."""
SYNC = ActivityOptions(
    task_queue=contract.CHECKS_QUEUE, heartbeat_timeout=HEARTBEAT_TIMEOUT, retry_policy=FEW
)
"""A build is applied where it was made: manifests may hold what no history may."""


class Errand(NamedTuple):
    """What a delivery is taken a step further for."""

    spec: ApplicationSpec
    revision: str
    siblings: tuple[SyncPolicy, ...] = ()
    """What the Application brings to the same cluster beside the delivery's policy."""
    is_last: bool = False
    """The Application itself is being deleted: what cannot be taken back is left behind."""

    @property
    def application(self) -> str:
        """Its name, as inventories have it."""
        return f"{self.spec.namespace}/{self.spec.name}"


class Outcome(NamedTuple):
    """What came of a step."""

    delivery: Delivery | None
    """Nothing once it has been taken back."""
    left: str = ""
    """What stays in the cluster although it should not, and why."""


def within(delivery: Delivery, limit: timedelta) -> ActivityOptions:
    """Have it done where the delivery's cluster is served, in this time."""
    return {**at(delivery.cluster.task_queue, SYNC), "start_to_close_timeout": limit}


def said(error: ActivityError, task_queue: str) -> str:
    """What an activity that failed has to say for itself."""
    message = getattr(error.cause, "message", "")
    return message if message and not is_untaken(error) else worded(error, task_queue)
