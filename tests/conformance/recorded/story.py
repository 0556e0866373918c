"""What a rollout does to the world around it, in a form in which two rollouts can be compared.

Times, hashes, ids and addresses are left out; what merely waits and repeats itself is told once.
"""

import copy
import json
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, NamedTuple, TypeVar

Object = dict[str, Any]
Item = TypeVar("Item")

QUERY = "query "
APEX_KINDS = ("VirtualService",)
_SPACE = re.compile(r'("(?:[^"\\]|\\.)*")|\s+')
_COMBINED = "(combined from similar events): "
"""Kubernetes' own aggregation of Events; it says nothing of what happened."""
_ASSIGNED = {
    "Service": (
        "clusterIP",
        "clusterIPs",
        "ipFamilies",
        "ipFamilyPolicy",
        "internalTrafficPolicy",
        "sessionAffinity",
    ),
}
"""What an API server fills in by itself, as the recordings leave it out."""
_BOOKKEEPING = (
    "kubectl.kubernetes.io/last-applied-configuration",
    "deployment.kubernetes.io/revision",
    "deprecated.daemonset.template.generation",
)
"""What kubectl and the controllers note down, as the recordings leave it out."""
_RESTART_MARKS = ("flagger-id", "durable-canary.dev/revision")
"""What makes the primary's pods new at a promotion: there a random id, here a hash of the revision."""


class Status(NamedTuple):
    """What a status says of a canary's progress."""

    phase: str
    weight: int
    iterations: int
    failed_checks: int


@dataclass
class Story:
    """One rollout as the world saw it; each list is in its own order of time."""

    objects: dict[str, list[Object | None]] = field(default_factory=lambda: defaultdict(list))
    """`<Kind>/<name>` to what it said one after the other; None once it is gone."""
    statuses: list[Status] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    """Hooks, queries and routes in one line, so that it shows at which weight a thing was asked."""
    events: list[str] = field(default_factory=list)
    event_hooks: list[str] = field(default_factory=list)
    alerts: list[str] = field(default_factory=list)

    def copy(self) -> "Story":
        """The same story, to be changed."""
        return copy.deepcopy(self)

    def saw_object(self, kind: str, name: str, found: Object | None) -> None:
        """An object appeared, changed, or went away."""
        said = None if found is None else essence(kind, found)
        _add(self.objects[f"{kind}/{name}"], said)
        if kind in APEX_KINDS and said is not None:
            _add(self.calls, f"routes {routes(said)}")

    def saw_status(self, status: Status) -> None:
        """The status changed."""
        _add(self.statuses, status)

    def saw_query(self, query: str, answer: float | None) -> None:
        """A query was answered; those asked beside each other stand in no order."""
        told = _SPACE.sub(lambda match: match[1] or "", query)
        self.calls.append(f"{QUERY}{told} -> {answer}")

    def saw_hook(self, name: str, payload: Object, answer: int) -> None:
        """A webhook was called."""
        if "eventMessage" in payload.get("metadata", {}):
            _add(self.event_hooks, _line({**payload, "metadata": _untimed(payload["metadata"])}))
        else:
            _add(self.calls, f"hook {name} {_line(payload)} -> {answer}")

    def saw_event(self, kind: str, message: str) -> None:
        """A Kubernetes Event was written, or counted once more."""
        _add(self.events, f"{kind} {message.removeprefix(_COMBINED)}")

    def saw_alert(self, name: str, payload: Object) -> None:
        """An alert was sent."""
        _add(self.alerts, f"{name} {json.dumps(payload, sort_keys=True)}")


def essence(kind: str, found: Object) -> Object:
    """What an object says, without what the API server, controllers and chance put into it."""
    said = {key: value for key, value in found.items() if key not in ("apiVersion", "kind", "status")}
    said["metadata"] = _metadata(found["metadata"])
    if "spec" in said:
        said["spec"] = {
            key: value for key, value in said["spec"].items() if key not in _ASSIGNED.get(kind, ())
        }
        if "template" in said["spec"]:
            template = said["spec"]["template"]
            said["spec"]["template"] = {**template, "metadata": _metadata(template["metadata"])}
    return said


def routes(virtual_service: Object) -> str:
    """The weights of every rule of a VirtualService, and whether it mirrors: `90/10`, `0/100 | 0`."""
    rules = virtual_service["spec"].get("http") or virtual_service["spec"].get("tcp") or []
    return " | ".join(
        "/".join(str(part.get("weight", "-")) for part in rule["route"])
        + (" mirrored" if "mirror" in rule else "")
        for rule in rules
    )


def settled(calls: Iterable[str]) -> list[str]:
    """The calls as they are compared: queries asked beside each other stand in no order, and once."""
    found: list[str] = []
    for are_queries, some in groupby(calls, key=lambda call: call.startswith(QUERY)):
        run = list(some)
        found += sorted(set(run)) if are_queries else deduplicated(run)
    return found


def deduplicated(items: Iterable[Item]) -> list[Item]:
    """The items without those that only repeat the one before."""
    kept: list[Item] = []
    for item in items:
        _add(kept, item)
    return kept


def _add(items: list[Item], item: Item) -> None:
    """Append what differs from the last one: a repetition merely waits."""
    if items[-1:] != [item]:
        items.append(item)


def _metadata(found: Object) -> Object:
    said: Object = {}
    for key in ("labels", "annotations"):
        kept = {
            "restart-mark" if name in _RESTART_MARKS else name: "<id>" if name in _RESTART_MARKS else value
            for name, value in (found.get(key) or {}).items()
            if name not in _BOOKKEEPING
        }
        if kept:
            said[key] = kept
    return said


def _line(payload: Object) -> str:
    return json.dumps({**payload, "checksum": "<checksum>"}, sort_keys=True)


def _untimed(metadata: Object) -> Object:
    return {**metadata, "timestamp": "<time>"}
