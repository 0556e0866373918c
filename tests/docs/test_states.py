"""The state diagram of the phases shows every transition there is, and none that there is not."""

import ast
import re
from collections.abc import Iterator
from datetime import timedelta

import pytest

from canary.idle import Resume, Roll, decide_idle
from canary.observation import Observation, Routes
from canary.spec import CanarySpec, HookType, StepPlan
from canary.status import CanaryStatus, Outcome, Person, Phase, RolloutStatus, Wishes
from canary.transition import first_phase, resumed
from tests.canary.rollouts import NEWER, NOW, OLD, a_primary, a_spec, a_workload, hook
from tests.canary.simulation import SIZE, Look, Play, at_revision
from tests.docs.pages import ROOT, blocks

Arrow = tuple[str, str]
OUTSIDE = "[*]"
AT_REST = (Phase.INITIALIZED, Phase.SUCCEEDED, Phase.FAILED)
ADA = Person(who="ada", at=NOW)
PLAIN = a_spec(threshold=1, steps=StepPlan(step_weight=50, max_weight=50, step_weight_promotion=25))
GATED = a_spec(
    threshold=1,
    steps=StepPlan(step_weight=50, max_weight=50),
    webhooks=tuple(hook(type_) for type_ in (*HookType,) if type_ is not HookType.EVENT),
)
SPECS = (PLAIN, GATED)
MINUTE, LONG = timedelta(minutes=1), timedelta(hours=1)
LOOKS = (
    Look(),
    Look(gap=LONG),
    Look(value=1.0),
    Look(is_gate_closed=True),
    Look(is_wanted_back=True),
    Look(is_hook_failing=True),
    Look(wish="abort"),
    Look(wish="restart"),
    Look(wish="approve"),
    Look(target=None),
    Look(primary=None),
    Look(target=at_revision(OLD)),
    Look(target=at_revision(NEWER)),
    Look(target=a_workload(size=SIZE, ready=0)),
    Look(primary=a_primary(size=SIZE, ready=0)),
    Look(primary=a_primary(size=SIZE, ready=0), gap=LONG),
)
WRITTEN = {
    "_initialise": {(OUTSIDE, "Initializing"), ("Failed", "Initializing")},
    "_stop_initialising": {("Initializing", "Failed")},
    "_adopt_halted": {("Initializing", "Failed")},
    "_adopt_promoted": {("Finalising", "Succeeded")},
    "_empty_target": {("Initializing", "Initialized")},
    "_take_out": {
        *((str(phase), "Terminating") for phase in (*AT_REST, Phase.INITIALIZING)),
        ("Terminating", OUTSIDE),
    },
}
"""What the methods of `CanaryWorkflow` that write a phase by name do to it; rollouts are walked through."""


def drawn() -> set[Arrow]:
    """The arrows of the diagram."""
    (diagram,) = blocks(ROOT / "docs/concepts.md", "mermaid")
    arrows = re.findall(r"^\s*(\S+) --> (\S+)$", diagram, re.MULTILINE)
    return set(arrows)


def of_rollouts() -> set[Arrow]:
    """Every change of phase that a rollout can come to: a walk through all that can be seen and said."""
    halted = [Play.resumed(spec, weight) for spec in SPECS for weight in (0, 100)]
    waiting = [Play.begun(spec) for spec in SPECS] + halted
    known, found = {_key(play) for play in waiting}, set[Arrow]()
    while waiting:
        play = waiting.pop()
        for look in LOOKS:
            following, turn = play.turn(look)
            if turn is not None and turn.before.phase is not turn.status.phase:
                found.add((turn.before.phase, turn.status.phase))
            if not following.status.phase.is_final and _key(following) not in known:
                known.add(_key(following))
                waiting.append(following)
    return found


def _key(play: Play) -> tuple[object, ...]:
    """What of a rollout makes a difference to its phases; moments and counters do not."""
    status = play.status
    approved = status.approved if status.phase.is_under_analysis else ()
    shown = (status.phase, status.traffic_weight, status.canary_weight, status.waiting_for, approved)
    flags = (status.has_begun, status.is_retreated, status.is_restoring, play.is_half_promoted)
    unready = (status.canary_unready_since is None, status.primary_unready_since is None)
    wishes = (play.wishes.abort is None, play.wishes.restart is None, play.wishes.approve is None)
    return (id(play.spec), *shown, *flags, *unready, *wishes, status.revision.template)


def of_beginnings() -> Iterator[Arrow]:
    """Every phase that a canary at rest begins or goes on with a rollout in."""
    for spec in SPECS:
        for phase in AT_REST:
            for outcome in (Outcome.PROMOTED, Outcome.HALTED):
                for wishes in (Wishes(), Wishes(restart=ADA), Wishes(abort=ADA)):
                    if (phase is Phase.FAILED) or outcome is Outcome.PROMOTED:
                        status = CanaryStatus(phase=phase, outcome=outcome, last_promoted=OLD)
                        yield from _begun(spec, status, wishes)


def _begun(spec: CanarySpec, status: CanaryStatus, wishes: Wishes) -> Iterator[Arrow]:
    seen = Observation(at=NOW, target=a_workload(), primary=a_primary(), routes=Routes(primary=100, canary=0))
    decision = decide_idle(spec, status, seen, wishes)
    if isinstance(decision, Roll):
        yield status.phase, first_phase(spec)
    elif isinstance(decision, Resume):
        going_on: RolloutStatus = resumed(spec, Play.begun(spec).status, 100)
        yield status.phase, Phase.PROMOTING if decision.abort else going_on.phase


def writers() -> set[str]:
    """The methods of workflows that write a phase by its name: `self._become(phase=Phase.…)`."""
    return {
        method.name
        for path in (ROOT / "workflows").glob("*.py")
        for method in ast.walk(ast.parse(path.read_text()))
        if isinstance(method, ast.AsyncFunctionDef | ast.FunctionDef)
        for call in ast.walk(method)
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "self._become"
        for keyword in call.keywords
        if keyword.arg == "phase" and ast.unparse(keyword.value).startswith("Phase.")
    }


@pytest.fixture(scope="module")
def possible() -> set[Arrow]:
    written = {arrow for arrows in WRITTEN.values() for arrow in arrows}
    return {(str(before), str(after)) for before, after in {*of_rollouts(), *of_beginnings(), *written}}


def test_every_transition_is_drawn(possible: set[Arrow]) -> None:
    assert possible - drawn() == set()


def test_every_arrow_is_possible(possible: set[Arrow]) -> None:
    assert drawn() - possible == set()


def test_every_method_that_writes_a_phase_is_known() -> None:
    assert writers() == set(WRITTEN)


def test_every_phase_is_drawn() -> None:
    assert {word for arrow in drawn() for word in arrow} == {*map(str, Phase), OUTSIDE}
