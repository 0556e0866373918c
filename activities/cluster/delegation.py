"""What Istio leaves of our routes where another VirtualService delegates to ours.

It lays each of our routes over the route that delegates. One with a match that can be joined with none of the
other's is dropped whole, and nobody but Istio's log says so.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from activities.cluster import virtualservice
from activities.cluster.api import Object
from activities.cluster.joining import IGNORE_CASE, NAMESPACE, Conflict, conflicts
from canary.problem import Problem
from canary.routing import Routing
from canary.spec import CanarySpec

PATH = "spec.service.delegation"
ALL = "everybody: those users are answered 404"
CHOSEN = "the analysis' match: those users never come to the canary"
BOUND = "session cookies: those users do not stay with the version that served them"


class Loss(NamedTuple):
    """A match of a route that delegates, under which a route of ours is missing."""

    place: str
    keys: tuple[str, ...]
    """By which of its keys it cannot be joined."""
    is_whole: bool
    """The route is missing under all matches beside it as well."""


@dataclass(frozen=True)
class Root:
    """A VirtualService that delegates to ours."""

    name: str
    namespace: str
    rules: dict[str, list[Object]]
    """The matches of its routes that do, by the place of the route."""

    def losses(self, route: Object) -> list[Loss]:
        """Where a route of ours is missing."""
        return [loss for place, matches in self.rules.items() for loss in _losses(place, matches, route)]

    def drops(self, route: Object) -> bool:
        """Whether none of its routes leaves anything of a route of ours."""
        whole = {loss.place.partition(".")[0] for loss in self.losses(route) if loss.is_whole}
        return whole == set(self.rules)


def about_roots(spec: CanarySpec, found: Sequence[Object]) -> Iterator[Problem]:
    """Name the VirtualServices under whose matches a route of ours is missing.

    Without our last route users are answered 404; without that of the analysis' match nobody comes to the
    canary, which is judged all the same. Both are refused, and told of where some requests are not concerned.
    """
    if not spec.service.delegation:
        return
    roots = [root for one in found if (root := _root(spec, one)).rules]
    *others, everybody = virtualservice.routes(spec, Routing(weight=1, cookie="c", primary_cookie="p"))
    exposed = [others.pop()] if spec.analysis.match else []
    is_exposed = any(not root.drops(route) for root in roots for route in exposed)
    for root in roots:
        yield from _told(spec, root, everybody, ALL, is_warning=not root.drops(everybody))
        for route in exposed:
            yield from _told(spec, root, route, CHOSEN, is_warning=is_exposed)
        for route in others[:1]:  # what holds for one cookie holds for the other
            yield from _told(spec, root, route, BOUND, is_warning=True)


def _root(spec: CanarySpec, found: Object) -> Root:
    content, metadata = found.get("spec") or {}, found["metadata"]
    rules = {}
    # One without hosts is a delegate itself, and Istio follows one level only.
    for index, rule in enumerate(content.get("http") or [] if content.get("hosts") else []):
        delegate = rule.get("delegate") or {}
        place = (delegate.get("namespace") or metadata["namespace"], delegate.get("name"))
        if place == (spec.namespace, spec.service.name):
            rules[f"http[{index}]"] = rule.get("match") or []
    return Root(metadata["name"], metadata["namespace"], rules)


def _told(spec: CanarySpec, root: Root, route: Object, effect: str, *, is_warning: bool) -> Iterator[Problem]:
    losses = root.losses(route)
    if not losses:
        return
    listed = ", ".join(f"{loss.place} ({', '.join(loss.keys)})" for loss in losses)
    keys = dict.fromkeys(key for loss in losses for key in loss.keys)
    text = (
        f"VirtualService {root.name} in namespace {root.namespace} delegates to {spec.service.name} by what "
        f"Istio cannot join with our match, {listed}, and drops our route there for {effect}. "
        f"{' '.join(map(_remedy, keys))}"
    )
    yield Problem(path=PATH, message=text, is_warning=is_warning)


def _remedy(key: str) -> str:
    if key == IGNORE_CASE:
        return f"Say {key} alike in both matches, or in neither."
    if key == NAMESPACE:
        return f"Leave {key} out of that match, or say the same in the document's."
    return f"Say {key} in one of the two, or so that the document's lies below the other, without a regex."


def _losses(place: str, outer: list[Object], route: Object) -> Iterator[Loss]:
    """What of a route of ours is missing below these matches."""
    own = route.get("match") or []
    if not outer or not own:
        return
    table = [[list(conflicts(one, other)) for one in outer] for other in own]
    for row in table:
        if all(row):  # one match of ours without a counterpart is enough
            yield from (_loss(place, index, found, is_whole=True) for index, found in enumerate(row))
            return
    for index, column in enumerate(zip(*table, strict=True)):
        missed = [found for found in column if not any(conflict.is_apart for conflict in found)]
        if all(column) and missed:
            yield _loss(place, index, missed[0], is_whole=False)


def _loss(place: str, index: int, found: list[Conflict], *, is_whole: bool) -> Loss:
    return Loss(f"{place}.match[{index}]", tuple(conflict.key for conflict in found), is_whole)
