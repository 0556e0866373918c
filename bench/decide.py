"""How long a decision takes: `decide` on situations of rollouts that go well, and of some that do not."""

import time
from collections.abc import Iterator

from bench.figure import Bound, Figure
from bench.stage import Options
from canary.ladder import decide
from canary.situation import Situation
from canary.spec import HookType
from tests.canary.rollouts import a_primary, a_spec, a_workload, hook
from tests.canary.simulation import Look, Play

MATCH = ({"headers": {"x-canary": {"exact": "insider"}}},)
GATES = tuple(hook(type_) for type_ in HookType if type_.is_gate)
SPECS = (
    a_spec(),
    a_spec(iterations=3, match=MATCH),
    a_spec(iterations=3, mirror=True),
    a_spec(webhooks=GATES),
)
STORIES = (
    [Look()] * 12,
    [Look(), Look(value=98.0), Look(value=None), Look()],
    [Look(), Look(), Look(target=a_workload(ready=0)), Look(), Look(primary=a_primary(ready=0))],
    [Look(is_gate_closed=True), Look(wish="approve"), Look(), Look(drift=70), Look(wish="abort")],
)


async def measure(options: Options) -> list[Figure]:
    """Time one decision after the other, the first ones apart."""
    situations = [case for spec in SPECS for story in STORIES for case in _told(Play.begun(spec), story)]
    rounds = options.many(10_000, 1_000) // len(situations) + 1
    times = [_microseconds(case) for _ in range(rounds + 1) for case in situations][len(situations) :]
    how = (
        f"{len(situations)} situations of {len(SPECS)} strategies, readiness and checks judged anew each time"
    )
    return [Figure("one decision", "µs", times, how, bound=Bound(median=50))]


def _told(play: Play, story: list[Look]) -> Iterator[Situation]:
    for look in story:
        play, turn = play.turn(look)
        if turn is not None:
            yield turn.case
        if play.status.phase.is_final:
            return


def _microseconds(case: Situation) -> float:
    begin = time.perf_counter_ns()
    decide(case)
    return (time.perf_counter_ns() - begin) / 1000
