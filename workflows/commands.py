"""What persons can command a rollout: Updates, which answer, and Signals of the same names, which do not."""

from abc import abstractmethod
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ApplicationError

from canary.notice import Notice
from canary.spec import CanarySpec
from canary.status import Outcome, Person, Phase, RolloutStatus, Wishes
from canary.telling import told_of_a_refusal
from workflows.contract import BELL, ENGINE, LEAVE, UPDATE_SPEC, Answer, Command, Given, Verb
from workflows.wishes import as_command, as_person


class Commanded:
    """The handlers of a rollout: they record a wish, and its loop acts on it."""

    _spec: CanarySpec
    _status: RolloutStatus
    _wishes: Wishes
    _commands: list[Given]
    _has_news: bool

    @abstractmethod
    def _tell(self, notice: Notice, before: Phase | None = None) -> None:
        """Tell the outside."""

    @workflow.signal(name=BELL)
    def bell(self, _: Any = None) -> None:
        """Something changed in the cluster: look."""
        self._has_news = True

    @workflow.signal(name=UPDATE_SPEC)
    def update_spec(self, spec: CanarySpec | None = None) -> None:
        """Judge by *spec* from now on."""
        self._spec = spec or self._spec
        self._has_news = True

    @workflow.signal(name=Verb.ABORT)
    def abort_by_signal(self, command: Any = None) -> None:
        """Put all traffic back and end; whatever the argument is, it aborts."""
        self._wish_if_allowed(Verb.ABORT, as_command(command))

    @workflow.signal(name=Verb.RESTART)
    def restart_by_signal(self, command: Any = None) -> None:
        """Begin the analysis again."""
        self._wish_if_allowed(Verb.RESTART, as_command(command))

    @workflow.signal(name=Verb.APPROVE)
    def approve_by_signal(self, command: Any = None) -> None:
        """Answer the gate that is waited for."""
        self._wish_if_allowed(Verb.APPROVE, as_command(command))

    @workflow.signal(name=LEAVE)
    def leave(self, command: Any = None) -> None:
        """End, for the canary is taken out; where an abort would have to wait the traffic stays."""
        given = as_command(command)
        self._wish_if_allowed(Verb.ABORT, given)
        self._wishes = self._wishes.model_copy(update={"leave": as_person(given, workflow.now())})
        self._has_news = True

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

    @workflow.update(name=Verb.APPROVE)
    def approve(self, command: Command) -> Answer:
        """Answer the gate that is waited for, in place of its webhook."""
        return self._wish(Verb.APPROVE, command)

    @approve.validator
    def _check_approve(self, command: Command) -> None:
        del command
        self._refuse(Verb.APPROVE)

    def _refuse(self, verb: Verb) -> None:
        if text := self._refusal(verb):
            raise ApplicationError(text, type="Refused", non_retryable=True)

    def _refusal(self, verb: Verb) -> str:
        """Why a command comes at the wrong moment; empty if it does not."""
        status = self._status
        if verb is Verb.APPROVE:
            return "" if status.waiting_for else f"The rollout is {status.phase}: no gate is waited for."
        if self._is_left_to_the_canary(verb):
            return ""
        if status.phase.is_final or status.phase is Phase.FINALISING:
            back = "the version before comes back by rolling it out again"
            return f"The rollout is {status.phase}: too late to {verb} it; {back}."
        if status.phase is Phase.PROMOTING and verb is Verb.RESTART:
            return "The rollout is Promoting: abort it first, or push a new revision."
        return ""

    def _is_left_to_the_canary(self, verb: Verb) -> bool:
        """Whether the canary obeys it once this rollout has gone back, or was halted."""
        status = self._status
        is_halted = status.outcome is Outcome.HALTED
        if verb is Verb.ABORT:
            return is_halted
        return status.phase is Phase.FAILED or status.is_restoring

    def _wish_if_allowed(self, verb: Verb, command: Command) -> None:
        """A signal has no answer: that it is refused is told."""
        if text := self._refusal(verb):
            self._tell_the_refused(verb, as_person(command, workflow.now()), text)
        else:
            self._wish(verb, command)

    def _answer_for_the_late(self) -> None:
        """What was taken a moment before it became too late is refused after all."""
        if self._status.phase is Phase.FAILED:
            return
        for verb in (Verb.ABORT, Verb.RESTART):
            person: Person | None = getattr(self._wishes, verb)
            if person is not None and (text := self._refusal(verb)):
                self._wishes = self._wishes.model_copy(update={str(verb): None})
                self._tell_the_refused(verb, person, text)

    def _tell_the_refused(self, verb: Verb, person: Person, why: str) -> None:
        """A canary that ends its rollout before itself waits for whatever end that comes to."""
        if person.who != ENGINE:
            self._tell(told_of_a_refusal(verb, person, why))

    def _wish(self, verb: Verb, command: Command) -> Answer:
        """Record a wish; an abort undoes the restart before it."""
        person = as_person(command, workflow.now())
        undone = {"restart": None} if verb is Verb.ABORT else {}
        self._wishes = self._wishes.model_copy(update={**undone, str(verb): person})
        self._commands.append(Given(verb=verb, by=person))
        self._has_news = True
        workflow.logger.info("commanded", extra={"verb": str(verb), "who": person.who})
        return Answer(message=f"{verb} recorded for {self._spec.tail}")
