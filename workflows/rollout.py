"""`RolloutWorkflow`: one revision, from its first step to its promotion or its rollback."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ActivityError

from canary.analysis import Check, GateCheck
from canary.checks import next_check
from canary.decision import (
    Advance,
    Ask,
    Begin,
    Correct,
    Decision,
    Measure,
    Promote,
    RecreatePrimary,
    Reinforce,
    Restart,
    Rollback,
    ShiftBack,
    Wait,
)
from canary.ladder import decide
from canary.observation import Observation, is_outdated
from canary.safeguards import next_look
from canary.situation import Situation
from canary.status import Phase, RolloutStatus, Wishes
from canary.telling import told_of, told_of_a_halt, told_of_beginning
from canary.transition import after, noticed
from workflows.announcing import note_decision
from workflows.carrying import PAUSE
from workflows.concluding import Concluding
from workflows.contract import ROLLOUT_WORKFLOW, Command, RolloutStart, Verb
from workflows.serving import worded

KEPT_COMMANDS = 500
LULL = timedelta(milliseconds=250)
"""Bells come in bursts: one look follows another no sooner, unless a person speaks."""
_CALLED_OFF = Begin | Advance | ShiftBack | Correct | Restart | Promote | RecreatePrimary | Reinforce
"""Decisions that an abort calls off where they are being carried out."""
_BEGUN_AGAIN = Begin | Advance | Correct | Reinforce
"""Those that a restart calls off as well: a promotion under way is too late for it."""


@workflow.defn(name=ROLLOUT_WORKFLOW)
class RolloutWorkflow(Concluding):
    """One rollout: observe, decide, carry out, wait; nothing else moves its traffic."""

    @workflow.init
    def __init__(self, start: RolloutStart) -> None:
        super().__init__(start)

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
            self._continue_as_new_when_long()
        await self._persistently(self._wind_down)
        await self._persistently(self._leave)
        return self._result()

    # -- the loop

    async def _begin(self) -> None:
        """Scale the canary up; no gate stands before it. If that is refused, what follows is decided.

        So it is where users would be waiting for its pods: their way is put right first.
        """
        if self._wishes.abort is not None:
            return
        size = self._start.primary_desired
        written = None
        with suppress(ActivityError):
            if not self._start.is_exposed:
                act = self._acts.scale(None, primary_size=size, is_paused=True)
                written = await self._until_called_off(act, is_restartable=True)
        if written is not None and await self._is_done(written):
            self._tell(told_of_beginning(self._spec))
        else:
            self._status = self._status.model_copy(update={"is_scaled_up": False})

    async def _await_first_tick(self) -> None:
        """Rest for an interval, unless something comes up."""
        if self._status.is_scaled_up:
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
        is_found_out = isinstance(decision, Rollback) and (decision.is_failed_check or case.is_wanted_back)
        self._end_tick(is_remembered=is_found_out)
        before = self._phase_before()
        if await self._unless_aborted(decision):
            self._unrefused = None
            self._become(after(case, decision, workflow.now()))
            self._forget_wishes(case.status, decision)
            self._answer_for_the_late()
            record = self._evidence.records[-1] if case.check is not None else None
            needs_person = self._status.needs_person
            note_decision(self._spec, self._status, record, needs_person=needs_person)
            for notice in told_of(case, decision):
                self._tell(notice, before)
            await self._rest_after(decision)

    async def _look(self) -> Situation:
        """Await the check or the gates that are being asked; without them, or when something rings, look.

        A check looks by itself before all else. One that is late comes after a look: while nobody was there
        the canary may have stopped serving, or run what nobody has judged, and hooks take their time.
        """
        self._heed_document()
        due = next_check(self._spec, self._status, workflow.now())
        is_commanded = self._wishes.abort is not None or self._wishes.restart is not None
        is_late = is_outdated(self._status.due, workflow.now())
        if due is not None and self._check is None and not (is_commanded or is_late):
            self._set_about(due)
        if self._job is not None:
            job = self._job
            await workflow.wait_condition(lambda: job.done() or self._has_news)
            self._heed_document()
            if self._job is job and job.done():
                self._job = None
                found = await job
                if not is_outdated(found.found_at, workflow.now()):
                    seen = self._take(found)
                    is_overtaken = self._has_news or self._looked_at > self._begun_at
                    if not (is_overtaken or is_outdated(seen.found_at, workflow.now())):
                        return self._situation(seen)
                    # Its hooks may have taken a minute: something has rung since it looked, or nobody could.
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
            self._status = self._status.model_copy(update={"foreign_writes": 0})
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
        self._begun_at = workflow.now()
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

    def _end_tick(self, *, is_remembered: bool = False) -> None:
        """Forget what this tick found out, and end what is still under way.

        What asks for a rollback is remembered until that is written: nobody is asked again.
        """
        if not is_remembered:
            self._check = self._gates = None
        self._acts.forget_routes()
        if self._job is not None:
            self._job.add_done_callback(_let_be)
            self._job.cancel()
            self._job = None

    async def _unless_aborted(self, decision: Decision) -> bool:
        """Carry a decision out; a person does not wait for a write that hangs or is refused.

        Such a write is fenced: should it arrive after those of the abort or the restart, it changes nothing.
        What an abort would do itself is not called off.
        """
        if isinstance(decision, _CALLED_OFF):
            is_restartable = isinstance(decision, _BEGUN_AGAIN)
            act = self._carry_out(decision)
            return await self._until_called_off(act, is_restartable=is_restartable) or False
        return await self._carry_out(decision)

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

    async def _persistently(self, act: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Do it until it is done: a refusal is told and tried again."""
        while True:
            wishes = self._wishes
            try:
                await self._uncancelled(act)
            except ActivityError as error:
                self._note_refusal(error)
                await self._uncancelled(partial(self._pause, wishes))
            else:
                self._take_refusal_back()
                self._show()
                return

    async def _uncancelled(self, act: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """A cancellation is an abort: it cuts nothing off that may already be under way in the cluster."""
        done = asyncio.create_task(act())
        while not done.done():
            try:
                await workflow.wait_condition(done.done)
            except asyncio.CancelledError:
                self._wish_if_allowed(Verb.ABORT, Command(who="cancellation"))
        await done

    def _note_refusal(self, error: ActivityError) -> None:
        """Tell what was refused, until it is done: then what was said before is said again."""
        text = worded(error, self._spec.task_queue)
        if self._unrefused is None:
            self._unrefused = {"message": self._status.message, "needs_person": self._status.needs_person}
            workflow.logger.error("refused", extra={"rollout": self._spec.tail, "cause": text})
            self._tell(told_of_a_halt(text))
        self._become(self._status.model_copy(update={"message": text, "needs_person": True}))

    def _take_refusal_back(self) -> None:
        if self._unrefused is not None:
            self._status = self._status.model_copy(update=self._unrefused)
            self._unrefused = None

    async def _pause(self, wishes: Wishes) -> None:
        """Let some time pass before the next try, unless a person speaks."""
        self._continue_as_new_when_long()
        with suppress(TimeoutError):
            await workflow.wait_condition(lambda: self._wishes is not wishes, timeout=PAUSE)

    def _continue_as_new_when_long(self) -> None:
        """Begin a new history, but not in the middle of a check; a gate that stays closed is asked anew."""
        is_free = (self._job is None or self._status.phase is Phase.WAITING) and not self._alerts
        if not (workflow.info().is_continue_as_new_suggested() and is_free):
            return
        self._end_tick()
        self._take_refusal_back()
        status = self._status if self._has_started else None
        carried = {"spec": self._spec, "status": status, "wishes": self._wishes}
        kept = {
            "checks": self._evidence.records,
            "commands": tuple(self._commands[-KEPT_COMMANDS:]),
            "is_unpaused": self._is_unpaused,
        }
        workflow.continue_as_new(self._start.model_copy(update={**carried, **kept}))


def _let_be(job: asyncio.Task[Check | GateCheck]) -> None:
    """How a job ends that nobody waits for any more is nobody's news."""
    if not job.cancelled():
        job.exception()
