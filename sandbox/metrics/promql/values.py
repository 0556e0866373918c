"""What expressions are evaluated to, and what an evaluation knows."""

import dataclasses
import decimal
import enum
from collections.abc import Callable
from typing import NamedTuple, cast

from sandbox.metrics.labels import Labels, without_name
from sandbox.metrics.tsdb import Predicate, Series, Tsdb

LOOKBACK = 5 * 60 * 1000


class BadDataError(Exception):
    """A query that cannot be understood."""


class ExecutionError(Exception):
    """A query that is understood and cannot be evaluated on this data."""


class Dialect(enum.StrEnum):
    """Whose rules hold: since version 3 a sample exactly at the beginning of a range is outside of it."""

    V2 = "2"
    V3 = "3"


class Sample(NamedTuple):
    """One element of an instant vector."""

    labels: Labels
    value: float


class Window(NamedTuple):
    """One series of a range vector, and the bounds of the range it was taken from."""

    labels: Labels
    times: list[int]
    values: list[float]
    start: int
    end: int


Vector = list[Sample]
Matrix = list[Window]
Value = float | str | Vector | Matrix
Matchers = tuple[tuple[str, Predicate], ...]


@dataclasses.dataclass(frozen=True)
class Query:
    """What stays the same over all steps of a query."""

    db: Tsdb
    start: int
    end: int
    dialect: Dialect = Dialect.V3
    _selected: dict[Matchers, list[Series]] = dataclasses.field(default_factory=dict)

    @property
    def slack(self) -> int:
        """How much earlier than a range's beginning a sample must be to lie outside of it."""
        return 1 if self.dialect is Dialect.V2 else 0

    def select(self, matchers: Matchers) -> list[Series]:
        """Return the series of a selector, looked up once a query."""
        found = self._selected.get(matchers)
        if found is None:
            found = self._selected[matchers] = self.db.select(matchers)
        return found


@dataclasses.dataclass(frozen=True)
class Moment:
    """One step of a query."""

    query: Query
    at: int

    def moved_to(self, at: int) -> "Moment":
        """Return another step of the same query."""
        return Moment(self.query, at)


class Kind(enum.StrEnum):
    """The type of an expression, worded as Prometheus words it."""

    SCALAR = "scalar"
    STRING = "string"
    VECTOR = "instant vector"
    MATRIX = "range vector"


@dataclasses.dataclass(frozen=True)
class Plan:
    """An expression ready to be evaluated at any moment."""

    kind: Kind
    run: Callable[[Moment], Value]

    @property
    def scalar(self) -> Callable[[Moment], float]:
        """The evaluation of a scalar expression."""
        return cast("Callable[[Moment], float]", self._of(Kind.SCALAR))

    @property
    def vector(self) -> Callable[[Moment], Vector]:
        """The evaluation of an instant vector."""
        return cast("Callable[[Moment], Vector]", self._of(Kind.VECTOR))

    @property
    def matrix(self) -> Callable[[Moment], Matrix]:
        """The evaluation of a range vector."""
        return cast("Callable[[Moment], Matrix]", self._of(Kind.MATRIX))

    def _of(self, kind: Kind) -> Callable[[Moment], Value]:
        if self.kind is not kind:
            raise BadDataError(f"parse error: expected type {kind}, got {self.kind}")
        return self.run


def unique(vector: Vector) -> Vector:
    """Return the vector, unless two of its elements have the same labels."""
    if len({sample.labels for sample in vector}) != len(vector):
        raise ExecutionError("vector cannot contain metrics with the same labelset")
    return vector


def mapped(vector: Vector, function: Callable[[float], float]) -> Vector:
    """Apply a function to each value; the result is another metric, so the name goes."""
    return unique([Sample(without_name(labels), function(value)) for labels, value in vector])


def text_of_number(value: float) -> str:
    """Return a number as Prometheus prints it: the shortest that reads back the same, without exponent."""
    if value != value:  # noqa: PLR0124 — a cheap isnan
        return "NaN"
    if value in {float("inf"), float("-inf")}:
        return "+Inf" if value > 0 else "-Inf"
    text = repr(value).removesuffix(".0")
    if "e" not in text:
        return text
    return format(decimal.Decimal(text), "f")
