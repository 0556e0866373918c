"""The fields Kurator and Flagger share: steps of the weight, and the bounds of a metric."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Annotated

from pydantic import Field, PlainValidator
from pydantic_core import PydanticCustomError

from canary.documents.mistake import Mistake, Path, show, warning
from canary.documents.schema import Document
from canary.spec import StepPlan, ThresholdRange
from canary.steps import FULL

Step = Annotated[int, Field(ge=1, le=100)]
"""A weight that moves traffic."""


def _number_or_list(value: object) -> object:
    numbers = value if isinstance(value, list) else [value]
    if not all(isinstance(number, int) and not isinstance(number, bool) for number in numbers):
        raise PydanticCustomError(
            "promotion",
            "must be a whole number, or a list of the primary's weights, is {value}",
            {"value": show(value)},
        )
    return value


class WeightSteps(Document):
    """How the weight grows: by a step up to a maximum, or through a list.

    Of our own: `stepWeightPromotion` may be the list of the primary's weights on the way back.
    """

    max_weight: Step | None = None
    step_weight: Step | None = None
    step_weights: Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1)] | None = None
    """One above 100 is all traffic, as in Flagger."""
    step_weight_promotion: Annotated[int | list[int], PlainValidator(_number_or_list)] = 0

    @property
    def has_steps(self) -> bool:
        """Whether the weight is said to grow."""
        return self.step_weight is not None or self.step_weights is not None

    def plan(self) -> StepPlan:
        """Return the steps as the engine takes them."""
        weights, back = tuple(self.step_weights or ()), self.step_weight_promotion
        return StepPlan(
            step_weight=self.step_weight or 0,
            max_weight=self.reached() if weights else self.max_weight or FULL,
            step_weights=weights,
            step_weight_promotion=back if isinstance(back, int) else 0,
            step_weights_promotion=() if isinstance(back, int) else tuple(back),
        )

    def count(self) -> int:
        """Return how many steps lead to the promotion."""
        if self.step_weights:
            return sum(before < FULL for before in (0, *self.step_weights[:-1]))
        return -(-(self.max_weight or FULL) // self.step_weight) if self.step_weight else 0

    def reached(self) -> int:
        """Return the weight of the last of them, which may overshoot the maximum."""
        if self.step_weights:
            return min(FULL, self.step_weights[-1])
        return min(FULL, self.count() * (self.step_weight or 0))


class Bounds(Document):
    """Between which values a metric passes, both included."""

    min: float | None = None
    max: float | None = None

    def range(self) -> ThresholdRange:
        """Return the bounds as the engine judges by them."""
        return ThresholdRange(min=self.min, max=self.max)


def step_mistakes(steps: WeightSteps) -> Iterator[Mistake]:
    """Yield what keeps *steps* from leading to a promotion."""
    if steps.step_weight is not None and steps.step_weights is not None:
        yield Mistake(("stepWeights",), "stepWeight is given as well: choose one of the two")
    weights = steps.step_weights or []
    yield from _order_mistakes("stepWeights", weights)
    for index, weight in enumerate(weights):
        if weight > FULL:
            yield warning(("stepWeights", index), f"counts as {FULL}, which is all traffic, is {weight}")
    if weights and steps.max_weight not in (None, weights[-1]):
        yield warning(("maxWeight",), f"has no effect beside stepWeights, whose last step is {weights[-1]}")


def promotion_mistakes(back: int | list[int], reached: int) -> Iterator[Mistake]:
    """Yield what keeps the weight from going back to the primary, which *reached* leaves at least."""
    path: Path = ("stepWeightPromotion",)
    if isinstance(back, int):
        yield from _range_mistakes(path, back, 0)
        return
    if not back:
        yield Mistake(path, "must not be empty")
    for index, weight in enumerate(back):
        yield from _range_mistakes((*path, index), weight, 1)
    yield from _order_mistakes(path[0], back)
    for index, weight in enumerate(back):
        if 1 <= weight <= FULL - reached:
            yield warning(
                (*path, index), f"has no effect: the primary has {FULL - reached} when promotion begins"
            )


def _range_mistakes(path: Path, weight: int, least: int) -> Iterator[Mistake]:
    if weight < least:
        yield Mistake(path, f"must be at least {least}, is {weight}")
    elif weight > FULL:
        yield Mistake(path, f"must be at most {FULL}, is {weight}")


def _order_mistakes(field: str | int, weights: Sequence[int]) -> Iterator[Mistake]:
    for index, (before, weight) in enumerate(pairwise(weights), start=1):
        if weight <= before:
            yield Mistake((field, index), f"must be more than the step before it, {before}, is {weight}")


def bound_mistakes(name: str, bounds: Bounds | None) -> Iterator[Mistake]:
    """Yield what is wrong with the *bounds* of the metric *name*."""
    if bounds is None or (bounds.min is None and bounds.max is None):
        yield warning(
            (), f"{show(name)} has no bound: it is measured and never fails; give thresholdRange min or max"
        )
        return
    if bounds.min is not None and bounds.max is not None and bounds.min > bounds.max:
        yield Mistake(
            ("thresholdRange",), f"min {bounds.min:g} is above max {bounds.max:g}: no value can pass"
        )
    if bounds.min is None and _is_success_rate(name):
        yield warning(
            ("thresholdRange",),
            f"{show(name)} is a success rate, which fails above max: {bounds.max:g} "
            "when all is well; give min",
        )
    if bounds.max is None and name == "request-duration":
        yield warning(
            ("thresholdRange",), f"{show(name)} fails below min: {bounds.min:g} when it is fast; give max"
        )


def _is_success_rate(name: str) -> bool:
    return "success-rate" in name.lower().replace("_", "-").replace(" ", "-")


def threshold_mistakes(path: Path, threshold: int) -> Iterator[Mistake]:
    """Warn of a threshold that no check could stay below."""
    if threshold == 0:
        yield warning(path, "0 counts as 1: the first failed check rolls back")
