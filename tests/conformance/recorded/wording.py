"""More differences on purpose: in what is told, and in what Flagger leaves out of the objects it makes."""

import re
from collections.abc import Callable, Iterator

from tests.conformance.recorded import excuses, gates
from tests.conformance.recorded.comparing import Excused
from tests.conformance.recorded.edits import OWN, each_object, rewrites
from tests.conformance.recorded.essence import Object, each_text
from tests.conformance.recorded.story import Story, deduplicated

_without_answer = rewrites(r"(query failed(?: for [^:]+)?): .*$", r"\1")
OWN_WORDS = Excused(
    "D18",
    "an error from outside is told in words of our own",
    theirs=_without_answer,
    ours=_without_answer,
)


def _without_attributes(story: Story) -> None:
    """A cookie that is taken back, without the attributes it was given with."""
    for name in [name for name in story.objects if name.startswith("VirtualService/")]:
        story.objects[name] = [each_text(found, _taken_back) for found in story.objects[name]]


def _taken_back(text: str) -> str:
    return re.sub(r"(Max-Age=-1); .*$", r"\1", text)


TAKEN_BACK_WHOLE = Excused(
    "D19", "a session cookie is taken back with the attributes it was given with", ours=_without_attributes
)


def _not_started_anew(story: Story) -> None:
    def drop(found: Object) -> None:
        metadata = found.get("spec", {}).get("template", {}).get("metadata", {})
        metadata.get("annotations", {}).pop(f"{OWN}started-with", None)

    each_object(story, drop)


STARTED_ANEW = Excused(
    "D20", "a config that changes in mid-run reaches the pods that are judged", ours=_not_started_anew
)


def _last_step_told(story: Story) -> None:
    pattern = re.compile(r"(Weight steps: (?:\d+,)*(\d+) max: )\d+")
    story.alerts = [pattern.sub(r"\1\2", alert) for alert in story.alerts]


LAST_STEP_TOLD = Excused("D22", "alerts tell the last step of a list as its maximum", theirs=_last_step_told)


def _all_tcp(story: Story) -> None:
    def change(found: Object) -> None:
        for port in found.get("spec", {}).get("ports") or []:
            if port.get("protocol") == "UDP":
                port |= {"protocol": "TCP", "name": re.sub("^udp-", "tcp-", port["name"])}

    each_object(story, change)


OF_ITS_PROTOCOL = Excused("D23", "a port that is discovered keeps its protocol", ours=_all_tcp)


def _without_annotations(story: Story) -> None:
    for name, contents in story.objects.items():
        if name.startswith("HorizontalPodAutoscaler/") and name.endswith("-primary"):
            for found in filter(None, contents):
                found["metadata"].pop("annotations", None)
            story.objects[name] = deduplicated(contents)


ANNOTATED = Excused(
    "D24", "the primary's autoscaler has the annotations of the target's", ours=_without_annotations
)


def _rules(found: Object) -> Iterator[Object]:
    yield from found["spec"].get("http") or found["spec"].get("tcp") or []


def _matches(found: Object) -> Iterator[Object]:
    return (match for rule in _rules(found) for match in rule.get("match") or [])


def _destinations(found: Object) -> Iterator[Object]:
    return (part["destination"] for rule in _rules(found) for part in rule["route"])


def _without_more(parts: Callable[[Object], Iterator[Object]], key: str) -> Callable[[Story, Story], None]:
    """Take something out of our routes that Flagger's have nowhere."""

    def drop(theirs: Story, ours: Story) -> None:
        for name in [name for name in ours.objects if name.startswith("VirtualService/")]:
            seen = [part for found in theirs.objects[name] if found for part in parts(found)]
            if not any(key in part for part in seen):
                for found in filter(None, ours.objects[name]):
                    for part in parts(found):
                        part.pop(key, None)

    return drop


PARAMETERS_KEPT = Excused(
    "D26",
    "query parameters of the analysis' match are kept beside the Service's matches",
    both=_without_more(_matches, "queryParams"),
)
PORT_TOLD = Excused(
    "D27",
    "a gateway is told the port wherever it stands among others",
    both=_without_more(_destinations, "port"),
)

ANYWHERE = (
    *(*excuses.EVERYWHERE, *excuses.WITH_METRICS, excuses.ALL_MEASURED, *excuses.ROLLED_BACK),
    *(excuses.UNDER_ANALYSIS, excuses.PAUSED, excuses.CONFIGS_KEPT, gates.WAITS_AT_ITS_WEIGHT),
    *(gates.CANCELLABLE, gates.GATE_TOLD_ONCE, gates.ASKED_AGAIN, excuses.CAUSE_TOLD, excuses.REASON_TOLD),
    *(excuses.ANSWER_TOLD, excuses.SUSPENDED_IS_CHECKED, excuses.WAITS_FOR_PRIMARY),
    *(excuses.ROUTED_AT_LAST, excuses.WHOLE_COOKIES),
    *(gates.PHASE_TOLD, OWN_WORDS, TAKEN_BACK_WHOLE, STARTED_ANEW, LAST_STEP_TOLD, OF_ITS_PROTOCOL),
    *(ANNOTATED, PARAMETERS_KEPT, PORT_TOLD),
)
"""Those that need not know the recording they excuse."""
