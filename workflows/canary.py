"""`CanaryWorkflow`: one target in one cluster, for as long as it is delivered."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, assert_never

from pydantic import ValidationError
from temporalio import workflow
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    ChildWorkflowError,
    WorkflowAlreadyStartedError,
    is_cancelled_exception,
)
from temporalio.workflow import ParentClosePolicy

from activities.cluster.initialisation import EstablishRequest, InitialisationActivities
from activities.cluster.observation import ObservationActivities
from activities.cluster.preflight import Preflight, PreflightActivities
from activities.cluster.primary import PrimaryActivities
from activities.cluster.removal import RemovalActivities, RemovalRequest
from activities.cluster.scaling import ScaleRequest, ScalingActivities
from activities.runs import Abandoned, RunActivities, SignalWithStart
from canary.idle import IdleDecision, Rest, Resume, Roll, decide_idle, noticed_idle
from canary.observation import Observation
from canary.readiness import judge_readiness
from canary.revision import checksum
from canary.spec import CanarySpec
from canary.status import CanaryStatus, Outcome, Person, Phase, Revision, RolloutStatus, Wishes
from canary.transition import begin, resumed
from workflows import display
from workflows.contract import (
    APPLY,
    BELL,
    CANARY_WORKFLOW,
    CLUSTER_WATCH_WORKFLOW,
    DELETE,
    QUEUE,
    REGISTER,
    ROLLOUT_WORKFLOW,
    STATUS,
    UPDATE_SPEC,
    Answer,
    ApplyCanary,
    ApplyResult,
    CanaryState,
    CanaryView,
    Command,
    DeleteCommand,
    Registration,
    RolloutStart,
    Verb,
    rollout_id,
    watch_id,
)
from workflows.options import ENTITY, READ, REMOVAL, TASK, TRAFFIC, WRITE
from workflows.wishes import as_command, as_person

RESYNC = timedelta(minutes=10)
"""A look without a reason, in case a doorbell was lost."""
STARTING = timedelta(seconds=2)
"""Between two looks at a workload that is starting, where no doorbell rings before."""
PAUSE = timedelta(seconds=5)
"""Before something that was refused is tried again."""


@workflow.defn(name=CANARY_WORKFLOW)
class CanaryWorkflow:
    """One canary: initialise it, wait for a change, roll it out, and in the end take it out again."""

    @workflow.init
    def __init__(self, state: CanaryState | None = None) -> None:
        self._spec: CanarySpec | None = state.spec if state else None
        self._status = state.status if state else CanaryStatus()
        self._wishes = state.wishes if state else Wishes()
        self._delay = state.scale_down_delay if state else timedelta(seconds=30)
        self._is_initialised = state.is_initialised if state else False
        self._shown: CanaryStatus | None = None
        self._is_refused = self._is_leaving = self._is_gone = False
        self._has_news = self._has_new_spec = False
        self._rollout: workflow.ChildWorkflowHandle[Any, RolloutStatus] | None = None
        self._registered: tuple[str, ...] = ()

    @workflow.run
    async def run(self, state: CanaryState | None = None) -> CanaryStatus:
        """Deliver one target until it is deleted; returns its last status."""
        del state
        await workflow.wait_condition(lambda: self._spec is not None or self._is_refused or self._is_leaving)
        if self._spec is not None:
            await self._persistently(self._end_orphan)
            while not self._is_leaving:
                await self._persistently(self._turn)
                await self._continue_as_new_when_long()
            await self._persistently(self._take_out)
        self._is_gone = True
        await workflow.wait_condition(workflow.all_handlers_finished)
        return self._status

    # -- the loop

    async def _turn(self) -> None:
        """One look at the target, and what follows from it."""
        self._has_news = False
        if not self._is_initialised:
            return await self._initialise()
        if self._has_new_spec and self._status.outcome is not Outcome.HALTED:
            await self._renew()
        seen = await self._observe()
        await self._register(seen)
        self._status = noticed_idle(self._status, seen)
        await self._carry_out(decide_idle(self.spec, self._status, seen, self._wishes), seen)
        return None

    async def _carry_out(self, decision: IdleDecision, seen: Observation) -> None:
        match decision:
            case Rest():
                self._wishes = Wishes()
                if decision.message != self._status.message:
                    self._become(message=decision.message)
                if decision.needs_person:
                    workflow.logger.warning("a person is needed", extra={"canary": self.spec.tail})
                await self._rest(RESYNC, "until something changes")
            case Roll():
                await self._roll_out(self._start_of(decision.revision, seen))
            case Resume():
                await self._roll_out(self._resumption(decision, seen))
            case _:
                assert_never(decision)

    async def _rest(self, pause: timedelta, summary: str) -> None:
        try:
            await workflow.wait_condition(
                lambda: self._has_news or self._is_leaving, timeout=pause, timeout_summary=summary
            )
        except TimeoutError:
            return

    async def _persistently(self, act: Callable[[], Awaitable[object]]) -> None:
        """Do it until it is done; what is refused is told and tried again. A cancellation takes it out."""
        while True:
            try:
                await act()
            except asyncio.CancelledError:
                self._is_leaving = True
            except ActivityError as error:
                if is_cancelled_exception(error):
                    self._is_leaving = True
                    continue
                self._become(message=str(error.cause or error))
                await self._rest(PAUSE, "it was refused")
            else:
                return

    # -- initialisation

    async def _initialise(self) -> None:
        """Primary, routes, and the target to zero; at any point the target goes on serving."""
        if self._wishes.abort is not None:
            return await self._stop_initialising(self._wishes.abort)
        seen = await self._observe()
        if seen.target is None:
            spec = self.spec
            self._become(message=f"Waiting for {spec.target.kind} {spec.target.name} to be there")
            await self._register(seen)
            return await self._rest(RESYNC, "until the target is there")
        if seen.primary is not None and (seen.primary.promoting or seen.primary.outcome == Outcome.HALTED):
            return self._adopt_halted(seen)
        self._become(phase=Phase.INITIALIZING, message=_starting(self.spec))
        await self._do(InitialisationActivities.deploy_load_tester, self.spec, "deploy the load tester")
        promoted = await workflow.execute_activity_method(
            PrimaryActivities.create_primary, self.spec, summary="create the primary", **WRITE
        )
        await self._register(seen)
        if await self._primary_gets_ready():
            await self._route_to_primary(promoted)
        return None

    async def _primary_gets_ready(self) -> bool:
        """Wait for the primary; whether it is ready, rather than something else having come up."""
        since = workflow.now()
        while not self._is_leaving and self._wishes.abort is None:
            self._has_news = False
            seen = await self._observe()
            spec = self.spec
            verdict = judge_readiness(
                seen.primary,
                spec.analysis.primary_ready_threshold,
                spec.progress_deadline,
                since,
                workflow.now(),
            )
            if verdict.is_ready:
                return True
            self._become(message=f"{spec.primary}.{spec.namespace} not ready: {verdict.message}")
            await self._rest(STARTING, "until the primary is ready")
        return False

    async def _route_to_primary(self, promoted: Revision) -> None:
        await self._establish("route to the primary")
        await workflow.sleep(self._delay, summary="the mesh learns the routes")
        seen = await self._observe()
        if self._wishes.abort is not None or self._is_leaving:
            return
        if seen.primary is None or not seen.primary.is_serving:
            return  # the next turn begins again; the target still serves
        request = ScaleRequest(spec=self.spec, replicas=0, decided_at=workflow.now())
        await workflow.execute_activity_method(
            ScalingActivities.scale_target, request, summary="target to zero", **TRAFFIC
        )
        self._is_initialised = True
        last = promoted
        if seen.target is not None and checksum(seen.target.revision) == seen.primary.last_applied:
            last = seen.target.revision
        self._become(
            phase=Phase.INITIALIZED,
            last_promoted=promoted,
            last_applied=last,
            message=f"Initialization done! {self.spec.target.name}.{self.spec.namespace}",
        )

    async def _stop_initialising(self, person: Person) -> None:
        """Abort: the target keeps serving, nothing was scaled to zero; `restart` begins again."""
        self._become(
            phase=Phase.FAILED, outcome=Outcome.ABORTED, message=f"Initialisation aborted by {person.who}"
        )
        await workflow.wait_condition(lambda: self._wishes.restart is not None or self._is_leaving)
        self._wishes = Wishes()

    def _adopt_halted(self, seen: Observation) -> None:
        """A promotion was cut off: the weights stay as they are, and a person decides."""
        assert seen.primary is not None  # noqa: S101 — narrows for the type checker; the caller has looked
        self._is_initialised = True
        self._become(
            phase=Phase.FAILED,
            outcome=Outcome.HALTED,
            traffic_weight=seen.routes.canary if seen.routes else 0,
            last_promoted=seen.primary.revision,
            last_applied=seen.target.revision if seen.target else None,
            message=(
                f"The promotion of {self.spec.target.name}.{self.spec.namespace} was cut off: "
                "restart promotes again, abort puts the promoted version back"
            ),
        )

    async def _renew(self) -> None:
        """Bring Services, routes and load tester in line with a changed document."""
        self._has_new_spec = False
        await self._do(InitialisationActivities.deploy_load_tester, self.spec, "deploy the load tester")
        await self._establish("renew the routes")

    # -- rollouts

    def _start_of(self, revision: Revision, seen: Observation) -> RolloutStart:
        promoted = self._status.last_promoted or revision
        return RolloutStart(
            spec=self.spec,
            revision=revision,
            promoted=promoted,
            primary_size=seen.primary.available if seen.primary else 1,
            scale_down_delay=self._delay,
        )

    def _resumption(self, decision: Resume, seen: Observation) -> RolloutStart:
        """A rollout that goes on with the traffic where it is."""
        start = self._start_of(decision.revision, seen)
        weight = seen.routes.canary if seen.routes else 0
        size = seen.target.available if seen.target else start.primary_size
        begun = begin(self.spec, start.revision, start.promoted, size, workflow.now())
        status = resumed(self.spec, begun, weight)
        if decision.abort is not None:
            status = status.model_copy(update={"phase": Phase.PROMOTING})
        return start.model_copy(update={"status": status, "wishes": Wishes(abort=decision.abort)})

    async def _roll_out(self, start: RolloutStart) -> None:
        """Run one rollout to its end, whatever that is, and learn from it."""
        self._wishes = Wishes()
        self._become(
            phase=Phase.PROGRESSING,
            last_applied=start.revision,
            outcome=None,
            message=f"New revision detected! Scaling up {self.spec.target.name}.{self.spec.namespace}",
        )
        try:
            self._rollout = await self._start_rollout(start)
        except WorkflowAlreadyStartedError:
            await self._end_orphan()
            return
        ended: RolloutStatus | None
        try:
            ended = await self._accompany(self._rollout)
        except ChildWorkflowError as error:
            ended = _failed_status(error)
        self._rollout = None
        if ended is None:
            await self._recover()
        else:
            self._learn(ended)

    async def _start_rollout(self, start: RolloutStart) -> workflow.ChildWorkflowHandle[Any, RolloutStatus]:
        return await workflow.start_child_workflow(
            ROLLOUT_WORKFLOW,
            start,
            id=rollout_id(self.spec.tail),
            task_queue=QUEUE,
            task_timeout=TASK,
            parent_close_policy=ParentClosePolicy.ABANDON,
            search_attributes=display.identity(self.spec),
            static_summary=f"{self.spec.tail} to {start.revision.template}",
            result_type=RolloutStatus,
        )

    async def _accompany(self, rollout: workflow.ChildWorkflowHandle[Any, RolloutStatus]) -> RolloutStatus:
        """Await the rollout; meanwhile pass on a changed document and the wish to leave."""
        told: list[str] = []
        while not rollout.done():
            await workflow.wait_condition(
                lambda: rollout.done() or self._has_new_spec or (self._is_leaving and not told)
            )
            if self._has_new_spec and not rollout.done():
                self._has_new_spec = False
                await rollout.signal(UPDATE_SPEC, self.spec)
            if self._is_leaving and not told and not rollout.done():
                command = Command(who="durable-canary", reason="the canary is deleted")
                told.append(command.reason)
                await rollout.signal(Verb.ABORT, command.model_dump(mode="json"))
        return await rollout

    def _learn(self, ended: RolloutStatus) -> None:
        changes: dict[str, Any] = {
            "phase": ended.phase,
            "outcome": ended.outcome,
            "failed_checks": ended.failed_checks,
            "iterations": ended.iterations,
            "canary_weight": ended.canary_weight,
            "traffic_weight": ended.traffic_weight,
            "last_applied": ended.revision,
            "message": ended.message,
        }
        if ended.outcome is Outcome.PROMOTED:
            changes["last_promoted"] = ended.revision
        if ended.outcome is Outcome.REVERTED:
            changes["last_applied"] = self._status.last_promoted
        self._become(**changes)

    async def _recover(self) -> None:
        """The rollout was terminated: before its promotion all traffic goes back, after that we hold."""
        seen = await self._observe()
        if seen.primary is not None and seen.primary.promoting:
            self._adopt_halted(seen)
            return
        weight = seen.routes.canary if seen.routes else 0
        revision = self._status.last_applied or Revision(template="")
        start = self._start_of(revision, seen)
        begun = begin(self.spec, revision, start.promoted, start.primary_size, workflow.now())
        person = Person(who="durable-canary", reason="the rollout was terminated", at=workflow.now())
        status = resumed(self.spec, begun, weight)
        await self._roll_out(start.model_copy(update={"status": status, "wishes": Wishes(abort=person)}))

    async def _end_orphan(self) -> None:
        """A rollout of this target that nobody waits for is asked to end, and waited for."""
        command = Command(who="durable-canary", reason="nobody waits for this rollout")
        orphan = Abandoned(
            workflow=rollout_id(self.spec.tail), signal=Verb.ABORT, argument=command.model_dump(mode="json")
        )
        await workflow.execute_activity_method(
            RunActivities.end_orphan, orphan, summary="no rollout without its canary", **ENTITY
        )

    # -- the way out

    async def _take_out(self) -> None:
        """Bring the workload back as it was, without a request that fails, and delete what was made."""
        self._become(phase=Phase.TERMINATING, message="Bringing the workload back as it was")
        request = RemovalRequest(spec=self.spec, decided_at=workflow.now())
        try:
            await workflow.execute_activity_method(
                RemovalActivities.restore_target, request, summary="target to the primary's size", **REMOVAL
            )
            await workflow.execute_activity_method(
                RemovalActivities.restore_routes,
                request,
                summary="Service and routes as they were",
                **REMOVAL,
            )
            await workflow.sleep(self._delay, summary="the mesh forgets the primary")
            await workflow.execute_activity_method(
                RemovalActivities.remove_objects, request, summary="delete what was made", **REMOVAL
            )
            self._become(message="Taken out; the workload is as it was")
        except ActivityError as error:
            self._become(message=f"Left behind in {self.spec.cluster}: {error.cause or error}")
        await self._tell_watch(
            Registration(canary=self.spec.tail, namespace=self.spec.namespace, remove=True)
        )

    # -- the cluster

    @property
    def spec(self) -> CanarySpec:
        """The document as it was last applied."""
        if self._spec is None:
            raise AssertionError("a canary is applied before it does anything")
        return self._spec

    async def _observe(self) -> Observation:
        return await workflow.execute_activity_method(
            ObservationActivities.observe, self.spec, summary="look", **READ
        )

    async def _establish(self, summary: str) -> None:
        request = EstablishRequest(spec=self.spec)
        await self._do(InitialisationActivities.establish_routes, request, summary)

    async def _do(self, act: Callable[..., Awaitable[None]], argument: Any, summary: str) -> None:
        await workflow.execute_activity_method(act, argument, summary=summary, **WRITE)

    async def _register(self, seen: Observation) -> None:
        """Tell the cluster's watch which objects concern this canary, where that has changed."""
        spec = self.spec
        configs = seen.target.revision.configs if seen.target else {}
        objects = (
            f"{spec.target.kind}/{spec.target.name}",
            f"{spec.target.kind}/{spec.primary}",
            f"VirtualService/{spec.service.name}",
            f"Service/{spec.service.name}",
            *(_as_object(key) for key in configs),
        )
        if objects != self._registered:
            self._registered = objects
            await self._tell_watch(Registration(canary=spec.tail, namespace=spec.namespace, objects=objects))

    async def _tell_watch(self, registration: Registration) -> None:
        signal = SignalWithStart(
            workflow=watch_id(self.spec.cluster),
            type=CLUSTER_WATCH_WORKFLOW,
            task_queue=QUEUE,
            signal=REGISTER,
            argument=registration.model_dump(mode="json"),
        )
        await workflow.execute_activity_method(
            RunActivities.signal_with_start, signal, summary="tell the cluster's watch", **ENTITY
        )

    async def _continue_as_new_when_long(self) -> None:
        if not workflow.info().is_continue_as_new_suggested() or self._is_leaving:
            return
        await workflow.wait_condition(workflow.all_handlers_finished)
        workflow.continue_as_new(
            CanaryState(
                spec=self.spec,
                status=self._status,
                wishes=self._wishes,
                scale_down_delay=self._delay,
                is_initialised=self._is_initialised,
            )
        )

    def _become(self, **changes: Any) -> None:
        before = self._status
        self._status = before.model_copy(update=changes)
        if before.phase is not self._status.phase or before.last_transition_time is None:
            self._status = self._status.model_copy(update={"last_transition_time": workflow.now()})
        display.show_canary(self.spec, self._status, self._shown)
        self._shown = self._status

    # -- what others say

    @workflow.query(name=STATUS)
    def view(self) -> CanaryView | None:
        """The spec and the status; nothing before the first `apply` was accepted."""
        return None if self._spec is None else CanaryView(spec=self._spec, status=self._status)

    @workflow.signal(name=BELL)
    def bell(self, _: Any = None) -> None:
        """Something changed in the cluster: look."""
        self._has_news = True

    @workflow.update(name=APPLY)
    async def apply(self, argument: dict[str, Any]) -> ApplyResult:
        """Check a document against the cluster and deliver by it; a refused one changes nothing."""
        try:
            wanted = ApplyCanary.model_validate(argument)
        except ValidationError as error:
            raise ApplicationError(f"apply: {error}", type="Invalid", non_retryable=True) from error
        found: Preflight = await workflow.execute_activity_method(
            PreflightActivities.preflight, wanted.spec, summary="look before leaping", **READ
        )
        if any(not problem.is_warning for problem in found.problems):
            self._is_refused = self._spec is None
            return ApplyResult(accepted=False, problems=found.problems)
        changed = wanted.spec != self._spec
        self._delay = found.scale_down_delay
        self._has_new_spec = changed and self._spec is not None
        self._spec = wanted.spec
        self._has_news = True
        return ApplyResult(accepted=True, changed=changed, problems=found.problems)

    @workflow.update(name=DELETE)
    async def delete(self, command: DeleteCommand) -> Answer:
        """Bring the workload back as it was, and end; answered once that is done."""
        del command
        self._is_leaving = True
        await workflow.wait_condition(lambda: self._is_gone)
        return Answer(message=self._status.message)

    @workflow.signal(name=Verb.ABORT)
    async def abort_by_signal(self, command: Any = None) -> None:
        """Stop an initialisation or give a halted promotion up; a rollout that runs is told."""
        await self._wish(Verb.ABORT, as_command(command))

    @workflow.signal(name=Verb.RESTART)
    async def restart_by_signal(self, command: Any = None) -> None:
        """Try the target's revision again; a rollout that runs is told."""
        await self._wish(Verb.RESTART, as_command(command))

    @workflow.update(name=Verb.ABORT)
    async def abort(self, command: Command) -> Answer:
        """Stop an initialisation, or give a halted promotion up."""
        return await self._wish(Verb.ABORT, command)

    @abort.validator
    def _check_abort(self, command: Command) -> None:
        del command
        is_running = self._rollout is not None or not self._is_initialised
        if not is_running and self._status.outcome is not Outcome.HALTED:
            raise ApplicationError("Nothing is running that could be aborted.", type="Refused")

    @workflow.update(name=Verb.RESTART)
    async def restart(self, command: Command) -> Answer:
        """Try the target's revision again."""
        return await self._wish(Verb.RESTART, command)

    async def _wish(self, verb: Verb, command: Command) -> Answer:
        if self._rollout is not None and not self._rollout.done():
            await self._rollout.signal(verb, command.model_dump(mode="json"))
            return Answer(message=f"{verb} passed on to the rollout of {self.spec.tail}")
        self._wishes = self._wishes.model_copy(update={str(verb): as_person(command, workflow.now())})
        self._has_news = True
        return Answer(message=f"{verb} recorded for {self.spec.tail}")


def _starting(spec: CanarySpec) -> str:
    return f"New {spec.target.kind} detected, starting initialization."


def _as_object(key: str) -> str:
    kind, name = key.split("/", 1)
    return f"{'Secret' if kind == 'secret' else 'ConfigMap'}/{name}"


def _failed_status(error: ChildWorkflowError) -> RolloutStatus | None:
    """The final status of a rollout that ended by our own rules; None if it was cut off."""
    cause = error.cause
    if not isinstance(cause, ApplicationError) or cause.type not in set(Outcome) or not cause.details:
        return None
    return RolloutStatus.model_validate(cause.details[0])
