"""What every part of `CanaryWorkflow` stands on: its state, looks and writes, and how it tells of itself."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception

from activities.alerts import AlertActivities, AlertRequest
from activities.cluster.initialisation import EstablishRequest, InitialisationActivities
from activities.cluster.observation import ObservationActivities, RestingCanary
from activities.runs import Abandoned, RunActivities
from canary.conditions import promoted
from canary.notice import Notice
from canary.observation import Observation, is_outdated
from canary.routing import Routing
from canary.spec import CanarySpec
from canary.status import CanaryStatus, Phase, Revision, RolloutStatus, Wishes
from canary.telling import told_of_a_halt, told_of_repair
from workflows import display
from workflows.announcing import announce
from workflows.contract import (
    ENGINE,
    CanaryState,
    Command,
    Registration,
    Verb,
    rollout_id,
)
from workflows.options import ALERT, ENTITY, WRITE, ActivityOptions
from workflows.serving import at, look, worded
from workflows.watching import registration_of, tell_watch

RESYNC = timedelta(minutes=10)
"""A look without a reason, in case a doorbell was lost."""
LULL = timedelta(milliseconds=250)
"""Bells come in bursts: one look follows another no sooner."""
PAUSE = timedelta(seconds=5)
"""Before something that was refused is tried again."""


_UNAWAITED = Command(who=ENGINE, reason="nobody waits for this rollout")


class CanaryEntity:
    """A canary's state and the acts that its parts share."""

    def __init__(self, state: CanaryState | None) -> None:
        self._spec: CanarySpec | None = state.spec if state else None
        self._status = state.status if state else CanaryStatus()
        self._wishes = state.wishes if state else Wishes()
        self._delay = state.scale_down_delay if state else timedelta(seconds=30)
        self._is_initialised = state.is_initialised if state else False
        self._has_new_spec = state.has_new_spec if state else False
        self._shown: CanaryStatus | None = None
        self._is_refused = self._is_gone = self._begins_anew = self._has_news = False
        self._may_be_misled = False
        """A Service of the canary has changed since they were looked at last."""
        self._leaving_at: datetime | None = state.leaving_at if state else None
        """When the way out was decided: one that is begun again fences by the same moment."""
        self._is_leaving = self._is_resumed = self._leaving_at is not None
        self._is_left_behind = False
        """The way out was given up: something of ours is still in the cluster."""
        self._rollout: workflow.ChildWorkflowHandle[Any, RolloutStatus] | None = None
        self._is_rolling = False
        """A rollout is being started, runs, or has just ended: one that wants to leave waits for it."""
        self._is_alone = False
        """No rollout of another life of this canary runs any more."""
        self._seen_before: Observation | None = None
        """What the look before leaping saw of a canary that has yet to begin."""
        self._provider_errors: tuple[str, ...] | None = None
        """Which metric providers did not answer it; None where that is not known."""
        self._has_checked_providers = self._has_awaited_target = False
        self._word: str | None = None
        """What the message was before something was refused."""
        self._registered: Registration | None = None
        self._alerts: set[asyncio.Task[None]] = set()
        self._looked_at = workflow.now() - LULL

    @property
    def spec(self) -> CanarySpec:
        """The document as it was last applied."""
        if self._spec is None:
            raise AssertionError("a canary is applied before it does anything")
        return self._spec

    async def _lull(self) -> bool:
        """Let a burst of bells become one look; whether one has rung."""
        rest = self._looked_at + LULL - workflow.now()
        if rest > timedelta(0) and not self._is_leaving:
            await workflow.sleep(rest, summary="bells come in bursts")
        is_rung, self._has_news = self._has_news, False
        self._looked_at = workflow.now()
        return is_rung

    async def _rest(self, pause: timedelta, summary: str) -> None:
        try:
            await workflow.wait_condition(
                lambda: self._has_news or self._is_leaving, timeout=pause, timeout_summary=summary
            )
        except TimeoutError:
            return

    async def _persistently(self, act: Callable[[], Awaitable[object]]) -> None:
        """Do it until it is done; what is refused is told and tried again. A cancellation takes it out."""
        is_refused = False
        while True:
            try:
                if is_refused:
                    await self._pause()
                await act()
            except asyncio.CancelledError:
                self._is_leaving = True
            except ActivityError as error:
                is_refused = not is_cancelled_exception(error)
                if is_refused:
                    self._note_refusal(error)
                else:
                    self._is_leaving = True
            else:
                return

    async def _pause(self) -> None:
        """Let some time pass before what was refused is tried again, in a new history if this is long."""
        self._continue_as_new_when_long()
        known = (self._is_leaving, self._wishes)
        with suppress(TimeoutError):
            await workflow.wait_condition(
                lambda: (self._is_leaving, self._wishes) != known,
                timeout=PAUSE,
                timeout_summary="it was refused",
            )

    def _note_refusal(self, error: ActivityError) -> None:
        is_news, word = self._word is None, self._status.message if self._word is None else self._word
        text = worded(error, self.spec.task_queue)
        self._become(message=text, needs_person=True)
        self._word = word
        if is_news:
            self._tell(told_of_a_halt(text))

    def _before_refusal(self) -> CanaryStatus:
        """The status with what it said before something was refused: that is told again once it is done."""
        return self._status if self._word is None else self._status.model_copy(update={"message": self._word})

    def _continue_as_new_when_long(self) -> None:
        """Begin a new history, but never with an Update open, an alert under way or the wish to leave."""
        if not workflow.info().is_continue_as_new_suggested():
            return
        if self._is_leaving or self._alerts or not workflow.all_handlers_finished():
            return
        workflow.continue_as_new(self._carried())

    def _carried(self) -> CanaryState:
        """What a new history begins with."""
        return CanaryState(
            spec=self.spec,
            status=self._before_refusal(),
            wishes=self._wishes,
            scale_down_delay=self._delay,
            is_initialised=self._is_initialised,
            has_new_spec=self._has_new_spec,
            leaving_at=self._leaving_at,
        )

    # -- the cluster

    def _at(self, options: ActivityOptions) -> ActivityOptions:
        """Have it done where the cluster is served."""
        return at(self.spec.task_queue, options)

    async def _observe(self) -> Observation:
        return await look(ObservationActivities.observe, self.spec, self.spec.task_queue)

    async def _observe_first(self) -> Observation:
        """Begin with what was seen when the document was looked at, if that was just now."""
        seen, self._seen_before = self._seen_before, None
        if seen is None or is_outdated(seen.found_at, workflow.now()):
            self._provider_errors = None
            return await self._observe()
        return seen

    async def _observe_at_rest(self) -> Observation:
        """Look at the apex Service too: a bell may have been rung by whoever has led it elsewhere."""
        rolled = (self._status.last_promoted, self._status.last_applied)
        known = tuple(one for one in rolled if one is not None)
        asked, self._may_be_misled = self._may_be_misled, False
        resting = RestingCanary(spec=self.spec, known=known, are_services_asked=asked)
        seen = await look(ObservationActivities.observe_at_rest, resting, self.spec.task_queue)
        if asked and (seen.target is None or seen.target.revision not in known):
            self._may_be_misled = True  # they were not looked at: the rollout that begins has it done
        return seen

    async def _do(self, act: Callable[..., Awaitable[None]], argument: Any, summary: str) -> None:
        await workflow.execute_activity_method(act, argument, summary=summary, **self._at(WRITE))

    async def _deploy_load_tester(self, spec: CanarySpec) -> None:
        if spec.test_loader is not None:
            await self._do(InitialisationActivities.deploy_load_tester, spec, "deploy the load tester")

    async def _establish(self, summary: str) -> None:
        """Put Services and routes in place; the weights that stand stay."""
        request = EstablishRequest(spec=self.spec, routing=self._routing)
        await self._do(InitialisationActivities.establish_routes, request, summary)

    @property
    def _routing(self) -> Routing:
        """All traffic on the primary."""
        return Routing(expired_cookie=self._status.expired_cookie)

    async def _lead_services(self) -> None:
        """Bring back what was deleted or led elsewhere of the Services, and tell of it."""
        mended: tuple[str, ...] = await workflow.execute_activity_method(
            InitialisationActivities.lead_services,
            self.spec,
            summary="Services lead where they did",
            **self._at(WRITE),
        )
        for text in mended:
            self._tell(told_of_repair(text))

    async def _register(self, seen: Observation, *, is_anew: bool = False) -> None:
        """Tell the cluster's watch which objects concern this canary, where that has changed or *is_anew*."""
        wanted = registration_of(self.spec, seen.target.revision.configs if seen.target else ())
        if wanted != self._registered or is_anew:
            await tell_watch(self.spec.cluster, wanted)
            self._registered = wanted

    async def _end_orphan(self, signal: str = Verb.ABORT, command: Command = _UNAWAITED) -> None:
        """A rollout of this target that nobody waits for is asked to end, and waited for."""
        orphan = Abandoned(
            workflow=rollout_id(self.spec.tail), signal=signal, argument=command.model_dump(mode="json")
        )
        await workflow.execute_activity_method(
            RunActivities.end_orphan, orphan, summary="no rollout without its canary", **ENTITY
        )

    # -- telling

    def _become(self, **changes: Any) -> None:
        if "message" in changes:
            self._word = None
        before = self._status
        status = before.model_copy(update=changes)
        if before.phase is not status.phase or before.last_transition_time is None:
            status = status.model_copy(update={"last_transition_time": workflow.now()})
        condition = promoted(status.phase, self.spec.target.kind, status.condition, workflow.now())
        self._status = status.model_copy(update={"condition": condition})
        display.show_canary(self.spec, self._status, self._shown)
        self._shown = self._status

    def _tell(self, notice: Notice) -> None:
        """Tell the outside; whoever is to be alerted is, and nothing waits for that."""
        revision = self._status.last_applied or Revision(template="")
        announce(self.spec, self._status.phase, revision, notice)
        if notice.severity is not None and self.spec.analysis.alerts:
            self._alert(self._status.phase, revision, notice)

    def _alert(self, phase: Phase, revision: Revision, notice: Notice) -> None:
        request = AlertRequest(spec=self.spec, phase=phase, revision=revision, notice=notice)
        alert = asyncio.create_task(_alert(request))
        self._alerts.add(alert)
        alert.add_done_callback(self._alerts.discard)


async def at_once(*acts: Coroutine[Any, Any, Any]) -> list[Any]:
    """Do several things beside each other; if one fails the others end."""
    tasks = [asyncio.create_task(act) for act in acts]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()


async def _alert(request: AlertRequest) -> None:
    """Send an alert; an address that is away is given up in the end."""
    try:
        await workflow.execute_activity_method(
            AlertActivities.alert,
            request,
            summary=request.notice.reason,
            **at(request.spec.task_queue, ALERT),
        )
    except ActivityError as error:
        facts = {"notice": request.notice.message, "cause": str(error.cause)}
        workflow.logger.error("alert not sent", extra=facts)
