"""What every part of `RolloutWorkflow` stands on: its state, how it waits, and how it tells of itself."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from datetime import timedelta
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.exceptions import ActivityError

from canary.analysis import Check, CheckRecord, GateCheck, judge_check
from canary.decision import Wait
from canary.evidence import Evidence
from canary.notice import Notice
from canary.observation import Observation
from canary.situation import Situation
from canary.spec import CanarySpec
from canary.status import Phase, RolloutStatus
from canary.transition import begin
from workflows import display
from workflows.acts import Acts
from workflows.announcing import announce
from workflows.commands import Commanded
from workflows.contract import STATUS, RolloutStart, RolloutView

ALERT_PATIENCE = timedelta(seconds=10)
"""An address that is away does not hold up the end of a rollout for longer."""
T = TypeVar("T")


class Attempt(Commanded):
    """A rollout's state, its rests, and what it tells."""

    def __init__(self, start: RolloutStart) -> None:
        self._start = start
        self._spec: CanarySpec = start.spec
        self._acts = Acts(lambda: self._spec)
        self._evidence = Evidence(start.checks)
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
        self._looked_at = self._begun_at = workflow.now()
        """When the last look was, and when the check or the gates were begun that were asked last."""
        self._uid = ""
        self._is_unpaused = start.is_unpaused
        """A newer template would get pods at once: the canary is to be paused before its next step."""

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

    async def _until_called_off(self, act: Coroutine[Any, Any, T], *, is_restartable: bool) -> T | None:
        """Await a write; None if a person has called it off."""
        known, write = self._wishes, asyncio.create_task(act)

        def is_called_off() -> bool:
            is_restarted = is_restartable and self._wishes.restart not in (None, known.restart)
            return is_restarted or self._wishes.abort is not known.abort

        await workflow.wait_condition(lambda: write.done() or is_called_off())
        if not write.cancel():
            return await write
        with suppress(ActivityError, asyncio.CancelledError):
            await write
        return None

    async def _settle_alerts(self) -> None:
        """Wait until alerts are with the canary; a rollout that has none gives their addresses a moment."""
        if not self._alerts:
            return
        try:
            await workflow.wait_condition(lambda: not self._alerts, timeout=ALERT_PATIENCE)
        except TimeoutError:
            workflow.logger.error("alerts lost", extra={"count": len(self._alerts)})

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
        self._evidence.add(record)

    def _become(self, status: RolloutStatus) -> None:
        self._status = status
        self._show()

    def _show(self) -> None:
        """Tell lists and the UI, if there is anything new to tell."""
        display.show_rollout(self._spec, self._status, self._shown, self._evidence.records)
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
            checks=self._evidence.records,
            commands=tuple(self._commands),
        )
