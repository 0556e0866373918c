"""What Envoy hears of for the first time: a proxy asks for a cluster's addresses only once it knows of it."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from sandbox.mesh.clusters import Cluster

ALWAYS = float("-inf")


class Introductions:
    """Keeps back the addresses of new clusters for a while; those of the first push of all are known."""

    def __init__(self) -> None:
        self._heard: dict[str, float] | None = None
        self._delay = 0.0

    def introduce(self, clusters: Iterable[Cluster], now: float, delay: float) -> Iterator[Cluster]:
        """Yield the clusters that are pushed, those first heard of within `delay` seconds without hosts."""
        given = list(clusters)
        is_known = not delay or self._heard is None
        self._heard = {
            one.name: (self._heard or {}).get(one.name, ALWAYS if is_known else now) for one in given
        }
        self._delay = delay
        for one in given:
            yield replace(one, hosts=[]) if self._heard[one.name] > now - delay else one

    def next_due(self, now: float) -> float | None:
        """Tell when the next of them is to have its addresses, if one has none at `now`."""
        heard = self._heard or {}
        return min((at + self._delay for at in heard.values() if at + self._delay > now), default=None)
