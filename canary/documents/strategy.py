"""Which of the strategies a document asks for, and what does not go together with it."""

from collections.abc import Iterator, Sequence

from canary.documents.istio import HttpMatch
from canary.documents.mistake import Mistake, Path, warning
from canary.documents.steps import WeightSteps, promotion_mistakes, step_mistakes
from canary.steps import FULL

_MAPS = frozenset(("headers", "withoutHeaders", "queryParams", "sourceLabels"))
"""The parts of a match that can be joined with those of another, unless they name the same thing."""


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
    taken = {said for each in wide for said in _said(each)}
    for index, each in enumerate(match):
        said = _said(each)
        if not said:
            yield Mistake((index,), "matches every request: give headers, queryParams or sourceLabels")
        for path in sorted(said & taken):
            yield Mistake(
                (index, *path), "stands in service.match as well: a request would have to match both"
            )


def _said(match: HttpMatch) -> set[tuple[str, ...]]:
    """The parts of a match that a request must have, keys of maps one by one."""
    written = {field: value for field, value in match.as_written().items() if value and field != "name"}
    single = {(field,) for field in written.keys() - _MAPS}
    return single | {(field, key) for field in written.keys() & _MAPS for key in written[field]}


def affinity_warnings(path: Path, iterations: int, steps: WeightSteps | None) -> Iterator[Mistake]:
    """Warn of cookies where no step of the weight parts the users, neither there nor on the way back."""
    if iterations and not (steps and steps.step_weight_promotion):
        yield warning(
            path, "has no effect: cookies keep users apart where the weight does, iterations do not"
        )
