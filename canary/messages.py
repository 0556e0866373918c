"""What an alert says to each service: Flagger's payloads, and a plain one of our own."""

from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from typing import Any

from canary.alert import AlertProvider, AlertType, Severity
from canary.notice import Notice
from canary.revision import checksum
from canary.spec import AnalysisSpec, CanarySpec
from canary.status import Phase, Revision

Body = dict[str, Any]


@dataclass(frozen=True)
class Message:
    """A notice, and the canary it is about."""

    spec: CanarySpec
    phase: Phase
    revision: Revision
    notice: Notice

    @property
    def text(self) -> str:
        """The sentence."""
        return self.notice.alert or self.notice.message

    @property
    def about(self) -> str:
        """Which canary it is about, as Flagger names one."""
        return f"{self.spec.name}.{self.spec.namespace}"

    @property
    def is_error(self) -> bool:
        """Whether it is painted red."""
        return self.notice.severity is Severity.ERROR

    @property
    def fields(self) -> dict[str, str]:
        """What stands below the sentence: the cluster always, and how the rollout goes where that is new."""
        cluster = {"Cluster": self.spec.cluster}
        return cluster | _details(self.spec) if self.notice.is_detailed else cluster


def body_of(provider: AlertProvider, message: Message) -> Body:
    """Return what a provider is sent."""
    return _BODIES[provider.type](provider, message)


def _details(spec: CanarySpec) -> dict[str, str]:
    fields = {
        "Target": f"{spec.target.kind}/{spec.target.name}.{spec.namespace}",
        "Failed checks threshold": str(spec.analysis.threshold),
        "Progress deadline": f"{spec.progress_deadline.total_seconds():.0f}s",
    }
    routing = _routing(spec.analysis)
    return fields | {"Traffic routing": routing} if routing else fields


def _routing(analysis: AnalysisSpec) -> str:
    steps = analysis.steps
    if steps.step_weight:
        return f"Weight step: {steps.step_weight} max: {steps.max_weight}"
    if steps.step_weights:
        return f"Weight steps: {','.join(map(str, steps.step_weights))} max: {steps.max_weight}"
    if analysis.match:
        return "A/B Testing"
    return "Blue/Green" if analysis.iterations else ""


def _slack(provider: AlertProvider, message: Message) -> Body:
    return _attachment(provider, message, "danger" if message.is_error else "good")


def _rocket(provider: AlertProvider, message: Message) -> Body:
    return _attachment(provider, message, "#FF0000" if message.is_error else "#0076D7")


def _attachment(provider: AlertProvider, message: Message, color: str) -> Body:
    """Slack's form, which Discord and Rocket.Chat read as well."""
    fields = [{"title": title, "value": value, "short": False} for title, value in message.fields.items()]
    attachment = {
        "color": color,
        "author_name": message.about,
        "text": message.text,
        "mrkdwn_in": ["text"],
        "fields": fields,
    }
    return {
        "channel": provider.channel,
        "username": provider.username,
        "icon_url": "",
        "icon_emoji": ":rocket:",
        "attachments": [attachment],
    }


def _teams(_: AlertProvider, message: Message) -> Body:
    section = {
        "activityTitle": message.text,
        "activitySubtitle": message.about,
        "facts": [{"name": name, "value": value} for name, value in message.fields.items()],
    }
    return {
        "@type": "MessageCard",
        "@context": "http://schema.org/extensions",
        "themeColor": "FF0000" if message.is_error else "0076D7",
        "summary": message.about,
        "sections": [section],
    }


def _google_chat(_: AlertProvider, message: Message) -> Body:
    texts = [_gray(message.text), *(f"{name}<br>{_gray(value)}" for name, value in message.fields.items())]
    card = {
        "header": {"title": "Durable Canary", "subtitle": message.about},
        "sections": [{"widgets": [{"textParagraph": {"text": text}}]} for text in texts],
    }
    return {"cards": [card]}


def _gray(text: str) -> str:
    return f"<font color=#848484><strong>{escape(text, quote=False)}</strong></font>"


def _plain(_: AlertProvider, message: Message) -> Body:
    return {
        "name": message.spec.name,
        "namespace": message.spec.namespace,
        "cluster": message.spec.cluster,
        "phase": message.phase,
        "severity": message.notice.severity,
        "message": message.text,
        "revision": checksum(message.revision),
        "metadata": message.fields,
    }


_BODIES: dict[AlertType, Callable[[AlertProvider, Message], Body]] = {
    AlertType.SLACK: _slack,
    AlertType.DISCORD: _slack,
    AlertType.ROCKET: _rocket,
    AlertType.MS_TEAMS: _teams,
    AlertType.GOOGLE_CHAT: _google_chat,
    AlertType.WEBHOOK: _plain,
}
