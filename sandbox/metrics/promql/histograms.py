"""`histogram_quantile` over classic buckets."""

import bisect
import math

from sandbox.metrics.labels import NAME, Labels, value_of, without
from sandbox.metrics.promql.arithmetic import divide
from sandbox.metrics.promql.values import Sample, Vector

BUCKET = "le"


def histogram_quantile(q: float, vector: Vector) -> Vector:
    """Return the q-quantile of each histogram of a vector; samples without a numeric `le` are left out."""
    histograms: dict[Labels, list[tuple[float, float]]] = {}
    for labels, count in vector:
        bound = _bound(value_of(labels, BUCKET))
        if bound is not None:
            histograms.setdefault(without(labels, (BUCKET, NAME)), []).append((bound, count))
    return [Sample(labels, _quantile(q, buckets)) for labels, buckets in histograms.items()]


def _bound(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _quantile(q: float, buckets: list[tuple[float, float]]) -> float:
    if math.isnan(q):
        return math.nan
    if not 0 <= q <= 1:
        return math.copysign(math.inf, q)
    bounds, counts = _cumulative(buckets)
    if bounds[-1] != math.inf or len(bounds) == 1 or not counts[-1]:
        return math.nan
    rank = q * counts[-1]
    index = bisect.bisect_left(counts[:-1], rank)
    if index == len(bounds) - 1:
        return bounds[-2]
    if index == 0 and bounds[0] <= 0:
        return bounds[0]
    low, below = (bounds[index - 1], counts[index - 1]) if index else (0.0, 0.0)
    return low + (bounds[index] - low) * divide(rank - below, counts[index] - below)


def _cumulative(buckets: list[tuple[float, float]]) -> tuple[list[float], list[float]]:
    """Return bounds and counts in order: equal bounds added up, counts never falling."""
    bounds: list[float] = []
    counts: list[float] = []
    for bound, count in sorted(buckets):
        if bounds and bounds[-1] == bound:
            counts[-1] += count
        else:
            bounds.append(bound)
            counts.append(count)
    for index in range(1, len(counts)):
        counts[index] = max(counts[index], counts[index - 1])
    return bounds, counts
