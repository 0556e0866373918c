"""A rollout played through in memory: what its workflow makes of each decision, without cluster or wait."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from canary.analysis import Check, GateCheck, HookAnswer, Measurement
from canary.decision import (
    Approve,
    Ask,
    Decision,
    Measure,
    Promote,
    RecreatePrimary,
    Restart,
    RestorePrimary,
)
from canary.ladder import decide
from canary.observation import Observation, Routes, Workload
from canary.situation import Situation
from canary.spec import CanarySpec, HookType
from canary.status import Person, Revision, RolloutStatus, Wishes
from canary.transition import after, begin, noticed, resumed
from tests.canary.rollouts import NEW, NOW, OLD, a_primary, a_workload

SIZE = 2
TARGET, PRIMARY = a_workload(size=SIZE), a_primary(size=SIZE)
NOTHING = Wishes()


@dataclass(frozen=True)
class Look:
    """What one turn of the loop finds, and what is said and answered in it. By default all is well."""

    target: Workload | None = TARGET
    primary: Workload | None = PRIMARY
    value: float | None = 100.0
    samples: float = 1000
    is_hook_failing: bool = False
    is_gate_closed: bool = False
    is_wanted_back: bool = False
    """A rollback hook answers with a success."""
    wish: str = ""
    drift: int | None = None
    """Somebody has set this weight."""
    document: CanarySpec | None = None
    """Another document is delivered by from now on."""
    gap: timedelta = timedelta(minutes=1)


@dataclass(frozen=True)
class Turn:
    """One decision: what it stands on, and the status before and after it."""

    case: Situation
    decision: Decision
    status: RolloutStatus

    @property
    def before(self) -> RolloutStatus:
        """The status before the decision."""
        return self.case.status


@dataclass(frozen=True)
class Play:
    """A rollout as it stands between two turns."""

    spec: CanarySpec
    status: RolloutStatus
    now: datetime = NOW
    wishes: Wishes = NOTHING
    is_half_promoted: bool = False

    @classmethod
    def begun(cls, spec: CanarySpec) -> "Play":
        """A rollout that has just begun."""
        return cls(spec, begin(spec, NEW, OLD, SIZE, NOW))

    @classmethod
    def resumed(cls, spec: CanarySpec, weight: int) -> "Play":
        """A rollout that goes on after its promotion was halted."""
        begun = begin(spec, NEW, OLD, SIZE, NOW)
        return cls(spec, resumed(spec, begun, weight), is_half_promoted=True)

    def turn(self, look: Look) -> tuple["Play", Turn | None]:
        """Take a look, decide, and carry it out; no decision where a patient question stays open."""
        if look.document is not None:
            return replace(self, spec=look.document).turn(replace(look, document=None))
        now = self.now + look.gap
        wishes = _wished(self, look, now)
        case = Situation(self.spec, self.status, _seen(self, look, now), now, None, wishes)
        case = replace(case, status=noticed(case))
        decision = decide(case)
        while isinstance(decision, Measure | Ask):
            if isinstance(decision, Ask) and decision.is_patient and not _is_over(case, decision, look):
                return replace(self, status=case.status, now=now, wishes=wishes), None
            case = _answered(case, decision, look)
            decision = decide(case)
        status = after(case, decision, now)
        is_half_promoted = self.is_half_promoted and not isinstance(decision, RecreatePrimary)
        play = replace(
            self,
            status=status,
            now=now,
            wishes=_fulfilled(wishes, decision),
            is_half_promoted=is_half_promoted or isinstance(decision, Promote | RestorePrimary),
        )
        return play, Turn(case, decision, status)


def _wished(play: Play, look: Look, now: datetime) -> Wishes:
    """Commands are taken as the workflow takes them: `approve` only where a gate is waited for."""
    if not look.wish or (look.wish == "approve" and play.status.waiting_for is None):
        return play.wishes
    return play.wishes.model_copy(update={look.wish: Person(who="ada", at=now)})


def _fulfilled(wishes: Wishes, decision: Decision) -> Wishes:
    if isinstance(decision, Restart):
        return wishes.model_copy(update={"restart": None, "approve": None})
    return wishes.model_copy(update={"approve": None}) if isinstance(decision, Approve) else wishes


def _seen(play: Play, look: Look, now: datetime) -> Observation:
    weight = play.status.traffic_weight if look.drift is None else look.drift
    routes = Routes(
        primary=100 - weight,
        canary=weight,
        is_mirrored=play.status.is_mirrored,
        is_for_all=play.status.is_for_all,
    )
    primary = look.primary
    if primary is not None and play.is_half_promoted:
        primary = primary.model_copy(update={"promoting": "new"})
    return Observation(at=now, target=look.target, primary=primary, routes=routes)


def _is_over(case: Situation, decision: Ask, look: Look) -> bool:
    """Whether a patient question comes to its end: nothing is closed, or the rollout is wanted back."""
    can_go_back = look.is_wanted_back and bool(case.spec.analysis.hooks(HookType.ROLLBACK))
    return can_go_back or not look.is_gate_closed or not case.spec.analysis.hooks(*decision.gates)


def _answered(case: Situation, decision: Measure | Ask, look: Look) -> Situation:
    """The situation once a check has been carried out, or gates have been asked."""
    if isinstance(decision, Ask):
        rollback = _answers(case, (HookType.ROLLBACK,), passed=look.is_wanted_back)
        answers = _answers(case, decision.gates, passed=not look.is_gate_closed)
        asked = rollback if decision.is_patient else ()
        return replace(case, gates=GateCheck(observation=case.seen, rollback=asked, answers=answers))
    hooks = _answers(case, decision.hooks, passed=not look.is_hook_failing)
    is_measured = decision.has_metrics and all(answer.passed for answer in hooks)
    check = Check(
        observation=case.seen,
        rollback=_answers(case, (HookType.ROLLBACK,), passed=look.is_wanted_back),
        types=decision.hooks,
        hooks=hooks,
        measurements=tuple(_measurements(case, look)) if is_measured else (),
    )
    return replace(case, check=check)


def _answers(case: Situation, types: tuple[HookType, ...], *, passed: bool) -> tuple[HookAnswer, ...]:
    return tuple(
        HookAnswer(hook=hook.name, type=hook.type, passed=passed, at=case.now)
        for hook in case.spec.analysis.hooks(*types)
    )


def _measurements(case: Situation, look: Look) -> Iterable[Measurement]:
    for metric in case.spec.analysis.metrics:
        yield Measurement(metric=metric.name, query="q", value=look.value, samples=look.samples, at=case.now)


def at_revision(revision: Revision) -> Workload:
    """A healthy target that runs *revision*."""
    return a_workload(size=SIZE, revision=revision)
