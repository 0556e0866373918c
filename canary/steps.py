"""The steps of an analysis: how exposure grows with each strategy, and how the weight goes back."""

from typing import NamedTuple, assert_never

from canary.spec import AnalysisSpec, StepPlan, Strategy, Weight
from canary.status import RolloutStatus

FULL: Weight = 100


class Step(NamedTuple):
    """What the canary is exposed to after a passing check."""

    weight: Weight
    iterations: int = 0
    is_mirrored: bool = False


def next_step(analysis: AnalysisSpec, status: RolloutStatus) -> Step | None:
    """The step after the one a rollout stands at; None when the next passing check promotes."""
    done, count = status.iterations, analysis.iterations
    match analysis.strategy:
        case Strategy.AB_TESTING:
            return Step(FULL, done + 1) if done < count else None
        case Strategy.BLUE_GREEN:
            if done < count:
                return Step(0, done + 1, analysis.mirror)
            is_over = status.traffic_weight == FULL
            return None if is_over else Step(FULL, count + 1)  # the users follow the load test
        case Strategy.CANARY:
            if analysis.mirror and not status.has_begun:
                return Step(0, is_mirrored=True)
            if status.canary_weight >= last_weight(analysis.steps):
                return None
            return Step(next_weight(analysis.steps, status.canary_weight))
        case _:
            assert_never(analysis.strategy)


def last_weight(plan: StepPlan) -> Weight:
    """The weight from which on a passing check promotes."""
    return min(FULL, plan.step_weights[-1] if plan.step_weights else plan.max_weight)


def next_weight(plan: StepPlan, weight: Weight) -> Weight:
    """The weight after *weight*: may overshoot the maximum as Flagger's does (20, 40, 60 for 20 to 50).

    In a list it is the first element above *weight*, so that a list edited in mid-run never jumps to 100.
    """
    if plan.step_weights:
        above = [step for step in plan.step_weights if step > weight]
        return min(FULL, above[0] if above else plan.step_weights[-1])
    return min(FULL, weight + plan.step_weight)


def weight_back(plan: StepPlan, weight: Weight) -> Weight:
    """The canary's weight after one step of promotion: all at once without `stepWeightPromotion`."""
    if plan.step_weights_promotion:
        primary = FULL - weight
        return FULL - min((step for step in plan.step_weights_promotion if step > primary), default=FULL)
    return max(0, weight - plan.step_weight_promotion) if plan.step_weight_promotion else 0
