"""What a webhook is sent and how long it may take, as Flagger's callers do it."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from canary.notice import Announcement
from canary.revision import checksum
from canary.spec import CanarySpec, WebhookSpec
from canary.status import Phase, Revision

_LONGEST_PAUSE = 30
_DOUBLINGS = 5
"""After so many a pause is the longest; the power itself would grow without end."""


def payload(spec: CanarySpec, hook: WebhookSpec, phase: Phase, revision: Revision) -> dict[str, Any]:
    """Return the body of a hook's call; `metadata` is left out where there is none."""
    body: dict[str, Any] = {
        "name": spec.name,
        "namespace": spec.namespace,
        "phase": phase,
        "checksum": checksum(revision),
    }
    if hook.metadata:
        body["metadata"] = hook.metadata
    return body


def event_payload(hook: WebhookSpec, announcement: Announcement) -> dict[str, Any]:
    """Return the body of an event hook's call; its own metadata cannot replace what happened and when."""
    notice = announcement.notice
    event = {
        "eventMessage": notice.message,
        "eventType": str(notice.type),
        "timestamp": str(round(announcement.at.timestamp() * 1000)),
    }
    body = payload(announcement.spec, hook, announcement.phase, announcement.revision)
    return body | {"metadata": hook.metadata | event}


def pauses(hook: WebhookSpec) -> list[timedelta]:
    """Return how long to wait before each retry of a hook: one second, doubled each time, thirty at most."""
    return [
        timedelta(seconds=min(2 ** min(attempt, _DOUBLINGS), _LONGEST_PAUSE))
        for attempt in range(hook.retries)
    ]


def longest_calls(hooks: Iterable[WebhookSpec]) -> timedelta:
    """Return how long calling *hooks* one after the other may take with all their retries."""
    return sum(
        (hook.timeout * (hook.retries + 1) + sum(pauses(hook), timedelta()) for hook in hooks), timedelta()
    )
