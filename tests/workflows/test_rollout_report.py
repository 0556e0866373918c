"""The report of a rollout: what is left of it once Temporal has forgotten."""

from canary.spec import HookType
from starter.evidence import Checked, evidence
from tests.workflows.cluster import Cluster
from tests.workflows.conftest import Serve
from tests.workflows.test_gates import approve, spec_with, status_is
from tests.workflows.test_rollout import start
from workflows.contract import RolloutView


async def test_the_report_names_who_took_a_hand(serve: Serve) -> None:
    cluster = Cluster(gates={"confirm-rollout": False})
    handle = await start(await serve(cluster.activities()), spec_with(HookType.CONFIRM_ROLLOUT))
    await status_is(handle, waiting_for=HookType.CONFIRM_ROLLOUT)
    await approve(handle)
    await handle.result()
    (report,) = cluster.reports

    view = RolloutView.model_validate_json(report.content)
    assert [(one.verb, one.by.who, one.by.reason) for one in view.commands] == [
        ("approve", "ada", "looks good")
    ]
    assert report.name.endswith(f"Z-{handle.first_execution_run_id}")


async def test_a_check_says_since_when_it_is_exposed(serve: Serve) -> None:
    cluster = Cluster()
    handle = await start(await serve(cluster.activities()), spec_with())
    await handle.result()
    client = handle._client
    checks = [item async for item in evidence(client, handle) if isinstance(item, Checked)]

    first = checks[0].request
    assert first.exposed_at is not None
    assert {check.request.exposed_at for check in checks} == {first.exposed_at}
