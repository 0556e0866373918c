"""A rollout's end: its canary's pods go once the mesh has forgotten them, and its report is kept."""

from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ApplicationError

from activities.reports import StoredReport
from canary.spec import HookType
from canary.status import Outcome, RolloutStatus, Wishes
from canary.telling import told_of_post_rollout, told_of_promotion
from workflows.carrying import Carrying


class Concluding(Carrying):
    """The part of a rollout that brings it to its end."""

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
