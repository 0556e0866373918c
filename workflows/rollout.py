"""`RolloutWorkflow`: one revision, from its first step to its promotion or its rollback."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any, assert_never

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

from activities.analysis import AnalysisActivities
from activities.cluster.observation import ObservationActivities
from activities.cluster.primary import ConcludeRequest, PrimaryActivities, PromoteRequest
from activities.cluster.scaling import ScaleRequest, ScalingActivities
from activities.cluster.traffic import ShiftRequest, TrafficActivities, Written
from activities.reports import ReportActivities, StoredReport
from canary.analysis import AnalyseRequest, Check, CheckRecord, judge_check
from canary.decision import (
    Advance,
    Correct,
    Decision,
    Finalise,
    Finish,
    HandOver,
    Hold,
    Measure,
    Promote,
    Reinforce,
    Restart,
    RestorePrimary,
    Retreat,
    Rollback,
    ShiftBack,
    Wait,
)
from canary.hooks import longest_calls
from canary.ladder import decide, next_check, next_look
from canary.observation import Observation, Routes
from canary.routing import Routing
from canary.situation import Situation
from canary.spec import CanarySpec, Weight
from canary.status import Outcome, Person, Phase, RolloutStatus
from canary.steps import FULL
from canary.transition import after, begin, noticed
from workflows import display
from workflows.contract import (
    BELL,
    ROLLOUT_WORKFLOW,
    STATUS,
    UPDATE_SPEC,
    Answer,
    Command,
    RolloutStart,
    RolloutView,
    Verb,
)
from workflows.options import CHECK, CHECK_MARGIN, READ, REPORT, TRAFFIC, WRITE, ActivityOptions
from workflows.wishes import as_command, as_person

PAUSE = timedelta(seconds=2)
"""Between two tries of what was refused for good or written by a later decision."""
KEPT_CHECKS = 500
"""So many of the newest checks stay in the status and the report; the history holds them all."""


@workflow.defn(name=ROLLOUT_WORKFLOW)
class RolloutWorkflow:
    """One rollout: observe, decide, carry out, wait; nothing else moves its traffic."""

    @workflow.init
    def __init__(self, start: RolloutStart) -> None:
        self._start = start
        self._spec: CanarySpec = start.spec
        self._checks = list(start.checks)
        self._wishes = start.wishes
        self._has_news = False
        self._routes: Routes | None = None
        self._check: asyncio.Task[Check] | None = None
        self._status = start.status or begin(
            start.spec, start.revision, start.promoted, start.primary_size, workflow.now()
        )
        self._shown: RolloutStatus | None = None

    @workflow.run
    async def run(self, start: RolloutStart) -> RolloutStatus:
        """Roll one revision out; returns the status of a promotion, fails with the outcome of all else."""
        self._show()
        if start.status is None:
            await self._persistently(self._scale_up)
        while not self._status.phase.is_final:
            await self._persistently(self._step)
            await self._continue_as_new_when_long()
        await self._persistently(self._wind_down)
        await self._report()
        await workflow.wait_condition(workflow.all_handlers_finished)
        return self._result()

    # -- the loop

    async def _step(self) -> None:
        """Look, decide, and carry it out."""
        case = await self._look()
        self._status = noticed(case)
        case = self._situation(case.seen, case.check)
        decision = decide(case)
        if not isinstance(decision, Wait | Measure):
            self._drop_check()
        if await self._unless_aborted(decision):
            self._become(after(case, decision, workflow.now()))
            await self._rest_after(decision)

    async def _look(self) -> Situation:
        """Carry out the check that is due; without one, or when something rings meanwhile, just look."""
        due = next_check(self._spec, self._status, workflow.now())
        if due is not None and self._check is None and self._wishes.abort is None:
            self._check = asyncio.create_task(self._analyse(due))
        if self._check is not None:
            task = self._check
            await workflow.wait_condition(lambda: task.done() or self._has_news)
            if task.done():
                self._check = None
                check = await task
                self._record(check)
                return self._situation(check.observation, check)
        self._has_news = False
        return self._situation(await self._observe())

    async def _unless_aborted(self, decision: Decision) -> bool:
        """Carry a decision out; an abort does not wait for a write of weights that hangs.

        Such a write is fenced: should it arrive after the abort's own, it changes nothing.
        """
        if not isinstance(decision, Advance | ShiftBack | Correct):
            return await self._carry_out(decision)
        known = self._wishes.abort
        write = asyncio.create_task(self._carry_out(decision))
        try:
            await workflow.wait_condition(lambda: write.done() or self._wishes.abort is not known)
        finally:
            is_done = not write.cancel()
        if is_done:
            return await write
        with suppress(ActivityError, asyncio.CancelledError):
            await write
        return False

    async def _carry_out(  # noqa: C901, PLR0911, PLR0912 — one arm a decision, so that mypy names a missing one
        self, decision: Decision
    ) -> bool:
        """Do what was decided; whether it was done, and not superseded by a later decision."""
        match decision:
            case Wait() | Measure() | Hold() | Finish():
                return True
            case Advance() | ShiftBack() | Correct():
                return await self._shift(decision.weight)
            case Restart():
                self._wishes = self._wishes.model_copy(update={"restart": None})
                return await self._shift(0)
            case Retreat() | Finalise():
                return await self._shift(0)
            case Rollback():
                return await self._shift(0)
            case HandOver():
                return await self._shift(FULL)
            case Promote():
                return await self._promote()
            case RestorePrimary():
                return await self._restore()
            case Reinforce():
                return await self._scale(decision.replicas)
            case _:
                assert_never(decision)

    async def _rest_after(self, decision: Decision) -> None:
        """Wait as long as was decided; after an act of ours, until there is a reason to look again."""
        if isinstance(decision, Wait):
            await self._rest(decision)
        elif not self._status.phase.is_final:
            until = next_look(self._spec, self._status, workflow.now())
            if until > workflow.now():
                await self._rest(Wait(until=until))

    async def _rest(self, decision: Wait) -> None:
        """Wait until something rings, a person speaks, or the moment has come."""
        if decision.needs_person:
            workflow.logger.warning("a person is needed", extra={"rollout": self._spec.tail})
        pause = max(decision.until - workflow.now(), timedelta(milliseconds=1))
        summary = decision.message or f"until the next check of {self._spec.target.name}"
        try:
            await workflow.wait_condition(
                lambda: self._has_news, timeout=pause, timeout_summary=summary[:200]
            )
        except TimeoutError:
            return

    async def _persistently(self, act: Callable[[], Awaitable[object]]) -> None:
        """Do it until it is done: a refusal is told and tried again, a cancellation is an abort."""
        while True:
            try:
                await act()
            except asyncio.CancelledError:
                self._wish(Verb.ABORT, Command(who="cancellation"))
            except ActivityError as error:
                if is_cancelled_exception(error):
                    self._wish(Verb.ABORT, Command(who="cancellation"))
                    continue
                self._become(self._status.model_copy(update={"message": str(error.cause or error)}))
                await self._rest(Wait(until=workflow.now() + PAUSE, message="refused", needs_person=True))
            else:
                return

    # -- what is done in the cluster

    async def _scale_up(self) -> None:
        await self._scale(None)

    async def _observe(self) -> Observation:
        return await workflow.execute_activity_method(
            ObservationActivities.observe, self._spec, summary="look", **READ
        )

    async def _analyse(self, due: Measure) -> Check:
        request = AnalyseRequest(
            spec=self._spec,
            phase=self._status.phase,
            revision=self._status.revision,
            hooks=due.hooks,
            actuated_at=self._status.actuated_at,
            weight=self._status.traffic_weight,
        )
        summary = f"check {self._status.checks + 1} at weight {request.weight}"
        hooks = tuple(hook for hook in self._spec.analysis.webhooks if hook.type in due.hooks)
        options: ActivityOptions = {**CHECK, "start_to_close_timeout": CHECK_MARGIN + longest_calls(hooks)}
        return await workflow.execute_activity_method(
            AnalysisActivities.analyse, request, summary=summary, **options
        )

    async def _shift(self, weight: Weight) -> bool:
        routing = Routing(weight=weight)
        request = ShiftRequest(spec=self._spec, routing=routing, decided_at=workflow.now(), seen=self._routes)
        written = await workflow.execute_activity_method(
            TrafficActivities.shift_traffic, request, summary=f"canary weight {weight}", **TRAFFIC
        )
        return await self._is_done(written)

    async def _scale(self, replicas: int | None) -> bool:
        request = ScaleRequest(spec=self._spec, replicas=replicas, decided_at=workflow.now())
        size = "as many pods as the primary" if replicas is None else f"{replicas} pods"
        written = await workflow.execute_activity_method(
            ScalingActivities.scale_target, request, summary=f"canary: {size}", **TRAFFIC
        )
        return await self._is_done(written)

    async def _promote(self) -> bool:
        written = await workflow.execute_activity_method(
            PrimaryActivities.promote,
            self._promotion(),
            summary=f"copy {self._status.revision.template} into the primary",
            **TRAFFIC,
        )
        return await self._is_done(written)

    async def _restore(self) -> bool:
        written = await workflow.execute_activity_method(
            PrimaryActivities.restore_primary,
            self._promotion(),
            summary="put the promoted template back into the primary",
            **TRAFFIC,
        )
        return await self._is_done(written)

    def _promotion(self) -> PromoteRequest:
        return PromoteRequest(spec=self._spec, revision=self._status.revision, decided_at=workflow.now())

    async def _is_done(self, written: Written) -> bool:
        """Whether a fenced write took effect; if not, look again a little later."""
        if written is Written.DONE:
            return True
        workflow.logger.warning("superseded by a later decision", extra={"rollout": self._spec.tail})
        await self._rest(Wait(until=workflow.now() + PAUSE, message="superseded by a later decision"))
        return False

    # -- the end

    async def _wind_down(self) -> None:
        """Scale the canary down once the mesh has had time to forget it, and let the primary remember."""
        if self._status.outcome is not Outcome.HALTED:
            await self._wait_for_the_mesh()
            await self._scale(0)
        outcome = self._status.outcome
        if outcome is None:
            raise AssertionError("a rollout ends with an outcome")
        request = ConcludeRequest(spec=self._spec, revision=self._status.revision, outcome=outcome)
        await workflow.execute_activity_method(
            PrimaryActivities.conclude, request, summary=f"remember: {outcome}", **WRITE
        )

    async def _wait_for_the_mesh(self) -> None:
        changed = self._status.traffic_changed_at
        if changed is None:
            return
        rest = changed + self._start.scale_down_delay - workflow.now()
        if rest > timedelta(0):
            await workflow.sleep(rest, summary="the mesh forgets the canary")

    async def _report(self) -> None:
        name = f"{self._spec.tail}/{self._status.started_at:%Y%m%dT%H%M%SZ}-{workflow.info().run_id[:8]}"
        report = StoredReport(name=name, content=self.view().model_dump_json(indent=1))
        try:
            await workflow.execute_activity_method(ReportActivities.store_report, report, **REPORT)
        except ActivityError as error:
            workflow.logger.error(
                "the report could not be stored", extra={"report": name, "cause": str(error.cause)}
            )

    def _result(self) -> RolloutStatus:
        status = self._status
        if status.outcome is Outcome.PROMOTED:
            return status
        raise ApplicationError(
            status.message, status.model_dump(mode="json"), type=status.outcome, non_retryable=True
        )

    async def _continue_as_new_when_long(self) -> None:
        if not workflow.info().is_continue_as_new_suggested() or self._check is not None:
            return
        await workflow.wait_condition(workflow.all_handlers_finished)
        carried = {"spec": self._spec, "status": self._status, "wishes": self._wishes}
        checks = tuple(self._checks[-KEPT_CHECKS:])
        workflow.continue_as_new(self._start.model_copy(update={**carried, "checks": checks}))

    # -- state

    def _situation(self, seen: Observation, check: Check | None = None) -> Situation:
        self._routes = seen.routes
        return Situation(self._spec, self._status, seen, workflow.now(), check, self._wishes)

    def _record(self, check: Check) -> None:
        self._status = self._status.model_copy(update={"checks": self._status.checks + 1})
        record = CheckRecord(
            at=workflow.now(),
            weight=self._status.traffic_weight,
            revision=self._status.revision,
            verdict=judge_check(self._spec, check),
            hooks=check.hooks,
            measurements=check.measurements,
        )
        self._checks = [*self._checks, record][-KEPT_CHECKS:]

    def _become(self, status: RolloutStatus) -> None:
        self._status = status
        self._show()

    def _show(self) -> None:
        """Tell lists and the UI, if there is anything new to tell."""
        display.show_rollout(self._spec, self._status, self._shown, self._checks)
        self._shown = self._status

    def _drop_check(self) -> None:
        if self._check is not None:
            self._check.cancel()
            self._check = None

    # -- what others say

    @workflow.query(name=STATUS)
    def view(self) -> RolloutView:
        """The spec, the status and every check so far."""
        return RolloutView(spec=self._spec, status=self._status, checks=tuple(self._checks))

    @workflow.signal(name=BELL)
    def bell(self, _: Any = None) -> None:
        """Something changed in the cluster: look."""
        self._has_news = True

    @workflow.signal(name=UPDATE_SPEC)
    def update_spec(self, spec: CanarySpec) -> None:
        """Judge by *spec* from now on."""
        self._spec = spec
        self._has_news = True

    @workflow.signal(name=Verb.ABORT)
    def abort_by_signal(self, command: Any = None) -> None:
        """Put all traffic back and end; whatever the argument is, it aborts."""
        self._wish(Verb.ABORT, as_command(command))

    @workflow.signal(name=Verb.RESTART)
    def restart_by_signal(self, command: Any = None) -> None:
        """Begin the analysis again."""
        if not self._refusal(Verb.RESTART):
            self._wish(Verb.RESTART, as_command(command))

    @workflow.update(name=Verb.ABORT)
    def abort(self, command: Command) -> Answer:
        """Put all traffic back on the primary, scale the canary down, and end."""
        return self._wish(Verb.ABORT, command)

    @abort.validator
    def _check_abort(self, command: Command) -> None:
        del command
        self._refuse(Verb.ABORT)

    @workflow.update(name=Verb.RESTART)
    def restart(self, command: Command) -> Answer:
        """Put all traffic back on the primary and begin the analysis again."""
        return self._wish(Verb.RESTART, command)

    @restart.validator
    def _check_restart(self, command: Command) -> None:
        del command
        self._refuse(Verb.RESTART)

    def _refuse(self, verb: Verb) -> None:
        if text := self._refusal(verb):
            raise ApplicationError(text, type="Refused", non_retryable=True)

    def _refusal(self, verb: Verb) -> str:
        phase = self._status.phase
        if phase.is_final or phase is Phase.FINALISING:
            back = "the version before comes back by rolling it out again"
            return f"The rollout is {phase}: too late to {verb} it; {back}."
        if phase is Phase.PROMOTING and verb is Verb.RESTART:
            return "The rollout is Promoting: abort it first, or push a new revision."
        return ""

    def _wish(self, verb: Verb, command: Command) -> Answer:
        person: Person = as_person(command, workflow.now())
        self._wishes = self._wishes.model_copy(update={str(verb): person})
        self._has_news = True
        workflow.logger.info("commanded", extra={"verb": str(verb), "who": person.who})
        return Answer(message=f"{verb} recorded for {self._spec.tail}")
