"""The fields Kurator and Flagger share: steps of the weight, and the bounds of a metric."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Annotated

from pydantic import Field

from canary.documents.mistake import Mistake, Path, show, warning
from canary.documents.schema import Document, Percent
from canary.spec import StepPlan, ThresholdRange

Step = Annotated[int, Field(ge=1, le=100)]
"""A weight that moves traffic."""


class WeightSteps(Document):
    """How the weight grows: by a step up to a maximum, or through a list."""

    max_weight: Step | None = None
    step_weight: Step | None = None
    step_weights: Annotated[list[Step], Field(min_length=1)] | None = None
    step_weight_promotion: Percent = 0

    def plan(self) -> StepPlan:
        """Return the steps as the engine takes them."""
        weights = tuple(self.step_weights or ())
        return StepPlan(
            step_weight=self.step_weight or 0,
            max_weight=weights[-1] if weights else self.max_weight or 100,
            step_weights=weights,
            step_weight_promotion=self.step_weight_promotion,
        )


class Bounds(Document):
    """Between which values a metric passes, both included."""

    min: float | None = None
    max: float | None = None

    def range(self) -> ThresholdRange:
        """Return the bounds as the engine judges by them."""
        return ThresholdRange(min=self.min, max=self.max)


def step_mistakes(steps: WeightSteps) -> Iterator[Mistake]:
    """Yield what keeps *steps* from leading to a promotion."""
    if steps.step_weight is None and steps.step_weights is None:
        yield Mistake(
            (), "stepWeight or stepWeights is required: without a step it never reaches a promotion"
        )
    if steps.step_weight is not None and steps.step_weights is not None:
        yield Mistake(("stepWeights",), "stepWeight is given as well: choose one of the two")
    weights = steps.step_weights or []
    for index, (before, weight) in enumerate(pairwise(weights), start=1):
        if weight <= before:
            yield Mistake(
                ("stepWeights", index), f"must be more than the step before it, {before}, is {weight}"
            )
    if weights and steps.max_weight not in (None, weights[-1]):
        yield warning(("maxWeight",), f"has no effect beside stepWeights, whose last step is {weights[-1]}")


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
