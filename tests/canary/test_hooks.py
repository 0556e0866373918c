import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from canary.hooks import event_payload, longest_calls, pauses, payload
from canary.notice import Announcement, Notice, NoticeType
from canary.revision import checksum
from canary.spec import AnalysisSpec, CanarySpec, ServiceSpec, TargetRef, WebhookSpec
from canary.status import Phase, Revision

REVISION = Revision(template="abc")
SPEC = CanarySpec(
    cluster="member1",
    namespace="webapp",
    name="backend",
    target=TargetRef(name="backend"),
    service=ServiceSpec(name="backend", port=9898),
    analysis=AnalysisSpec(),
)


def hook(**fields: object) -> WebhookSpec:
    return WebhookSpec.model_validate({"name": "load", "url": "http://a/", **fields})


@pytest.mark.proves("C24")
def test_the_payload_is_flaggers() -> None:
    """Hooks of Flagger's users read its fields: the payload has these and no others.

    C24: Flagger's webhook.go.
    """
    known = {
        "name": "backend",
        "namespace": "webapp",
        "phase": "Progressing",
        "checksum": checksum(REVISION),
    }

    assert payload(SPEC, hook(), Phase.PROGRESSING, REVISION) == known
    assert payload(SPEC, hook(metadata={"k": "v"}), Phase.PROGRESSING, REVISION) == {
        **known,
        "metadata": {"k": "v"},
    }


def recorded_events() -> list[dict[str, object]]:
    path = Path(__file__).parents[1] / "recorded" / "flagger" / "hooks.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [line["payload"] for line in lines if (line["what"], line.get("name")) == ("hook", "event")]


def announcement_of(recorded: dict[str, object]) -> Announcement:
    told = {str(key): str(value) for key, value in dict(recorded["metadata"]).items()}
    return Announcement(
        spec=SPEC.model_copy(update={"name": recorded["name"], "namespace": recorded["namespace"]}),
        phase=Phase(str(recorded["phase"])),
        revision=REVISION,
        notice=Notice(type=NoticeType(told["eventType"]), reason="R", message=told["eventMessage"]),
        at=datetime.fromtimestamp(int(told["timestamp"]) / 1000, UTC),
    )


@pytest.mark.parametrize("recorded", recorded_events())
@pytest.mark.proves("C24")
def test_event_hooks_are_told_what_flagger_tells(recorded: dict[str, object]) -> None:
    """The payload of an event hook is Flagger's, field by field (C24: Flagger's webhook.go)."""
    body = event_payload(hook(metadata={"k": "v"}), announcement_of(recorded))

    assert body == recorded | {"checksum": checksum(REVISION)}


def test_a_hooks_own_metadata_cannot_replace_the_event() -> None:
    announcement = announcement_of(recorded_events()[0])
    forged = hook(metadata={"eventMessage": "forged", "eventType": "Normal", "timestamp": "0", "k": "v"})

    assert event_payload(forged, announcement) == event_payload(hook(metadata={"k": "v"}), announcement)


@pytest.mark.parametrize(
    ("retries", "seconds"),
    [(0, []), (1, [1]), (3, [1, 2, 4]), (7, [1, 2, 4, 8, 16, 30, 30])],
)
def test_pauses_double_up_to_half_a_minute(retries: int, seconds: list[int]) -> None:
    assert [pause.total_seconds() for pause in pauses(hook(retries=retries))] == seconds


@pytest.mark.timeout(15)  # the power itself would take a minute
def test_a_pause_is_no_power_that_grows_without_end() -> None:
    """Inside a workflow: what a document of before asked for must not hold it up."""
    assert pauses(hook(retries=1_000_000))[-1] == timedelta(seconds=30)


def test_the_longest_calls_are_all_attempts_and_pauses_of_all_hooks() -> None:
    quick, slow = hook(timeout=timedelta(seconds=10)), hook(timeout=timedelta(seconds=60), retries=2)

    assert longest_calls([quick, slow]) == timedelta(seconds=10 + 3 * 60 + 3)
    assert longest_calls([]) == timedelta()
