"""Reading a recording of Flagger: what was given and done, what was answered, and the story it tells."""

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.conformance.recorded.story import Object, Status, Story

FOLDER = Path(__file__).parents[2] / "recorded" / "flagger"
STUB = "http://127.0.0.1:29191"
"""Where the recorder's metrics, hooks and alerts were."""
DOCUMENTS = ("Canary", "MetricTemplate", "AlertProvider")
_WHOLE = ("metadata", "data", "binaryData")
_ONE_BY_ONE = ("Deployment", "DaemonSet", "HorizontalPodAutoscaler")
"""Of these kinds a change names the fields of `spec` that changed; of others it holds the new `spec`."""
_BY_THE_STUB = ("metrics now", "opened")
"""Actions that changed the recorder's answers only."""

Line = dict[str, Any]


@dataclass(frozen=True)
class Action:
    """Something that was done while the canary ran."""

    text: str
    after: Status
    """The status it was done in."""
    pause: float
    """Seconds since the action before, where both were done in the same status; else 0."""
    kind: str = ""
    name: str = ""
    before: Object | None = None
    wanted: Object | None = None
    """An object's content before and after it, where the action changed an object."""


@dataclass(frozen=True)
class Recording:
    """One scenario."""

    name: str
    lines: tuple[Line, ...]

    @classmethod
    def read(cls, name: str) -> "Recording":
        """Read a scenario by its name."""
        text = (FOLDER / f"{name}.jsonl").read_text()
        return cls(name, tuple(json.loads(line) for line in text.splitlines()))

    @property
    def namespace(self) -> str:
        """Where it happened."""
        return f"g-{self.name}"

    @property
    def given(self) -> list[Object]:
        """What was there before the canary."""
        return [obj for obj in self._given() if obj["kind"] not in DOCUMENTS]

    @property
    def documents(self) -> list[Object]:
        """The Canary and what it refers to, the Canary last."""
        return [obj for obj in self._given() if obj["kind"] in DOCUMENTS]

    @cached_property
    def query_answers(self) -> dict[str, list[float | None]]:
        """The answers in order, by what tells one query from another whatever its window."""
        answers: dict[str, list[float | None]] = defaultdict(list)
        for line in self._of("query"):
            answers[which_query(line["query"])].append(line["answered"])
        return answers

    @cached_property
    def hook_answers(self) -> dict[str, list[int]]:
        """The answers in order, by the hook's name."""
        answers: dict[str, list[int]] = defaultdict(list)
        for line in self._of("hook"):
            answers[line["name"]].append(line["answered"])
        return answers

    @property
    def last_status(self) -> Status:
        """How it ended."""
        return self.story.statuses[-1]

    @cached_property
    def story(self) -> Story:
        """What the world saw."""
        story, told = Story(), _Teller()
        for line in self.lines:
            told.tell(line, story)
        return story

    @property
    def actions(self) -> list[Action]:
        """What was done, except for what only changed the answers."""
        found: list[Action] = []
        told, last, status_of_last = _Teller(), 0.0, None
        for line in self.lines:
            told.tell(line, Story())
            if line["what"] != "action" or any(word in line["text"] for word in _BY_THE_STUB):
                continue
            status = self._status_at(line["t"])
            pause = line["t"] - last if status == status_of_last else 0.0
            found.append(self._action(line, status, pause, told))
            last, status_of_last = line["t"], status
        return found

    def _status_at(self, moment: float) -> Status:
        """The status that an action was done in; lines of one moment stand in no order."""
        story, told = Story(), _Teller()
        for line in self._of("status"):
            if line["t"] <= moment:
                told.tell(line, story)
        return story.statuses[-1]

    def _action(self, line: Line, status: Status, pause: float, told: "_Teller") -> Action:
        if line["text"] in ("suspend", "resume", "Canary deleted"):
            return Action(line["text"], status, pause)
        changed = next(
            one
            for one in self.lines
            if one["what"] == "changed" and one["t"] >= line["t"] and one is not line
        )
        kind, name = changed["kind"], changed["name"]
        before = told.objects[kind, name]
        return Action(
            line["text"], status, pause, kind, name, before, _changed(kind, before, changed["fields"])
        )

    def _given(self) -> Iterator[Object]:
        for line in self._of("given"):
            yield line["object"]

    def _of(self, what: str) -> Iterator[Line]:
        return (line for line in self.lines if line["what"] == what)


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
            case "created" | "changed" | "deleted":
                self._tell_object(line, story)
            case "status":
                counters = line.get("iterations", 0), line.get("failedChecks", 0)
                story.saw_status(Status(line["phase"], line.get("canaryWeight", 0), *counters))
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
        if kind in DOCUMENTS:
            return
        if line["what"] == "deleted":
            story.saw_object(kind, name, None)
            return
        before = self.objects.get((kind, name), {})
        self.objects[kind, name] = line.get("object") or _changed(kind, before, line["fields"])
        story.saw_object(kind, name, self.objects[kind, name])


def _changed(kind: str, before: Object, fields: Object) -> Object:
    after = {**before, **fields}
    if kind in _ONE_BY_ONE and "spec" in fields:
        after["spec"] = {**before["spec"], **fields["spec"]}
    return after
