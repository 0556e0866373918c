"""The watch of a cluster: for whom it watches, and one activity that does."""

from contextlib import suppress
from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, is_cancelled_exception
from temporalio.workflow import ActivityCancellationType

from activities.cluster.interests import Interest, Interests, pack
from activities.cluster.watch import WatchActivities, WatchRequest
from activities.heartbeat import HEARTBEAT_TIMEOUT
from canary.stored import Stored
from workflows.contract import (
    BELL,
    CLUSTER_WATCH_WORKFLOW,
    REGISTER,
    STATUS,
    WATCH_QUEUE,
    Registration,
    canary_id,
    rollout_id,
    watch_id,
)
from workflows.options import ActivityOptions
from workflows.serving import at, worded

QUIET = timedelta(milliseconds=300)
"""Registrations come in bursts: the watch changes once none has come for so long ..."""
LONGEST_WAIT = timedelta(seconds=2)
"""... or the first of them has waited so long."""
STAND_BY = timedelta(seconds=30)
"""Before what was refused for good is tried again."""
LARGEST = 1_800_000
"""Bytes of what canaries are rung for, which travels as one payload: Temporal takes 2 MiB."""
WATCH_LIFE = timedelta(days=1)
RETRY = RetryPolicy(
    initial_interval=timedelta(milliseconds=200),
    backoff_coefficient=1.6,
    maximum_interval=timedelta(seconds=5),
)
"""Without end: a cluster that is away comes back."""
WATCH = ActivityOptions(
    task_queue=WATCH_QUEUE,
    start_to_close_timeout=WATCH_LIFE,
    heartbeat_timeout=HEARTBEAT_TIMEOUT,
    retry_policy=RETRY,
    cancellation_type=ActivityCancellationType.TRY_CANCEL,
)


class WatchState(Stored):
    """What a watch carries into its next run."""

    schema_version: int = 1
    registrations: tuple[Registration, ...] = ()
    """Those that are given one by one, as they all were once."""
    packed: Interests = Interests()
    is_full: bool = False
    """There is no room for more."""
    task_queue: str = ""
    """Whose workers reach the cluster, by the newest registration; empty: the shared ones."""


@workflow.defn(name=CLUSTER_WATCH_WORKFLOW)
class ClusterWatchWorkflow:
    """The watch of one cluster, for as long as canaries are registered and beyond."""

    @workflow.init
    def __init__(self, state: WatchState | None = None) -> None:
        self._cluster = workflow.info().workflow_id.removeprefix(watch_id(""))
        known = state or WatchState()
        carried = (
            Registration(**one.model_dump(), task_queue=known.task_queue) for one in known.packed.unpacked()
        )
        self._registrations = {one.canary: one for one in (*known.registrations, *carried)}
        self._task_queue = known.task_queue
        self._changes = 0
        self._is_full = known.is_full

    @workflow.run
    async def run(self, state: WatchState | None = None) -> None:  # noqa: ARG002 — read by __init__
        """Watch for whoever is registered, until the history is long enough to begin a new one."""
        while not workflow.info().is_continue_as_new_suggested():
            await workflow.wait_condition(lambda: bool(self._registrations))
            await self._settle()
            if self._registrations:
                await self._watch()
        await workflow.wait_condition(workflow.all_handlers_finished)
        packed = self._fitting()
        workflow.continue_as_new(
            WatchState(packed=packed, is_full=self._is_full, task_queue=self._task_queue)
        )

    @workflow.signal(name=REGISTER)
    def register(self, registration: Registration | None = None) -> None:
        """Ring a canary for its objects from now on, or no longer."""
        if registration is None:
            return
        known = self._registrations.get(registration.canary)
        if registration.remove:
            self._registrations.pop(registration.canary, None)
            self._changes += known is not None
            self._is_full = self._is_full and known is None
        elif known is None and self._is_full:
            self._turn_away(registration.canary)
        elif registration != known:
            self._registrations[registration.canary] = registration
            self._task_queue = registration.task_queue
            self._changes += 1

    @workflow.query(name=STATUS)
    def status(self) -> WatchState:
        """Who is registered, for what."""
        return WatchState(registrations=tuple(self._registrations.values()), task_queue=self._task_queue)

    async def _settle(self) -> None:
        """Wait out a burst of registrations: each change of the watch opens its streams anew."""
        latest = workflow.now() + LONGEST_WAIT
        seen = -1
        while seen != self._changes and workflow.now() < latest:
            seen = self._changes
            await workflow.sleep(QUIET)

    async def _watch(self) -> None:
        """Watch until the registrations change, or so much has been heard that a new history is due.

        Canaries register again and again, in case it was terminated: that alone makes a history long.
        """
        changes = self._changes
        watching = workflow.start_activity_method(
            WatchActivities.watch_cluster,
            self._request(),
            summary=f"{len(self._registrations)} canaries",
            **at(self._task_queue, WATCH),
        )
        await workflow.wait_condition(
            lambda: (
                watching.done() or self._changes != changes or workflow.info().is_continue_as_new_suggested()
            )
        )
        watching.cancel()
        try:
            await watching
        except ActivityError as error:
            if not is_cancelled_exception(error):
                await self._stand_by(changes, error)

    async def _stand_by(self, changes: int, error: ActivityError) -> None:
        """What cannot be watched is tried again: canaries look by themselves meanwhile, only later."""
        facts = {"cluster": self._cluster, "cause": worded(error, self._task_queue)}
        workflow.logger.error("the cluster cannot be watched", extra=facts)
        with suppress(TimeoutError):
            await workflow.wait_condition(
                lambda: self._changes != changes, timeout=STAND_BY, timeout_summary="it cannot be watched"
            )

    def _request(self) -> WatchRequest:
        return WatchRequest(
            cluster=self._cluster,
            packed=self._fitting(),
            bells=(canary_id(""), rollout_id("")),
            signal=BELL,
        )

    def _fitting(self) -> Interests:
        """What canaries are rung for; of more than Temporal takes, those that came last are left out."""
        while (size := len((found := self._packed()).model_dump_json())) > LARGEST:
            self._is_full = True
            left = int(len(self._registrations) * LARGEST / size)
            for canary in tuple(self._registrations)[left:]:
                del self._registrations[canary]
                self._turn_away(canary)
        return found

    def _packed(self) -> Interests:
        return pack(
            Interest(canary=one.canary, namespace=one.namespace, objects=one.objects)
            for one in self._registrations.values()
        )

    def _turn_away(self, canary: str) -> None:
        """Tell that nobody rings a canary: it looks by itself, only later, and registers again each time."""
        facts = {"cluster": self._cluster, "canary": canary, "watched": len(self._registrations)}
        workflow.logger.error("no room to watch for a canary", extra=facts)
