"""What to do next: one look at a rollout in, one decision out.

`decide` is a ladder of early returns, safest case first. It knows no clock and no cluster: the moment and
everything seen are arguments, so equal arguments give equal decisions. When in doubt, it holds.
"""

from collections.abc import Callable

from canary.analysing import analyse, confirm
from canary.decision import Decision
from canary.promoting import abort_promotion, finish, rescue, restoring, shift_back, unjudged
from canary.safeguards import (
    abort,
    abort_at_once,
    approved,
    drift,
    hooked_back,
    left,
    lost_canary,
    lost_everything,
    lost_primary,
    lost_target,
    new_revision,
    not_scaled_up,
    other_strategy,
    past_the_deadline,
    primary_down,
    restart,
    reverted,
    too_early,
    too_many_failures,
)
from canary.situation import Situation
from canary.status import Phase

Rung = Callable[[Situation], Decision | None]
"""One rule a user could read: a decision, or None where it has nothing to say."""

_WAITING: tuple[Rung, ...] = (
    lost_everything,
    left,
    abort_at_once,
    lost_primary,
    abort,
    lost_target,
    reverted,
    new_revision,
    restart,
    hooked_back,
    approved,
    drift,
)
_ANALYSING: tuple[Rung, ...] = (
    lost_everything,
    left,
    abort_at_once,
    lost_primary,
    abort,
    lost_target,
    reverted,
    too_many_failures,
    new_revision,
    other_strategy,
    restart,
    hooked_back,
    lost_canary,
    approved,
    drift,
    primary_down,
    past_the_deadline,
    not_scaled_up,
    too_early,
)
_PROMOTING: tuple[Rung, ...] = (
    lost_everything,
    left,
    abort_promotion,
    lost_primary,
    unjudged,
    lost_canary,
    other_strategy,
    drift,
    rescue,
    restoring,
    too_early,
)
_FINALISING: tuple[Rung, ...] = (lost_everything, left, lost_primary, drift, rescue, too_early)


def decide(case: Situation) -> Decision:
    """Say what to do next in a rollout that has not ended."""
    match case.status.phase:
        case Phase.WAITING:
            rungs, tick = _WAITING, confirm
        case Phase.PROMOTING:
            rungs, tick = _PROMOTING, shift_back
        case Phase.FINALISING:
            rungs, tick = _FINALISING, finish
        case _:
            rungs, tick = _ANALYSING, analyse
    for rung in rungs:
        if (decision := rung(case)) is not None:
            return decision
    return tick(case)
