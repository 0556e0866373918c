"""The arithmetic of weights."""

from canary.spec import StepPlan, Weight

FULL: Weight = 100


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
    return max(0, weight - plan.step_weight_promotion) if plan.step_weight_promotion else 0
