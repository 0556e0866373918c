"""The store: series of samples in memory, forgotten after a while. Times are in milliseconds."""

import bisect
import struct
from array import array
from collections.abc import Callable, Sequence

from sandbox.metrics.labels import NAME, Labels, value_of

RETENTION = 15 * 60 * 1000
_STALE_BITS = struct.pack("<Q", 0x7FF0000000000002)
# The NaN with which Prometheus marks that a series ended: told from others by its bits only.
STALE: float = struct.unpack("<d", _STALE_BITS)[0]

Predicate = Callable[[str], bool]


def is_stale(value: float) -> bool:
    """Tell whether a sample says that its series ended."""
    return value != value and struct.pack("<d", value) == _STALE_BITS  # noqa: PLR0124 — a cheap isnan


class Series:
    """The samples of one label set, oldest first."""

    __slots__ = ("by_name", "labels", "times", "values")

    def __init__(self, labels: Labels) -> None:
        self.labels = labels
        self.by_name = dict(labels)
        self.times = array("q")
        self.values = array("d")

    def latest(self, after: int, until: int) -> float | None:
        """Return the last value in (after, until], if there is one and the series had not ended."""
        index = bisect.bisect_right(self.times, until) - 1
        if index < 0 or self.times[index] <= after:
            return None
        value = self.values[index]
        return None if is_stale(value) else value

    def between(self, after: int, until: int) -> tuple[list[int], list[float]]:
        """Return the samples in (after, until], without marks of an end."""
        low, high = bisect.bisect_right(self.times, after), bisect.bisect_right(self.times, until)
        times, values = list(self.times[low:high]), list(self.values[low:high])
        if any(is_stale(value) for value in values):
            kept = [(at, value) for at, value in zip(times, values, strict=True) if not is_stale(value)]
            return [at for at, _ in kept], [value for _, value in kept]
        return times, values

    def forget(self, until: int) -> None:
        """Drop the samples up to a time."""
        count = bisect.bisect_right(self.times, until)
        del self.times[:count]
        del self.values[:count]


class Tsdb:
    """All series, found by label predicates."""

    def __init__(self, retention: int = RETENTION) -> None:
        self._retention = retention
        self._by_name: dict[str, dict[Labels, Series]] = {}

    def append(self, labels: Labels, at: int, value: float) -> None:
        """Add a sample; one that is not newer than the series' last is dropped, as Prometheus does."""
        named = self._by_name.setdefault(value_of(labels, NAME), {})
        series = named.get(labels)
        if series is None:
            series = named[labels] = Series(labels)
        if series.times and series.times[-1] >= at:
            return
        series.times.append(at)
        series.values.append(value)

    def select(self, predicates: Sequence[tuple[str, Predicate]]) -> list[Series]:
        """Return the series all of whose labels satisfy the predicates, in the order of their labels."""
        rest = [(name, accepts) for name, accepts in predicates if name != NAME]
        by_name = [accepts for name, accepts in predicates if name == NAME]
        found = [
            series
            for metric, named in self._by_name.items()
            if all(accepts(metric) for accepts in by_name)
            for series in named.values()
            if all(accepts(series.by_name.get(name, "")) for name, accepts in rest)
        ]
        return sorted(found, key=lambda series: series.labels)

    def forget_old(self, now: int) -> None:
        """Drop what is older than the retention, and series without samples."""
        for metric, named in list(self._by_name.items()):
            for labels, series in list(named.items()):
                series.forget(now - self._retention)
                if not series.times:
                    del named[labels]
            if not named:
                del self._by_name[metric]
