"""A rollout's end: its canary's pods go once the mesh has forgotten them, and its report is kept."""

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

from activities.reports import StoredReport
from canary.decision import Wait
from canary.observation import is_outdated
from canary.retreat import unserved
from canary.safeguards import drift
from canary.spec import HookType
from canary.status import Outcome, RolloutStatus, Wishes
from canary.telling import told_of, told_of_post_rollout, told_of_promotion
from canary.transition import after_the_end
from workflows.carrying import Carrying
from workflows.contract import RolloutStart


class Concluding(Carrying):
    """The part of a rollout that brings it to its end."""

    def __init__(self, start: RolloutStart) -> None:
        super().__init__(start)
        self._are_pods_kept = False
        """Somebody goes on leading users to the canary, or the primary is down."""

    async def _wind_down(self) -> None:
        """Scale the canary down once the mesh has had time to forget it; hooks, and what is remembered."""
        outcome = self._status.outcome
        if outcome is None:
            raise AssertionError("a rollout ends with an outcome")
        if not self._status.is_left:
            await self._close_promotion()
            if outcome is not Outcome.HALTED and await self._is_forgotten():
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

    async def _is_forgotten(self) -> bool:
        """Give the mesh its time to forget the canary; no if its pods are still needed by then."""
        while not self._are_pods_kept:
            if self._has_news and not await self._is_left_alone():
                break
            changed = self._status.traffic_changed_at
            if changed is None or (due := changed + self._start.scale_down_delay) <= workflow.now():
                return True
            try:
                await workflow.wait_condition(
                    lambda: self._has_news,
                    timeout=due - workflow.now(),
                    timeout_summary="the mesh forgets the canary",
                )
            except TimeoutError:
                self._has_news = is_outdated(due, workflow.now())  # nobody was there to hear bells
        return False

    async def _is_left_alone(self) -> bool:
        """Look at what has rung: whoever leads users to the canary again is undone, but not for ever."""
        self._has_news = False
        try:
            case = self._situation(await self._acts.observe(is_rung=True))
            if case.is_all_gone or (decision := drift(case) or unserved(case)) is None:
                return True
            if not await self._carry_out(decision):
                self._has_news = True  # written by a later decision: look again
                return True
        except ActivityError:
            self._has_news = True
            raise
        self._become(after_the_end(self._status, decision, workflow.now()))
        for notice in told_of(case, decision):
            self._tell(notice)
        self._are_pods_kept = isinstance(decision, Wait)
        return not self._are_pods_kept

    def _report(self) -> StoredReport:
        name = f"{self._spec.tail}/{self._status.started_at:%Y%m%dT%H%M%SZ}-{workflow.info().run_id}"
        return StoredReport(name=name, content=self.view().model_dump_json(indent=1))

    def _unheeded(self) -> Wishes:
        """The last word of a person that is still to be obeyed: it came when this rollout was ending."""
        restart, abort = self._wishes.restart, self._wishes.abort
        if restart is not None or self._status.outcome is not Outcome.HALTED:
            return Wishes(restart=restart)
        return Wishes(abort=abort)

    def _result(self) -> RolloutStatus:
        status = self._status.model_copy(update={"unheeded": self._unheeded()})
        if status.outcome is Outcome.PROMOTED:
            return status
        raise ApplicationError(
            status.message, status.model_dump(mode="json"), type=status.outcome, non_retryable=True
        )
