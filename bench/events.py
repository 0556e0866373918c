"""How many events a check costs the history of its rollout."""

from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import WorkflowHandle

from bench.figure import Bound, Figure
from bench.stage import MEMBER, Options, stage
from tests.conformance.case import Case
from tests.conformance.workload import success_rate

HOLDS = 3
CHECK, MOVE = "analyse", "shift_traffic"
Names = list[str]


async def measure(options: Options) -> list[Figure]:
    """Read the histories of rollouts that hold as long as nobody asks the canary, and then move."""
    holds: list[int] = []
    moves: list[int] = []
    shapes: dict[str, Names] = {}
    async with stage() as world:
        case = Case(world, MEMBER, "events")
        await case.deploy()
        await case.initialise(interval="2s", threshold=50, metrics=[success_rate()])
        for trial in range(options.many(3, 1)):
            await case.release(f"6.2.{trial}")
            run = await case.rollout_begins()
            await case.rollout_is(lambda status: status.failed_checks >= HOLDS, "some checks held")
            async with case.canary_load():
                ended = await case.rollout_ends(run, within=90)
            assert ended.outcome == "Promoted", ended
            handle = world.client.get_workflow_handle(case.rollout.id, run_id=run)
            for check in await _checks(handle):
                is_move = any(MOVE in name for name in check)
                (moves if is_move else holds).append(len(check))
                shapes["moves" if is_move else "holds"] = check
    return [
        Figure(
            "events of a check that holds", "events", holds, _how(shapes["holds"]), bound=Bound(maximum=13)
        ),
        Figure(
            "events of a check that moves the weight",
            "events",
            moves,
            _how(shapes["moves"]),
            bound=Bound(maximum=20),
        ),
    ]


def _how(check: Names) -> str:
    return f"the history from one check's start to the next one's: {', '.join(check)}"


async def _checks(handle: WorkflowHandle[Any, Any]) -> list[Names]:
    """Cut a history at the start of each check; what precedes the first and follows the last is left out."""
    names = [_name(event) async for event in _events(handle)]
    starts = [index for index, name in enumerate(names) if name.endswith(CHECK)]
    return [names[begin:end] for begin, end in pairwise(starts)]


async def _events(handle: WorkflowHandle[Any, Any]) -> AsyncIterator[HistoryEvent]:
    async for event in handle.fetch_history_events():
        yield event


def _name(event: HistoryEvent) -> str:
    """Name an event, an activity's beginning with what it does."""
    kind = EventType.Name(event.event_type).removeprefix("EVENT_TYPE_")
    if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
        return f"{kind} {event.activity_task_scheduled_event_attributes.activity_type.name}"
    return kind
