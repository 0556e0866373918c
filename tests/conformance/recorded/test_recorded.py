"""Each recording of Flagger, played with our engine: the same but for what is excused beside its name."""

from collections.abc import Awaitable, Callable

import pytest

from tests.conformance.chorus import Chorus, together
from tests.conformance.recorded.comparing import Excused, differences
from tests.conformance.recorded.excuses import (
    ALL_MEASURED,
    APEX_GOES_ON,
    CONFIGS_KEPT,
    DRIFT_PUT_RIGHT,
    EVERYWHERE,
    ROLLED_BACK,
    UNDER_ANALYSIS,
    WAITS_FOR_PRIMARY,
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

test_ab = told("ab", *WITH_METRICS)
test_blue_green = told("blue-green", *WITH_METRICS)
test_blue_green_mirror = told("blue-green-mirror", *WITH_METRICS)
test_mirror = told("mirror", *WITH_METRICS, UNDER_ANALYSIS)
test_match_weights = told("match-weights", *WITH_METRICS, UNDER_ANALYSIS)
test_affinity = told("affinity", *WITH_METRICS, UNDER_ANALYSIS)

test_hooks = told("hooks", *WITH_METRICS)
test_traffic_gate = told("traffic-gate", *WITH_METRICS, UNDER_ANALYSIS)
test_rollback_hook = told("rollback-hook")
test_hook_fails = told("hook-fails", *ROLLED_BACK)

test_config_change = told("config-change", *WITH_METRICS, UNDER_ANALYSIS, CONFIGS_KEPT)
test_restart = told("restart", *WITH_METRICS, UNDER_ANALYSIS)
test_drift = told("drift", *WITH_METRICS, UNDER_ANALYSIS, DRIFT_PUT_RIGHT)
test_suspend = told("suspend", *WITH_METRICS, UNDER_ANALYSIS)
test_deadline = told("deadline")
test_skip_analysis = told("skip-analysis", WAITS_FOR_PRIMARY)

test_hpa = told("hpa", *WITH_METRICS, UNDER_ANALYSIS)
test_daemonset = told("daemonset", *WITH_METRICS)
test_service_options = told("service-options", *WITH_METRICS, UNDER_ANALYSIS)
test_tcp = told("tcp", *WITH_METRICS, UNDER_ANALYSIS)
test_delegation = told("delegation", *WITH_METRICS, UNDER_ANALYSIS)

test_template_metric = told("template-metric", WINDOWS, *ROLLED_BACK)
test_alerts = told("alerts", *WITH_METRICS, ALL_MEASURED, *ROLLED_BACK)

test_adopt = told("adopt")
test_revert_on_deletion = told("revert-on-deletion", *WITH_METRICS, UNDER_ANALYSIS, APEX_GOES_ON)
