"""What a rollout does to the world around it, in a form in which two rollouts can be compared.

Times, hashes, ids and addresses are left out; what merely waits and repeats itself is told once.
"""

import copy
import json
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from typing import NamedTuple, TypeVar

from tests.conformance.recorded.essence import Object, each_text, essence, unsigned, weights

Item = TypeVar("Item")

QUERY, ROUTES = "query ", "routes "
CLOSED = " -> 403"
_SPACE = re.compile(r'("(?:[^"\\]|\\.)*")|\s+')
_WAITS = " not ready: waiting for rollout to finish: "
"""What is seen of workloads on their way to readiness depends on when one looks, but for the last of it."""
_FAILED = "Canary failed!"
_COMBINED = "(combined from similar events): "
"""Kubernetes' own aggregation of Events; it says nothing of what happened."""


class Status(NamedTuple):
    """What a status says of a canary's progress."""

    phase: str
    weight: int
    iterations: int
    failed_checks: int


@dataclass
class Story:
    """One rollout as the world saw it; each list is in its own order of time."""

    objects: dict[str, list[Object | None]] = field(default_factory=lambda: defaultdict(list))
    """`<Kind>/<name>` to what it said one after the other; None once it is gone."""
    statuses: list[Status] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    """Hooks, queries and routes in one line, so that it shows at which weight a thing was asked."""
    events: list[str] = field(default_factory=list)
    event_hooks: list[str] = field(default_factory=list)
    alerts: list[str] = field(default_factory=list)
    unready: str = ""
    """What was told last of a workload that is not ready, until something else is told."""
    condition: str = ""
    """The last condition `Promoted`."""
    interval: float = 0.0
    """Seconds between two checks."""
    is_cut_off: bool = False
    """Whether later Events are missing: Kubernetes' client writes 25 at once, then one in five minutes."""
    gates: frozenset[str] = frozenset()
    """The hooks that hold a rollout while they are closed."""

    def leave_to_autoscalers(self) -> None:
        """Leave out how many pods a workload has whose autoscaler decides that: none ran at the recorder's.

        A target that is scaled to zero is left alone by its autoscaler.
        """
        for name in [name for name in self.objects if name.startswith("HorizontalPodAutoscaler/")]:
            for scaler in filter(None, self.objects[name]):
                target = scaler["spec"]["scaleTargetRef"]
                key = f"{target['kind']}/{target['name']}"
                for workload in filter(None, self.objects[key]):
                    if workload["spec"].get("replicas"):
                        del workload["spec"]["replicas"]
                self.objects[key] = deduplicated(self.objects[key])

    @property
    def routes(self) -> str:
        """What the routes said last."""
        return next((call for call in reversed(self.calls) if call.startswith(ROUTES)), "")

    def copy(self) -> "Story":
        """The same story, to be changed."""
        return copy.deepcopy(self)

    def saw_object(self, kind: str, name: str, found: Object | None) -> None:
        """An object appeared, changed, or went away."""
        said = None if found is None else each_text(essence(kind, found), self._unaged)
        _add(self.objects[f"{kind}/{name}"], said)
        if kind == "VirtualService" and said is not None:
            told = f"{ROUTES}{weights(said)}"
            if told != self.routes:
                self.calls.append(told)

    def _unaged(self, text: str) -> str:
        """A text without the life of the primary's cookie, which is one interval."""
        return re.sub(rf"Max-Age={self.interval:g}\b", "Max-Age=<interval>", text)

    def saw_condition(self, condition: Object) -> None:
        """The condition changed."""
        self.condition = " ".join(condition[key] for key in ("type", "status", "reason", "message"))

    def saw_status(self, status: Status) -> None:
        """The status changed."""
        _add(self.statuses, status)

    def saw_query(self, query: str, answer: float | None) -> None:
        """A query was answered; those asked beside each other stand in no order."""
        told = _SPACE.sub(lambda match: match[1] or "", query)
        self.calls.append(f"{QUERY}{told} -> {answer}")

    def saw_hook(self, name: str, payload: Object, answer: int) -> None:
        """A webhook was called."""
        if not is_announcement(payload):
            _add(self.calls, f"hook {name} {_line(payload)} -> {answer}")
        elif _WAITS not in payload["metadata"]["eventMessage"]:
            _add(self.event_hooks, _line({**payload, "metadata": _untimed(payload["metadata"])}))

    def saw_event(self, kind: str, message: str) -> None:
        """A Kubernetes Event was written, or counted once more."""
        told = f"{kind} {message.removeprefix(_COMBINED)}".rstrip()
        if _WAITS in message:
            self.unready = told
            return
        if self.unready and _FAILED in message:
            self.events.append(self.unready)
        self.unready = ""
        _add(self.events, told)

    def saw_alert(self, name: str, payload: Object) -> None:
        """An alert was sent."""
        _add(self.alerts, f"{name} {json.dumps(unsigned(payload), sort_keys=True)}")


def is_announcement(payload: Object) -> bool:
    """Whether a webhook was called to tell it of an Event."""
    return "eventMessage" in payload.get("metadata", {})


def settled(calls: Iterable[str], gates: Collection[str] = ()) -> list[str]:
    """The calls as they are compared: queries asked beside each other stand in no order, and once.

    So do the checks that go on while a gate is closed, of which there may be any number.
    """
    found: list[str] = []
    for are_queries, some in groupby(_told_once(list(calls), gates), key=_is_query):
        run = list(some)
        found += sorted(set(run)) if are_queries else deduplicated(run)
    return found


def _is_query(call: str) -> bool:
    return call.startswith(QUERY)


def _told_once(calls: list[str], gates: Collection[str]) -> Iterator[str]:
    """The calls without what is repeated until a gate opens."""
    opens, seen = -1, set[str]()
    for number, call in enumerate(calls):
        if number >= opens:
            opens, seen = _opens(calls, number, gates), set()
        if call not in seen:
            yield call
        if number < opens:
            seen.add(call)


def _opens(calls: list[str], number: int, gates: Collection[str]) -> int:
    """Where the gate opens that a call has found closed; -1 if it is no such call or no gate opens."""
    name = gate_of(calls[number])
    if name not in gates or not calls[number].endswith(CLOSED):
        return -1
    later = (
        place
        for place, call in enumerate(calls)
        if place > number and gate_of(call) == name and not call.endswith(CLOSED)
    )
    return next(later, -1)


def gate_of(call: str) -> str:
    """The name of the hook that was called; nothing if it was no hook."""
    return call.split()[1] if call.startswith("hook ") else ""


def deduplicated(items: Iterable[Item]) -> list[Item]:
    """The items without those that only repeat the one before."""
    kept: list[Item] = []
    for item in items:
        _add(kept, item)
    return kept


def _add(items: list[Item], item: Item) -> None:
    """Append what differs from the last one: a repetition merely waits."""
    if items[-1:] != [item]:
        items.append(item)


def _line(payload: Object) -> str:
    return json.dumps({**payload, "checksum": "<checksum>"}, sort_keys=True)


def _untimed(metadata: Object) -> Object:
    return {**metadata, "timestamp": "<time>"}
