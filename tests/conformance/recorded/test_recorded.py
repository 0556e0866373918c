"""Each recording of Flagger, played with our engine: the same but for what is excused beside its name."""

from collections.abc import Awaitable, Callable, Iterable, Iterator

import pytest

from tests.conformance.chorus import Chorus, together
from tests.conformance.claims import CLAIMS, RECORDED
from tests.conformance.ground import Need
from tests.conformance.recorded.comparing import Excused, differences
from tests.conformance.recorded.excuses import (
    ALL_MEASURED,
    ANSWER_TOLD,
    APEX_GOES_ON,
    CAUSE_TOLD,
    CONFIGS_KEPT,
    COPIED_WHOLE,
    DRIFT_PUT_RIGHT,
    EVERYWHERE,
    LEAVING_TOLD,
    ORIGINAL_KEPT,
    PAUSED,
    REASON_TOLD,
    ROLLED_BACK,
    ROUTED_AT_LAST,
    SUSPENDED_IS_CHECKED,
    UNDER_ANALYSIS,
    WAITS_FOR_PRIMARY,
    WHOLE_COOKIES,
    WINDOWS,
    WITH_METRICS,
)
from tests.conformance.recorded.gates import CANCELLABLE, GATE_TOLD_ONCE, PHASE_TOLD, WAITS_AT_ITS_WEIGHT
from tests.conformance.recorded.play import play
from tests.conformance.recorded.recording import Recording
from tests.conformance.recorded.wording import LAST_STEP_TOLD, OF_ITS_PROTOCOL, STARTED_ANEW
from tests.conformance.world import World


def told(name: str, *excuses: Excused) -> Callable[[Chorus], Awaitable[None]]:
    """Make a test of a recording."""

    async def story(world: World) -> None:
        world.require(Need.IMAGES)
        recording = Recording.read(name)
        ours = await play(recording, world)
        found = differences(recording.story, ours, (*_shared(recording), *excuses))

        assert not found, "\n".join(found)

    story.__dict__["excuses"] = (*EVERYWHERE, *excuses)
    story.__name__ = f"test_{name.replace('-', '_')}"
    story.__doc__ = _rules(name, excuses)
    return pytest.mark.conformance(together(story))


def _shared(recording: Recording) -> Iterator[Excused]:
    """What excuses every recording, one of them only where there is a ConfigMap with binary data."""
    is_binary = any("binaryData" in given for given in recording.given)
    return (excuse for excuse in EVERYWHERE if is_binary or excuse is not COPIED_WHOLE)


def _rules(name: str, excuses: Iterable[Excused]) -> str:
    """What a recording shows, where it stands, and the rules by which ours is another."""
    shown = [f"{claim}: {CLAIMS[claim]}." for claim in RECORDED[name]]
    others = [f"But {excuse.rule}: {excuse.why}." for excuse in excuses]
    return "\n".join([*shown, f"Recorded from Flagger in tests/recorded/flagger/{name}.jsonl.", *others])


test_canary = told("canary", PAUSED, *WITH_METRICS, UNDER_ANALYSIS)
test_overshoot = told("overshoot", PAUSED, *WITH_METRICS, UNDER_ANALYSIS)
test_step_weights = told("step-weights", PAUSED, *WITH_METRICS, UNDER_ANALYSIS)
test_rollback = told("rollback", PAUSED, *WITH_METRICS, ALL_MEASURED, *ROLLED_BACK)
test_slow = told("slow", PAUSED, *WITH_METRICS, *ROLLED_BACK)
test_one_failed_check = told("one-failed-check", PAUSED, *WITH_METRICS, UNDER_ANALYSIS)

test_ab = told("ab", PAUSED, *WITH_METRICS)
test_blue_green = told("blue-green", PAUSED, *WITH_METRICS)
test_blue_green_mirror = told("blue-green-mirror", PAUSED, *WITH_METRICS)
test_mirror = told("mirror", PAUSED, *WITH_METRICS, UNDER_ANALYSIS)
test_match_weights = told("match-weights", PAUSED, *WITH_METRICS, UNDER_ANALYSIS)
test_affinity = told("affinity", PAUSED, *WITH_METRICS, UNDER_ANALYSIS, WHOLE_COOKIES)

test_hooks = told("hooks", PAUSED, *WITH_METRICS, WAITS_AT_ITS_WEIGHT, CANCELLABLE)
test_traffic_gate = told("traffic-gate", PAUSED, *WITH_METRICS, UNDER_ANALYSIS, GATE_TOLD_ONCE)
test_rollback_hook = told("rollback-hook", PAUSED)
test_hook_fails = told("hook-fails", PAUSED, *ROLLED_BACK, ANSWER_TOLD)

test_config_change = told("config-change", PAUSED, *WITH_METRICS, UNDER_ANALYSIS, CONFIGS_KEPT)
test_restart = told("restart", PAUSED, *WITH_METRICS, UNDER_ANALYSIS)
test_drift = told("drift", PAUSED, *WITH_METRICS, UNDER_ANALYSIS, DRIFT_PUT_RIGHT)
test_suspend = told("suspend", PAUSED, *WITH_METRICS, UNDER_ANALYSIS, SUSPENDED_IS_CHECKED)
test_deadline = told("deadline", PAUSED, CAUSE_TOLD, REASON_TOLD)
test_skip_analysis = told("skip-analysis", PAUSED, WAITS_FOR_PRIMARY, ROUTED_AT_LAST)

test_hpa = told("hpa", PAUSED, *WITH_METRICS, UNDER_ANALYSIS)
test_daemonset = told("daemonset", *WITH_METRICS)
test_service_options = told("service-options", PAUSED, *WITH_METRICS, UNDER_ANALYSIS)
test_tcp = told("tcp", PAUSED, *WITH_METRICS, UNDER_ANALYSIS)
test_delegation = told("delegation", PAUSED, *WITH_METRICS, UNDER_ANALYSIS)

test_template_metric = told("template-metric", PAUSED, WINDOWS, *ROLLED_BACK)
test_alerts = told("alerts", PAUSED, *WITH_METRICS, ALL_MEASURED, *ROLLED_BACK)

test_ab_hooks_template = told("ab-hooks-template", PAUSED, *WITH_METRICS, WAITS_AT_ITS_WEIGHT)
test_bg_gates = told("bg-gates", PAUSED, *WITH_METRICS, WAITS_AT_ITS_WEIGHT, CANCELLABLE, PHASE_TOLD)
test_mirror_steps = told("mirror-steps", PAUSED, *WITH_METRICS, UNDER_ANALYSIS)
test_promotion_gate_restart = told("promotion-gate-restart", PAUSED, *WITH_METRICS, WAITS_AT_ITS_WEIGHT)
test_weights_changed = told("weights-changed", PAUSED, *WITH_METRICS, UNDER_ANALYSIS)
test_skip_mid_run = told("skip-mid-run", PAUSED, WAITS_FOR_PRIMARY, ROUTED_AT_LAST)
test_failed_then_back = told(
    "failed-then-back", PAUSED, *WITH_METRICS, UNDER_ANALYSIS, ALL_MEASURED, *ROLLED_BACK
)
test_config_kinds = told("config-kinds", PAUSED, *WITH_METRICS, UNDER_ANALYSIS, CONFIGS_KEPT, STARTED_ANEW)
test_other_labels = told("other-labels", PAUSED, *WITH_METRICS, UNDER_ANALYSIS, OF_ITS_PROTOCOL)
test_alerts_severities = told(
    "alerts-severities",
    *(PAUSED, *WITH_METRICS, WAITS_AT_ITS_WEIGHT, CANCELLABLE, GATE_TOLD_ONCE, LAST_STEP_TOLD),
)

test_adopt = told("adopt", ORIGINAL_KEPT, LEAVING_TOLD)
test_revert_on_deletion = told(
    "revert-on-deletion", PAUSED, *WITH_METRICS, UNDER_ANALYSIS, APEX_GOES_ON, LEAVING_TOLD
)
