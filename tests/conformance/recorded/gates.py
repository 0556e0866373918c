"""The differences on purpose around gates: what is shown, asked and told while one is closed."""

import re
from collections.abc import Iterable, Iterator

from tests.conformance.recorded.comparing import Excused
from tests.conformance.recorded.edits import each_status
from tests.conformance.recorded.story import CLOSED, Status, Story, deduplicated, gate_of, settled


def _waits_at_its_weight(statuses: list[Status]) -> Iterator[Status]:
    weight = iterations = 0
    for status in statuses:
        is_waiting = status.phase == "WaitingPromotion"
        counted = status._replace(iterations=max(status.iterations, 0))
        last = status._replace(weight=weight, iterations=max(iterations, status.iterations))
        yield (shown := last if is_waiting else counted)
        weight, iterations = shown.weight, shown.iterations


def _without_last_iteration_again(story: Story) -> None:
    each_status(_waits_at_its_weight)(story)
    halts = [event for event in story.events if "waiting for promotion approval" in event]
    for halt in halts:
        since = story.events.index(halt)
        story.events[since:] = [event for event in story.events[since:] if not _LAST_AGAIN.search(event)]
    story.events = deduplicated(story.events)
    story.event_hooks = deduplicated(
        event
        for event in story.event_hooks
        if not ('"WaitingPromotion"' in event and _LAST_AGAIN.search(event))
    )


_LAST_AGAIN = re.compile(r"Advance \S+ canary iteration (\d+)/\1\b")


WAITS_AT_ITS_WEIGHT = Excused(
    "T7",
    "a closed promotion gate changes neither weight nor iterations",
    theirs=_without_last_iteration_again,
)


def _asked_while_waiting(theirs: Story, ours: Story) -> None:
    """Take out of ours what a rollback hook was asked in phase Waiting, and what was told of it."""
    waiting = {gate_of(call) for call in theirs.calls if _WAITS in call}
    ours.calls = settled(call for call in ours.calls if _WAITS not in call or gate_of(call) in waiting)
    kept: list[str] = []
    for event in ours.events:
        is_told = _UNHEARD in event and bool(kept) and "waiting for approval" in kept[-1]
        kept += [] if is_told else [event]
    ours.events = kept
    ours.event_hooks = [event for event in ours.event_hooks if _UNHEARD not in event or _WAITS not in event]


_WAITS, _UNHEARD = '"phase": "Waiting"', " not signaling a rollback"


CANCELLABLE = Excused("T6", "a rollback hook is heard while the rollout waits", both=_asked_while_waiting)


def _told_once(story: Story) -> None:
    """What is told again while a gate is closed is told the first time only."""
    gate = next((event for event in story.events if "waiting for traffic increase approval" in event), "")
    if gate:
        first = story.events.index(gate)
        again = {gate, *(event for event in story.events[:first] if "Starting canary analysis" in event)}
        story.events = deduplicated(
            event for number, event in enumerate(story.events) if number <= first or event not in again
        )


def _not_asked_again(story: Story) -> None:
    """Leave out that a gate was asked for one more revision while it was closed."""
    for told in (story.events, story.event_hooks):
        for number in reversed(range(len(told) - 2)):
            halt, restart, again = told[number : number + 3]
            if halt == again and "waiting for approval" in halt and "Restarting analysis" in restart:
                del told[number : number + 2]


ASKED_AGAIN = Excused("D5", "a gate approves one revision: it is asked again", ours=_not_asked_again)


GATE_TOLD_ONCE = Excused("D14", "that a gate is closed is told once, not every tick", theirs=_told_once)


_WAITING, _GOING_ON = '"WaitingPromotion"', '"Progressing"'


def _no_longer_waiting(statuses: list[Status]) -> Iterator[Status]:
    """Who sends its users to the canary waits for nobody."""
    done = 0
    for status in statuses:
        is_past = status.phase == "WaitingPromotion" and status.iterations > done
        yield status._replace(phase="Progressing") if is_past else status
        done = status.iterations if status.phase != "WaitingPromotion" else done


def _phase_told(story: Story) -> None:
    each_status(_no_longer_waiting)(story)
    story.calls = list(_going_on(story.calls, story.gates))
    told: list[str] = []
    for event in story.event_hooks:
        if told and '"Failed"' in told[-1] and "Post-rollout" in event:
            told.append(re.sub('"phase": "[A-Za-z]*"', '"phase": "Failed"', event))
        elif any("Routing all traffic to canary" in before for before in told):
            told.append(event.replace(_WAITING, _GOING_ON))
        else:
            told.append(event)
    story.event_hooks = told


def _going_on(calls: Iterable[str], gates: Iterable[str]) -> Iterator[str]:
    """What is called once an open gate has let all users to the canary."""
    is_open = False
    for call in calls:
        if gate_of(call) in gates:
            is_open = not call.endswith(CLOSED)
        yield call.replace(_WAITING, _GOING_ON) if is_open else call


PHASE_TOLD = Excused("D17", "the phase that is told is the one the canary is in", theirs=_phase_told)
