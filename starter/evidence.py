"""What a rollout's history holds for people: every move, every check with its measurements, every command."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from temporalio.api.common.v1 import Payloads
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client, WorkflowHandle
from temporalio.converter import DataConverter

from canary.analysis import (
    AnalyseRequest,
    Check,
    CheckRecord,
    HookAnswer,
    Measurement,
    Verdict,
    judge_check,
    judge_measurement,
)
from canary.spec import CanarySpec, MetricSpec, Weight
from canary.status import ListRow
from canary.stored import Stored
from workflows.contract import ROW, Command, Verb

ANALYSE = "analyse"
"""The activity that carries out one check."""
CALLS = ("ask_gates", "call_hooks")
"""The activities that call hooks without measuring anything."""

Measured = tuple[MetricSpec, Measurement, Verdict]
"""A metric with its bounds, what was measured, and what that came to."""

Model = TypeVar("Model")


@dataclass(frozen=True)
class Checked:
    """One check: what was asked for, what was seen, what it came to."""

    at: datetime
    request: AnalyseRequest
    check: Check

    @property
    def verdict(self) -> Verdict:
        """What the check came to."""
        return judge_check(self.request.spec, self.check, self.request.exposed_at)

    @property
    def measurements(self) -> list[Measured]:
        """Each metric with its value and its own verdict."""
        return _measured(self.request.spec, self.check.measurements)

    @property
    def weight(self) -> Weight:
        """What the canary had of the traffic."""
        return self.request.weight

    @property
    def revision(self) -> str:
        """The revision that was judged."""
        return self.request.revision.template

    @property
    def hooks(self) -> Sequence[HookAnswer]:
        """What each hook answered."""
        return (*self.check.rollback, *self.check.hooks)


@dataclass(frozen=True)
class Kept:
    """One check as a rollout carries it on, and as its stored report holds it."""

    spec: CanarySpec
    record: CheckRecord

    @property
    def at(self) -> datetime:
        """When it was over."""
        return self.record.at

    @property
    def verdict(self) -> Verdict:
        """What the check came to."""
        return self.record.verdict

    @property
    def measurements(self) -> list[Measured]:
        """Each metric with its value and its own verdict."""
        return _measured(self.spec, self.record.measurements)

    @property
    def weight(self) -> Weight:
        """What the canary had of the traffic."""
        return self.record.weight

    @property
    def revision(self) -> str:
        """The revision that was judged."""
        return self.record.revision.template

    @property
    def hooks(self) -> Sequence[HookAnswer]:
        """What each hook answered."""
        return self.record.hooks


@dataclass(frozen=True)
class Commanded:
    """A person took a hand."""

    at: datetime
    verb: str
    command: Command


@dataclass(frozen=True)
class Moved:
    """The rollout's row changed: its phase, its weight, or what it says."""

    at: datetime
    row: ListRow


@dataclass(frozen=True)
class Called:
    """Hooks were called that are no part of a check: gates, and the hooks around a rollout."""

    at: datetime
    hooks: Sequence[HookAnswer]


Evidence = Checked | Kept | Called | Commanded | Moved


async def evidence(
    client: Client, handle: WorkflowHandle[object, object], *, is_live: bool = False
) -> AsyncIterator[Evidence]:
    """Read a workflow's history from its beginning; live, go on until it ends."""
    reader = _Reader(client.data_converter)
    async for event in handle.fetch_history_events(wait_new_event=is_live):
        found = await reader.read(event)
        if found is not None:
            yield found


class _Answers(Stored):
    """What the activities in `CALLS` answer, as far as it is evidence."""

    rollback: tuple[HookAnswer, ...] = ()
    answers: tuple[HookAnswer, ...] = ()


class _Reader:
    def __init__(self, converter: DataConverter) -> None:
        self._converter = converter
        self._requests: dict[int, AnalyseRequest] = {}
        self._calls: set[int] = set()

    async def read(self, event: HistoryEvent) -> Evidence | None:
        match event.event_type:
            case EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
                await self._scheduled(event)
            case EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED:
                return await self._completed(event)
            case EventType.EVENT_TYPE_WORKFLOW_PROPERTIES_MODIFIED:
                return await self._moved(event)
            case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED:
                signal = event.workflow_execution_signaled_event_attributes
                return await self._commanded(event, signal.signal_name, signal.input)
            case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED:
                update = event.workflow_execution_update_accepted_event_attributes.accepted_request.input
                return await self._commanded(event, update.name, update.args)
            case _:
                pass
        return None

    async def _scheduled(self, event: HistoryEvent) -> None:
        """Remember what a check was asked for, until it is answered."""
        scheduled = event.activity_task_scheduled_event_attributes
        if scheduled.activity_type.name == ANALYSE:
            self._requests[event.event_id] = await self._decode(scheduled.input, AnalyseRequest)
        elif scheduled.activity_type.name in CALLS:
            self._calls.add(event.event_id)

    async def _completed(self, event: HistoryEvent) -> Checked | Called | None:
        completed = event.activity_task_completed_event_attributes
        if completed.scheduled_event_id in self._calls:
            found = await self._decode(completed.result, _Answers)
            hooks = (*found.rollback, *found.answers)
            return Called(_moment(event), hooks) if hooks else None
        request = self._requests.pop(completed.scheduled_event_id, None)
        if request is None:
            return None
        return Checked(_moment(event), request, await self._decode(completed.result, Check))

    async def _moved(self, event: HistoryEvent) -> Moved | None:
        fields = event.workflow_properties_modified_event_attributes.upserted_memo.fields
        if ROW not in fields:
            return None
        return Moved(_moment(event), await self._decode(Payloads(payloads=[fields[ROW]]), ListRow))

    async def _commanded(self, event: HistoryEvent, name: str, arguments: Payloads) -> Commanded | None:
        if name not in list(Verb):
            return None
        return Commanded(_moment(event), name, await self._command(arguments))

    async def _command(self, arguments: Payloads) -> Command:
        """Read a command; a signal by hand may carry nothing, a reason, or anything."""
        if not arguments.payloads:
            return Command()
        try:
            return await self._decode(arguments, Command)
        except (ValueError, RuntimeError) as error:
            return Command(reason=f"unreadable: {type(error).__name__}")

    async def _decode(self, payloads: Payloads, model: type[Model]) -> Model:
        decoded = await self._converter.decode(payloads.payloads, [model])
        value: Model = decoded[0]
        return value


def _measured(spec: CanarySpec, measurements: Sequence[Measurement]) -> list[Measured]:
    return [
        (metric, measurement, judge_measurement(spec, metric, measurement))
        for metric, measurement in zip(spec.analysis.metrics, measurements, strict=False)
    ]


def _moment(event: HistoryEvent) -> datetime:
    return event.event_time.ToDatetime(tzinfo=UTC)
