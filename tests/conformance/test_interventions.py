"""What comes to a rollout while it runs: a hook that rolls back, a changed document, an alert that hangs."""

import asyncio
from typing import Any

import pytest

from canary.status import Phase
from tests.conformance import workload
from tests.conformance.case import Case
from tests.conformance.chorus import together
from tests.conformance.hooks import Hook
from tests.conformance.waiting import until
from tests.conformance.workload import BETTER, GOOD, NAME
from tests.conformance.world import World


@pytest.mark.proves("C22")
@pytest.mark.conformance
@together
async def test_a_rollback_hook_that_passes_takes_the_traffic_back(world: World) -> None:
    """A `rollback` hook that passes ends the rollout, though every check is good.

    C22: Flagger's scheduler_hooks.go.
    """
    case = Case(world, "kurator-member1", "rollback-hook")
    await case.deploy()
    async with Hook(is_closed=True) as hook:
        await case.initialise(interval="2s", stepWeight=25, webhooks=[hook.document(type_="rollback")])
        await case.release(BETTER)
        run = await case.rollout_begins()
        await case.weight_is(25)
        hook.is_closed = False
        ended = await case.rollout_ends(run)

    assert ended.outcome == "RolledBack", ended
    assert case.weights[-1] == 0
    assert max(case.weights) == 25
    assert await case.image(f"{NAME}-primary") == workload.image(GOOD)
    assert await case.replicas() == 0


@pytest.mark.proves("C32", "T16")
@pytest.mark.conformance
@together
async def test_skipping_the_analysis_in_mid_run_waits_for_the_primary(world: World) -> None:
    """Flagger says Succeeded before the primary has rolled out (C32, T16: Flagger's scheduler.go)."""
    case = Case(world, "kurator-member2", "skipped")
    await case.deploy()
    wanted: dict[str, Any] = {"interval": "2s"}
    await case.initialise(**wanted)
    await case.is_routed()
    async with case.load() as users:
        await case.release(BETTER)
        run = await case.rollout_begins()
        await case.weight_is(10)
        async with case.no_more_pods():  # for the new primary
            await case.apply(**wanted, spec={"skipAnalysis": True})
            await case.rollout_is(lambda status: status.phase is Phase.PROMOTING, "it is promoted", 15)
            await asyncio.sleep(5)  # what is measured is that nothing happens, for two intervals
            waiting, weights = (await case.view()).status.phase, case.weights
        ended = await case.rollout_ends(run)

    assert (waiting, weights[-1] < 50) == (Phase.PROMOTING, True)
    assert ended.outcome == "Promoted", ended
    assert case.weights == [*weights, 0]
    assert await case.images(f"{NAME}-primary") == {workload.image(BETTER)}
    assert users.failures == {}


@pytest.mark.proves("D7", "T15")
@pytest.mark.conformance
@together
async def test_a_rollout_that_is_suspended_holds_its_weight_is_checked_and_may_roll_back(
    world: World,
) -> None:
    """Flagger leaves a suspended canary its traffic and looks no more.

    T15, D7: Flagger's scheduler.go, docs/architecture.md.
    """
    case = Case(world, "kurator-member1", "suspended")
    await case.deploy()
    async with Hook() as hook:
        wanted: dict[str, Any] = {"interval": "1s", "stepWeight": 25, "webhooks": [hook.document()]}
        await case.initialise(**wanted)
        await case.release(BETTER)
        run = await case.rollout_begins()
        await case.weight_is(25)
        await case.apply(**wanted, spec={"suspend": True})
        weights, calls = case.weights, len(hook.calls)
        await until(lambda: _has_calls(hook, calls + 4), 20, "it goes on being checked")
        held = case.weights
        hook.is_closed = True
        ended = await case.rollout_ends(run)

    assert held == weights
    assert ended.outcome == "RolledBack", ended
    assert case.weights == [*weights, 0]


@pytest.mark.proves("T5", "C38")
@pytest.mark.conformance
@together
async def test_a_bad_end_alerts_once_and_waits_for_no_address_that_hangs(world: World) -> None:
    """One alert for every bad end, to those whose severity it has, and no rollout waits for it.

    C38, T5: Flagger's events.go, scheduler.go.
    """
    case = Case(world, "kurator-member2", "alerted")
    await case.deploy()
    async with Hook(is_closed=True) as check, Hook() as alive, Hook() as dead:
        dead.hang()
        alerts = [_alert("alive", "error"), _alert("dead", "info")]
        providers = [_provider(case, "alive", alive), _provider(case, "dead", dead)]
        wanted = {"webhooks": [check.document()], "threshold": 1, "alerts": alerts}
        await case.initialise(others=providers, **wanted)
        ended = await case.roll_out(BETTER)
        await until(lambda: _has_calls(alive, 1), 10, "the end is told")
        await case.canary_is(Phase.FAILED)
        is_hanging = dead.called.is_set()

    assert is_hanging
    assert ended.outcome == "RolledBack", ended
    assert case.weights == [0, 10, 0]
    (told,) = alive.calls
    (text,) = (attachment["text"] for attachment in told["attachments"])
    assert text == "Failed checks threshold reached 1"


async def _has_calls(hook: Hook, count: int) -> bool:
    return len(hook.calls) >= count


def _alert(name: str, severity: str) -> dict[str, Any]:
    return {"name": name, "severity": severity, "providerRef": {"name": name}}


def _provider(case: Case, name: str, hook: Hook) -> dict[str, Any]:
    return {
        "apiVersion": "flagger.app/v1beta1",
        "kind": "AlertProvider",
        "metadata": {"name": name, "namespace": case.namespace},
        "spec": {"type": "slack", "address": hook.url},
    }
