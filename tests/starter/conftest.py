"""A real Temporal server, and workflows that bear the engine's names and do only what a test tells them."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from temporalio import activity, workflow
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import DeleteWorkflowExecutionRequest
from temporalio.client import Client, WorkflowHandle
from temporalio.common import SearchAttributePair, TypedSearchAttributes
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from canary.analysis import (
    AnalyseRequest,
    AnalysisResult,
    Check,
    CheckRecord,
    GateCheck,
    GateRequest,
    HookAnswer,
    Measurement,
    Verdict,
)
from canary.examination import Examination, Finding, Findings
from canary.observation import Observation
from canary.spec import AnalysisSpec, CanarySpec, HookType, MetricSpec, ServiceSpec, TargetRef, ThresholdRange
from canary.status import CanaryStatus, ListRow, Phase, Revision, RolloutStatus
from starter.workers import pollers
from workflows import contract
from workflows.contract import (
    Answer,
    ApplicationStatus,
    ApplyApplication,
    ApplyCanary,
    ApplyResult,
    CanaryView,
    ClusterProgress,
    Command,
    DeleteCommand,
    Problem,
    RolloutStart,
    RolloutView,
)

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ATTRIBUTES = [
    contract.CLUSTER,
    contract.NAMESPACE,
    contract.TARGET,
    contract.APPLICATION,
    contract.PHASE,
    contract.REVISION,
    contract.WEIGHT,
]


def spec_of(cluster: str = "one", namespace: str = "webapp", name: str = "backend") -> CanarySpec:
    return CanarySpec(
        cluster=cluster,
        namespace=namespace,
        name=name,
        target=TargetRef(name=name),
        service=ServiceSpec(name=name, port=9898),
        analysis=AnalysisSpec(
            threshold=2,
            metrics=(MetricSpec(name="request-success-rate", threshold_range=ThresholdRange(min=99)),),
        ),
    )


def row_of(spec: CanarySpec, phase: Phase = Phase.INITIALIZED, **fields: Any) -> ListRow:
    row = ListRow(
        cluster=spec.cluster,
        namespace=spec.namespace,
        name=spec.name,
        phase=phase,
        last_transition_time=NOW,
    )
    return row.model_copy(update=fields)


def status_of(**fields: Any) -> RolloutStatus:
    status = RolloutStatus(
        revision=Revision(template="def"),
        promoted=Revision(template="abc"),
        started_at=NOW,
        last_transition_time=NOW,
        due=NOW,
        actuated_at=NOW,
        canary_weight=10,
        traffic_weight=10,
    )
    return status.model_copy(update=fields)


def record_of(start: RolloutStart) -> CheckRecord:
    """A check that a rollout carries on; told from others by its value."""
    measurement = Measurement(
        metric="request-success-rate", query="sum(rate(kept))", value=99.1 + len(start.checks), at=NOW
    )
    return CheckRecord(
        at=NOW,
        weight=10,
        revision=start.revision,
        verdict=Verdict(result=AnalysisResult.SUCCESSFUL),
        measurements=(measurement,),
    )


class _Entity:
    """What the fakes share: a row that a test may set, and commands that are remembered."""

    def __init__(self) -> None:
        self.received: list[Command] = []
        self.is_over = False
        self.failure = ""

    @workflow.signal
    def show(self, row: ListRow) -> None:
        workflow.upsert_memo({contract.ROW: row})

    @workflow.signal
    def finish(self, failure: str = "") -> None:
        self.failure = failure
        self.is_over = True

    @workflow.update(name="abort")
    def abort(self, command: Command) -> Answer:
        self.received.append(command)
        return Answer(message="abort accepted")

    @abort.validator
    def refuse(self, command: Command) -> None:
        if command.reason == "too late":
            raise ApplicationError("Promotion is over; use rollback.")

    @workflow.signal(name="abort")
    def abort_signal(self, command: Any = None) -> None:
        self.received.append(Command.model_validate(command or {}))

    @workflow.update(name="approve")
    def approve(self, command: Command) -> Answer:
        self.received.append(command)
        return Answer(message="approve accepted")

    @workflow.query
    def commands(self) -> list[Command]:
        return self.received

    async def until_over(self) -> None:
        await workflow.wait_condition(lambda: self.is_over)
        await workflow.wait_condition(workflow.all_handlers_finished)
        if self.failure:
            raise ApplicationError("over", type=self.failure)


@workflow.defn(name=contract.CANARY_WORKFLOW)
class FakeCanary(_Entity):
    def __init__(self) -> None:
        super().__init__()
        self.spec = spec_of()
        self.is_known = False
        self.is_continued = False

    @workflow.run
    async def run(self, _state: Any = None) -> None:
        await self.until_over()
        if self.is_continued:
            workflow.continue_as_new()

    @workflow.update(name=contract.APPLY)
    def apply(self, request: ApplyCanary) -> ApplyResult:
        result = _judged(request.spec.name)
        self.is_over = not result.accepted
        if result.accepted:
            told = {"created": not self.is_known, "changed": request.spec != self.spec}
            result = result.model_copy(update=told)
            self.is_known = True
            self.spec = request.spec
            self.show(row_of(request.spec))
        return result

    @workflow.update(name=contract.DELETE)
    async def delete(self, command: DeleteCommand) -> Answer:
        await workflow.wait_condition(lambda: "/slow" not in workflow.info().workflow_id)
        if workflow.info().workflow_id.endswith("/lasting") and not workflow.info().continued_run_id:
            self.is_continued = self.is_over = True
            return Answer(message="the way out waits", is_done=False, goes_on=True)
        self.is_over = True
        return Answer(message=f"deleted for {command.command.who}")

    @delete.validator
    def refuse_delete(self, command: DeleteCommand) -> None:
        if command.command.who == "refused":
            raise ApplicationError("An Application owns it.")

    @workflow.query(name=contract.STATUS)
    def status(self) -> CanaryView | None:
        if workflow.info().workflow_id.endswith("/unjudged"):
            return None
        status = CanaryStatus(phase=Phase.INITIALIZED, last_promoted=Revision(template="abc"))
        return CanaryView(spec=self.spec, status=status)


@workflow.defn(name=contract.ROLLOUT_WORKFLOW)
class FakeRollout(_Entity):
    """Checks once, and is continued as new where that is asked for before it is told to finish."""

    def __init__(self) -> None:
        super().__init__()
        self.is_long = False

    @workflow.signal
    def go_on(self) -> None:
        self.is_long = True
        self.is_over = True

    @workflow.run
    async def run(self, start: RolloutStart) -> None:
        self.spec = spec = start.spec
        request = AnalyseRequest(
            spec=spec,
            phase=Phase.PROGRESSING,
            revision=Revision(template="def"),
            hooks=(),
            actuated_at=NOW,
            weight=10,
        )
        options: Any = {"task_queue": contract.QUEUE, "start_to_close_timeout": contract.ACCEPTANCE}
        await workflow.execute_activity("analyse", request, **options)
        asked = GateRequest(spec=spec, phase=request.phase, revision=request.revision, gates=())
        await workflow.execute_activity("ask_gates", asked, **options)
        await self.until_over()
        if self.is_long:
            workflow.continue_as_new(start.model_copy(update={"checks": (*start.checks, record_of(start))}))

    @workflow.query(name=contract.STATUS)
    def status(self) -> RolloutView:
        return RolloutView(spec=self.spec, status=status_of())


@workflow.defn(name=contract.APPLICATION_WORKFLOW)
class FakeApplication(_Entity):
    def __init__(self) -> None:
        super().__init__()
        self.shown: tuple[ClusterProgress, ...] = ()

    @workflow.signal
    def progress(self, progress: ClusterProgress) -> None:
        others = (each for each in self.shown if each.name != progress.name)
        self.shown = (*others, progress)

    @workflow.run
    async def run(self, _state: Any = None) -> None:
        await self.until_over()

    @workflow.update(name=contract.APPLY)
    def apply(self, request: ApplyApplication) -> ApplyResult:
        result = _judged(request.spec.name)
        self.is_over = not result.accepted
        self.spec = request.spec
        return result

    @workflow.query(name=contract.STATUS)
    def status(self) -> ApplicationStatus:
        return ApplicationStatus(
            spec=self.spec, revision="master@sha1:abc", message="Applied", progress=self.shown
        )


@workflow.defn(name=contract.DOCTOR_WORKFLOW)
class FakeDoctor:
    @workflow.run
    async def run(self, examination: Examination) -> Findings:
        seen = [Finding(cluster="one", what="rights", seen="may not list pods", remedy="run: kubectl …")]
        seen += [Finding(cluster=name, what="Istio", seen="fine") for name in examination.clusters]
        inside = {name: f"queue-of-{name}" for name in examination.clusters if name == "inside"}
        return Findings(findings=tuple(seen), task_queues=inside)


def _judged(name: str) -> ApplyResult:
    """Accept everything but a few names."""
    if name == "refused":
        problem = Problem(path="spec.targetRef.name", message="Deployment refused not found in cluster one")
        return ApplyResult(accepted=False, problems=(problem,))
    if name == "away":
        return ApplyResult(
            accepted=False,
            problems=(Problem(path="", message="Cluster one does not answer", is_unreachable=True),),
        )
    return ApplyResult(accepted=True, changed=True)


@activity.defn
async def analyse(_request: AnalyseRequest) -> Check:
    measurement = Measurement(
        metric="request-success-rate", query="sum(rate(x))", value=99.5, samples=120, at=NOW
    )
    return Check(observation=Observation(at=NOW), measurements=(measurement,))


@activity.defn
async def ask_gates(_request: GateRequest) -> GateCheck:
    closed = HookAnswer(hook="lead", type=HookType.CONFIRM_PROMOTION, passed=False, status=403, at=NOW)
    return GateCheck(observation=Observation(at=NOW), answers=(closed,))


class Engine:
    """A Temporal server as the command line sees it, and a way to put fakes on it."""

    def __init__(self, environment: WorkflowEnvironment) -> None:
        self.client = environment.client
        self.address = environment.client.service_client.config.target_host

    @staticmethod
    def spec(**fields: str) -> CanarySpec:
        return spec_of(**fields)

    @staticmethod
    def row(spec: CanarySpec, phase: Phase = Phase.INITIALIZED, **fields: Any) -> ListRow:
        return row_of(spec, phase, **fields)

    @staticmethod
    def status(**fields: Any) -> RolloutStatus:
        return status_of(**fields)

    @staticmethod
    def record(start: RolloutStart) -> CheckRecord:
        return record_of(start)

    @staticmethod
    async def printed(capsys: Any, text: str) -> str:
        """Wait until a text is printed, and give all that was."""
        output = ""
        while text not in output:
            await asyncio.sleep(0.02)
            output += capsys.readouterr().out
        return output

    @staticmethod
    def seconds(number: float) -> timedelta:
        return timedelta(seconds=number)

    @staticmethod
    def later(seconds: float) -> datetime:
        return NOW + timedelta(seconds=seconds)

    @staticmethod
    def namespace() -> str:
        """A namespace of a test's own, since tests share the server."""
        return f"ns-{uuid4().hex[:8]}"

    async def canary(self, spec: CanarySpec, row: ListRow | None = None) -> WorkflowHandle[Any, Any]:
        return await self._start(
            contract.CANARY_WORKFLOW, contract.canary_id(spec.tail), row or row_of(spec), []
        )

    async def rollout(self, spec: CanarySpec, row: ListRow) -> WorkflowHandle[Any, Any]:
        start = RolloutStart(spec=spec, revision=Revision(template="def"), promoted=Revision(template="abc"))
        return await self._start(contract.ROLLOUT_WORKFLOW, contract.rollout_id(spec.tail), row, [start])

    async def application(self, row: ListRow) -> WorkflowHandle[Any, Any]:
        identity = contract.application_id(row.namespace, row.name)
        return await self._start(contract.APPLICATION_WORKFLOW, identity, row, [])

    async def analysed(self, handle: WorkflowHandle[Any, Any]) -> None:
        """Wait until a rollout has its one check."""
        async for event in handle.fetch_history_events(wait_new_event=True):
            if event.HasField("activity_task_completed_event_attributes"):
                return

    async def continued(self, handle: WorkflowHandle[Any, Any]) -> WorkflowHandle[Any, Any]:
        """Have a rollout continued as new, and give its next execution once that has its check."""
        await self.analysed(handle)
        await handle.signal("go_on")
        async for event in handle.fetch_history_events(wait_new_event=True):
            if event.HasField("workflow_execution_continued_as_new_event_attributes"):
                run = event.workflow_execution_continued_as_new_event_attributes.new_execution_run_id
        following = self.client.get_workflow_handle(handle.id, run_id=run)
        await self.analysed(following)
        return following

    async def forgotten(self, identity: str, run: str) -> None:
        """Delete an execution, as retention does, and wait until it is gone."""
        execution = WorkflowExecution(workflow_id=identity, run_id=run)
        request = DeleteWorkflowExecutionRequest(
            namespace=self.client.namespace, workflow_execution=execution
        )
        await self.client.workflow_service.delete_workflow_execution(request)

        async def is_gone() -> bool:
            try:
                await self.client.get_workflow_handle(identity, run_id=run).describe()
            except RPCError as error:
                return error.status is RPCStatusCode.NOT_FOUND
            return False

        await until(is_gone)

    async def ended(self, handle: WorkflowHandle[Any, Any]) -> None:
        """Wait until visibility knows that a workflow is over."""

        async def is_over() -> bool:
            run = f"RunId = '{handle.run_id or handle.result_run_id}'"
            found = self.client.list_workflows(f"{run} AND ExecutionStatus != 'Running'")
            return [item async for item in found] != []

        await until(is_over)

    async def _start(
        self, kind: str, identity: str, row: ListRow, arguments: list[Any]
    ) -> WorkflowHandle[Any, Any]:
        attributes = [
            SearchAttributePair(contract.CLUSTER, row.cluster),
            SearchAttributePair(contract.NAMESPACE, row.namespace),
            SearchAttributePair(contract.TARGET, row.name),
        ]
        handle = await self.client.start_workflow(
            kind,
            args=arguments,
            id=identity,
            task_queue=contract.QUEUE,
            memo={contract.ROW: row},
            search_attributes=TypedSearchAttributes(attributes),
        )
        await self.listed(handle.id)
        return handle

    async def listed(self, identity: str) -> None:
        """Wait until visibility knows a workflow."""

        async def is_listed() -> bool:
            found = self.client.list_workflows(f"WorkflowId = '{identity}'")
            return [item async for item in found] != []

        await until(is_listed)


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Await a condition of the server's; pytest's own timeout bounds it."""
    while not await condition():  # noqa: ASYNC110 — the server has no event for it
        await asyncio.sleep(0.02)


PROMPT = [
    f'--dynamic-config-value=history.{queue}ProcessorUpdateAckInterval="100ms"'
    for queue in ("transfer", "visibility")
]
"""A deletion waits for the queues before it, which are asked about twice a minute otherwise."""


@asynccontextmanager
async def temporal() -> AsyncIterator[WorkflowEnvironment]:
    environment = await WorkflowEnvironment.start_local(
        dev_server_existing_path=str(Path(sys.executable).with_name("temporal")),
        dev_server_log_level="error",
        search_attributes=ATTRIBUTES,
        data_converter=pydantic_data_converter,
        dev_server_extra_args=PROMPT,
    )
    async with environment:
        yield environment


@pytest.fixture(scope="session")
async def engine() -> AsyncIterator[Engine]:
    """A server with a worker that runs the fakes."""
    async with temporal() as environment:
        worker = Worker(
            environment.client,
            task_queue=contract.QUEUE,
            workflows=[FakeCanary, FakeRollout, FakeApplication, FakeDoctor],
            activities=[analyse, ask_gates],
            workflow_runner=UnsandboxedWorkflowRunner(),
        )
        async with worker:
            await until(lambda: _is_polled(environment.client))
            yield Engine(environment)


async def _is_polled(client: Client) -> bool:
    return bool(await pollers(client, contract.QUEUE))


@pytest.fixture(scope="session")
async def idle() -> AsyncIterator[Engine]:
    """A server without any worker."""
    async with temporal() as environment:
        yield Engine(environment)
