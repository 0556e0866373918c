"""`RolloutWorkflow`: one revision, from its first step to its promotion or its rollback."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any, assert_never

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

from activities.cluster.traffic import Written
from activities.reports import StoredReport
from canary.analysis import Check, CheckRecord, GateCheck, judge_check
from canary.checks import next_check
from canary.decision import (
    Advance,
    Approve,
    Ask,
    Begin,
    Correct,
    Decision,
    Finalise,
    Finish,
    HandOver,
    Hold,
    Measure,
    Promote,
    RecreatePrimary,
    Reinforce,
    Restart,
    RestorePrimary,
    Retreat,
    Rollback,
    ShiftBack,
    Wait,
)
from canary.ladder import decide
from canary.notice import Notice
from canary.observation import Observation
from canary.routing import routing_of
from canary.safeguards import next_look
from canary.situation import Situation
from canary.spec import CanarySpec, HookType, Weight
from canary.status import Outcome, Phase, RolloutStatus, Wishes
from canary.steps import FULL
from canary.telling import told_of, told_of_beginning, told_of_post_rollout, told_of_promotion
from canary.transition import after, begin, noticed
from workflows import display
from workflows.acts import Acts
from workflows.announcing import announce, note_decision
from workflows.commands import Commanded
from workflows.contract import ROLLOUT_WORKFLOW, STATUS, Command, RolloutStart, RolloutView, Verb

PAUSE = timedelta(seconds=2)
"""Between two tries of what was refused for good or written by a later decision."""
LULL = timedelta(milliseconds=250)
"""Bells come in bursts: one look follows another no sooner, unless a person speaks."""
ALERT_PATIENCE = timedelta(seconds=10)
"""An address that is away does not hold up the end of a rollout for longer."""
KEPT_CHECKS = 500
"""So many of the newest checks stay in the status and the report; the history holds them all."""


@workflow.defn(name=ROLLOUT_WORKFLOW)
class RolloutWorkflow(Commanded):
    """One rollout: observe, decide, carry out, wait; nothing else moves its traffic."""

    @workflow.init
    def __init__(self, start: RolloutStart) -> None:
        self._start = start
        self._spec: CanarySpec = start.spec
        self._acts = Acts(lambda: self._spec)
        self._checks = list(start.checks)
        self._wishes = start.wishes
        self._commands = list(start.commands)
        self._has_news = False
        self._job: asyncio.Task[Check | GateCheck] | None = None
        self._check: Check | None = None
        self._gates: GateCheck | None = None
        self._alerts: dict[asyncio.Task[None], Notice] = {}
        self._status = start.status or begin(
            start.spec, start.revision, start.promoted, start.primary_size, workflow.now()
        ).model_copy(update={"expired_cookie": start.expired_cookie})
        self._shown: RolloutStatus | None = None
        self._has_started = start.status is not None
        self._unrefused: dict[str, Any] | None = None
        """What the status said before something was refused."""
        self._heeded, self._heard = self._spec, self._wishes
        """The document by which a check was begun, and the wishes that the last look knew of."""
        self._looked_at = workflow.now()
        self._uid = ""

    @workflow.run
    async def run(self, start: RolloutStart) -> RolloutStatus:
        """Roll one revision out; returns the status of a promotion, fails with the outcome of all else."""
        self._show()
        if start.status is None and self._status.phase is Phase.PROGRESSING:
            await self._persistently(self._begin)
            await self._persistently(self._await_first_tick)
        self._has_started = True
        while not self._status.phase.is_final:
            await self._persistently(self._step)
            await self._continue_as_new_when_long()
        await self._persistently(self._wind_down)
        await self._persistently(self._leave)
        return self._result()

    # -- the loop

    async def _begin(self) -> None:
        """Scale the canary up; no gate stands before it."""
        if self._wishes.abort is not None:
            return
        size = self._start.primary_desired
        if await self._is_done(await self._acts.scale(None, primary_size=size, is_paused=True)):
            self._tell(told_of_beginning(self._spec))

    async def _await_first_tick(self) -> None:
        """Rest for an interval, unless something comes up."""
        await self._rest(Wait(until=self._status.due))

    async def _step(self) -> None:
        """Look, decide, and carry it out."""
        case = await self._look()
        self._status = noticed(case).model_copy(update=self._unrefused)
        case = self._situation(case.seen)
        decision = decide(case)
        if isinstance(decision, Measure | Ask):
            self._set_about(decision)
            return
        self._end_tick()
        before = self._phase_before()
        if await self._unless_aborted(decision):
            self._unrefused = None
            self._become(after(case, decision, workflow.now()))
            self._forget_wishes(case.status, decision)
            record = self._checks[-1] if case.check is not None else None
            needs_person = self._status.needs_person
            note_decision(self._spec, self._status, record, needs_person=needs_person)
            for notice in told_of(case, decision):
                self._tell(notice, before)
            await self._rest_after(decision)

    async def _look(self) -> Situation:
        """Await the check or the gates that are being asked; without them, or when something rings, look."""
        self._heed_document()
        due = next_check(self._spec, self._status, workflow.now())
        is_commanded = self._wishes.abort is not None or self._wishes.restart is not None
        if due is not None and self._check is None and not is_commanded:
            self._set_about(due)
        if self._job is not None:
            job = self._job
            await workflow.wait_condition(lambda: job.done() or self._has_news)
            self._heed_document()
            if self._job is job and job.done():
                self._job = None
                return self._situation(self._take(await job))
        await self._lull()
        is_rung, self._has_news = self._has_news, False
        self._looked_at = workflow.now()
        seen = await self._acts.observe(is_rung=is_rung)
        self._heed_document()
        return self._situation(seen)

    def _heed_document(self) -> None:
        """What was found out by another document counts for nothing: it is found out anew."""
        if self._spec is not self._heeded:
            self._heeded = self._spec
            self._end_tick()

    def _forget_wishes(self, before: RolloutStatus, decision: Decision) -> None:
        """Forget what has been done, and an approval of a gate that is waited for no more."""
        if isinstance(decision, Restart):
            self._wishes = self._wishes.model_copy(update={"restart": None, "approve": None})
        elif self._status.waiting_for is not before.waiting_for:
            self._wishes = self._wishes.model_copy(update={"approve": None})

    async def _lull(self) -> None:
        """Let a burst of bells become one look."""
        rest = self._looked_at + LULL - workflow.now()
        if self._has_news and rest > timedelta(0):
            with suppress(TimeoutError):
                await workflow.wait_condition(lambda: self._wishes is not self._heard, timeout=rest)
        self._heard = self._wishes

    def _set_about(self, decision: Measure | Ask) -> None:
        """Have a check carried out or gates asked, if that is not under way."""
        if self._job is not None:
            return
        if isinstance(decision, Measure):
            self._gates = None
            check = self._acts.analyse(self._status, decision, is_rung=self._has_news)
            self._job = asyncio.create_task(check)
        else:
            is_waiting = self._status.phase is Phase.WAITING
            phase = self._phase_before() if is_waiting else Phase.PROGRESSING
            self._job = asyncio.create_task(self._acts.ask(self._status, decision, phase))

    def _phase_before(self) -> Phase:
        """What the canary was in, as Flagger has it: waiting once its first gate is found closed."""
        is_first = self._status.waiting_for is None and not self._status.restarts
        is_asked_first = self._status.phase is Phase.WAITING and is_first
        return self._start.phase_before if is_asked_first else self._status.phase

    def _take(self, found: Check | GateCheck) -> Observation:
        """Keep what a check or gates came to for the rest of the tick."""
        if isinstance(found, GateCheck):
            self._gates = found
        else:
            self._check = found
            self._record(found)
        return found.observation

    def _end_tick(self) -> None:
        """Forget what this tick found out, and end what is still under way."""
        self._check = self._gates = None
        self._acts.forget_routes()
        if self._job is not None:
            self._job.cancel()
            self._job = None

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
            case Wait() | Measure() | Ask() | Hold() | Approve() | Finish():
                return True
            case Begin():
                return await self._scale(None, is_paused=True)
            case Advance():
                return await self._advance(decision)
            case ShiftBack():
                return await self._shift(decision.weight)
            case Correct():
                return await self._shift(decision.weight, is_mirrored=self._status.is_mirrored)
            case Restart():
                return await self._start_over()
            case Retreat() | Finalise() | Rollback():
                return await self._shift(0)
            case HandOver():
                return await self._shift(FULL, is_for_all=True)
            case Promote():
                return await self._is_done(await self._acts.promote(self._status.revision))
            case RestorePrimary():
                return await self._is_done(await self._acts.restore(self._status.revision))
            case RecreatePrimary():
                await self._acts.recreate_primary()
                return True
            case Reinforce():
                return await self._scale(decision.replicas)
            case _:
                assert_never(decision)

    async def _advance(self, decision: Advance) -> bool:
        """Expose the canary; after a restart its new pods are to stay what they are from here on."""
        if (
            self._status.restarts
            and not self._status.has_begun
            and not await self._scale(None, is_paused=True)
        ):
            return False
        return await self._shift(decision.weight, is_mirrored=decision.is_mirrored)

    async def _start_over(self) -> bool:
        """Traffic first; then a canary that is scaled up may run its new template."""
        if not await self._shift(0):
            return False
        return self._status.phase is Phase.WAITING or await self._scale(None, is_paused=False)

    async def _shift(
        self, weight: Weight, *, is_mirrored: bool = False, is_for_all: bool | None = None
    ) -> bool:
        is_for_all = self._status.is_for_all if is_for_all is None else is_for_all
        wanted = routing_of(self._spec, self._status, weight, is_mirrored=is_mirrored, is_for_all=is_for_all)
        return await self._is_done(await self._acts.shift(wanted))

    async def _scale(self, replicas: int | None, *, is_paused: bool | None = None) -> bool:
        return await self._is_done(await self._acts.scale(replicas, is_paused=is_paused))

    async def _is_done(self, written: Written) -> bool:
        """Whether a fenced write took effect; if not, look again a little later."""
        if written is Written.DONE:
            return True
        workflow.logger.warning("superseded by a later decision", extra={"rollout": self._spec.tail})
        await self._rest(Wait(until=workflow.now() + PAUSE, message="superseded by a later decision"))
        return False

    async def _rest_after(self, decision: Decision) -> None:
        """Wait as long as was decided; after an act of ours, until there is a reason to look again."""
        if isinstance(decision, Wait):
            await self._rest(decision)
        elif not self._status.phase.is_final and self._status.phase is not Phase.WAITING:
            until = next_look(self._spec, self._status, workflow.now())
            if isinstance(decision, Reinforce):  # whoever scales it down again gets no endless answer
                until = max(until, workflow.now() + PAUSE)
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
        wishes, is_refused = self._wishes, False
        while True:
            try:
                if is_refused:
                    await self._pause(wishes)
                wishes = self._wishes
                await act()
            except asyncio.CancelledError:
                self._wish(Verb.ABORT, Command(who="cancellation"))
            except ActivityError as error:
                is_refused = not is_cancelled_exception(error)
                if is_refused:
                    self._note_refusal(error)
                else:
                    self._wish(Verb.ABORT, Command(who="cancellation"))
            else:
                self._take_refusal_back()
                self._show()
                return

    def _note_refusal(self, error: ActivityError) -> None:
        """Tell what was refused, until it is done: then what was said before is said again."""
        text = str(error.cause or error)
        if self._unrefused is None:
            self._unrefused = {"message": self._status.message, "needs_person": self._status.needs_person}
            workflow.logger.error("refused", extra={"rollout": self._spec.tail, "cause": text})
        self._become(self._status.model_copy(update={"message": text, "needs_person": True}))

    def _take_refusal_back(self) -> None:
        if self._unrefused is not None:
            self._status = self._status.model_copy(update=self._unrefused)
            self._unrefused = None

    async def _pause(self, wishes: Wishes) -> None:
        """Let some time pass before the next try, unless a person speaks."""
        await self._continue_as_new_when_long()
        with suppress(TimeoutError):
            await workflow.wait_condition(lambda: self._wishes is not wishes, timeout=PAUSE)

    # -- the end

    async def _wind_down(self) -> None:
        """Scale the canary down once the mesh has had time to forget it; hooks, and what is remembered."""
        outcome = self._status.outcome
        if outcome is None:
            raise AssertionError("a rollout ends with an outcome")
        if outcome is not Outcome.HALTED:
            await self._wait_for_the_mesh()
            await self._scale(0)
        await self._acts.conclude(self._status.revision, outcome)
        await self._call_the_last_hooks()
        if outcome is Outcome.PROMOTED:
            self._tell(told_of_promotion(self._status, is_skipped=self._spec.skip_analysis))

    async def _call_the_last_hooks(self) -> None:
        if self._spec.analysis.hooks(HookType.POST_ROLLOUT):
            called = await self._acts.call_hooks(self._status, HookType.POST_ROLLOUT)
            for notice in told_of_post_rollout(called.answers):
                self._tell(notice)

    async def _leave(self) -> None:
        """Store the report, and let everything that is under way come to its end."""
        await self._acts.store(self._report())
        await self._settle_alerts()
        await workflow.wait_condition(workflow.all_handlers_finished)

    async def _settle_alerts(self) -> None:
        """Wait until alerts are with the canary; a rollout that has none gives their addresses a moment."""
        if not self._alerts:
            return
        try:
            await workflow.wait_condition(lambda: not self._alerts, timeout=ALERT_PATIENCE)
        except TimeoutError:
            workflow.logger.error("alerts lost", extra={"count": len(self._alerts)})

    async def _wait_for_the_mesh(self) -> None:
        changed = self._status.traffic_changed_at
        if changed is None:
            return
        rest = changed + self._start.scale_down_delay - workflow.now()
        if rest > timedelta(0):
            await workflow.sleep(rest, summary="the mesh forgets the canary")

    def _report(self) -> StoredReport:
        name = f"{self._spec.tail}/{self._status.started_at:%Y%m%dT%H%M%SZ}-{workflow.info().run_id}"
        return StoredReport(name=name, content=self.view().model_dump_json(indent=1))

    def _result(self) -> RolloutStatus:
        status = self._status
        if status.outcome is Outcome.PROMOTED:
            return status
        raise ApplicationError(
            status.message, status.model_dump(mode="json"), type=status.outcome, non_retryable=True
        )

    async def _continue_as_new_when_long(self) -> None:
        """Begin a new history, but not in the middle of a check; a gate that stays closed is asked anew."""
        is_free = self._job is None or self._status.phase is Phase.WAITING
        if not (workflow.info().is_continue_as_new_suggested() and is_free):
            return
        self._end_tick()
        self._take_refusal_back()
        await self._settle_alerts()
        await workflow.wait_condition(workflow.all_handlers_finished)
        status = self._status if self._has_started else None
        carried = {"spec": self._spec, "status": status, "wishes": self._wishes}
        kept = {
            "checks": tuple(self._checks[-KEPT_CHECKS:]),
            "commands": tuple(self._commands[-KEPT_CHECKS:]),
        }
        workflow.continue_as_new(self._start.model_copy(update={**carried, **kept}))

    # -- state

    def _situation(self, seen: Observation) -> Situation:
        self._acts.routes = seen.routes
        self._uid = seen.target.uid if seen.target else self._uid
        return Situation(
            self._spec, self._status, seen, workflow.now(), self._check, self._wishes, self._gates
        )

    def _record(self, check: Check) -> None:
        self._status = self._status.model_copy(update={"checks": self._status.checks + 1})
        record = CheckRecord(
            at=workflow.now(),
            weight=self._status.traffic_weight,
            revision=self._status.revision,
            verdict=judge_check(self._spec, check, self._status.exposed_at),
            hooks=(*check.rollback, *check.hooks),
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

    def _tell(self, notice: Notice, before: Phase | None = None) -> None:
        """Tell the outside; whoever is to be alerted is, and nothing waits for that.

        What happens is told with the phase *before* it, as Flagger's event hooks have it.
        """
        phase = notice.phase or before or self._status.phase
        announce(self._spec, phase, self._status.revision, notice, self._uid)
        if notice.severity is not None and self._spec.analysis.alerts:
            alert = asyncio.create_task(self._acts.alert(phase, self._status.revision, notice))
            self._alerts[alert] = notice
            alert.add_done_callback(self._alerts.pop)

    @workflow.query(name=STATUS)
    def view(self) -> RolloutView:
        """The spec, the status and every check so far."""
        return RolloutView(
            spec=self._spec,
            status=self._status,
            checks=tuple(self._checks),
            commands=tuple(self._commands),
        )
