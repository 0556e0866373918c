"""Functions over a range: one value for each series of a range vector, or none."""

import itertools
import math
from collections.abc import Callable, Sequence

from sandbox.metrics.promql.values import Dialect, Window

RangeFunction = Callable[[Window, Dialect], float | None]


def total(values: Sequence[float]) -> float:
    """Return the exactly rounded sum, with infinities and NaN as in IEEE arithmetic."""
    try:
        return math.fsum(values)
    except (ValueError, OverflowError):
        return sum(values)


def mean(values: Sequence[float]) -> float:
    """Return the average."""
    return total(values) / len(values)


def lowest(values: Sequence[float]) -> float:
    """Return the minimum; NaN only if there is nothing else."""
    return min((value for value in values if not math.isnan(value)), default=math.nan)


def highest(values: Sequence[float]) -> float:
    """Return the maximum; NaN only if there is nothing else."""
    return max((value for value in values if not math.isnan(value)), default=math.nan)


def quantile(q: float, values: Sequence[float]) -> float:
    """Return the q-quantile, interpolated between the two samples beside it."""
    if not values or math.isnan(q):
        return math.nan
    if not 0 <= q <= 1:
        return math.copysign(math.inf, q)
    ordered = sorted(values, key=lambda value: (not math.isnan(value), value))
    rank = q * (len(ordered) - 1)
    low = math.floor(rank)
    high = min(low + 1, len(ordered) - 1)
    weight = rank - low
    return ordered[low] * (1 - weight) + ordered[high] * weight


def _growth(values: list[float], *, is_counter: bool) -> float:
    """Return last minus first; a counter that fell began again at zero."""
    growth = values[-1] - values[0]
    if is_counter:
        growth += total([before for before, after in itertools.pairwise(values) if after < before])
    return growth


def _extrapolated(*, is_counter: bool, is_rate: bool) -> RangeFunction:
    """Make `rate`, `increase` or `delta`: the growth between samples, stretched to the range's bounds."""

    def run(window: Window, dialect: Dialect) -> float | None:
        times, values = window.times, window.values
        if len(times) < 2:  # noqa: PLR2004 — growth needs two samples
            return None
        growth = _growth(values, is_counter=is_counter)
        sampled = (times[-1] - times[0]) / 1000
        between = sampled / (len(times) - 1)
        to_start, to_end = (times[0] - window.start) / 1000, (window.end - times[-1]) / 1000
        until_zero = math.inf
        if is_counter and growth > 0 and values[0] >= 0:
            until_zero = sampled * (values[0] / growth)  # a counter was not below zero before
        if dialect is Dialect.V2:
            to_start = _stretch(min(to_start, until_zero), between)
        else:
            to_start = min(_stretch(to_start, between), until_zero)
        result = growth * ((sampled + to_start + _stretch(to_end, between)) / sampled)
        return result / ((window.end - window.start) / 1000) if is_rate else result

    return run


def _stretch(gap: float, between: float) -> float:
    """Return how far to go towards a bound: all the way if a sample could still have come in the gap."""
    return gap if gap < between * 1.1 else between / 2


def _instant_rate(window: Window, _: Dialect) -> float | None:
    """Return the growth per second between the last two samples of a counter."""
    if len(window.times) < 2:  # noqa: PLR2004 — growth needs two samples
        return None
    (before, last), elapsed = window.values[-2:], window.times[-1] - window.times[-2]
    return (last if last < before else last - before) / (elapsed / 1000)


OVER_TIME: dict[str, Callable[[Sequence[float]], float]] = {
    "avg_over_time": mean,
    "sum_over_time": total,
    "min_over_time": lowest,
    "max_over_time": highest,
    "count_over_time": lambda values: float(len(values)),
    "present_over_time": lambda _: 1.0,
    "last_over_time": lambda values: values[-1],
}
# It picks a sample, so that the metric keeps its name.
KEEPS_NAME = {"last_over_time"}


def _on_values(reduce: Callable[[Sequence[float]], float]) -> RangeFunction:
    return lambda window, _: reduce(window.values)


FUNCTIONS = {name: _on_values(reduce) for name, reduce in OVER_TIME.items()} | {
    "rate": _extrapolated(is_counter=True, is_rate=True),
    "increase": _extrapolated(is_counter=True, is_rate=False),
    "delta": _extrapolated(is_counter=False, is_rate=False),
    "irate": _instant_rate,
}
