"""One measured figure, with what it must reach and what Flagger showed."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Bound:
    """What a figure must stay within; None bounds nothing."""

    median: float | None = None
    maximum: float | None = None

    def __str__(self) -> str:
        """Word it for the table."""
        parts = [("median", self.median), ("max", self.maximum)]
        return ", ".join(f"{name} ≤ {value:g}" for name, value in parts if value is not None)


NONE = Bound()


@dataclass(frozen=True)
class Figure:
    """A name, what was sampled, and how."""

    name: str
    unit: str
    samples: Sequence[float]
    how: str
    flagger: str = ""
    bound: Bound = NONE
    trials: int = 0
    """What `n` is where it is not the number of samples, such as requests of which some failed."""

    @property
    def n(self) -> int:
        """How often it was tried."""
        return self.trials or len(self.samples)

    @property
    def minimum(self) -> float:
        """The smallest sample."""
        return min(self.samples)

    @property
    def median(self) -> float:
        """The sample in the middle."""
        return median(self.samples)

    @property
    def maximum(self) -> float:
        """The largest sample."""
        return max(self.samples)

    @property
    def is_reached(self) -> bool:
        """Whether it stays within its bound."""
        bound = self.bound
        is_usual = bound.median is None or self.median <= bound.median
        return is_usual and (bound.maximum is None or self.maximum <= bound.maximum)
