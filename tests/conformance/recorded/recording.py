"""Reading a recording of Flagger: what was given and done, what was answered, and the story it tells."""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.conformance.recorded.essence import Object
from tests.conformance.recorded.story import Status, Story, is_announcement

FOLDER = Path(__file__).parents[2] / "recorded" / "flagger"
STUB = re.compile(r"http://127\.0\.0\.1:\d+")
"""Where the recorder's metrics, hooks and alerts were."""
DOCUMENTS = ("Canary", "MetricTemplate", "AlertProvider")
_ONE_BY_ONE = ("Deployment", "DaemonSet", "HorizontalPodAutoscaler")
"""Of these kinds a change names the fields of `spec` that changed; of others it holds the new `spec`."""
SUSPEND, RESUME, DELETE = "suspend", "resume", "Canary deleted"
_BY_THE_STUB = ("metrics now", "opened", "closed")
"""Actions that changed the recorder's answers only."""

_EVENTS_AT_ONCE = 25
"""As many of one object's Events Kubernetes' client library lets through in a burst."""

_INITIALISED = "Initialization done! "

Line = dict[str, Any]


@dataclass(frozen=True)
class Action:
    """Something that was done while the canary ran."""

    text: str
    after: Status
    """The status it was done in."""
    routes: str
    """What the routes said by then."""
    calls: Mapping[str, int]
    """How often each hook had been called by then."""
    pause: float = 0.0
    """Seconds since the action before, where both were done in the same status; else 0."""
    kind: str = ""
    name: str = ""
    before: Object | None = None
    wanted: Object | None = None
    """An object's content before and after it, where the action changed or deleted an object."""

    @property
    def is_by_the_stub(self) -> bool:
        """Whether it changed nothing but what metrics and hooks answer."""
        return any(word in self.text for word in _BY_THE_STUB)


@dataclass(frozen=True)
class Recording:
    """One scenario."""

    name: str
    lines: tuple[Line, ...]

    @classmethod
    def read(cls, name: str, folder: Path = FOLDER) -> "Recording":
        """Read a scenario by its name."""
        text = (folder / f"{name}.jsonl").read_text()
        return cls(name, tuple(json.loads(line) for line in text.splitlines()))

    @property
    def namespace(self) -> str:
        """Where it happened, as Events name it."""
        told = (line["message"] for line in self._of("event"))
        found = (text.rpartition(".")[2] for text in told if text.startswith(_INITIALISED))
        return next(found, f"g-{self.name}")

    @property
    def interval(self) -> float:
        """Seconds between two checks of the recorder."""
        text: str = self.documents[-1]["spec"]["analysis"]["interval"]
        return float(text[:-1]) * {"s": 1, "m": 60}[text[-1]]

    @property
    def given(self) -> list[Object]:
        """What was there before the canary."""
        return [obj for obj in self._given() if obj["kind"] not in DOCUMENTS]

    @property
    def documents(self) -> list[Object]:
        """The Canary and what it refers to, the Canary last."""
        return [obj for obj in self._given() if obj["kind"] in DOCUMENTS]

    @cached_property
    def answers(self) -> list[dict[str, list[Any]]]:
        """What queries and hooks were answered, in order: before the stub was first changed, after it, …"""
        stages: list[dict[str, list[Any]]] = [defaultdict(list)]
        for line in self.lines:
            if line["what"] == "query":
                stages[-1][which_query(line["query"])].append(line["answered"])
            elif line["what"] == "hook":
                stages[-1][line["name"]].append(line["answered"])
            elif line["what"] == "action" and any(word in line["text"] for word in _BY_THE_STUB):
                stages.append(defaultdict(list))
        return stages

    @property
    def last_status(self) -> Status:
        """How it ended."""
        return self.story.statuses[-1]

    @property
    def endings(self) -> int:
        """How often the last phase was reached since the last action."""
        told, count = [line["phase"] for line in self._of("status")], 0
        times = [line["t"] for line in self._of("status")]
        since = max((line["t"] for line in self._of("action")), default=0.0)
        for moment, before, phase in zip(times[1:], told, told[1:], strict=False):
            count += moment > since and phase == told[-1] != before
        return max(count, 1)

    @cached_property
    def story(self) -> Story:
        """What the world saw."""
        is_cut_off = sum(1 for _ in self._of("event")) >= _EVENTS_AT_ONCE
        story, told = Story(interval=self.interval, is_cut_off=is_cut_off, gates=self.gates), _Teller()
        for line in self.lines:
            told.tell(line, story)
        return story

    @property
    def gates(self) -> frozenset[str]:
        """The hooks that hold a rollout while they are closed."""
        hooks = self.documents[-1]["spec"]["analysis"].get("webhooks", [])
        return frozenset(hook["name"] for hook in hooks if hook.get("type", "").startswith("confirm-"))

    @property
    def actions(self) -> list[Action]:
        """What was done."""
        found: list[Action] = []
        told, story, calls = _Teller(), Story(), Counter[str]()
        for line in self.lines:
            told.tell(line, story)
            if line["what"] == "hook" and not is_announcement(line["payload"]):
                calls[line["name"]] += 1
            if line["what"] == "action":
                action = Action(line["text"], self._status_at(line["t"]), story.routes, Counter(calls))
                found.append(self._completed(action, line["t"], found[-1:], told))
        return found

    def _status_at(self, moment: float) -> Status:
        """The status that an action was done in; lines of one moment stand in no order."""
        story, told = Story(), _Teller()
        for line in self._of("status"):
            if line["t"] <= moment:
                told.tell(line, story)
        return story.statuses[-1]

    def _completed(self, action: Action, moment: float, last: list[Action], told: "_Teller") -> Action:
        """Add how long it waited for the action before, and what object it changed."""
        if last and last[0].after == action.after:
            action = replace(action, pause=moment - self._time_of(last[0]))
        if action.is_by_the_stub or action.text in (SUSPEND, RESUME, DELETE):
            return action
        changed = next(line for line in self._of("changed", "deleted") if line["t"] >= moment)
        kind, name = changed["kind"], changed["name"]
        before = told.objects[kind, name]
        wanted = None if changed["what"] == "deleted" else _changed(kind, before, changed["fields"])
        return replace(action, kind=kind, name=name, before=before, wanted=wanted)

    def _time_of(self, action: Action) -> float:
        times: Iterator[float] = (line["t"] for line in self._of("action") if line["text"] == action.text)
        return next(times)

    def _given(self) -> Iterator[Object]:
        for line in self._of("given"):
            yield line["object"]

    def _of(self, *what: str) -> Iterator[Line]:
        return (line for line in self.lines if line["what"] in what)


def which_query(query: str) -> str:
    """Tell one query from another by the name of its metric."""
    return query.split("{", maxsplit=1)[0].rpartition("(")[2].strip()


class _Teller:
    """Tells a story from a recording's lines; holds the objects as they are by then."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], Object] = {}

    def tell(self, line: Line, story: Story) -> None:
        """Tell one line."""
        match line["what"]:
            case "given" if line["object"]["kind"] in DOCUMENTS:
                found = line["object"]
                self.objects[found["kind"], found["metadata"]["name"]] = found
            case "created" | "changed" | "deleted":
                self._tell_object(line, story)
            case "status":
                counters = line.get("iterations", 0), line.get("failedChecks", 0)
                story.saw_status(Status(line["phase"], line.get("canaryWeight", 0), *counters))
                story.saw_condition(line["conditions"][0])
            case "event":
                story.saw_event(line["type"], line["message"])
            case "query":
                story.saw_query(line["query"], line["answered"])
            case "hook":
                story.saw_hook(line["name"], line["payload"], line["answered"])
            case "alert":
                story.saw_alert(line["name"], line["payload"])
            case _:
                pass  # what was given and done is no part of what came of it

    def _tell_object(self, line: Line, story: Story) -> None:
        kind = line["kind"]
        name = line["name"] if "name" in line else line["object"]["metadata"]["name"]
        if line["what"] == "deleted":
            found = None
        else:
            before = self.objects.get((kind, name), {})
            found = self.objects[kind, name] = line.get("object") or _changed(kind, before, line["fields"])
        if kind not in DOCUMENTS:
            story.saw_object(kind, name, found)


def _changed(kind: str, before: Object, fields: Object) -> Object:
    after = {**before, **fields}
    if kind in _ONE_BY_ONE and "spec" in fields:
        after["spec"] = {**before["spec"], **fields["spec"]}
    return after
