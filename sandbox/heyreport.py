"""What a run of the load generator measured, and how it is printed."""

import collections
import dataclasses
from array import array

PERCENTILES = (10, 25, 50, 75, 90, 95, 99)
BUCKETS = 10
WIDEST_BAR = 40


@dataclasses.dataclass
class Report:
    """Statuses and errors by count, and the timings of each answered request in seconds."""

    statuses: collections.Counter[int] = dataclasses.field(default_factory=collections.Counter)
    errors: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    total: float = 0.0
    size: int = 0
    latencies: "array[float]" = dataclasses.field(default_factory=lambda: array("d"))

    @property
    def requests(self) -> int:
        """How many requests were sent, answered or not."""
        return sum(self.statuses.values()) + sum(self.errors.values())

    @property
    def rate(self) -> float:
        """Requests per second."""
        return self.requests / self.total if self.total else 0.0

    def as_text(self) -> str:
        """Return the summary for people."""
        latencies = sorted(self.latencies)
        parts = [
            self._summary(latencies),
            "Response time histogram:\n" + _histogram(latencies),
            "\nLatency distribution:\n" + _distribution(latencies),
            "Status code distribution:\n"
            + "".join(f"  [{s}]\t{n} responses\n" for s, n in self.statuses.items()),
        ]
        if self.errors:
            parts.append(
                "Error distribution:\n" + "".join(f"  [{n}]\t{text}\n" for text, n in self.errors.items())
            )
        return "\n" + "\n".join(parts) + "\n"

    def _summary(self, latencies: list[float]) -> str:
        slowest, fastest = (latencies[-1], latencies[0]) if latencies else (0.0, 0.0)
        text = (
            f"Summary:\n  Total:\t{self.total:.4f} secs\n  Slowest:\t{slowest:.4f} secs\n"
            f"  Fastest:\t{fastest:.4f} secs\n  Average:\t{_mean(self.latencies)} secs\n"
            f"  Requests/sec:\t{self.rate:.4f}\n  \n"
        )
        if self.size:
            text += (
                f"  Total data:\t{self.size} bytes\n  Size/request:\t{self.size // len(latencies)} bytes\n"
            )
        return text


def _mean(values: "array[float]") -> str:
    return f"{sum(values) / len(values):.4f}" if values else " NaN"


def _histogram(latencies: list[float]) -> str:
    if not latencies:
        return ""
    width = (latencies[-1] - latencies[0]) / BUCKETS
    marks = [latencies[0] + width * i for i in range(BUCKETS)] + [latencies[-1]]
    counts = [0] * len(marks)
    bucket = 0
    for latency in latencies:
        while latency > marks[bucket] and bucket < BUCKETS:
            bucket += 1
        counts[bucket] += 1
    tallest = max(counts)
    rows = zip(marks, counts, strict=True)
    return "".join(f"  {mark:.3f} [{n}]\t|{'■' * round(n * WIDEST_BAR / tallest)}\n" for mark, n in rows)


def _distribution(latencies: list[float]) -> str:
    lines = []
    for percentile in PERCENTILES:
        # The first sample with this share of all before it; with few samples the high ones have none.
        index = -(-percentile * len(latencies) // 100)
        if index < len(latencies):
            lines.append(f"  {percentile}% in {latencies[index]:.4f} secs\n")
    return "".join(lines)
