"""The comparison itself: what differs shows, and an excuse is taken only where it is needed."""

from collections.abc import Callable

import pytest

from tests.conformance.recorded.comparing import Excused, differences
from tests.conformance.recorded.excuses import UNDER_ANALYSIS
from tests.conformance.recorded.recording import DELETE, FOLDER, RESUME, SUSPEND, Recording
from tests.conformance.recorded.story import Status, Story, settled

_CONDITION = {"type": "Promoted", "status": "True", "reason": "Succeeded", "message": "Over."}
NAMES = sorted(path.stem for path in FOLDER.glob("*.jsonl"))


def _swap(lines: list[str], one: int, other: int) -> None:
    lines[one], lines[other] = lines[other], lines[one]


@pytest.mark.parametrize("name", NAMES)
def test_a_recording_is_like_itself(name: str) -> None:
    story = Recording.read(name).story

    assert not differences(story, story, ())


@pytest.mark.parametrize(
    ("name", "change"),
    [
        pytest.param("canary", lambda story: story.statuses.pop(3), id="a weight left out"),
        pytest.param("hooks", lambda story: _swap(story.calls, 4, 5), id="hooks in another order"),
        pytest.param("hooks", lambda story: story.event_hooks.pop(), id="an event hook not called"),
        pytest.param("canary", lambda story: _swap(story.events, 2, 3), id="events in another order"),
        pytest.param("alerts", lambda story: story.alerts.pop(), id="an alert not sent"),
        pytest.param("tcp", lambda story: story.objects["VirtualService/podinfo"].pop(), id="other routes"),
        pytest.param("adopt", lambda story: story.objects.pop("Service/podinfo-canary"), id="no object"),
        pytest.param("slow", lambda story: story.saw_condition(_CONDITION), id="another condition"),
    ],
)
def test_what_differs_shows(name: str, change: Callable[[Story], object]) -> None:
    theirs = Recording.read(name).story
    ours = theirs.copy()
    change(ours)

    assert differences(theirs, ours, ())


def test_an_excuse_covers_what_it_names_and_is_refused_elsewhere() -> None:
    theirs = Recording.read("canary").story
    ours = theirs.copy()
    ours.statuses[6] = ours.statuses[6]._replace(weight=0)

    assert theirs.statuses[6].phase == "Promoting"
    assert differences(theirs, ours, ())
    assert not differences(theirs, ours, (UNDER_ANALYSIS,))
    assert differences(ours, ours, (UNDER_ANALYSIS,)) == [
        "D3 is no excuse here: canaryWeight is the weight under analysis: none in promotion"
    ]


def test_an_excuse_of_ours_takes_out_what_we_do_more() -> None:
    theirs = Recording.read("slow").story
    ours = theirs.copy()
    ours.saw_event("Normal", "More.")
    more = Excused("T21", "more is told", ours=lambda story: story.events.remove("Normal More."))

    assert not differences(theirs, ours, (more,))


@pytest.mark.parametrize(
    ("name", "done"),
    [
        ("restart", [("target image podinfo:2", 0), ("target image podinfo:3", 20)]),
        ("suspend", [("target image podinfo:2", 0), (SUSPEND, 10), (RESUME, 10)]),
        ("adopt", [(DELETE, 0)]),
    ],
)
def test_actions_are_known_with_the_weight_they_were_done_at(name: str, done: list[tuple[str, int]]) -> None:
    actions = Recording.read(name).actions

    assert [(action.text, action.after.weight) for action in actions] == done


def test_an_action_knows_what_it_changed() -> None:
    (action,) = Recording.read("config-change").actions

    assert (action.kind, action.name) == ("ConfigMap", "podinfo-env")
    assert action.before is not None
    assert action.wanted is not None
    assert (action.before["data"], action.wanted["data"]) == ({"color": "red"}, {"color": "green"})


def test_answers_follow_the_changes_of_the_stub() -> None:
    closed, opened, promoted = Recording.read("hooks").answers

    assert closed["confirm-rollout"] == [403, 403]
    assert opened["confirm-rollout"] == [200]
    assert promoted["confirm-promotion"] == [200]


def test_a_gate_that_is_polled_more_often_makes_no_difference() -> None:
    story = Story()
    for _ in range(3):
        story.saw_hook("gate", {"name": "podinfo", "phase": "Waiting"}, 403)
        story.saw_status(Status("Waiting", 0, 0, 0))

    assert len(story.calls) == len(story.statuses) == 1


def test_checks_behind_a_closed_gate_are_told_once_whatever_their_number() -> None:
    behind = ["hook gate {} -> 403", "hook load {} -> 200", "query up -> 1.0"]
    opened = ["hook gate {} -> 200", "routes 90/10", "hook load {} -> 200"]

    assert settled([*behind, *behind, *behind, *opened], {"gate"}) == [*behind, *opened]
    assert settled([*behind, *behind, *opened]) != [*behind, *opened]


def test_events_that_the_recorder_could_not_write_are_not_missed() -> None:
    theirs = Recording.read("canary").story
    ours = theirs.copy()
    theirs.events.pop()

    assert differences(theirs, ours, ())
    theirs.is_cut_off = True
    assert not differences(theirs, ours, ())


def test_an_action_knows_the_document_that_it_changed() -> None:
    action = Recording.read("skip-mid-run").actions[-1]

    assert action.kind == "Canary"
    assert action.wanted is not None
    assert action.wanted["spec"]["skipAnalysis"] is True


def test_a_deletion_is_an_action_on_what_it_deleted() -> None:
    given = Recording.read("canary")
    done = {"t": 99.0, "what": "action", "text": "deleted"}
    seen = {"t": 99.1, "what": "deleted", "kind": "Service", "name": "podinfo"}
    action = Recording("canary", (*given.lines, done, seen)).actions[-1]

    assert (action.kind, action.name, action.wanted) == ("Service", "podinfo", None)
