"""What alerts say, compared with what Flagger was recorded to send."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from canary.alert import AlertProvider, AlertType, Severity
from canary.messages import Message, body_of
from canary.notice import Notice
from canary.revision import checksum
from canary.spec import AnalysisSpec, CanarySpec, ServiceSpec, StepPlan, TargetRef
from canary.status import Phase, Revision

RECORDING = Path(__file__).parents[1] / "recorded" / "flagger" / "alerts.jsonl"
LINES = [json.loads(line) for line in RECORDING.read_text().splitlines()]
ALERTS = [line for line in LINES if line["what"] == "alert"]
SPEC = CanarySpec(
    cluster="member1",
    namespace="g-alerts",
    name="podinfo",
    target=TargetRef(name="podinfo"),
    service=ServiceSpec(name="podinfo", port=9898),
    analysis=AnalysisSpec(threshold=2, steps=StepPlan(step_weight=10, max_weight=30)),
    progress_deadline=timedelta(seconds=60),
)
NOTICES = {
    "New Deployment detected, initialization completed.": (Severity.INFO, True),
    "New revision detected, progressing canary analysis.": (Severity.INFO, True),
    "Failed checks threshold reached 2": (Severity.ERROR, False),
}


def provider(type_: str) -> AlertProvider:
    return AlertProvider(
        type=AlertType(type_), name=type_, namespace="g-alerts", channel="ch", username="bot"
    )


def message(text: str, severity: Severity, *, is_detailed: bool, spec: CanarySpec = SPEC) -> Message:
    notice = Notice(reason="R", message="an event", alert=text, severity=severity, is_detailed=is_detailed)
    return Message(spec, Phase.PROGRESSING, Revision(template="abc"), notice)


def without_cluster(value: Any) -> Any:
    """Take away what Flagger says only where it was started with `-cluster-name`."""
    if isinstance(value, dict):
        return {key: without_cluster(part) for key, part in value.items()}
    if isinstance(value, list):
        return [without_cluster(part) for part in value if not names_cluster(part)]
    return value


def names_cluster(part: Any) -> bool:
    """Whether it is the field of that name, in any service's form."""
    if not isinstance(part, dict):
        return False
    return "Cluster" in (part.get("title"), part.get("name")) or (
        "widgets" in part and "Cluster<br>" in json.dumps(part)
    )


def test_the_recording_has_every_service() -> None:
    assert {line["name"] for line in ALERTS} == {"slack", "msteams", "discord", "rocket", "gchat"}


@pytest.mark.parametrize("line", ALERTS, ids=lambda line: f"{line['name']} at {line['t']}")
def test_says_what_flagger_says(line: dict[str, Any]) -> None:
    text = next(text for text in NOTICES if text in json.dumps(line["payload"]))
    severity, is_detailed = NOTICES[text]
    body = body_of(provider(line["name"]), message(text, severity, is_detailed=is_detailed))
    recorded = line["payload"]
    if line["name"] == "gchat":  # the card bears our name, and not Flagger's picture
        recorded["cards"][0]["header"] = {"title": "Durable Canary", "subtitle": "podinfo.g-alerts"}

    assert without_cluster(body) == recorded


@pytest.mark.parametrize("type_", list(AlertType))
def test_always_tells_the_cluster(type_: AlertType) -> None:
    body = body_of(provider(type_), message("text", Severity.WARN, is_detailed=False))

    assert "member1" in json.dumps(body)


@pytest.mark.parametrize(
    ("analysis", "routing"),
    [
        pytest.param(
            AnalysisSpec(steps=StepPlan(step_weights=(1, 2, 80), max_weight=80)),
            "Weight steps: 1,2,80 max: 80",
            id="list of weights",
            marks=pytest.mark.proves("D22"),
        ),
        pytest.param(AnalysisSpec(iterations=3, match=({},)), "A/B Testing", id="A/B testing"),
        pytest.param(AnalysisSpec(iterations=3), "Blue/Green", id="blue/green"),
        pytest.param(AnalysisSpec(), None, id="nothing to tell"),
    ],
)
def test_tells_how_traffic_is_routed(analysis: AnalysisSpec, routing: str | None) -> None:
    """Beside a list Flagger tells a maximum of 0 (D22: docs/architecture.md)."""
    spec = SPEC.model_copy(update={"analysis": analysis})
    fields = message("text", Severity.INFO, is_detailed=True, spec=spec).fields

    assert fields.get("Traffic routing") == routing


def test_a_plain_webhook_is_told_everything_by_name() -> None:
    body = body_of(provider("webhook"), message("Failed", Severity.ERROR, is_detailed=False))

    assert body == {
        "name": "podinfo",
        "namespace": "g-alerts",
        "cluster": "member1",
        "phase": "Progressing",
        "severity": "error",
        "message": "Failed",
        "revision": checksum(Revision(template="abc")),
        "metadata": {"Cluster": "member1"},
    }


def test_the_message_of_the_event_stands_where_alerts_have_none_of_their_own() -> None:
    body = body_of(provider("webhook"), message("", Severity.INFO, is_detailed=False))

    assert body["message"] == "an event"


@pytest.mark.parametrize(("severity", "color"), [(Severity.ERROR, "#FF0000"), (Severity.WARN, "#0076D7")])
def test_rocket_chat_paints_what_went_wrong_red(severity: Severity, color: str) -> None:
    body = body_of(provider("rocket"), message("text", severity, is_detailed=False))

    assert body["attachments"][0]["color"] == color


def test_google_chat_shows_quotes_as_they_are() -> None:
    body = body_of(provider("gchat"), message("it's slow", Severity.INFO, is_detailed=False))

    assert "it's slow" in json.dumps(body)


def test_google_chat_reads_html() -> None:
    body = body_of(provider("gchat"), message("98.00% < 99%", Severity.INFO, is_detailed=False))

    assert "98.00% &lt; 99%" in json.dumps(body)
