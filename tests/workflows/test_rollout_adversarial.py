"""Commands, cancellations and documents that reach a rollout at the worst of its moments."""

import asyncio
import time
from datetime import timedelta

import pytest
from temporalio.exceptions import ApplicationError

from canary.spec import CanarySpec, HookType
from canary.status import Outcome, Phase, RolloutStatus
from tests.workflows.cluster import NEW, OLD, Cluster, seed_spec
from tests.workflows.conftest import Serve
from tests.workflows.test_gates import MATCH, Handle, alerting, spec_with, status_is
from tests.workflows.test_rollout import outcome, start
from tests.workflows.test_rollout_hardships import FORBIDDEN, until
from workflows.contract import BELL, UPDATE_SPEC, Answer, Command, Verb

ADA = Command(who="ada", reason="looks bad")
GONE = ApplicationError("Deployment backend is gone.", type="NotFound", non_retryable=True)
LATE = "warn abort by ada is not done. The rollout is Finalising: too late to abort it"


async def say(handle: Handle, verb: Verb) -> str:
    """Send a command as an Update; returns what is answered."""
    answer: Answer = await handle.execute_update(verb, ADA, result_type=Answer)
    return answer.message


async def held(cluster: Cluster, where: str, *, after: str = "") -> None:
    """Have a rollout hang in an activity, and let it go where it hung before."""
    before = cluster.hangs.pop(after, None)
    cluster.entered.clear()
    cluster.hangs[where] = asyncio.Event()
    if before is not None:
        before.set()
    await until(lambda: where in cluster.entered)


def release(cluster: Cluster, where: str) -> None:
    if where in cluster.hangs:
        cluster.hangs.pop(where).set()


async def promoting(serve: Serve, cluster: Cluster, spec: CanarySpec) -> Handle:
    """A rollout that hangs in the write that moves all traffic to the promoted primary."""
    handle = await start(await serve(cluster.activities()), spec)
    await held(cluster, "promote")
    await held(cluster, "shift_traffic", after="promote")
    return handle


def last_words(error: ApplicationError) -> RolloutStatus:
    return RolloutStatus.model_validate(error.details[0])


async def test_an_abort_that_the_last_write_of_a_promotion_overtakes_is_answered_for(serve: Serve) -> None:
    cluster = Cluster()
    handle = await promoting(serve, cluster, alerting())

    assert (await say(handle, Verb.ABORT)).startswith("abort recorded")
    release(cluster, "shift_traffic")

    assert (await handle.result()).outcome is Outcome.PROMOTED
    assert any(LATE in alert for alert in cluster.alerts)


@pytest.mark.parametrize(
    ("phase", "verb", "why"),
    [
        (Phase.FINALISING, Verb.ABORT, LATE),
        (Phase.FINALISING, Verb.RESTART, "restart by ada is not done. The rollout is Finalising"),
        (
            Phase.PROMOTING,
            Verb.RESTART,
            "restart by ada is not done. The rollout is Promoting: abort it first",
        ),
    ],
)
async def test_a_signal_that_comes_too_late_is_answered_for(
    serve: Serve, phase: Phase, verb: Verb, why: str
) -> None:
    """It was passed on by the canary, which cannot know."""
    cluster = Cluster()
    handle = await promoting(serve, cluster, alerting())
    if phase is Phase.FINALISING:
        await held(cluster, "observe", after="shift_traffic")

    await handle.signal(verb, ADA)
    release(cluster, "observe")
    release(cluster, "shift_traffic")

    assert (await handle.result()).outcome is Outcome.PROMOTED
    assert any(why in alert for alert in cluster.alerts)


@pytest.mark.parametrize("where", ["shift_traffic", "scale_target", "store_report"])
async def test_a_restart_while_a_rollout_is_taken_back_is_left_to_its_canary(
    serve: Serve, where: str
) -> None:
    cluster = Cluster(values=[98.0] * 9)
    handle = await start(await serve(cluster.activities()), seed_spec())
    await held(cluster, "analyse")
    await held(cluster, where, after="analyse")

    await say(handle, Verb.RESTART)
    release(cluster, where)

    ended = await outcome(handle)
    unheeded = last_words(ended).unheeded
    assert ended.type == Outcome.ROLLED_BACK
    assert unheeded.restart is not None
    assert (unheeded.restart.who, unheeded.abort) == ("ada", None)


@pytest.mark.parametrize(
    ("verbs", "is_left"), [((Verb.RESTART, Verb.ABORT), False), ((Verb.ABORT, Verb.RESTART), True)]
)
async def test_an_abort_undoes_the_restart_before_it_and_not_the_one_after(
    serve: Serve,
    verbs: tuple[Verb, ...],
    is_left: bool,  # noqa: FBT001 — a column of the table
) -> None:
    cluster = Cluster(hangs={"analyse": asyncio.Event()})
    handle = await start(await serve(cluster.activities()), seed_spec())
    await until(lambda: "analyse" in cluster.entered)
    cluster.hangs["observe"] = asyncio.Event()
    await handle.signal(BELL)
    await until(lambda: "observe" in cluster.entered)
    for verb in verbs:
        await say(handle, verb)

    release(cluster, "analyse")
    release(cluster, "observe")

    ended = await outcome(handle)
    assert ended.type == Outcome.ABORTED
    assert (last_words(ended).unheeded.restart is not None) is is_left


async def test_an_abort_while_a_promotion_is_halted_is_left_to_its_canary(serve: Serve) -> None:
    cluster = Cluster()
    handle = await start(await serve(cluster.activities()), seed_spec())
    await held(cluster, "promote")
    cluster.primary_ready = False
    await held(cluster, "shift_traffic", after="promote")

    await say(handle, Verb.ABORT)
    release(cluster, "shift_traffic")

    ended = await outcome(handle)
    abort = last_words(ended).unheeded.abort
    assert (ended.type, abort and abort.who) == (Outcome.HALTED, "ada")


class Refusing(Cluster):
    """A cluster that takes no writes of traffic any more once its checks are used up."""

    is_refusing = True

    async def _enter(self, name: str) -> None:
        if name == "shift_traffic" and self.is_refusing and not self.values:
            raise FORBIDDEN
        await super()._enter(name)


async def test_a_check_that_ends_a_rollout_is_not_repeated_because_the_write_was_refused(
    serve: Serve,
) -> None:
    cluster = Refusing(values=[98.0, 98.0])
    handle = await start(await serve(cluster.activities()), seed_spec())
    await status_is(handle, needs_person=True)

    cluster.is_refusing = False

    assert (await outcome(handle)).type == Outcome.ROLLED_BACK
    assert cluster.log == ["target 1", "weight 10", "check 98.0", "check 98.0", "weight 0", "target 0"]


async def test_a_hook_that_wants_a_rollout_back_is_not_asked_again_because_the_write_was_refused(
    serve: Serve,
) -> None:
    cluster = Refusing(gates={"rollback": True})
    handle = await start(await serve(cluster.activities()), spec_with(HookType.ROLLBACK))
    await status_is(handle, needs_person=True)
    cluster.gates["rollback"] = False

    cluster.is_refusing = False

    assert (await outcome(handle)).type == Outcome.ROLLED_BACK
    assert cluster.log.count("rollback passes") == 1


async def test_it_is_said_that_a_later_decision_stands_in_the_way(serve: Serve) -> None:
    """A person who aborts would wait for it without a word."""
    cluster = Cluster(hangs={"analyse": asyncio.Event()})
    handle = await start(await serve(cluster.activities()), seed_spec())
    await status_is(handle, traffic_weight=10)
    cluster.is_superseded = True
    await say(handle, Verb.ABORT)

    waiting = await status_is(handle, message="A later decision has been written: looking again")
    cluster.is_superseded = False
    release(cluster, "analyse")

    assert waiting.traffic_weight == 10
    assert (await outcome(handle)).type == Outcome.ABORTED


async def test_a_step_that_another_document_earned_is_not_taken(serve: Serve) -> None:
    """A hundred percent of the insiders must not become a hundred percent of all."""
    cluster = Cluster(hangs={"analyse": asyncio.Event()})
    handle = await start(await serve(cluster.activities()), spec_with(iterations=9, match=MATCH))
    await until(lambda: cluster.weight == 100)
    await say(handle, Verb.RESTART)
    await held(cluster, "scale_target")
    await held(cluster, "scale_target", after="scale_target")
    cluster.log.clear()
    release(cluster, "analyse")

    await handle.signal(UPDATE_SPEC, spec_with(iterations=9))
    release(cluster, "scale_target")
    await status_is(handle, iterations=1)

    assert "weight 100" not in cluster.log
    await say(handle, Verb.ABORT)
    await outcome(handle)


async def test_a_promotion_that_arrives_after_it_was_called_off_is_taken_back(serve: Serve) -> None:
    """It was on its way to the API server: the primary would run it while it gets all the traffic."""
    cluster = Cluster()
    handle = await start(await serve(cluster.activities()), seed_spec())
    await held(cluster, "promote")
    cluster.promoting = NEW.template

    await handle.cancel()

    assert (await outcome(handle)).type == Outcome.ABORTED
    assert cluster.log[-3:] == ["restore primary", "weight 0", "target 0"]


async def test_cancelling_loses_no_report(serve: Serve) -> None:
    cluster = Cluster(values=[98.0, 98.0])
    handle = await start(await serve(cluster.activities()), seed_spec())
    await held(cluster, "store_report")

    await handle.cancel()
    await asyncio.sleep(0.5)
    release(cluster, "store_report")

    assert (await outcome(handle)).type == Outcome.ROLLED_BACK
    assert len(cluster.reports) == 1


@pytest.mark.parametrize("how", ["abort", "cancel"])
async def test_a_new_history_waits_for_alerts_and_nobody_waits_for_it(serve_briefly: Serve, how: str) -> None:
    cluster = Cluster(hangs={"alert": asyncio.Event()})
    handle = await start(await serve_briefly(cluster.activities()), alerting())
    await until(lambda: "target 1" in cluster.log)
    for _ in range(12):
        await handle.signal(BELL)
        await asyncio.sleep(0.3)

    begun = time.monotonic()
    await (say(handle, Verb.ABORT) if how == "abort" else handle.cancel())
    await status_is(handle, outcome=Outcome.ABORTED)
    took = time.monotonic() - begun

    release(cluster, "alert")
    assert (await outcome(handle)).type == Outcome.ABORTED
    assert took < 3


async def test_a_target_that_is_gone_before_it_is_scaled_up_ends_the_rollout(serve: Serve) -> None:
    cluster = Cluster(refusals={"scale_target": GONE}, hangs={"observe": asyncio.Event()})
    whole = cluster.seen
    cluster.seen = lambda: whole().model_copy(update={"target": None})  # type: ignore[method-assign]
    handle = await start(await serve(cluster.activities()), seed_spec())
    await until(lambda: "observe" in cluster.entered)
    cluster.refusals.clear()
    release(cluster, "observe")

    ended = await outcome(handle)

    assert (ended.type, ended.message) == (
        Outcome.ROLLED_BACK,
        "Deployment backend.webapp is gone",
    )


async def test_another_document_begins_the_count_of_foreign_writes_anew(serve: Serve) -> None:
    cluster = Cluster(hangs={"analyse": asyncio.Event()})
    handle = await start(await serve(cluster.activities()), seed_spec())
    await until(lambda: cluster.weight == 10)
    cluster.weight = 30
    await handle.signal(BELL)
    await status_is(handle, foreign_writes=1)

    slower = seed_spec().analysis.model_copy(update={"interval": timedelta(seconds=100)})
    await handle.signal(UPDATE_SPEC, seed_spec(analysis=slower))

    await status_is(handle, foreign_writes=0)
    cluster.target = OLD
    release(cluster, "analyse")
    await handle.signal(BELL)
    assert (await outcome(handle)).type == Outcome.REVERTED
