"""Each recording of Flagger, played with our engine: the same but for what is excused beside its name."""

from collections.abc import Awaitable, Callable

import pytest

from tests.conformance.chorus import Chorus, together
from tests.conformance.recorded.comparing import Excused, differences
from tests.conformance.recorded.excuses import (
    ALL_MEASURED,
    CONFIGS_KEPT,
    EVERYWHERE,
    ROLLED_BACK,
    UNDER_ANALYSIS,
    WINDOWS,
    WITH_METRICS,
)
from tests.conformance.recorded.play import play
from tests.conformance.recorded.recording import Recording
from tests.conformance.world import World


def told(name: str, *excuses: Excused) -> Callable[[Chorus], Awaitable[None]]:
    """Make a test of a recording."""

    async def story(world: World) -> None:
        recording = Recording.read(name)
        ours = await play(recording, world)
        found = differences(recording.story, ours, (*EVERYWHERE, *excuses))

        assert not found, "\n".join(found)

    story.__dict__["excuses"] = (*EVERYWHERE, *excuses)
    story.__name__ = f"test_{name.replace('-', '_')}"
    return pytest.mark.conformance(together(story))


test_canary = told("canary", *WITH_METRICS, UNDER_ANALYSIS)
test_overshoot = told("overshoot", *WITH_METRICS, UNDER_ANALYSIS)
test_step_weights = told("step-weights", *WITH_METRICS, UNDER_ANALYSIS)
test_rollback = told("rollback", *WITH_METRICS, ALL_MEASURED, *ROLLED_BACK)
test_slow = told("slow", *WITH_METRICS, *ROLLED_BACK)
test_one_failed_check = told("one-failed-check", *WITH_METRICS, UNDER_ANALYSIS)
test_restart = told("restart", *WITH_METRICS, UNDER_ANALYSIS)
test_config_change = told("config-change", *WITH_METRICS, UNDER_ANALYSIS, CONFIGS_KEPT)
test_template_metric = told("template-metric", WINDOWS, *ROLLED_BACK)
