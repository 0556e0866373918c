"""What a rollout does while a write is refused for a while, or hangs: it goes on deciding."""

import asyncio
import time
from datetime import timedelta
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError

from activities.cluster.errors import ClusterUnreachableError
from activities.cluster.traffic import Written
from activities.gates import GateActivities
from canary.analysis import HookAnswer
from canary.observation import Observation
from canary.spec import CanarySpec, HookType, WebhookSpec
from canary.status import Outcome, Phase, Revision
from tests.workflows.cluster import EPOCH, NEW, Cluster, seed_spec
from tests.workflows.conftest import Serve
from tests.workflows.test_gates import Handle, spec_with, status_is
from tests.workflows.test_rollout import outcome, start
from tests.workflows.test_rollout_adversarial import last_words, say
from tests.workflows.test_rollout_hardships import until
from workflows.contract import BELL, Verb

BUSY = ApplicationError("the API server is busy")
SOON = 3
"""An abort is obeyed within a second; a loaded machine is given two more."""


async def refused(cluster: Cluster, where: str) -> None:
    """Wait until a write has been tried again."""
    await until(lambda: cluster.entered.count(where) > 1)


async def aborted(handle: Handle, **wanted: object) -> float:
    """Abort a rollout; returns how long it took until its status was as wanted."""
    begun = time.monotonic()
    await say(handle, Verb.ABORT)
    await status_is(handle, **wanted)
    return time.monotonic() - begun


async def test_an_abort_does_not_wait_for_a_beginning_that_is_refused(serve: Serve) -> None:
    cluster = Cluster(refusals={"scale_target": BUSY})
    handle = await start(await serve(cluster.activities()), seed_spec())
    await refused(cluster, "scale_target")

    took = await aborted(handle, phase=Phase.FAILED, outcome=Outcome.ABORTED)

    cluster.refusals.clear()
    assert (await outcome(handle)).type == Outcome.ABORTED
    assert took < SOON


async def test_a_restart_does_not_wait_for_a_step_that_hangs(serve: Serve) -> None:
    """It comes while the canary is being paused before its step, and may be again as long as that hangs."""
    cluster = Cluster(scaled=Written.UNPAUSED)
    handle = await start(await serve(cluster.activities()), seed_spec())
    await until(lambda: "target 1" in cluster.log)
    cluster.hangs["scale_target"] = asyncio.Event()
    await until(lambda: "scale_target" in cluster.entered)
    cluster.hangs["shift_traffic"] = asyncio.Event()

    begun = time.monotonic()
    await say(handle, Verb.RESTART)
    await until(lambda: "shift_traffic" in cluster.entered)
    took = time.monotonic() - begun

    cluster.hangs.pop("scale_target").set()
    cluster.hangs.pop("shift_traffic").set()
    ended = await handle.result()
    assert (ended.restarts, ended.outcome) == (1, Outcome.PROMOTED)
    assert took < SOON


async def test_a_restart_does_not_call_a_promotion_off(serve: Serve) -> None:
    """It would leave a primary behind that nobody vouches for: it is answered for instead."""
    cluster = Cluster(hangs={"promote": asyncio.Event()})
    handle = await start(await serve(cluster.activities()), spec_with())
    await until(lambda: "promote" in cluster.entered)
    await say(handle, Verb.RESTART)
    await asyncio.sleep(0.5)
    cluster.hangs.pop("promote").set()

    ended = await handle.result()
    assert (ended.restarts, ended.outcome) == (0, Outcome.PROMOTED)


async def test_an_abort_does_not_wait_for_a_primary_that_cannot_be_made_anew(serve: Serve) -> None:
    cluster = Cluster(primary=None, refusals={"create_primary": BUSY})
    handle = await start(await serve(cluster.activities()), seed_spec())
    await refused(cluster, "create_primary")

    took = await aborted(handle, phase=Phase.FAILED, outcome=Outcome.ABORTED)

    assert (await outcome(handle)).type == Outcome.ABORTED
    assert cluster.log == ["target 1", "weight 0", "target 0"]
    assert took < SOON


@pytest.mark.parametrize("how", ["hangs", "is refused"])
async def test_an_abort_calls_a_promotion_off_and_lets_none_arrive_late(serve: Serve, how: str) -> None:
    """The traffic first; then the primary is fenced with what was promoted before."""
    cluster = Cluster()
    if how == "hangs":
        cluster.hangs["promote"] = asyncio.Event()
    else:
        cluster.refusals["promote"] = BUSY
    handle = await start(await serve(cluster.activities()), spec_with())
    await until(lambda: "promote" in cluster.entered)

    took = await aborted(handle, traffic_weight=0, outcome=Outcome.ABORTED)

    assert (await outcome(handle)).type == Outcome.ABORTED
    assert cluster.log[-3:] == ["weight 0", "restore primary", "target 0"]
    assert took < SOON


async def test_a_promotion_that_is_recorded_nowhere_keeps_no_abort_from_its_end(serve: Serve) -> None:
    nowhere = ApplicationError("recorded nowhere", type="NotFound", non_retryable=True)
    cluster = Cluster(hangs={"promote": asyncio.Event()}, refusals={"restore_primary": nowhere})
    handle = await start(await serve(cluster.activities()), spec_with())
    await until(lambda: "promote" in cluster.entered)

    await say(handle, Verb.ABORT)

    assert (await outcome(handle)).type == Outcome.ABORTED
    assert cluster.log[-2:] == ["weight 0", "target 0"]


async def test_why_a_write_is_refused_is_told_while_it_is_tried_again(serve: Serve) -> None:
    cluster = Cluster(refusals={"shift_traffic": BUSY})
    handle = await start(await serve(cluster.activities()), spec_with())

    told = await status_is(handle, needs_person=True)
    cluster.refusals.clear()

    assert "the API server is busy" in told.message
    assert (await handle.result()).outcome is Outcome.PROMOTED


async def test_a_deadline_is_judged_while_the_beginning_is_refused(serve: Serve) -> None:
    cluster = Cluster(refusals={"scale_target": BUSY})
    spec = seed_spec(progress_deadline=timedelta(seconds=5))
    handle = await start(await serve(cluster.activities()), spec)

    late = await status_is(handle, phase=Phase.FAILED)
    cluster.refusals.clear()

    assert late.message.endswith("it has no serving pod")
    assert (await outcome(handle)).type == Outcome.ROLLED_BACK


async def test_a_newer_revision_is_heeded_while_a_promotion_is_refused(serve: Serve) -> None:
    cluster = Cluster(refusals={"promote": BUSY})
    handle = await start(await serve(cluster.activities()), spec_with())
    await refused(cluster, "promote")
    cluster.target = Revision(template="newer")
    await handle.signal(BELL)

    restarted = await status_is(handle, restarts=1, traffic_weight=0)
    cluster.refusals.clear()

    assert restarted.revision == cluster.target
    assert cluster.log[cluster.log.index("weight 0") :][:3] == ["weight 0", "restore primary", "target 1"]
    assert (await handle.result()).revision == cluster.target


async def test_a_primary_that_was_put_back_is_gone_back_to_without_a_person(serve: Serve) -> None:
    """Its promotion arrived although it was refused; a newer revision comes, gets traffic and fails."""
    cluster = Cluster(refusals={"promote": BUSY}, values=[100.0, 50.0, 50.0])
    handle = await start(await serve(cluster.activities()), spec_with())
    await refused(cluster, "promote")
    cluster.promoting, cluster.target_ready = NEW.template, False
    await handle.signal(BELL)
    await status_is(handle, traffic_weight=0)
    cluster.target, cluster.target_ready = Revision(template="newer"), True
    await handle.signal(BELL)

    ended = await outcome(handle)

    assert ended.type == Outcome.ROLLED_BACK
    assert "threshold reached" in ended.message
    assert cluster.log[-2:] == ["weight 0", "target 0"]


async def test_a_beginning_that_was_refused_is_made_up_for(serve: Serve) -> None:
    cluster = Cluster(refusals={"scale_target": BUSY})
    handle = await start(await serve(cluster.activities()), seed_spec())
    await status_is(handle, is_scaled_up=False)
    cluster.refusals.clear()

    assert (await handle.result()).outcome is Outcome.PROMOTED
    assert cluster.log[:2] == ["target 1", "weight 10"]


async def test_gates_that_cannot_be_asked_while_users_are_with_the_canary_are_told_of(serve: Serve) -> None:
    cluster = Cluster()
    spec = spec_with(HookType.CONFIRM_PROMOTION)
    handle = await start(await serve(cluster.activities()), spec)
    await status_is(handle, traffic_weight=50)
    cluster.refusals["ask_gates"] = BUSY

    told = await status_is(handle, needs_person=True)
    checks = sum(entry.startswith("check") for entry in cluster.log)
    cluster.refusals.clear()

    assert "the API server is busy" in told.message
    assert (await handle.result()).outcome is Outcome.PROMOTED
    assert sum(entry.startswith("check") for entry in cluster.log) == checks


class Doorkeeper:
    """What the real asking of gates stands on: a cluster that may be away, and one gate."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.away: Exception | None = None
        self.is_open = False
        self.asked = 0

    async def observe(self, _: CanarySpec) -> Observation:
        if self.away is not None:
            raise self.away
        return self._cluster.seen()

    async def call(self, _: CanarySpec, hook: WebhookSpec, __: Phase, ___: Revision) -> HookAnswer:
        self.asked += 1
        return HookAnswer(hook=hook.name, type=hook.type, passed=self.is_open, at=EPOCH)

    def activities(self) -> list[Any]:
        others = [act for act in self._cluster.activities() if act.__name__ != "ask_gates"]
        return [*others, GateActivities(self, self, lambda: EPOCH).ask_gates]


async def test_why_a_gate_that_has_opened_is_waited_for_is_told(serve: Serve) -> None:
    """Its asking is a retry without end, and the cluster is away from where it is asked."""
    door = Doorkeeper(Cluster())
    spec = spec_with(HookType.CONFIRM_ROLLOUT, interval=timedelta(seconds=1))
    handle = await start(await serve(door.activities()), spec)
    await status_is(handle, waiting_for=HookType.CONFIRM_ROLLOUT)
    await until(lambda: door.asked > 1)
    door.away, door.is_open = ClusterUnreachableError("member1", ConnectionError()), True

    told = await status_is(handle, needs_person=True)
    asked = door.asked
    await until(lambda: door.asked > asked)
    door.away = None

    assert "Cluster member1 does not answer" in told.message
    assert (told.phase, told.waiting_for) == (Phase.WAITING, HookType.CONFIRM_ROLLOUT)
    assert (await handle.result()).outcome is Outcome.PROMOTED


async def test_a_look_that_is_refused_is_told(serve: Serve) -> None:
    cluster = Cluster(refusals={"observe": BUSY, "observe_workloads": BUSY})
    handle = await start(await serve(cluster.activities()), seed_spec())
    await handle.signal(BELL)

    told = await status_is(handle, needs_person=True)
    await say(handle, Verb.ABORT)
    cluster.refusals.clear()

    assert "the API server is busy" in told.message
    assert last_words(await outcome(handle)).outcome is Outcome.ABORTED
