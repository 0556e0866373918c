"""`CanaryWorkflow`: one target in one cluster, for as long as it is delivered."""

import asyncio
from contextlib import suppress
from datetime import timedelta
from typing import Any, assert_never

from pydantic import ValidationError
from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

from activities.cluster.preflight import Preflight, PreflightActivities
from activities.cluster.references import Referenced
from canary.idle import SUSPENDED, IdleDecision, Mend, Recreate, Rest, Resume, Roll, decide_idle, noticed_idle
from canary.observation import Observation
from canary.problem import Problem
from canary.spec import CanarySpec
from canary.status import CanaryStatus, Outcome, Wishes
from canary.telling import told_of_a_halt, told_of_a_refusal, told_of_repair, told_of_suspension
from workflows.contract import (
    ALERTS,
    APPLY,
    BELL,
    CANARY_WORKFLOW,
    DELETE,
    STATUS,
    Alerts,
    Answer,
    ApplyCanary,
    ApplyResult,
    CanaryState,
    CanaryView,
    Command,
    DeleteCommand,
    Verb,
)
from workflows.entity import RESYNC
from workflows.leaving import LeavingCanary
from workflows.options import READ
from workflows.rolling import RollingCanary
from workflows.serving import is_of_nothing, look_before_leaping
from workflows.wishes import as_command, as_person

REREAD = timedelta(seconds=30)
"""Before templates and providers that were not there are looked for again: no doorbell rings for them."""


@workflow.defn(name=CANARY_WORKFLOW)
class CanaryWorkflow(RollingCanary, LeavingCanary):
    """One canary: initialise it, wait for a change, roll it out, and in the end take it out again."""

    @workflow.init
    def __init__(self, state: CanaryState | None = None) -> None:
        super().__init__(state)
        self._applying = asyncio.Lock()
        """Documents are looked at one after the other, so that the one applied last stands."""

    @workflow.run
    async def run(self, state: CanaryState | None = None) -> CanaryStatus:
        """Deliver one target until it is deleted; returns its last status."""
        del state
        await workflow.wait_condition(self._is_begun)
        if self._spec is not None:
            while not self._is_leaving:
                await self._persistently(self._turn_until_leaving)
                self._continue_as_new_when_long()
            if not self._is_initialised:
                await self._persistently(self._end_what_was_left)
            await self._persistently(self._take_out)
        self._is_gone = True
        await workflow.wait_condition(lambda: workflow.all_handlers_finished() and not self._alerts)
        return self._status

    def _is_begun(self) -> bool:
        """Whether a document was accepted, or none will be: the only ones given have been refused."""
        is_closed = self._is_refused and workflow.all_handlers_finished()
        return self._spec is not None or self._is_leaving or is_closed

    # -- the loop

    async def _turn_until_leaving(self) -> None:
        """One turn; one that is to leave, or to stop initialising, does not wait for a member that is away.

        A rollout that runs is told instead, and awaited.
        """
        known = self._wishes.abort
        turn = asyncio.create_task(self._turn())

        def is_called_off() -> bool:
            is_stopped = self._wishes.abort not in (None, known) and self._is_stoppable
            return is_stopped or (self._is_leaving and not self._is_rolling)

        while not turn.done():
            try:
                await workflow.wait_condition(lambda: turn.done() or is_called_off())
            except asyncio.CancelledError:
                self._is_leaving = True
                continue
            if not turn.done():
                turn.cancel()
                with suppress(ActivityError, asyncio.CancelledError):
                    await turn
                return
        await turn

    async def _turn(self) -> None:
        """One look at the target, and what follows from it."""
        if self._is_leaving:
            return None
        is_rung = await self._lull()
        if not self._is_initialised:
            return await self._initialise()
        if self._is_cut_off:
            return await self._recover()
        if self._has_new_spec and self._status.outcome is not Outcome.HALTED:
            await self._renew()
        seen = await (self._observe_at_rest() if is_rung else self._observe())
        await self._register(seen, is_anew=not is_rung)  # a watch that was terminated rings nobody
        self._status = noticed_idle(self._status, seen)
        decision = decide_idle(self.spec, self._before_refusal(), seen, self._wishes)
        await self._carry_out(decision, seen)
        return None

    async def _carry_out(self, decision: IdleDecision, seen: Observation) -> None:
        match decision:
            case Rest():
                await self._come_to_rest(decision, seen)
            case Roll():
                if await self._has_references():
                    await self._roll_out(self._start_of(decision.revision, seen))
            case Resume():
                await self._resume(decision, seen)
            case Recreate():
                await self._create_primary()
                self._tell(told_of_repair(decision.message))
                await self._primary_gets_ready()
            case Mend():
                await self._establish("put the routes back")
                self._tell(told_of_repair(decision.message))
                self._become(mendings=self._status.mendings + 1)
            case _:
                assert_never(decision)

    async def _has_references(self) -> bool:
        """Read the templates and providers that stand in the cluster again; without them nothing begins."""
        if not self.spec.analysis.has_references:
            return True
        asked = self.spec
        found: Referenced = await workflow.execute_activity_method(
            PreflightActivities.read_references,
            asked,
            summary="templates and providers",
            **self._at(READ),
        )
        if self.spec is not asked:
            return False  # another document was applied meanwhile: the next turn goes by that
        wrong = [one.message for one in (*found.missing, *found.problems) if not one.is_warning]
        if not wrong:
            self._spec = found.spec
            return True
        message = f"No rollout begins: {'; '.join(wrong)}"
        if message != self._status.message:
            self._become(message=message, needs_person=True)
            self._tell(told_of_a_halt(message))
        await self._rest(REREAD, "until what it needs is there")
        return False

    async def _come_to_rest(self, decision: Rest, seen: Observation) -> None:
        decided, self._wishes = self._wishes, Wishes()  # what is wished from here on is new
        before = self._status
        self._answer_for(decided, decision, seen)
        if (decision.message, decision.needs_person) != (before.message, before.needs_person):
            self._become(message=decision.message, needs_person=decision.needs_person)
        if decision.needs_person and not before.needs_person:
            self._tell(told_of_a_halt(decision.message))
        if decision.message == SUSPENDED != before.message:
            self._tell(told_of_suspension())
        if seen.is_misled and before.outcome is not Outcome.HALTED:
            await self._lead_services()
        await self._rest(RESYNC, "until something changes")

    def _answer_for(self, wishes: Wishes, decision: Rest, seen: Observation) -> None:
        """Tell that a command was of no use, for it was taken."""
        promoted, why = self._status.last_promoted, decision.message
        runs = seen.target.revision if seen.target else None
        if promoted is not None and promoted == runs and why == self._status.ending:
            why = f"{promoted.template} is promoted already"
        for verb, person in ((Verb.ABORT, wishes.abort), (Verb.RESTART, wishes.restart)):
            if person is not None:
                self._tell(told_of_a_refusal(verb, person, why))

    async def _renew(self) -> None:
        """Bring Services, routes and load tester in line with a changed document."""
        renewed = self.spec
        await self._deploy_load_tester(renewed)
        try:
            await self._establish("renew the routes")
        except ActivityError as error:
            if not is_of_nothing(error):
                raise
            return  # target or primary is gone: that is seen to first
        self._has_new_spec = self.spec is not renewed

    # -- what others say

    @workflow.query(name=STATUS)
    def view(self) -> CanaryView | None:
        """The spec and the status; nothing before the first `apply` was accepted."""
        return None if self._spec is None else CanaryView(spec=self._spec, status=self._status)

    @workflow.signal(name=BELL)
    def bell(self, kind: Any = None) -> None:
        """Something changed in the cluster: look; a *kind* that no rollout looks at is named."""
        self._has_news = True
        self._may_be_misled = self._may_be_misled or kind == "Service"

    @workflow.signal(name=ALERTS)
    def alert(self, alerts: Alerts | None = None) -> None:
        """Alert of what happens in a rollout."""
        if alerts is None or self._spec is None:
            return
        for notice in alerts.notices:
            self._alert(alerts.phase, alerts.revision, notice)

    @workflow.update(name=APPLY)
    async def apply(self, argument: dict[str, Any]) -> ApplyResult:
        """Check a document against the cluster and deliver by it; a refused one changes nothing."""
        self._is_refused = True
        try:
            wanted = ApplyCanary.model_validate(argument)
        except ValidationError as error:
            raise ApplicationError(f"apply: {error}", type="Invalid", non_retryable=True) from error
        async with self._applying:
            return await self._judge(wanted, argument)

    async def _judge(self, wanted: ApplyCanary, argument: dict[str, Any]) -> ApplyResult:
        """Take a document up if nothing in the cluster speaks against it; one that leaves does not wait."""
        look = asyncio.create_task(look_before_leaping(wanted.spec))
        await workflow.wait_condition(lambda: look.done() or self._is_leaving)
        if not look.done():
            look.cancel()
            with suppress(ActivityError, asyncio.CancelledError):
                await look
        self._check_apply(argument)  # it may have been deleted meanwhile
        found = await look
        problems = (*self._unchangeable(wanted.spec), *found.problems, *found.missing)
        if any(not problem.is_warning for problem in problems):
            return ApplyResult(accepted=False, problems=problems)
        served = (found.spec or wanted.spec).model_copy(update={"task_queue": found.task_queue})
        is_new = self._spec is None
        is_changed = self._take_up(served, found)
        return ApplyResult(accepted=True, created=is_new, changed=is_changed, problems=problems)

    @apply.validator
    def _check_apply(self, argument: dict[str, Any]) -> None:
        del argument
        if self._is_leaving:
            text = f"{workflow.info().workflow_id} is being deleted; apply it again once it is gone."
            raise ApplicationError(text, type="Refused", non_retryable=True)

    def _take_up(self, spec: CanarySpec, found: Preflight) -> bool:
        """Deliver by a document from now on; whether it is another one than before."""
        is_changed = spec != self._spec
        self._delay = found.scale_down_delay
        is_new = is_changed or found.is_outdated
        self._has_new_spec = self._has_new_spec or (is_new and self._spec is not None)
        self._spec = spec if is_changed else self._spec
        self._seen_before, self._provider_errors = found.seen, found.provider_errors
        self._has_news = True
        return is_changed

    def _unchangeable(self, wanted: CanarySpec) -> tuple[Problem, ...]:
        """What a document may not say differently while its objects are in use, and whose document it is."""
        if self._spec is None:
            return ()
        if wanted.document != self._spec.document:
            what = f"{wanted.target.kind} {wanted.target.name}"
            text = f"{what} is delivered by {self._spec.document}: take it out of that first"
            return (Problem(path="spec.targetRef.name", message=text),)
        if wanted.service.name == self._spec.service.name:
            return ()
        text = (
            f"is {wanted.service.name} now and was {self._spec.service.name}: the routes of the old Service "
            f"carry traffic: {wanted.how_to_begin_anew}"
        )
        return (Problem(path="spec.service.name", message=text),)

    @workflow.update(name=DELETE)
    async def delete(self, command: DeleteCommand) -> Answer:
        """Bring the workload back as it was, and end; answered once that is done.

        Whoever means the canary of another document, which may have taken the target up since, is told so.
        """
        if self._spec is not None and command.document not in ("", self._spec.document):
            text = f"{workflow.info().workflow_id} left alone: it is delivered by {self._spec.document}"
            return Answer(message=text)
        self._spec = self._spec or command.spec
        self._is_leaving = True
        await workflow.wait_condition(lambda: self._is_gone or self._begins_anew)
        is_done = self._is_gone and not self._is_left_behind
        return Answer(message=self._status.message, is_done=is_done, goes_on=not self._is_gone)

    @delete.validator
    def _check_delete(self, command: DeleteCommand) -> None:
        """An Application that did not know would bring its next revision to a target without a canary."""
        if self._spec is None or self._spec.application is None or command.document:
            return
        namespace, _, name = self._spec.application.partition("/")
        text = (
            f"it is delivered by {self._spec.document}: take `rollout:` out of that, "
            f"or delete it (canary delete application {name} -n {namespace})"
        )
        raise ApplicationError(text, type="Refused", non_retryable=True)

    @workflow.signal(name=Verb.ABORT)
    async def abort_by_signal(self, command: Any = None) -> None:
        """Stop an initialisation or give a halted promotion up; a rollout that runs is told."""
        await self._wish(Verb.ABORT, as_command(command))

    @workflow.signal(name=Verb.RESTART)
    async def restart_by_signal(self, command: Any = None) -> None:
        """Try the target's revision again; a rollout that runs is told."""
        await self._wish(Verb.RESTART, as_command(command))

    @workflow.update(name=Verb.ABORT)
    async def abort(self, command: Command) -> Answer:
        """Stop an initialisation, or give a halted promotion up."""
        return await self._wish(Verb.ABORT, command)

    @abort.validator
    def _check_abort(self, command: Command) -> None:
        del command
        is_running = self._is_rolling or self._is_cut_off or not self._is_initialised
        if not is_running and self._status.outcome is not Outcome.HALTED:
            raise ApplicationError("Nothing is running that could be aborted.", type="Refused")

    @workflow.update(name=Verb.RESTART)
    async def restart(self, command: Command) -> Answer:
        """Try the target's revision again."""
        return await self._wish(Verb.RESTART, command)

    async def _wish(self, verb: Verb, command: Command) -> Answer:
        """Pass a command on to the rollout that runs, else record it; the last one alone stands."""
        if self._spec is None:
            return Answer(message=f"{workflow.info().workflow_id} has no document yet: {verb} does nothing")
        if await self._reaches_rollout(verb, command.model_dump(mode="json")):
            return Answer(message=f"{verb} passed on to the rollout of {self.spec.tail}")
        self._wishes = Wishes.model_validate({str(verb): as_person(command, workflow.now())})
        self._has_news = True
        return Answer(message=f"{verb} recorded for {self.spec.tail}")
