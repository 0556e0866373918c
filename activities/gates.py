"""Gates, and the hooks around a rollout: calls whose answers no metric follows."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Protocol

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.heartbeat import heartbeating
from activities.moment import temporals_clock
from canary.analysis import GateCheck, GateRequest, HookAnswer
from canary.errors import NoAnswerError
from canary.observation import Observation
from canary.spec import CanarySpec, HookType, WebhookSpec
from canary.status import Phase, Revision
from canary.stored import Stored

LONGEST_PATIENCE = timedelta(hours=1)
"""After so long a gate that stays closed is told to the workflow again, which reminds whoever can open it."""
UNASKED = "GatesNotAsked"
"""The type of the error of a patient asking that was kept from its answer: nobody waits without a word."""


class Observer(Protocol):
    """Looks at a canary in its cluster."""

    async def observe(self, spec: CanarySpec) -> Observation:
        """Return what is there; raises if the cluster cannot be asked."""
        ...


class Hooks(Protocol):
    """Calls webhooks."""

    async def call(self, spec: CanarySpec, hook: WebhookSpec, phase: Phase, revision: Revision) -> HookAnswer:
        """Call a webhook; raises `NoAnswerError` if it is away."""
        ...


class CallRequest(Stored):
    """Hooks to be called once each, whatever they answer."""

    spec: CanarySpec
    phase: Phase
    revision: Revision
    type: HookType


class CallAnswers(Stored):
    """What hooks answered, in the document's order."""

    answers: tuple[HookAnswer, ...] = ()


class GateActivities:
    """Asks gates and calls the hooks around a rollout."""

    def __init__(self, observer: Observer, hooks: Hooks, clock: Callable[[], datetime]) -> None:
        self._observer = observer
        self._hooks = hooks
        self._clock = clock

    @activity.defn
    async def ask_gates(self, request: GateRequest) -> GateCheck:
        """Ask gates type by type until one is closed; a patient asking goes on until all are open.

        Its attempts are retries of this activity, an interval apart, so that waiting for days costs nothing.
        They are without end, so what else keeps it from an answer ends it: whoever asked tells of that.
        """
        async with heartbeating():
            if not request.is_patient:
                return await self._ask(request)
            try:
                return await self._ask(request)
            except ApplicationError:
                raise
            except Exception as error:
                raise ApplicationError(str(error), type=UNASKED, non_retryable=True) from error

    async def _ask(self, request: GateRequest) -> GateCheck:
        clock = temporals_clock()
        is_alone = request.is_patient or request.is_alone
        rollback = await self._until(request, HookType.ROLLBACK, passed=True) if is_alone else ()
        answers: tuple[HookAnswer, ...] = ()
        for type_ in request.gates:
            answers += await self._until(request, type_, passed=False)
            if not all(answer.passed for answer in answers):
                break
        is_over = all(answer.passed for answer in answers) or any(one.passed for one in rollback)
        if request.is_patient and not is_over and not _is_out_of_patience(request):
            raise ApplicationError(
                f"{answers[-1].hook} is closed.",
                type="GateClosed",
                next_retry_delay=request.spec.analysis.interval,
            )
        observation = await self._observer.observe(request.spec)
        return GateCheck(observation=observation, rollback=rollback, answers=answers, found_at=clock())

    @activity.defn
    async def call_hooks(self, request: CallRequest) -> CallAnswers:
        """Call the hooks of one type one after the other, until one does not pass, as Flagger does."""
        async with heartbeating():
            asked = GateRequest(
                spec=request.spec, phase=request.phase, revision=request.revision, gates=(request.type,)
            )
            return CallAnswers(answers=await self._until(asked, request.type, passed=False))

    async def _until(self, request: GateRequest, type_: HookType, *, passed: bool) -> tuple[HookAnswer, ...]:
        """Call the hooks of a type until one answers so."""
        answers: list[HookAnswer] = []
        for hook in request.spec.analysis.hooks(type_):
            answers.append(await self._call(request, hook))
            if answers[-1].passed is passed:
                break
        return tuple(answers)

    async def _call(self, request: GateRequest, hook: WebhookSpec) -> HookAnswer:
        """Call a hook; one that is away is a gate that is closed."""
        try:
            return await self._hooks.call(request.spec, hook, request.phase, request.revision)
        except NoAnswerError as error:
            return HookAnswer(
                hook=hook.name,
                type=hook.type,
                passed=False,
                status=error.status,
                message=str(error),
                at=self._clock(),
            )


def _is_out_of_patience(request: GateRequest) -> bool:
    return activity.info().attempt * request.spec.analysis.interval >= LONGEST_PATIENCE
