"""How long each kind of work may take and how it is retried, as options of an activity."""

from datetime import timedelta
from typing import TypedDict

from temporalio.common import Priority, RetryPolicy
from temporalio.workflow import ActivityCancellationType

from activities.heartbeat import HEARTBEAT_TIMEOUT
from workflows.contract import CHECKS_QUEUE, QUEUE

SOON = RetryPolicy(
    initial_interval=timedelta(milliseconds=200),
    backoff_coefficient=1.6,
    maximum_interval=timedelta(seconds=5),
)
"""Without end: an API server that is away comes back, and is then written to within 5 s."""
FOR_A_WHILE = RetryPolicy(
    initial_interval=SOON.initial_interval,
    backoff_coefficient=SOON.backoff_coefficient,
    maximum_interval=SOON.maximum_interval,
    maximum_attempts=8,
)
"""As soon, and about 9 s long where it is refused at once; then the loop that asked for it says why, and
decides anew: a person may have spoken, a deadline passed or a newer revision come. It tries without end.

Attempts are counted, not seconds: while no worker is there nothing is refused.
"""
TASK = timedelta(seconds=5)
"""A workflow task takes milliseconds: one that a killed worker had begun is another's this soon."""


class ActivityOptions(TypedDict, total=False):
    """The keyword arguments of `workflow.execute_activity_method` that a kind of work fixes."""

    task_queue: str
    start_to_close_timeout: timedelta
    schedule_to_start_timeout: timedelta
    schedule_to_close_timeout: timedelta
    heartbeat_timeout: timedelta
    retry_policy: RetryPolicy
    cancellation_type: ActivityCancellationType
    priority: Priority


READ = ActivityOptions(
    task_queue=QUEUE,
    start_to_close_timeout=timedelta(seconds=12),
    heartbeat_timeout=HEARTBEAT_TIMEOUT,
    retry_policy=SOON,
    cancellation_type=ActivityCancellationType.TRY_CANCEL,
)
"""A look at a cluster: its requests end after 5 s each."""
LOOK = ActivityOptions({**READ, "retry_policy": FOR_A_WHILE})
"""A look of a rollout, which has something to lose while it cannot look."""
WRITE = ActivityOptions(
    task_queue=QUEUE,
    start_to_close_timeout=timedelta(seconds=30),
    heartbeat_timeout=HEARTBEAT_TIMEOUT,
    retry_policy=FOR_A_WHILE,
    cancellation_type=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
)
"""Objects that carry no traffic yet or no more.

Called off, they have ended before anything else is done: what a way out takes back must not come after it.
That takes a heartbeat, or its timeout where the worker is dead.
"""
TRAFFIC = ActivityOptions(
    task_queue=QUEUE,
    start_to_close_timeout=timedelta(seconds=12),
    heartbeat_timeout=HEARTBEAT_TIMEOUT,
    retry_policy=FOR_A_WHILE,
    cancellation_type=ActivityCancellationType.TRY_CANCEL,
    priority=Priority(priority_key=1),
)
"""Writes of traffic and of whom it goes to, before anything else."""
CHECK_MARGIN = timedelta(seconds=30)
"""A check may take so much longer than its hooks."""
CHECK = ActivityOptions(
    task_queue=CHECKS_QUEUE,
    heartbeat_timeout=HEARTBEAT_TIMEOUT,
    retry_policy=RetryPolicy(
        initial_interval=timedelta(milliseconds=500),
        backoff_coefficient=1.5,
        maximum_interval=timedelta(seconds=5),
    ),
    cancellation_type=ActivityCancellationType.TRY_CANCEL,
)
"""Gates in front of a rollout, which are asked until they open."""
ANALYSIS = ActivityOptions(
    {
        **CHECK,
        "retry_policy": RetryPolicy(
            initial_interval=timedelta(milliseconds=500),
            backoff_coefficient=1.5,
            maximum_interval=timedelta(seconds=5),
            maximum_attempts=8,
        ),
    }
)
"""One check, or the gates after it. From its third attempt on `analyse` answers a silent Prometheus as
evidence; what else keeps it from an answer is told after a quarter of a minute."""
PROVIDERS = ActivityOptions(
    task_queue=CHECKS_QUEUE,
    start_to_close_timeout=timedelta(seconds=15),
    heartbeat_timeout=HEARTBEAT_TIMEOUT,
    retry_policy=SOON,
    cancellation_type=ActivityCancellationType.TRY_CANCEL,
)
"""A look at metric providers: that one is away is its answer."""
CALL = ActivityOptions(
    task_queue=CHECKS_QUEUE,
    heartbeat_timeout=HEARTBEAT_TIMEOUT,
    retry_policy=RetryPolicy(maximum_attempts=3),
    cancellation_type=ActivityCancellationType.TRY_CANCEL,
)
"""Hooks after a rollout: it has ended, and does not wait for them for long."""
ALERT = ActivityOptions(
    task_queue=CHECKS_QUEUE,
    start_to_close_timeout=timedelta(seconds=30),
    schedule_to_close_timeout=timedelta(minutes=10),
    heartbeat_timeout=HEARTBEAT_TIMEOUT,
    retry_policy=RetryPolicy(
        initial_interval=timedelta(seconds=1), backoff_coefficient=2, maximum_interval=timedelta(minutes=1)
    ),
)
"""An alert; nothing waits for it but the end of the workflow that sent it."""
REPORT = ActivityOptions(
    task_queue=CHECKS_QUEUE,
    start_to_close_timeout=timedelta(seconds=30),
    retry_policy=RetryPolicy(maximum_attempts=5),
)
"""The report is kept in Temporal as well: a store that is away does not hold up a rollout's end."""
ANNOUNCEMENT = ActivityOptions(
    task_queue=CHECKS_QUEUE,
    start_to_close_timeout=timedelta(seconds=10),
    schedule_to_close_timeout=timedelta(minutes=2),
    retry_policy=RetryPolicy(maximum_attempts=2),
)
"""Handing on what happens to workers inside a cluster: as little of a promise as Events themselves are."""
REMOVAL = ActivityOptions(
    task_queue=QUEUE,
    start_to_close_timeout=timedelta(seconds=30),
    schedule_to_close_timeout=timedelta(minutes=5),
    heartbeat_timeout=HEARTBEAT_TIMEOUT,
    retry_policy=SOON,
)
"""The way out: a member that does not answer for so long is reported and left behind."""
ENTITY = ActivityOptions(
    task_queue=QUEUE,
    start_to_close_timeout=timedelta(minutes=10),
    heartbeat_timeout=timedelta(seconds=5),
    retry_policy=SOON,
)
"""Reaching another workflow, and waiting for one that ends."""
