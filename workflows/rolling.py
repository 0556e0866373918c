"""A canary's rollouts: one child workflow each, awaited, accompanied, and recovered when it was cut off."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any

from temporalio import workflow
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    ChildWorkflowError,
    WorkflowAlreadyStartedError,
    is_cancelled_exception,
)
from temporalio.workflow import ParentClosePolicy

from activities.runs import RunActivities, Terminated
from canary.idle import Resume
from canary.observation import Observation
from canary.spec import CanarySpec
from canary.status import Outcome, Person, Phase, Revision, RolloutStatus, Wishes
from canary.telling import told_of_a_halt, told_of_late_promotion
from canary.transition import begin, first_phase, resumed
from workflows import display
from workflows.contract import (
    ENGINE,
    LEAVE,
    QUEUE,
    ROLLOUT_WORKFLOW,
    UPDATE_SPEC,
    Command,
    RolloutStart,
    Verb,
    rollout_id,
)
from workflows.initialising import InitialisingCanary
from workflows.options import ENTITY, TASK
from workflows.serving import worded

LEAVING = timedelta(minutes=5)
"""A rollout that cannot come to its end does not hold up a way out for longer."""
_TAKEN_OUT = Command(who=ENGINE, reason="the canary is deleted")


class RollingCanary(InitialisingCanary):
    """The part of a canary that rolls revisions out."""

    def _start_of(self, revision: Revision, seen: Observation) -> RolloutStart:
        return RolloutStart(
            spec=self.spec,
            revision=revision,
            promoted=self._status.last_promoted or revision,
            primary_size=seen.primary.available if seen.primary else 1,
            primary_desired=seen.primary.desired if seen.primary else 0,
            is_exposed=bool(seen.routes and seen.routes.canary),
            scale_down_delay=self._delay,
            phase_before=self._status.phase,
            expired_cookie=self._status.expired_cookie,
        )

    async def _resume(self, decision: Resume, seen: Observation) -> None:
        """Go on where a promotion was halted; if the canary has lost its traffic, go back and begin again."""
        again = self._wishes.restart if decision.abort is None else None
        if again is None or (seen.routes is not None and seen.routes.canary):
            start = self._resumption(decision, seen, Wishes(abort=decision.abort))
        else:
            back = decision.model_copy(update={"abort": again})
            start = self._resumption(back, seen, Wishes(abort=again, restart=again))
        await self._roll_out(start)

    def _resumption(self, decision: Resume, seen: Observation, wishes: Wishes) -> RolloutStart:
        """A rollout that goes on with the traffic where it is."""
        start = self._start_of(decision.revision, seen)
        weight = seen.routes.canary if seen.routes else 0
        begun = begin(self.spec, start.revision, start.promoted, seen.full_size, workflow.now())
        status = resumed(self.spec, begun, weight)
        is_for_all = seen.routes is not None and seen.routes.is_for_all
        status = status.model_copy(update={"is_for_all": is_for_all})
        if decision.abort is not None:
            status = status.model_copy(update={"phase": Phase.PROMOTING})
        return start.model_copy(update={"status": status, "wishes": wishes})

    @property
    def _is_cut_off(self) -> bool:
        """Whether a rollout should be running, and none is."""
        return self._status.phase in (Phase.WAITING, Phase.PROGRESSING, Phase.PROMOTING)

    async def _roll_out(self, start: RolloutStart) -> None:
        """Run one rollout to its end, whatever that is; one that is cut off is recovered by the next turn."""
        self._is_rolling = True
        try:
            ended = await self._ended(start)
        finally:
            self._rollout, self._is_rolling = None, False
        if ended is not None:
            self._learn(ended)

    async def _ended(self, start: RolloutStart) -> RolloutStatus | None:
        """Run a rollout and say how it ended by our own rules; None if it was cut off."""
        early = self._wishes.abort if start.wishes.abort is None else None
        self._wishes = Wishes(abort=early)  # it came in between: the rollout is told
        begun = start.status
        self._become(
            phase=begun.phase if begun else first_phase(self.spec),
            iterations=begun.iterations if begun else 0,
            failed_checks=begun.failed_checks if begun else 0,
            last_applied=start.revision,
            outcome=None,
            by=None,
            restarts=0,
            needs_person=False,
            ending="",
            are_pods_kept=False,
            mendings=0,
            message=f"Rolling out {start.revision.template}",
        )
        while self._rollout is None:
            try:
                self._rollout = await self._start_rollout(start)
            except WorkflowAlreadyStartedError:
                await self._end_orphan()
        try:
            return await self._accompany(self._rollout, start)
        except ChildWorkflowError as error:
            return _failed_status(error)

    async def _start_rollout(self, start: RolloutStart) -> workflow.ChildWorkflowHandle[Any, RolloutStatus]:
        return await workflow.start_child_workflow(
            ROLLOUT_WORKFLOW,
            start,
            id=rollout_id(self.spec.tail),
            task_queue=QUEUE,
            task_timeout=TASK,
            parent_close_policy=ParentClosePolicy.ABANDON,
            search_attributes=display.identity(self.spec),
            static_summary=f"{self.spec.tail} to {start.revision.template}",
            result_type=RolloutStatus,
        )

    async def _accompany(
        self, rollout: workflow.ChildWorkflowHandle[Any, RolloutStatus], start: RolloutStart
    ) -> RolloutStatus:
        """Await the rollout; meanwhile pass on a changed document, early commands and the wish to leave.

        The document stays a new one: once the rollout is over, its Services and routes are renewed.
        """
        known, early, self._wishes = start.spec, self._wishes, Wishes()
        for verb, person in ((Verb.ABORT, early.abort), (Verb.RESTART, early.restart)):
            if person is not None:
                await self._reaches_rollout(verb, Command(**person.model_dump()).model_dump(mode="json"))
        while not rollout.done() and not self._is_leaving:
            if self.spec is not known:
                known = self.spec
                await self._reaches_rollout(UPDATE_SPEC, known)
            await workflow.wait_condition(partial(self._has_to_be_told, known))
            if self._may_be_misled:
                await self._mend_services(is_anew=start.status is None)
        await self._reaches_rollout(LEAVE, _TAKEN_OUT.model_dump(mode="json"))
        if not rollout.done():
            await _in_time(rollout.done)
        if not rollout.done():
            await self._cut_off_rollout()
        return await rollout

    async def _end_what_was_left(self) -> None:
        """End a rollout of another life of this canary, for it is taken out before it has begun."""
        end = asyncio.create_task(self._end_orphan(LEAVE, _TAKEN_OUT))
        await _in_time(end.done)
        if not end.cancel():
            await end
            return
        with suppress(ActivityError, asyncio.CancelledError):
            await end
        await self._cut_off_rollout()

    async def _cut_off_rollout(self) -> None:
        """Terminate a rollout; what it has under way is fenced by the way out."""
        text = f"The rollout of {self.spec.tail} did not come to its end, and is cut off"
        workflow.logger.error("rollout cut off", extra={"canary": self.spec.tail})
        self._tell(told_of_a_halt(text))
        await workflow.execute_activity_method(
            RunActivities.terminate,
            Terminated(workflow=rollout_id(self.spec.tail), reason=text),
            summary="cut the rollout off",
            **ENTITY,
        )

    def _has_to_be_told(self, known: CanarySpec) -> bool:
        """Whether a rollout is over, has something to be told, or needs what it does not look at itself."""
        is_over = self._rollout is None or self._rollout.done()
        return is_over or self._is_leaving or self._may_be_misled or self.spec is not known

    async def _mend_services(self, *, is_anew: bool) -> None:
        """See to the Services while a rollout runs; what is refused is tried again once it has ended.

        Not in front of a promotion that was cut off: whoever helped the users then may have led them.
        """
        self._may_be_misled = False
        try:
            if is_anew:
                await self._lead_services()
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            text = f"Services may lead elsewhere: {worded(error, self.spec.task_queue)}"
            workflow.logger.error("services not mended", extra={"canary": self.spec.tail, "cause": text})
            self._tell(told_of_a_halt(text))

    async def _reaches_rollout(self, signal: str, argument: Any) -> bool:
        """Signal the rollout that runs; one that has just ended cannot be told any more."""
        if self._rollout is None or self._rollout.done():
            return False
        try:
            await self._rollout.signal(signal, argument)
        except ApplicationError as error:
            workflow.logger.info("rollout not told", extra={"signal": str(signal), "cause": str(error)})
            return False
        return True

    def _learn(self, ended: RolloutStatus) -> None:
        changes: dict[str, Any] = {
            "phase": ended.phase,
            "outcome": ended.outcome,
            "by": ended.by,
            "restarts": ended.restarts,
            "failed_checks": ended.failed_checks,
            "iterations": ended.iterations,
            "canary_weight": ended.canary_weight,
            "traffic_weight": ended.traffic_weight,
            "last_applied": ended.revision,
            "expired_cookie": ended.expired_cookie,
            "message": ended.message,
            "ending": ended.message,
            "needs_person": ended.needs_person,
            "are_pods_kept": ended.needs_person and ended.outcome is not Outcome.HALTED,
        }
        if ended.outcome is Outcome.PROMOTED:
            changes["last_promoted"] = ended.revision
        if ended.outcome is Outcome.REVERTED:
            changes["last_applied"] = self._status.last_promoted
        self._become(**changes)
        if self._wishes == Wishes():  # else a person has spoken since
            self._wishes = ended.unheeded

    async def _recover(self) -> None:
        """The rollout was terminated: before its promotion all traffic goes back, after that we hold.

        It may have got as far as the primary's configs, which are written before the primary can tell of it.
        """
        seen = await self._observe()
        if seen.primary is not None and seen.primary.promoting:
            self._adopt_halted(seen)
            return
        if (promoted := self._promoted_meanwhile(seen)) is not None:
            self._adopt_promoted(promoted)
            return
        weight = seen.routes.canary if seen.routes else 0
        revision = self._status.last_applied or Revision(template="")
        start = self._start_of(revision, seen)
        begun = begin(self.spec, revision, start.promoted, start.primary_size, workflow.now())
        person = Person(who=ENGINE, reason="the rollout was terminated", at=workflow.now())
        status = resumed(self.spec, begun, weight).model_copy(update={"is_recovered": True})
        wishes = Wishes(abort=person, restart=self._wishes.restart)
        await self._roll_out(start.model_copy(update={"status": status, "wishes": wishes}))

    def _promoted_meanwhile(self, seen: Observation) -> Revision | None:
        """What the rollout has promoted, if all that it left undone is to say so."""
        if seen.primary is None or seen.routes is None or seen.routes.canary:
            return None
        rolled = (self._status.last_applied, seen.target.revision if seen.target else None)
        found = seen.primary.revision
        return found if found in rolled and found != self._status.last_promoted else None

    def _adopt_promoted(self, revision: Revision) -> None:
        """The rollout had done everything but say so."""
        text = f"{revision.template} is promoted; its rollout was cut off at its very end"
        self._become(
            phase=Phase.SUCCEEDED,
            outcome=Outcome.PROMOTED,
            last_promoted=revision,
            last_applied=revision,
            message=text,
            ending=text,
        )
        self._tell(told_of_late_promotion(text))


async def _in_time(is_over: Callable[[], bool]) -> None:
    """Give a rollout that is asked to end the time for it."""
    with suppress(TimeoutError):
        await workflow.wait_condition(
            is_over, timeout=LEAVING, timeout_summary="the rollout comes to its end"
        )


def _failed_status(error: ChildWorkflowError) -> RolloutStatus | None:
    """The final status of a rollout that ended by our own rules; None if it was cut off."""
    cause = error.cause
    if not isinstance(cause, ApplicationError) or cause.type not in set(Outcome) or not cause.details:
        return None
    return RolloutStatus.model_validate(cause.details[0])
