"""`ApplicationWorkflow`: follows a source, and keeps every member cluster at its revision."""

import asyncio
import contextlib
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

from activities.heartbeat import HEARTBEAT_TIMEOUT
from activities.source.delivery import FetchedRevision, FetchRevision, SourceActivities
from canary.application import ApplicationSpec
from canary.delivery import (
    Delivery,
    Leftover,
    concluded,
    next_due,
    next_to_serve,
    offered_again,
    revised,
    siblings_of,
    still_left,
)
from workflows import contract, standing
from workflows.contract import (
    Answer,
    ApplicationStatus,
    ApplyApplication,
    ApplyResult,
    DeleteCommand,
)
from workflows.delivering import deliver
from workflows.errand import Errand
from workflows.judging import judge
from workflows.standing import ApplicationState

PATIENCE = timedelta(seconds=10)
"""Beside the source's own timeout."""
FIRST_SPEC = timedelta(minutes=10)
"""Longer than any preflight: a workflow without a spec is of no use to anyone."""
SHORTEST_WAIT = timedelta(seconds=1)
LOOK_AGAIN_AFTER_BUG = timedelta(seconds=30)
LOOK_AGAIN = RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(seconds=30))
"""After a worker that died; a look without news says itself when the next one is."""


@workflow.defn(name=contract.APPLICATION_WORKFLOW)
class ApplicationWorkflow:
    """One Application, for as long as it is wanted."""

    @workflow.init
    def __init__(self, state: ApplicationState | None = None) -> None:
        self._state = state
        self._is_refused = False
        self._is_leaving = False
        self._is_rung = False
        self._look: asyncio.Task[None] | None = None
        self._under_way: dict[str, asyncio.Task[None]] = {}
        """By cluster: each is served by one delivery at a time, in the order of the document."""
        self._judging = asyncio.Lock()

    @workflow.run
    async def run(self, _state: ApplicationState | None = None) -> None:
        """Serve the Application until it is deleted, or end at once if its first document is refused."""
        await self._begin()
        while self._state is not None and not self._is_over(self._state):
            self._collect()
            self._follow_source(self._state)
            self._begin_deliveries(self._state)
            self._state = standing.show(self._state, workflow.now(), is_leaving=self._is_leaving)
            if self._can_continue_as_new():
                workflow.continue_as_new(self._state)
            await self._wait(self._state)
        self._stop_looking()
        await workflow.wait_condition(workflow.all_handlers_finished)

    @workflow.update(name=contract.APPLY, description="Take up a spec")
    async def apply(self, request: ApplyApplication) -> ApplyResult:
        """Judge a spec and take it up; one that is refused leaves everything as it was."""
        async with self._judging:
            self._is_refused = True
            spec, problems = await judge(request.spec, is_new=self._state is None)
            if any(not problem.is_warning for problem in problems):
                return ApplyResult(accepted=False, problems=problems)
            self._refuse_apply(request)  # it may have been deleted meanwhile
            self._is_refused = False
            is_new = self._state is None
            is_changed = self._state is None or self._state.spec != spec
            if is_changed:
                self._take_up(spec)
            else:  # somebody wants it as it is: what was terminated meanwhile is begun again
                self._change(deliveries=offered_again(self._known.deliveries))
            return ApplyResult(accepted=True, created=is_new, changed=is_changed, problems=problems)

    @apply.validator
    def _refuse_apply(self, request: ApplyApplication) -> None:
        wanted = contract.application_id(request.spec.namespace, request.spec.name)
        if wanted != workflow.info().workflow_id:
            raise ApplicationError(f"{workflow.info().workflow_id} cannot be given the spec of {wanted}.")
        if self._is_leaving:
            raise ApplicationError(f"{wanted} is being deleted; apply it again once it is gone.")

    @workflow.update(name=contract.DELETE, description="Bring everything back and end")
    async def delete(self, _command: DeleteCommand) -> Answer:
        """Let every canary take its way out, remove what the policies brought if they say so, and end."""
        async with self._judging:
            self._is_leaving = True
            self._change(deliveries=revised(self._known.deliveries, None, workflow.now()))
        await workflow.wait_condition(lambda: self._is_over(self._known))
        return standing.farewell_of(self._known, workflow.info().workflow_id)

    @delete.validator
    def _refuse_delete(self, _command: DeleteCommand) -> None:
        if self._state is None:
            raise ApplicationError(f"{workflow.info().workflow_id} has no spec yet.")

    @workflow.signal(name=contract.BELL, description="Look at the source now")
    def bell(self, _command: Any = None) -> None:
        """Look at the source at once, as after a push."""
        self._stop_looking()
        self._is_rung = True

    @workflow.query(name=contract.STATUS)
    def status(self) -> ApplicationStatus:
        """Tell how the Application stands."""
        return standing.status_of(self._known)

    @property
    def _known(self) -> ApplicationState:
        if self._state is None:
            raise ApplicationError(f"{workflow.info().workflow_id} has no spec yet.")
        return self._state

    async def _begin(self) -> None:
        """Wait for the first spec; one that is refused, or never comes, ends the workflow."""
        with contextlib.suppress(TimeoutError):
            await workflow.wait_condition(self._is_begun, timeout=FIRST_SPEC, timeout_summary="first spec")
        # One that is being judged may yet be accepted.
        await workflow.wait_condition(lambda: self._state is not None or workflow.all_handlers_finished())

    def _is_begun(self) -> bool:
        is_closed = self._is_refused and workflow.all_handlers_finished()
        return self._state is not None or is_closed

    def _is_over(self, state: ApplicationState) -> bool:
        return self._is_leaving and not state.deliveries

    def _change(self, **fields: Any) -> None:
        self._state = self._known.model_copy(update=fields)
        self._is_rung = True

    def _take_up(self, spec: ApplicationSpec) -> None:
        now = workflow.now()
        if self._state is None:
            self._state = ApplicationState(spec=spec, deliveries=revised((), spec, now))
            return
        before = self._state.spec.source
        if spec.source != before:
            self._stop_looking()
        # A revision of elsewhere is none of this document: nothing is brought until there is one of its own.
        revision = self._state.revision if spec.source.has_revisions_of(before) else ""
        self._change(spec=spec, revision=revision, deliveries=revised(self._state.deliveries, spec, now))

    # The source.

    def _follow_source(self, state: ApplicationState) -> None:
        if self._is_leaving:
            self._stop_looking()
        elif self._look is None:
            self._look = asyncio.create_task(self._look_at(state))

    def _stop_looking(self) -> None:
        if self._look is not None:
            self._look.cancel()
            self._look = None

    async def _look_at(self, state: ApplicationState) -> None:
        """Wait for news of the source: looking again is the server's work and leaves no history."""
        try:
            found = await self._news(state)
            if self._look is not asyncio.current_task():  # told to stop in the same moment
                return
        except ActivityError as error:
            if is_cancelled_exception(error) or self._look is not asyncio.current_task():
                return
            workflow.logger.error("source cannot be followed", extra={"error": str(error.cause)})
            self._change(source_message="The source cannot be followed: see the worker's log.")
            await workflow.sleep(LOOK_AGAIN_AFTER_BUG, summary="before the next look")
        else:
            now = workflow.now()
            self._change(revision=found.revision, source_message=found.message, last_fetched=now)
        self._look = None
        self._is_rung = True

    @staticmethod
    async def _news(state: ApplicationState) -> FetchedRevision:
        return await workflow.execute_activity_method(
            SourceActivities.fetch_revision,
            FetchRevision(
                source=state.spec.source,
                namespace=state.spec.namespace,
                known_revision=state.revision,
                known_message=state.source_message,
            ),
            task_queue=contract.CHECKS_QUEUE,
            start_to_close_timeout=state.spec.source.timeout + PATIENCE,
            heartbeat_timeout=HEARTBEAT_TIMEOUT,
            retry_policy=LOOK_AGAIN,
            summary=f"follow {state.spec.source.branch or state.spec.source.tag or 'the source'}",
        )

    # The deliveries.

    def _begin_deliveries(self, state: ApplicationState) -> None:
        if self._is_draining():
            return
        for cluster, deliveries in self._waiting(state).items():
            chosen = next_to_serve(deliveries, state.revision, workflow.now())
            if chosen is not None:
                self._under_way[cluster] = asyncio.create_task(self._deliver(state, chosen))

    def _waiting(self, state: ApplicationState) -> dict[str, list[Delivery]]:
        """The deliveries of each cluster that nothing is done in."""
        idle: dict[str, list[Delivery]] = {}
        for delivery in state.deliveries:
            if delivery.cluster.name not in self._under_way:
                idle.setdefault(delivery.cluster.name, []).append(delivery)
        return idle

    async def _deliver(self, state: ApplicationState, begun: Delivery) -> None:
        siblings = siblings_of(begun, state.deliveries)
        outcome = await deliver(Errand(state.spec, state.revision, siblings, is_last=self._is_leaving), begun)
        deliveries = concluded(self._known.deliveries, begun, outcome.delivery)
        policy, cluster = begun.identity
        more = Leftover(policy=policy, cluster=cluster, message=outcome.left) if outcome.left else None
        self._change(deliveries=deliveries, left=still_left(self._known.left, deliveries, more))

    def _collect(self) -> None:
        """Forget the deliveries that have ended; one that broke breaks the workflow, so that it is seen."""
        self._is_rung = False
        ended = [cluster for cluster, task in self._under_way.items() if task.done()]
        for cluster in ended:
            self._under_way.pop(cluster).result()

    def _is_draining(self) -> bool:
        return workflow.info().is_continue_as_new_suggested() and not self._is_leaving

    def _can_continue_as_new(self) -> bool:
        return self._is_draining() and not self._under_way and workflow.all_handlers_finished()

    def _has_news(self) -> bool:
        is_ended = any(task.done() for task in self._under_way.values())
        return self._is_rung or is_ended or self._can_continue_as_new()

    async def _wait(self, state: ApplicationState) -> None:
        waiting = {} if self._is_draining() else self._waiting(state)
        times = [next_due(deliveries, state.revision) for deliveries in waiting.values()]
        due = min((time for time in times if time), default=None)
        timeout = max(due - workflow.now(), SHORTEST_WAIT) if due else None
        with contextlib.suppress(TimeoutError):
            await workflow.wait_condition(self._has_news, timeout=timeout, timeout_summary="next delivery")
