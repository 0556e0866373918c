"""The pods of a DaemonSet on each node: which are too many, and how new ones take the place of old ones."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sandbox.controllers import rollout
from sandbox.controllers.pods import is_active, is_available, is_finished, ready_since
from sandbox.objects import Object, labels_of

HASH = "controller-revision-hash"


@dataclass
class Placement:
    """The pods of a DaemonSet on one node, and whether they should be there."""

    is_wanted: bool
    pods: list[Object]

    @property
    def oldest(self) -> Object | None:
        """Return the pod that counts: the oldest."""
        return min(self.pods, key=_age, default=None)

    @property
    def living(self) -> list[Object]:
        """Return the pods that neither end nor have ended, the oldest first."""
        return sorted(filter(is_active, self.pods), key=_age)


class Update(NamedTuple):
    """What brings a template to the nodes: old pods that go, and nodes that get a new one beside the old."""

    leaving: list[Object]
    nodes: list[str]


class Updating:
    """One moment of a DaemonSet whose pods are to be of the present template."""

    def __init__(self, found: Object, digest: str, now: datetime) -> None:
        strategy = found["spec"].get("updateStrategy", {})
        self._rules = strategy.get("rollingUpdate") or {}
        self._is_rolling = strategy.get("type") != "OnDelete"
        self._digest = digest
        self._wait = found["spec"].get("minReadySeconds", 0)
        self._now = now

    def surplus(self, placement: Placement) -> list[Object]:
        """Return the pods of a node that are too many there."""
        finished = [pod for pod in placement.pods if is_finished(pod)]
        living = placement.living
        if not placement.is_wanted:
            return finished + living
        if not self._surge(1):
            return finished + living[1:]
        new, old = self._by_age(living)
        surplus = finished + new[1:] + old[1:]
        # An old pod stays beside a new one for as long as it alone serves.
        if new and old and (ready_since(old[0]) is None or self._serves(new[0])):
            surplus.append(old[0])
        return surplus

    def step(self, placements: Mapping[str, Placement]) -> Update:
        """Return what is to be done next on the nodes where there should be pods."""
        wanted = {node: placement for node, placement in placements.items() if placement.is_wanted}
        if not self._is_rolling:
            return Update([], [])
        if surge := self._surge(len(wanted)):
            return self._surging(wanted, surge)
        return Update(self._outdated(wanted.values()), [])

    def _outdated(self, wanted: Iterable[Placement]) -> list[Object]:
        """As many old pods as may be unavailable; the next pass makes new ones."""
        wanted = list(wanted)
        limit = self._rules.get("maxUnavailable", 1)
        allowed = max(1, rollout.scaled_value(limit, len(wanted), up=True))
        outdated = []
        for placement in wanted:
            pod = next(filter(is_active, placement.pods), None)
            if pod is None:
                allowed -= 1
            elif labels_of(pod).get(HASH) != self._digest:
                outdated.append((self._serves(pod), pod))
            elif not self._serves(pod):
                allowed -= 1
        outdated.sort(key=lambda item: item[0])
        leaving = []
        for is_serving, pod in outdated:
            if is_serving and allowed <= 0:
                break
            allowed -= 1
            leaving.append(pod)
        return leaving

    def _surging(self, wanted: Mapping[str, Placement], surge: int) -> Update:
        """New pods first, so many at once; beside an old one that does not serve at any time."""
        leaving: list[Object] = []
        overdue: list[str] = []
        candidates: list[str] = []
        for node, placement in wanted.items():
            new, old = self._by_age(placement.living)
            if not old:
                continue
            if not new:
                (candidates if self._serves(old[0]) else overdue).append(node)
            elif self._serves(new[0]):
                leaving.append(old[0])
            else:
                surge -= 1
        return Update(leaving, overdue + candidates[: max(surge, 0)])

    def _by_age(self, living: list[Object]) -> tuple[list[Object], list[Object]]:
        """Return those of the present template, and the others."""
        new = [pod for pod in living if labels_of(pod).get(HASH) == self._digest]
        return new, [pod for pod in living if labels_of(pod).get(HASH) != self._digest]

    def _serves(self, pod: Object) -> bool:
        return is_available(pod, self._wait, self._now)

    def _surge(self, nodes: int) -> int:
        return rollout.scaled_value(self._rules.get("maxSurge", 0), nodes, up=True)


def _age(pod: Object) -> str:
    return str(pod["metadata"]["creationTimestamp"])
