"""Where a cluster's work is done: by workers of its own, if the clusters file names their task queue."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, TimeoutError, TimeoutType  # noqa: A004 — Temporal's own

from activities.cluster.preflight import Preflight, PreflightActivities
from canary.observation import Observation, is_outdated
from canary.problem import Problem
from canary.spec import CanarySpec
from workflows.contract import CHECKS_QUEUE, QUEUE, WATCH_QUEUE, own_queue
from workflows.options import READ, ActivityOptions

TAKEN_WITHIN = {
    QUEUE: timedelta(seconds=10),
    CHECKS_QUEUE: timedelta(minutes=1),
    WATCH_QUEUE: timedelta(minutes=1),
}
"""Else the workers are away, or have too few slots: it is told, and tried again. Checks may queue a while."""


def at(task_queue: str, options: ActivityOptions, *, within: timedelta | None = None) -> ActivityOptions:
    """Have an activity done by the workers of a cluster's own task queue; by the shared ones if it has none.

    Nobody may poll it: that is to be told after a while, unless there is a limit to the whole anyway.
    """
    if not task_queue:
        return options
    kind = options["task_queue"]
    theirs: ActivityOptions = {**options, "task_queue": own_queue(task_queue, kind)}
    if "schedule_to_close_timeout" not in options:
        theirs["schedule_to_start_timeout"] = within or TAKEN_WITHIN[kind]
    return theirs


def is_untaken(error: ActivityError) -> bool:
    """Whether no worker has taken an activity."""
    cause = error.cause
    return isinstance(cause, TimeoutError) and cause.type is TimeoutType.SCHEDULE_TO_START


def is_of_nothing(error: ActivityError) -> bool:
    """Whether what was to be written is not there."""
    return isinstance(error.cause, ApplicationError) and error.cause.type == "NotFound"


def not_ready(error: ActivityError) -> ApplicationError | None:
    """Why an activity was given up although the cluster answered: what it waits for is not ready."""
    cause = error.cause
    if isinstance(cause, TimeoutError):
        cause = cause.cause
    return cause if isinstance(cause, ApplicationError) and cause.type == "NotReady" else None


def worded(error: ActivityError, task_queue: str) -> str:
    """Say why an activity did not succeed; of one that nobody took, who should have."""
    if is_untaken(error):
        return (
            f"No worker of task queue {task_queue} answers: see that one runs inside the cluster "
            f"(canary-worker --task-queue {task_queue})"
        )
    return str(error.cause or error)


def unserved(error: ActivityError, cluster: str, task_queue: str) -> Problem:
    """Tell who applies a document that nobody serves its cluster; any other error goes on its way."""
    if not is_untaken(error):
        raise error
    message = f"Cluster {cluster} is not reached: {worded(error, task_queue)}."
    return Problem(path="cluster", message=message, is_unreachable=True)


async def look(
    act: Callable[[Any, Any], Awaitable[Observation]],
    argument: Any,
    task_queue: str,
    options: ActivityOptions = READ,
) -> Observation:
    """Look at a canary; what was seen before the engine was away is looked at again."""
    while True:
        seen: Observation = await workflow.execute_activity_method(
            act, argument, summary="look", **at(task_queue, options)
        )
        if not is_outdated(seen.found_at, workflow.now()):
            return seen


async def look_before_leaping(spec: CanarySpec) -> Preflight:
    """Look at what a canary would stand on, from where its cluster is served: the shared workers know."""
    shared = spec.model_copy(update={"task_queue": ""})
    found: Preflight = await workflow.execute_activity_method(
        PreflightActivities.preflight, shared, summary="look before leaping", **READ
    )
    if not found.task_queue:
        return found
    return await look_inside(spec.model_copy(update={"task_queue": found.task_queue}))


async def look_inside(spec: CanarySpec) -> Preflight:
    """Look from where the spec says that its cluster is served."""
    try:
        found: Preflight = await workflow.execute_activity_method(
            PreflightActivities.preflight,
            spec,
            summary="look before leaping",
            **at(spec.task_queue, READ),
        )
    except ActivityError as error:
        found = Preflight(problems=(unserved(error, spec.cluster, spec.task_queue),))
    return found.model_copy(update={"task_queue": spec.task_queue})
