"""What Envoy hears of for the first time: a proxy asks for a cluster's addresses only once it knows of it."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from sandbox.mesh.clusters import Cluster

ALWAYS = float("-inf")


class Introductions:
    """Keeps back the addresses of new clusters for a while; those of the first push of all are known."""

    def __init__(self) -> None:
        self.due: float | None = None
        """When the next of those that were given without hosts is to have them; that moment may be over."""
        self._heard: dict[str, float] | None = None

    def introduce(self, clusters: Iterable[Cluster], now: float, delay: float) -> Iterator[Cluster]:
        """Yield the clusters that are pushed, those first heard of within `delay` seconds without hosts."""
        given = list(clusters)
        is_known = not delay or self._heard is None
        self._heard = {
            one.name: (self._heard or {}).get(one.name, ALWAYS if is_known else now) for one in given
        }
        held_back = {name: at + delay for name, at in self._heard.items() if at + delay > now}
        self.due = min(held_back.values(), default=None)
        for one in given:
            yield replace(one, hosts=[]) if one.name in held_back else one
