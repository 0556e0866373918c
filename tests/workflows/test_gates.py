"""Gates, hooks, alerts and strategies of one rollout, under a clock that skips."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from temporalio.client import Client, WorkflowHandle

from canary.alert import AlertProvider, AlertSpec, AlertType
from canary.spec import AnalysisSpec, CanarySpec, HookType, StepPlan, WebhookSpec
from canary.status import Outcome, Phase, RolloutStatus
from tests.workflows.cluster import Cluster, seed_spec
from tests.workflows.conftest import Serve
from tests.workflows.test_rollout import outcome, start
from workflows.contract import STATUS, Answer, Command, RolloutView, Verb
from workflows.rollout import RolloutWorkflow

Handle = WorkflowHandle[RolloutWorkflow, RolloutStatus]


def spec_with(*hooks: HookType, **changes: Any) -> CanarySpec:
    """The seed's canary with hooks named after their types, one step, and changes of its analysis."""
    webhooks = tuple(WebhookSpec(name=str(type_), url="http://x/", type=type_) for type_ in hooks)
    steps = StepPlan(step_weight=50, max_weight=50)
    analysis = seed_spec().analysis.model_copy(update={"webhooks": webhooks, "steps": steps, **changes})
    return seed_spec(analysis=AnalysisSpec.model_validate(analysis.model_dump()))


async def status_is(handle: Handle, **wanted: object) -> RolloutStatus:
    """Wait until the status has these values."""
    async with asyncio.timeout(30):
        while True:
            view: RolloutView = await handle.query(STATUS, result_type=RolloutView)
            if all(getattr(view.status, name) == value for name, value in wanted.items()):
                return view.status
            await asyncio.sleep(0.02)


async def approve(handle: Handle) -> Answer:
    return await handle.execute_update(
        Verb.APPROVE, Command(who="ada", reason="looks good"), result_type=Answer
    )


@pytest.mark.proves("C19")
async def test_a_rollout_begins_when_its_gate_opens(serve: Serve) -> None:
    """The `confirm-rollout` gate is polled until it opens (C19: Flagger's scheduler_hooks.go)."""
    cluster = Cluster(gates={"confirm-rollout": False})
    handle = await start(await serve(cluster.activities()), spec_with(HookType.CONFIRM_ROLLOUT))
    await status_is(handle, phase=Phase.WAITING, waiting_for=HookType.CONFIRM_ROLLOUT)

    assert cluster.target_replicas == 0
    cluster.gates["confirm-rollout"] = True
    assert (await handle.result()).outcome is Outcome.PROMOTED
    assert cluster.log.index("target 1") > cluster.log.index("confirm-rollout passes")


@pytest.mark.proves("C19", "T17")
async def test_a_person_opens_a_gate_that_stays_closed(serve: Serve) -> None:
    """`approve` answers in the gate's place, and is kept, unlike Flagger's gates in memory.

    C19, T17: Flagger's scheduler_hooks.go, pkg/loadtester.
    """
    cluster = Cluster(gates={"confirm-rollout": False})
    handle = await start(await serve(cluster.activities()), spec_with(HookType.CONFIRM_ROLLOUT))
    await status_is(handle, waiting_for=HookType.CONFIRM_ROLLOUT)

    answer = await approve(handle)

    assert answer.message.startswith("approve recorded")
    assert (await handle.result()).outcome is Outcome.PROMOTED
    assert "confirm-rollout passes" not in cluster.log


@pytest.mark.proves("C21")
async def test_a_waiting_promotion_is_checked_until_a_person_approves(serve: Serve) -> None:
    """Checks go on behind a closed `confirm-promotion` gate (C21: Flagger's scheduler_hooks.go)."""
    cluster = Cluster(gates={"confirm-promotion": False})
    handle = await start(await serve(cluster.activities()), spec_with(HookType.CONFIRM_PROMOTION))
    await status_is(handle, phase=Phase.WAITING_PROMOTION)
    async with asyncio.timeout(30):
        while cluster.log.count("check 100.0") < 3:  # noqa: ASYNC110 — a fake tells no event
            await asyncio.sleep(0.02)

    await approve(handle)

    assert (await handle.result()).outcome is Outcome.PROMOTED


@pytest.mark.proves("C21")
async def test_a_waiting_promotion_may_fail(serve: Serve) -> None:
    """Failed checks behind a closed `confirm-promotion` gate add up to a rollback.

    C21: Flagger's scheduler_hooks.go.
    """
    cluster = Cluster(gates={"confirm-promotion": False}, values=[100.0, 50.0, 50.0])
    handle = await start(await serve(cluster.activities()), spec_with(HookType.CONFIRM_PROMOTION))

    assert (await outcome(handle)).type == Outcome.ROLLED_BACK


@pytest.mark.proves("C22", "T6")
async def test_a_rollback_hook_is_heard_while_a_gate_is_closed(serve: Serve) -> None:
    """Flagger does not ask rollback hooks while it waits for a `confirm-rollout` gate.

    C22, T6: Flagger's scheduler_hooks.go, scheduler.go.
    """
    cluster = Cluster(gates={"confirm-promotion": False})
    spec = spec_with(HookType.CONFIRM_PROMOTION, HookType.ROLLBACK)
    handle = await start(await serve(cluster.activities()), spec)
    await status_is(handle, phase=Phase.WAITING_PROMOTION)

    cluster.gates["rollback"] = True

    failed = await outcome(handle)
    assert (failed.type, failed.message) == (
        Outcome.ROLLED_BACK,
        "Rolling back backend.webapp manual webhook invoked",
    )


@pytest.mark.proves("T6")
async def test_abort_ends_a_rollout_that_waits(serve: Serve) -> None:
    """In Flagger a rollout that waits for its gate cannot be cancelled (T6: Flagger's scheduler.go)."""
    cluster = Cluster(gates={"confirm-rollout": False})
    handle = await start(await serve(cluster.activities()), spec_with(HookType.CONFIRM_ROLLOUT))
    await status_is(handle, waiting_for=HookType.CONFIRM_ROLLOUT)

    await handle.execute_update(Verb.ABORT, Command(who="ada"))

    assert (await outcome(handle)).type == Outcome.ABORTED
    assert "target 1" not in cluster.log


async def test_approving_where_nothing_waits_is_refused(serve: Serve) -> None:
    cluster = Cluster(hangs={"analyse": asyncio.Event()})
    handle = await start(await serve(cluster.activities()), spec_with())
    await status_is(handle, phase=Phase.PROGRESSING)

    with pytest.raises(Exception, match="Workflow update failed") as refused:
        await approve(handle)

    assert "no gate is waited for" in str(refused.value.__cause__)
    await handle.execute_update(Verb.ABORT, Command(who="ada"))
    await outcome(handle)


@pytest.mark.parametrize(("values", "phase"), [([], "Succeeded"), ([50.0, 50.0], "Failed")])
@pytest.mark.proves("C23")
async def test_hooks_after_a_rollout_are_told_how_it_ended(
    serve: Serve, values: list[float | None], phase: str
) -> None:
    """`post-rollout` hooks are called after a good and after a bad end.

    C23: Flagger's scheduler_hooks.go.
    """
    cluster = Cluster(values=values)
    handle = await start(await serve(cluster.activities()), spec_with(HookType.POST_ROLLOUT))
    await (outcome(handle) if values else handle.result())

    assert cluster.log.count(f"post-rollout {phase}") == 1
    assert cluster.log.index(f"post-rollout {phase}") > cluster.log.index("target 0")


@pytest.mark.proves("C23")
async def test_pre_rollout_hooks_come_before_any_weight(serve: Serve) -> None:
    """`pre-rollout` hooks pass before the canary gets any traffic (C23: Flagger's scheduler_hooks.go)."""
    cluster = Cluster()
    handle = await start(await serve(cluster.activities()), spec_with(HookType.PRE_ROLLOUT))
    await handle.result()

    assert cluster.log.index("pre-rollout passes") < cluster.log.index("weight 50")
    assert cluster.log.count("pre-rollout passes") == 1


MATCH = ({"headers": {"x-canary": {"exact": "insider"}}},)


@pytest.mark.parametrize(
    ("analysis", "routes"),
    [
        pytest.param(
            {"iterations": 2, "match": MATCH},
            ["weight 100", "weight 100", "weight 0"],
            id="A/B",
            marks=pytest.mark.proves("C08"),
        ),
        pytest.param(
            {"iterations": 2, "mirror": True},
            ["weight 0 mirrored", "weight 0 mirrored", "weight 100", "weight 0"],
            id="blue/green with mirroring",
            marks=pytest.mark.proves("C07"),
        ),
        pytest.param(
            {"mirror": True},
            ["weight 0 mirrored", "weight 50", "weight 0"],
            id="mirroring first",
            marks=pytest.mark.proves("C06"),
        ),
    ],
)
async def test_strategies(serve: Serve, analysis: dict[str, Any], routes: list[str]) -> None:
    """Exposure by each strategy that counts iterations, or mirrors first.

    C06, C07, C08: Flagger's scheduler.go.
    """
    cluster = Cluster()
    handle = await start(await serve(cluster.activities()), spec_with(**analysis))
    status = await handle.result()

    assert [entry for entry in cluster.log if entry.startswith("weight")] == routes
    assert status.outcome is Outcome.PROMOTED


def alerting() -> CanarySpec:
    provider = AlertProvider(type=AlertType.WEBHOOK, name="p", namespace="webapp", address="http://x/")
    return spec_with(alerts=(AlertSpec(name="all", provider=provider),))


@pytest.mark.proves("C38")
async def test_alerts_begin_and_end_a_rollout(serve: Serve) -> None:
    """Those who take `info` hear of the beginning, and everybody concerned of the end.

    C38: Flagger's events.go.
    """
    cluster = Cluster(values=[50.0, 50.0])
    handle = await start(await serve(cluster.activities()), alerting())
    await outcome(handle)

    assert cluster.alerts == [
        "info New revision detected, progressing canary analysis.",
        "error Failed checks threshold reached 2",
    ]


async def test_a_dead_address_delays_no_rollout(serve: Serve) -> None:
    cluster = Cluster(hangs={"alert": asyncio.Event()})
    client: Client = await serve(cluster.activities())
    spec = alerting()
    soon = spec.analysis.model_copy(update={"interval": timedelta(seconds=1)})
    handle = await start(client, spec.model_copy(update={"analysis": soon}))

    status = await handle.result()

    assert status.outcome is Outcome.PROMOTED
    assert status.last_transition_time - status.started_at < timedelta(seconds=10)
    cluster.hangs["alert"].set()
