"""The differences on purpose that recordings meet, each by the rule that makes it."""

import re
from collections.abc import Iterator

from tests.conformance.recorded.comparing import Excused
from tests.conformance.recorded.edits import (
    OWN,
    checks,
    each_object,
    each_status,
    in_calls,
    rewrites,
    with_checks,
    without_calls,
    without_notes,
)
from tests.conformance.recorded.essence import each_text
from tests.conformance.recorded.story import Status, Story

_WINDOW = re.compile(r"\[\d+[sm]\]")
_OUR_WINDOW = re.compile(r"\[[12]?\ds\]")
"""A window that does not reach back before its step: it is shorter than any that was recorded."""
_SAMPLES = "query sum(increase("


LABELLED = Excused("D12", "what was created is owned by a label", ours=without_notes(f"{OWN}canary"))
FENCED = Excused(
    "D8",
    "a write tells when it was decided, so that a late one does no harm after a restart",
    ours=without_notes(f"{OWN}decided-at"),
)
COMPARED = Excused(
    "T2",
    "routes tell what they were generated as, so that drift shows",
    ours=without_notes(f"{OWN}generated"),
)
WRITTEN_DOWN = Excused(
    "T14",
    "the primary tells what was promoted, so that it is never made from an unjudged template",
    ours=without_notes(
        *(f"{OWN}{name}" for name in ("promoted", "configs", "promoting", "outcome", "last-applied"))
    ),
)


def _copy_binary(story: Story) -> None:
    for name in [name for name in story.objects if name.startswith("ConfigMap/")]:
        for original in filter(None, story.objects[name]):
            for copied in filter(None, story.objects.get(f"{name}-primary", [])):
                copied |= {key: original[key] for key in ("binaryData", "immutable") if key in original}


COPIED_WHOLE = Excused("T9", "binaryData is copied as well", theirs=_copy_binary)

WINDOWS = Excused(
    "D11",
    "no window reaches back before the step it judges",
    theirs=in_calls(_WINDOW, "[window]"),
    ours=in_calls(_OUR_WINDOW, "[window]"),
)
SAMPLES = Excused(
    "T21",
    "values are kept with the sample sizes they stand on",
    ours=without_calls(lambda call: call.startswith(_SAMPLES)),
)


def _without_more(theirs: Story, ours: Story) -> None:
    """Take queries out of ours that Flagger did not come to in the same check."""
    wanted, found = checks(theirs), checks(ours)
    if len(wanted) == len(found):
        kept = [some if set(some) < set(more) else more for some, more in zip(wanted, found, strict=True)]
        if kept != found:
            ours.calls = with_checks(ours, kept)


ALL_MEASURED = Excused(
    "T21", "metrics after one that is out of bounds are measured too, as evidence", both=_without_more
)


def _promoting_at_zero(statuses: list[Status]) -> Iterator[Status]:
    for status in statuses:
        yield status._replace(weight=0) if status.phase == "Promoting" else status


UNDER_ANALYSIS = Excused(
    "D3",
    "canaryWeight is the weight under analysis: none in promotion",
    theirs=each_status(_promoting_at_zero),
)


def _counters_kept(statuses: list[Status]) -> Iterator[Status]:
    iterations = failed_checks = 0
    for status in statuses:
        if status.phase == "Failed":
            yield status._replace(iterations=iterations, failed_checks=failed_checks)
        else:
            yield status
        iterations, failed_checks = status.iterations, status.failed_checks


COUNTERS_KEPT = Excused("D4", "a rollback keeps the counters", theirs=each_status(_counters_kept))


def _judged_at_once(statuses: list[Status]) -> Iterator[Status]:
    for number, status in enumerate(statuses):
        following = statuses[number + 1 :][:1]
        is_decided = (
            following
            and following[0].phase == "Failed"
            and status.failed_checks == following[0].failed_checks > 0
        )
        if not is_decided:
            yield status


AT_THE_DECIDING_CHECK = Excused(
    "D1", "rolls back at the check that decides it", theirs=each_status(_judged_at_once)
)


def _without_last(story: Story) -> None:
    for name in [name for name in story.objects if name.endswith("-primary-last")]:
        del story.objects[name]


CONFIGS_KEPT = Excused(
    "T14", "promoted configs are kept aside while others are promoted, to be put back", ours=_without_last
)


def _promoted_in_steps(statuses: list[Status]) -> Iterator[Status]:
    for status, before in zip(statuses, [None, *statuses], strict=False):
        if status.phase == "Succeeded" and before and before.phase != "Finalising":
            yield status._replace(phase="Promoting")
            yield status._replace(phase="Finalising")
        yield status


WAITS_FOR_PRIMARY = Excused(
    "T16", "has succeeded only once the primary has rolled out", theirs=each_status(_promoted_in_steps)
)


def _apex_goes_on(story: Story) -> None:
    """The apex Service selects the target's pods again before it is deleted."""
    contents = story.objects["Service/podinfo"]
    *_, last = filter(None, contents)
    contents.insert(-1, {**last, "spec": {**last["spec"], "selector": {"app": "podinfo"}}})


def _leaving_told(story: Story) -> None:
    story.condition = "Promoted Unknown Terminating Bringing the Deployment back as it was."


LEAVING_TOLD = Excused("D13", "the way out restores, and says so", theirs=_leaving_told)
APEX_GOES_ON = Excused(
    "D13", "until the apex Service is deleted users are served by the target", theirs=_apex_goes_on
)


def _drift_put_right(story: Story) -> None:
    """Foreign weights are put right without a restart; a foreign label stays."""
    contents = [found for found in story.objects["VirtualService/podinfo"] if found is not None]
    foreign = next(number for number, found in enumerate(contents) if "labels" in found["metadata"])
    labels = contents[foreign]["metadata"]["labels"]
    story.objects["VirtualService/podinfo"] = [*contents[: foreign + 1], *contents[foreign + 2 :]]
    for found in contents[foreign + 2 :]:
        found["metadata"] = {**found["metadata"], "labels": labels}
    first = story.calls.index("routes 0/100")
    del story.calls[story.calls.index("routes 100/0", first)]
    again = story.events.index("Normal Starting canary analysis for podinfo.g-drift", 4)
    del story.events[again : again + 2]


def _drift_not_told(story: Story) -> None:
    story.events = [event for event in story.events if " left weight " not in event]


DRIFT_PUT_RIGHT = Excused(
    "T2",
    "drift is put right without a restart, labels are left alone",
    theirs=_drift_put_right,
    ours=_drift_not_told,
)


def _never_paused(story: Story) -> None:
    without_notes(f"{OWN}paused")(story)
    each_object(story, lambda found: found.get("spec", {}).pop("paused", None))


PAUSED = Excused(
    "T22", "no pod of a revision that is not judged: the target is paused meanwhile", ours=_never_paused
)


CAUSE_TOLD = Excused(
    "T5",
    "that a deadline has passed is told",
    ours=rewrites(r"(updated replicas are available); not ready for \d+ s", r"\1"),
)
REASON_TOLD = Excused(
    "T21",
    "the pods say why they are not ready",
    ours=rewrites(r"( updated replicas are available.*?): (?:no node takes its pods|container) .*$", r"\1"),
)
SUSPENDED_IS_CHECKED = Excused(
    "D7",
    "a suspended rollout keeps its weight and goes on being checked",
    ours=rewrites(
        r"Warning \S+ is suspended: it keeps its weight and goes on being checked",
        "Normal skipping canary run as object is suspended",
    ),
)
ANSWER_TOLD = Excused(
    "T18",
    "the answer of a hook that failed is told, not how often it was called",
    theirs=rewrites(r" POST http://\S+ giving up after \d+ attempt\(s\)", ""),
)


def _routed_before_success(story: Story) -> None:
    if not any("analysis was skipped" in event for event in story.events):
        return
    for event in [event for event in story.events if "Copying" in event]:
        story.events.insert(story.events.index(event) + 1, "Normal Routing all traffic to primary")
    for number, event in enumerate(story.event_hooks):
        if "Copying" in event:
            routed = re.sub('Copying [^"]*', "Routing all traffic to primary", event)
            story.event_hooks.insert(number + 1, routed.replace("Progressing", "Promoting"))
            return


ROUTED_AT_LAST = Excused(
    "T16", "users are routed to the primary once it has rolled out", theirs=_routed_before_success
)


_MATCHED = re.compile(r"\.\*([\w-]+)\.\*<cookie>\.\*")


def _match_whole(story: Story) -> None:
    contents = story.objects["VirtualService/podinfo"]
    whole = r"(.*;\\s*)?\1=<cookie>(\\s*;.*)?"
    story.objects["VirtualService/podinfo"] = [
        each_text(found, lambda text: _MATCHED.sub(whole, text)) for found in contents
    ]


WHOLE_COOKIES = Excused(
    "D15", "a cookie is matched by its name and whole value, wherever it stands", theirs=_match_whole
)


def _adopted(story: Story) -> None:
    """Labels stay through; of the original nothing is added or lost."""
    routes = [found for found in story.objects["VirtualService/podinfo"] if found is not None]
    given = routes[0]
    for found in routes[1:]:
        found["metadata"]["labels"] = given["metadata"]["labels"]
        del found["metadata"]["annotations"]["flagger.kubernetes.io/original-configuration"]
    routes[-1] = given
    story.objects["VirtualService/podinfo"] = list(routes)
    service = story.objects["Service/podinfo"]
    service[-1] = service[0]
    story.calls[-1] = story.calls[0]


def _noted_at_once(story: Story) -> None:
    """The note of the original, which is written before anything else of an adopted Service."""
    without_notes(f"{OWN}original")(story)
    service = story.objects["Service/podinfo"]
    _, noted, *_ = service
    service.remove(noted)


ORIGINAL_KEPT = Excused(
    "T13", "what was there is kept and given back whole", theirs=_adopted, ours=_noted_at_once
)

EVERYWHERE = (LABELLED, FENCED, COMPARED, WRITTEN_DOWN, COPIED_WHOLE)
WITH_METRICS = (WINDOWS, SAMPLES)
ROLLED_BACK = (COUNTERS_KEPT, AT_THE_DECIDING_CHECK)
