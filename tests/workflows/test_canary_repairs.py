"""What a canary puts right that somebody has changed, and whose word it goes by meanwhile."""

import asyncio
import logging
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError

from activities.cluster.preflight import Preflight
from canary.problem import Problem
from canary.status import Outcome, Phase, Revision
from tests.workflows.cluster import NEW, OLD, Cluster
from tests.workflows.conftest import Serve
from tests.workflows.test_canary import (
    a_spec,
    apply,
    in_phase,
    initialised,
    leave,
    settled,
    until,
    until_entered,
    with_query,
)
from tests.workflows.test_canary_adversarial import document, say, with_alerts
from tests.workflows.test_canary_hardships import FORBIDDEN, rolling
from tests.workflows.test_rollout_hardships import until as it_is
from workflows.contract import BELL, Verb, rollout_id


async def test_a_document_that_is_applied_while_templates_are_read_stands(serve: Serve) -> None:
    cluster = settled()
    client, spec = await serve(cluster.activities()), with_query(a_spec(), "up")
    handle, _ = await apply(client, spec)
    await in_phase(handle, Phase.INITIALIZED)
    cluster.hangs["read_references"] = asyncio.Event()
    cluster.target = NEW
    await handle.signal(BELL)
    await until_entered(cluster, "read_references")

    await apply(client, with_query(spec, "other"))

    cluster.hangs.pop("read_references").set()
    await in_phase(handle, Phase.SUCCEEDED)
    assert await document(handle) == with_query(spec, "other")
    await leave(handle)


class Needing(Cluster):
    """A cluster whose routes need a primary, which is lost before they are renewed for the first time."""

    async def _enter(self, name: str) -> None:
        if name == "establish_routes" and "routes" in self.log and name not in self.entered:
            self.primary = None
        if name == "establish_routes" and self.primary is None:
            self.entered.append(name)
            raise ApplicationError("backend-primary: 404", type="NotFound", non_retryable=True)
        await super()._enter(name)


async def test_a_lost_primary_is_made_anew_although_the_document_has_changed(serve: Serve) -> None:
    cluster = Needing(target=OLD, target_replicas=2)
    client, handle, spec = await initialised(serve, cluster)

    await apply(client, spec.model_copy(update={"skip_analysis": True}))

    await it_is(lambda: cluster.log[-2:] == ["create primary", "routes"])
    await leave(handle)


async def test_a_primary_that_is_deleted_while_it_gets_ready_is_made_again(serve: Serve) -> None:
    cluster = settled()
    _, handle, _ = await initialised(serve, cluster)
    cluster.primary, cluster.primary_ready = None, False
    await handle.signal(BELL)
    await until(handle, lambda found: "not ready" in found.message)
    cluster.log.clear()

    cluster.primary = None
    await handle.signal(BELL)

    await it_is(lambda: "create primary" in cluster.log)
    cluster.primary_ready = True
    await leave(handle)


async def test_services_are_put_right_while_a_rollout_runs(serve: Serve) -> None:
    """A rollout does not look at them, and whoever is led to the target gets what nobody has judged."""
    cluster = settled()
    _, handle, _ = await rolling(serve, cluster)

    await handle.signal(BELL, "Service")

    await it_is(lambda: "services" in cluster.log)
    cluster.hangs.pop("analyse").set()
    await in_phase(handle, Phase.SUCCEEDED)
    assert cluster.log.count("services") == 1
    await leave(handle)


async def test_services_that_were_led_elsewhere_together_with_a_change_are_put_right(serve: Serve) -> None:
    """One `kubectl apply` brings a new image and the apex as it is written."""
    cluster = settled()
    _, handle, _ = await initialised(serve, cluster)
    cluster.hangs["analyse"] = asyncio.Event()
    cluster.target = NEW
    await handle.signal(BELL, "Service")

    await it_is(lambda: "services" in cluster.log)
    cluster.hangs.pop("analyse").set()
    await in_phase(handle, Phase.SUCCEEDED)
    await leave(handle)


async def test_services_that_cannot_be_put_right_hold_up_no_rollout(serve: Serve) -> None:
    cluster = settled()
    _, handle, _ = await initialised(serve, cluster, **with_alerts())
    cluster.refusals["lead_services"], cluster.is_misled = FORBIDDEN, True
    cluster.hangs["analyse"] = asyncio.Event()
    cluster.target = NEW
    await handle.signal(BELL)
    await until_entered(cluster, "analyse")
    await handle.signal(BELL, "Service")
    await until_entered(cluster, "lead_services")
    del cluster.refusals["lead_services"]
    cluster.hangs.pop("analyse").set()

    await in_phase(handle, Phase.SUCCEEDED)
    await it_is(lambda: "services" in cluster.log)
    assert any("Services may lead elsewhere" in alert for alert in cluster.alerts)
    await leave(handle)


async def test_whoever_led_services_away_from_a_halted_promotion_is_let_be(serve: Serve) -> None:
    cluster = settled()
    client, handle, tail = await rolling(serve, cluster)
    cluster.promoting = "new"
    await client.get_workflow_handle(rollout_id(tail)).terminate("by hand")
    await until(handle, lambda found: found.outcome is Outcome.HALTED)
    cluster.entered.clear()
    await say(handle, Verb.RESTART)
    await until_entered(cluster, "analyse")

    await handle.signal(BELL, "Service")

    cluster.hangs.pop("analyse").set()
    await in_phase(handle, Phase.SUCCEEDED)
    assert "services" not in cluster.log
    await leave(handle)


async def test_no_revision_begins_with_a_weight_that_somebody_gave_before(serve: Serve) -> None:
    cluster = settled()
    _, handle, _ = await initialised(serve, cluster)
    cluster.weight = 30
    await handle.signal(BELL)
    await until(handle, lambda found: found.needs_person)
    cluster.log.clear()
    cluster.target = NEW
    await handle.signal(BELL)

    await in_phase(handle, Phase.SUCCEEDED)
    assert cluster.log[:3] == ["weight 0", "target 1", "weight 10"]
    await leave(handle)


async def test_what_is_said_after_a_suspension_is_how_the_last_rollout_ended(serve: Serve) -> None:
    cluster = settled()
    cluster.values = [90.0, 90.0]
    client, handle, spec = await initialised(serve, cluster)
    cluster.target = NEW
    await handle.signal(BELL)
    failed = await in_phase(handle, Phase.FAILED)
    await apply(client, spec.model_copy(update={"suspend": True}))
    await until(handle, lambda found: found.message.startswith("Suspended"))

    await apply(client, spec)

    mended = await until(handle, lambda found: not found.message.startswith("Suspended"))
    assert mended.message == failed.message
    await leave(handle)


@pytest.mark.proves("D14")
async def test_a_suspension_is_told_once(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    """Flagger tells it at every tick (D14: docs/architecture.md)."""
    caplog.set_level(logging.INFO, "temporalio.workflow")
    cluster = settled()
    client, handle, spec = await initialised(serve, cluster)
    await apply(client, spec.model_copy(update={"suspend": True}))
    await until(handle, lambda found: found.message.startswith("Suspended"))
    for template in ("one", "another"):
        cluster.target = Revision(template=template)
        await handle.signal(BELL)
    await apply(client, spec)
    await in_phase(handle, Phase.SUCCEEDED)

    notices = [record.__dict__.get("notice") for record in caplog.records]
    assert notices.count("skipping canary run as object is suspended") == 1
    await leave(handle)


async def test_what_speaks_against_a_target_that_has_come_is_told_once(serve: Serve) -> None:
    cluster = settled()
    there = cluster.seen
    cluster.seen = lambda: there().model_copy(update={"target": None})  # type: ignore[method-assign]
    client, spec = await serve(cluster.activities()), a_spec(**with_alerts())
    handle, _ = await apply(client, spec)
    await until(handle, lambda found: "to be there" in found.message)
    problem = Problem(path="spec.targetRef", message="Flagger manages backend")
    cluster.preflight_result = Preflight(problems=(problem,))
    cluster.seen = there  # type: ignore[method-assign]
    for _ in range(2):
        await handle.signal(BELL)
        await until(handle, lambda found: found.message == problem.message)

    await it_is(lambda: bool(cluster.alerts))
    assert cluster.alerts == ["error Flagger manages backend"]
    await leave(handle)


@pytest.mark.parametrize("brought", [("Service",), ({"kind": 1},)])
async def test_a_bell_says_no_more_than_look_to_a_canary_at_rest(
    serve: Serve, brought: tuple[Any, ...]
) -> None:
    cluster = settled()
    _, handle, _ = await initialised(serve, cluster)
    cluster.is_misled = True

    await handle.signal(BELL, args=list(brought))

    await it_is(lambda: "services" in cluster.log)
    await leave(handle)
