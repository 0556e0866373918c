"""How a rollout does what was decided: one arm a decision, every write fenced by its moment."""

from datetime import timedelta
from typing import assert_never

from temporalio import workflow
from temporalio.exceptions import ActivityError

from activities.cluster.traffic import Written
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
from canary.revision import checksum
from canary.routing import routing_of
from canary.spec import Weight
from canary.status import Revision
from canary.steps import FULL
from workflows.attempt import Attempt
from workflows.serving import is_of_nothing
from workflows.watching import registration_of, tell_watch

PAUSE = timedelta(seconds=2)
"""Between two tries of what was refused for good or written by a later decision."""


class Carrying(Attempt):
    """The part of a rollout that carries decisions out."""

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
                return await self._start_over(decision.revision)
            case Retreat() | Finalise():
                return await self._shift(0)
            case Rollback():
                return await self._roll_back(decision)
            case HandOver():
                return await self._shift(FULL, is_for_all=True)
            case Promote():
                return await self._promote()
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
        """Expose the canary; after a restart its new pods are to stay what they are from here on.

        So are those that could not be kept to their template at the beginning.
        """
        if self._is_unpaused or (self._status.restarts and not self._status.has_begun):
            self._is_unpaused = False
            is_scaled = await self._scale(None, is_paused=True)
            if not is_scaled or self._spec is not self._heeded:  # by another document it is another step
                return False
        return await self._shift(decision.weight, is_mirrored=decision.is_mirrored)

    async def _roll_back(self, decision: Rollback) -> bool:
        """Traffic first; where everything is gone there is none, and on a way out it may stay."""
        return decision.is_of_nothing or decision.is_left or await self._shift(0)

    async def _start_over(self, revision: Revision) -> bool:
        """Traffic first; then a canary that is scaled up may run its new template, and its new configs."""
        if not await self._shift(0) or not await self._close_promotion():
            return False
        before = self._status.revision
        if revision.configs.keys() != before.configs.keys():
            await tell_watch(self._spec.cluster, registration_of(self._spec, revision.configs))
        if not self._status.is_scaled_up:
            return True
        # Pods read most configs once, when they start: the same template would go on with the old ones.
        is_by_configs = revision.template == before.template and revision.configs != before.configs
        return await self._scale(None, is_paused=False, configs=checksum(revision) if is_by_configs else "")

    async def _promote(self) -> bool:
        """Copy the judged revision into the primary; if that is called off it may arrive all the same."""
        self._status = self._status.model_copy(update={"is_promotion_open": True})
        return await self._is_done(await self._acts.promote(self._status.revision, self._status.primary_size))

    async def _close_promotion(self) -> bool:
        """Fence the primary, with what was promoted last, against a promotion that may be on its way.

        All users are with it by then, and it counts as promoted: what goes back later may go back to it.
        """
        if not self._status.is_promotion_open:
            return True
        try:
            is_done = await self._is_done(await self._acts.restore(self._status.revision, is_over=True))
        except ActivityError as error:
            if not is_of_nothing(error):
                raise
            is_done = True  # recorded nowhere: as good as it gets
        if is_done:
            self._status = self._status.model_copy(update={"is_promotion_open": False})
        return is_done

    async def _shift(
        self, weight: Weight, *, is_mirrored: bool = False, is_for_all: bool | None = None
    ) -> bool:
        is_for_all = self._status.is_for_all if is_for_all is None else is_for_all
        wanted = routing_of(self._spec, self._status, weight, is_mirrored=is_mirrored, is_for_all=is_for_all)
        return await self._is_done(await self._acts.shift(wanted))

    async def _scale(self, replicas: int | None, *, is_paused: bool | None = None, configs: str = "") -> bool:
        return await self._is_done(await self._acts.scale(replicas, is_paused=is_paused, configs=configs))

    async def _is_done(self, written: Written) -> bool:
        """Whether a fenced write took effect; if a later decision stands, look again a little later."""
        if written in (Written.DONE, Written.UNPAUSED):
            self._is_unpaused = self._is_unpaused or written is Written.UNPAUSED
            return True
        is_late = written is Written.OUTDATED
        text = "A later decision has been written: looking again"
        if is_late:
            text = "The engine was away before it could write: looking again"
        workflow.logger.warning("not written", extra={"rollout": self._spec.tail, "written": str(written)})
        self._become(self._status.model_copy(update={"message": text}))
        if not is_late:  # else whoever waits for it has waited for long enough
            await self._rest(Wait(until=workflow.now() + PAUSE, message=text))
        return False
