"""The differences on purpose that recordings meet, each by the rule that makes it."""

import re
from collections.abc import Callable, Iterator

from tests.conformance.recorded.comparing import Excused
from tests.conformance.recorded.story import Object, Status, Story, deduplicated, settled

OWN = "durable-canary.dev/"
_WINDOW = re.compile(r"\[\d+[sm]\]")
_OUR_WINDOW = re.compile(r"\[[1-9]s\]")
"""A window that does not reach back before its step, however late its check came."""
_SAMPLES = "query sum(increase("


# What is changed in a story.


def _each_object(story: Story, change: Callable[[Object], None]) -> None:
    for name, contents in story.objects.items():
        for found in filter(None, contents):
            change(found)
        story.objects[name] = deduplicated(contents)


def _without_notes(*names: str) -> Callable[[Story], None]:
    """Take labels and annotations of ours out."""

    def drop(found: Object) -> None:
        for place in ("labels", "annotations"):
            kept = {
                name: value for name, value in found["metadata"].get(place, {}).items() if name not in names
            }
            found["metadata"] = {**found["metadata"], place: kept}
            if not kept:
                del found["metadata"][place]

    return lambda story: _each_object(story, drop)


def _in_calls(pattern: re.Pattern[str], text: str) -> Callable[[Story], None]:
    def replace(story: Story) -> None:
        story.calls = settled(pattern.sub(text, call) for call in story.calls)

    return replace


def _without_calls(is_one: Callable[[str], bool]) -> Callable[[Story], None]:
    def drop(story: Story) -> None:
        story.calls = settled(call for call in story.calls if not is_one(call))

    return drop


def _each_status(change: Callable[[list[Status]], Iterator[Status]]) -> Callable[[Story], None]:
    def replace(story: Story) -> None:
        story.statuses = deduplicated(change(story.statuses))

    return replace


# The differences.

LABELLED = Excused("D12", "what was created is owned by a label", ours=_without_notes(f"{OWN}canary"))
FENCED = Excused(
    "D8",
    "a write tells when it was decided, so that a late one does no harm after a restart",
    ours=_without_notes(f"{OWN}decided-at"),
)
COMPARED = Excused(
    "T2",
    "routes tell what they were generated as, so that drift shows",
    ours=_without_notes(f"{OWN}generated"),
)
WRITTEN_DOWN = Excused(
    "T14",
    "the primary tells what was promoted, so that it is never made from an unjudged template",
    ours=_without_notes(
        *(f"{OWN}{name}" for name in ("promoted", "configs", "promoting", "outcome", "last-applied"))
    ),
)


def _copy_binary(story: Story) -> None:
    for found in filter(None, story.objects["ConfigMap/podinfo-vol-primary"]):
        found["binaryData"] = {"bin": "AAEC"}


COPIED_WHOLE = Excused("T9", "binaryData is copied as well", theirs=_copy_binary)

WINDOWS = Excused(
    "D11",
    "no window reaches back before the step it judges",
    theirs=_in_calls(_WINDOW, "[window]"),
    ours=_in_calls(_OUR_WINDOW, "[window]"),
)
SAMPLES = Excused(
    "T21",
    "values are kept with the sample sizes they stand on",
    ours=_without_calls(lambda call: call.startswith(_SAMPLES)),
)
ALL_MEASURED = Excused(
    "T21",
    "metrics after one that is out of bounds are measured too, as evidence",
    ours=_without_calls(lambda call: call.startswith("query ") and call.endswith("-> None")),
)


def _promoting_at_zero(statuses: list[Status]) -> Iterator[Status]:
    for status in statuses:
        yield status._replace(weight=0) if status.phase == "Promoting" else status


UNDER_ANALYSIS = Excused(
    "D3",
    "canaryWeight is the weight under analysis: none in promotion",
    theirs=_each_status(_promoting_at_zero),
)


def _counters_kept(statuses: list[Status]) -> Iterator[Status]:
    iterations = failed_checks = 0
    for status in statuses:
        if status.phase == "Failed":
            yield status._replace(iterations=iterations, failed_checks=failed_checks)
        else:
            yield status
        iterations, failed_checks = status.iterations, status.failed_checks


COUNTERS_KEPT = Excused("D4", "a rollback keeps the counters", theirs=_each_status(_counters_kept))


def _judged_at_once(statuses: list[Status]) -> Iterator[Status]:
    for number, status in enumerate(statuses):
        following = statuses[number + 1 :][:1]
        is_decided = (
            following
            and following[0].phase == "Failed"
            and status.failed_checks == following[0].failed_checks
        )
        if not is_decided:
            yield status


AT_THE_DECIDING_CHECK = Excused(
    "D1", "rolls back at the check that decides it", theirs=_each_status(_judged_at_once)
)


def _without_last(story: Story) -> None:
    for name in [name for name in story.objects if name.endswith("-primary-last")]:
        del story.objects[name]


CONFIGS_KEPT = Excused(
    "T14", "promoted configs are kept aside while others are promoted, to be put back", ours=_without_last
)


def _promoted_in_steps(statuses: list[Status]) -> Iterator[Status]:
    for status in statuses:
        if status.phase == "Succeeded":
            yield status._replace(phase="Promoting")
            yield status._replace(phase="Finalising")
        yield status


WAITS_FOR_PRIMARY = Excused(
    "T16", "has succeeded only once the primary has rolled out", theirs=_each_status(_promoted_in_steps)
)


def _apex_goes_on(story: Story) -> None:
    """The apex Service is not deleted: it selects the target's pods again."""
    contents = story.objects["Service/podinfo"]
    *_, last = filter(None, contents)
    contents[-1] = {**last, "spec": {**last["spec"], "selector": {"app": "podinfo"}}}


APEX_GOES_ON = Excused(
    "D13", "the way out leaves the Service that users call, on the target", theirs=_apex_goes_on
)


def _drift_put_right(story: Story) -> None:
    """Foreign weights are put right without a restart; a foreign label stays."""
    contents = story.objects["VirtualService/podinfo"]
    foreign = next(number for number, found in enumerate(contents) if "labels" in found["metadata"])
    labels = contents[foreign]["metadata"]["labels"]
    del contents[foreign + 1]
    for found in contents[foreign + 1 :]:
        found["metadata"] = {**found["metadata"], "labels": labels}
    first = story.calls.index("routes 0/100")
    del story.calls[story.calls.index("routes 100/0", first)]


DRIFT_PUT_RIGHT = Excused(
    "T2", "drift is put right without a restart, labels are left alone", theirs=_drift_put_right
)

EVERYWHERE = (LABELLED, FENCED, COMPARED, WRITTEN_DOWN, COPIED_WHOLE)
WITH_METRICS = (WINDOWS, SAMPLES)
ROLLED_BACK = (COUNTERS_KEPT, AT_THE_DECIDING_CHECK)
