"""Comparing our story with a recorded one, and the excuses for where they differ on purpose."""

import difflib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from tests.conformance.recorded.story import Story, settled


@dataclass(frozen=True)
class Excused:
    """One difference on purpose: by which rule of ours, and how it changes the recorded story.

    Where we do more than Flagger, `ours` takes that out of our story instead.
    """

    rule: str
    """D1 to D13 (docs/architecture.md) or T1 to T22 (Flagger's traps)."""
    why: str
    theirs: Callable[[Story], None] | None = None
    ours: Callable[[Story], None] | None = None
    both: Callable[[Story, Story], None] | None = None
    """Where what is ours can only be told from theirs."""

    def is_needed(self, theirs: Story, ours: Story) -> bool:
        """Change the stories; whether that changed anything."""
        before = theirs.copy(), ours.copy()
        if self.theirs is not None:
            self.theirs(theirs)
        if self.ours is not None:
            self.ours(ours)
        if self.both is not None:
            self.both(theirs, ours)
        return before != (theirs, ours)


def differences(
    theirs: Story, ours: Story, excuses: Iterable[Excused], *, are_needed: bool = True
) -> list[str]:
    """Every line in which our story differs without an excuse, and every excuse that is not needed."""
    theirs, ours = theirs.copy(), ours.copy()
    for story in (theirs, ours):
        story.leave_to_autoscalers()
    unneeded = [
        f"{excuse.rule} is no excuse here: {excuse.why}"
        for excuse in excuses
        if not excuse.is_needed(theirs, ours) and are_needed
    ]
    return [*_compared(theirs, ours), *unneeded]


def _compared(theirs: Story, ours: Story) -> Iterator[str]:
    yield from _diff("statuses", map(str, theirs.statuses), map(str, ours.statuses))
    yield from _diff("condition", [theirs.condition], [ours.condition])
    yield from _diff("calls", settled(theirs.calls, theirs.gates), settled(ours.calls, ours.gates))
    told = len(theirs.events) if theirs.is_cut_off else len(ours.events)
    yield from _diff("events", theirs.events, ours.events[:told])
    yield from _diff("event hooks", theirs.event_hooks, ours.event_hooks)
    yield from _diff("alerts", _by_service(theirs), _by_service(ours))
    for name in sorted(theirs.objects.keys() | ours.objects.keys()):
        yield from _diff(name, _texts(theirs, name), _texts(ours, name))


def _by_service(story: Story) -> list[str]:
    """The alerts, service by service: one that hangs holds up no other."""
    return sorted(story.alerts, key=lambda alert: alert.split()[0])


def _texts(story: Story, name: str) -> Iterator[str]:
    for found in story.objects.get(name, []):
        yield from json.dumps(found, indent=1, sort_keys=True).splitlines()


def _diff(what: str, theirs: Iterable[str], ours: Iterable[str]) -> Iterator[str]:
    lines = list(difflib.unified_diff(list(theirs), list(ours), "recorded", "ours", n=2, lineterm=""))
    if lines:
        yield "\n".join([f"## {what}", *lines])
