"""Small changes of stories, from which excuses are made."""

import re
from collections.abc import Callable, Iterator
from itertools import groupby

from tests.conformance.recorded.essence import Object
from tests.conformance.recorded.story import QUERY, Status, Story, deduplicated, settled

Edit = Callable[[Story], None]
OWN = "durable-canary.dev/"


def each_object(story: Story, change: Callable[[Object], None]) -> None:
    for name, contents in story.objects.items():
        for found in filter(None, contents):
            change(found)
        story.objects[name] = deduplicated(contents)


def without_notes(*names: str) -> Edit:
    """Take labels and annotations of ours out."""

    def drop(found: Object) -> None:
        for place in ("labels", "annotations"):
            kept = {
                name: value for name, value in found["metadata"].get(place, {}).items() if name not in names
            }
            found["metadata"] = {**found["metadata"], place: kept}
            if not kept:
                del found["metadata"][place]

    return lambda story: each_object(story, drop)


def in_calls(pattern: re.Pattern[str], text: str) -> Edit:
    def replace(story: Story) -> None:
        story.calls = settled(pattern.sub(text, call) for call in story.calls)

    return replace


def without_calls(is_one: Callable[[str], bool]) -> Edit:
    def drop(story: Story) -> None:
        story.calls = settled(call for call in story.calls if not is_one(call))

    return drop


def each_status(change: Callable[[list[Status]], Iterator[Status]]) -> Edit:
    def replace(story: Story) -> None:
        story.statuses = deduplicated(change(story.statuses))

    return replace


def checks(story: Story) -> list[list[str]]:
    """The queries of each check."""
    calls = settled(story.calls, story.gates)
    return [list(run) for are_queries, run in groupby(calls, key=_is_query) if are_queries]


def with_checks(story: Story, queries: list[list[str]]) -> list[str]:
    """The calls of a story with other queries in its checks."""
    others = iter(queries)
    runs = groupby(settled(story.calls, story.gates), key=_is_query)
    return [call for are_queries, run in runs for call in (next(others) if are_queries else run)]


def _is_query(call: str) -> bool:
    return call.startswith(QUERY)


def rewrites(old: str, new: str) -> Edit:
    """Word events otherwise, and what hooks are told of them."""
    pattern = re.compile(old)

    def replace(story: Story) -> None:
        story.events = deduplicated(pattern.sub(new, event) for event in story.events)
        story.event_hooks = deduplicated(pattern.sub(new, event) for event in story.event_hooks)

    return replace
