"""A canary's end: the way out brings the workload back as it was, without a request that fails."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception

from activities.cluster.removal import RemovalActivities, RemovalRequest
from canary.status import Phase
from canary.telling import told_of_a_halt, told_of_leaving
from workflows.contract import Registration
from workflows.entity import CanaryEntity
from workflows.options import REMOVAL
from workflows.serving import not_ready
from workflows.watching import tell_watch

R = TypeVar("R")
PATIENCE = timedelta(minutes=1)
"""Before it is tried again without news; nothing is lost meanwhile, for the primary serves."""


class LeavingCanary(CanaryEntity):
    """The part of a canary that takes it out."""

    async def _take_out(self) -> None:
        """Target, routes, the time the mesh needs, and then what was made is deleted."""
        if self._is_resumed:
            self._become()
        else:
            text = "Bringing the workload back as it was"
            self._become(phase=Phase.TERMINATING, message=text, needs_person=False)
            self._tell(told_of_leaving(self.spec, is_over=False))
        self._leaving_at = self._leaving_at or workflow.now()
        request = RemovalRequest(spec=self.spec, decided_at=self._leaving_at)
        try:
            await self._give_back(request)
            await workflow.execute_activity_method(
                RemovalActivities.remove_objects, request, summary="delete what was made", **self._at(REMOVAL)
            )
            word = "is as it was" if self.spec.revert_on_deletion else "was left as it is"
            self._become(message=f"Taken out; the workload {word}", needs_person=False)
            self._tell(told_of_leaving(self.spec, is_over=True))
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise  # whoever cancels wants it taken out
            text = f"Left behind in {self.spec.cluster}: {error.cause or error}"
            self._is_left_behind = True
            self._become(message=text, needs_person=True)
            self._tell(told_of_a_halt(text))
        spec = self.spec
        gone = Registration(canary=spec.tail, namespace=spec.namespace, remove=True)
        await tell_watch(spec.cluster, gone)

    async def _give_back(self, request: RemovalRequest) -> None:
        """Target, Service and routes, until nothing of ours is left that the mesh has yet to forget."""
        await self._once_ready(RemovalActivities.restore_target, request, "target to the primary's size")
        await self._restore_routes(request)
        await workflow.sleep(self._delay, summary="the mesh forgets the primary")
        while await self._restore_routes(request):
            await workflow.sleep(self._delay, summary="the mesh forgets what came late")

    async def _restore_routes(self, request: RemovalRequest) -> bool:
        return await self._once_ready(
            RemovalActivities.restore_routes, request, "Service and routes as they were"
        )

    async def _once_ready(
        self, act: Callable[[Any, RemovalRequest], Awaitable[R]], request: RemovalRequest, summary: str
    ) -> R:
        """Users stay with the primary as long as the target is not ready; whoever can help is told."""
        while True:
            self._has_news = False
            try:
                return await workflow.execute_activity_method(
                    act, request, summary=summary, **self._at(REMOVAL)
                )
            except ActivityError as error:
                if (why := not_ready(error)) is None:
                    raise
                text = f"The way out waits: {why.message}"
                if text != self._status.message:
                    self._become(message=text, needs_person=True)
                    self._tell(told_of_a_halt(text))
                await self._await_target()

    async def _await_target(self) -> None:
        """Wait for news or a while, in a new history if this is long: bells go on ringing for weeks.

        No Update goes over into it. Whoever waits for the end of the way out is answered that it goes on, and
        asks there.
        """
        with suppress(TimeoutError):
            await workflow.wait_condition(
                lambda: self._has_news, timeout=PATIENCE, timeout_summary="until the target is ready"
            )
        if workflow.info().is_continue_as_new_suggested() and not self._alerts:
            self._begins_anew = True
            await workflow.wait_condition(workflow.all_handlers_finished)
            workflow.continue_as_new(self._carried())
