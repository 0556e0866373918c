"""Which of the strategies a document asks for, and what does not go together with it."""

from collections.abc import Iterator, Sequence

from canary.documents.istio import HttpMatch
from canary.documents.mistake import Mistake, Path, warning
from canary.documents.steps import WeightSteps, promotion_mistakes, step_mistakes
from canary.steps import FULL

_JOINED = frozenset(("name", "headers", "withoutHeaders", "queryParams", "sourceLabels"))
"""What the match of the analysis may have beside the same field of the Service's."""


def weight_mistakes(steps: WeightSteps, iterations: int) -> Iterator[Mistake]:
    """Yield what is wrong with the steps of the weight beside so many *iterations*."""
    if not iterations:
        yield from step_mistakes(steps)
    elif steps.max_weight is not None and not steps.has_steps:
        yield warning(("maxWeight",), "has no effect: iterations have no steps of the weight")
    yield from promotion_mistakes(steps.step_weight_promotion, FULL if iterations else steps.reached())


def match_mistakes(match: Sequence[HttpMatch], wide: Sequence[HttpMatch] = ()) -> Iterator[Mistake]:
    """Yield why the requests of the canary cannot be told from others by *match*.

    Args:
        match: the match of the analysis.
        wide: the match of the Service, which holds as well.
    """
    taken = {field for each in wide for field in each.as_written()}
    for index, each in enumerate(match):
        said = {field for field, value in each.as_written().items() if value}
        if not said - {"name"}:
            yield Mistake((index,), "matches every request: give headers, queryParams or sourceLabels")
        for field in sorted((said & taken) - _JOINED):
            yield Mistake(
                (index, field), f"service.match has {field} as well: only headers and the like can be joined"
            )


def affinity_warnings(path: Path, iterations: int) -> Iterator[Mistake]:
    """Warn of cookies where no step of the weight parts the users."""
    if iterations:
        yield warning(
            path, "has no effect: cookies keep users apart where the weight does, iterations do not"
        )
