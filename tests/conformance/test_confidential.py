"""No secret leaves the cluster it is in: not into a history, a log or a report."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from canary.spec import TestLoader
from canary.status import Phase
from tests.conformance import workload
from tests.conformance.case import INITIALISED_WITHIN, Case
from tests.conformance.chorus import together
from tests.conformance.ground import Need
from tests.conformance.workload import BETTER, NAME
from tests.conformance.world import MARKER, World

KINDS = ("secret", "env", "bearer", "hook", "kubeconfig")
"""Where a marker is planted; the last one the world itself plants."""
MARKERS = [f"{MARKER}-{kind}" for kind in KINDS]


@pytest.mark.conformance
@together
async def test_a_marker_in_every_secret_is_found_nowhere(world: World) -> None:
    case = Case(world, "kurator-member1", "confidential")
    env = [{"name": "PASSWORD", "value": f"{MARKER}-env"}]
    await case.deploy(env=env, envFrom=[{"secretRef": {"name": "login"}}])
    await case.apply_object("secrets", _secret("login", {"password": f"{MARKER}-secret"}))
    await case.apply_object("secrets", _secret("prometheus", {"token": f"{MARKER}-bearer"}))
    await case.apply_object("secrets", _secret("guarded", {"token": f"{MARKER}-hook"}))
    async with _prometheus() as (url, headers):
        metric = {"name": "mine", "interval": "1m", "templateRef": {"name": "mine"}}
        await case.initialise(
            others=[_template(case.namespace, url)],
            stepWeight=50,
            metrics=[metric | {"thresholdRange": {"max": 1}}],
            webhooks=[{"name": "guarded", "url": f"{url}/hook", "secretRef": {"name": "guarded"}}],
        )
        good = await case.roll_out(BETTER)
        await case.apply_object("secrets", _secret("login", {"password": f"{MARKER}-secret", "more": "1"}))
        again = await case.rollout_ends(await case.rollout_begins())

    assert (good.outcome, again.outcome) == ("Promoted", "Promoted")
    assert set(headers) == {f"Bearer {MARKER}-bearer", f"Bearer {MARKER}-hook"}
    assert len(list((world.folder / "reports").rglob(f"{case.spec.tail}/*.json"))) == 2
    everything = {name: text async for name, text in _everything(world)}
    assert [name for name, text in everything.items() if _markers(text)] == []
    kinds = {name.split("/")[0] for name, text in everything.items() if case.namespace.encode() in text}
    assert {"canary", "rollout", "watch"} <= kinds  # so this is where it would be found


@pytest.mark.proves("T17")
@pytest.mark.conformance
@together
async def test_a_guarded_load_tester_serves_its_own_canary_and_its_token_is_found_nowhere(
    world: World,
) -> None:
    """Flagger's load tester runs any command for whoever reaches it; a guarded one for its canary alone.

    T17: Flagger's pkg/loadtester.
    """
    world.require(Need.IMAGES)
    case, tester = Case(world, "kurator-member1", "guarded"), f"{NAME}-testloader"
    hook = {"name": "load", "url": f"http://{tester}.{case.namespace}/", "metadata": {"cmd": "true"}}
    document = workload.document(case.namespace, stepWeight=50, webhooks=[hook])
    spec = workload.spec_of(document, case.cluster.name)
    await case.deploy()
    assert (await case.apply_spec(spec.model_copy(update={"test_loader": TestLoader(name=tester)}))).accepted
    await case.canary_is(Phase.INITIALIZED, within=INITIALISED_WITHIN)
    await case.is_ready(tester)
    token = base64.b64decode((await case.get("secrets", tester))["data"]["token"])
    strangers = await _run_as_a_stranger(case, tester)
    ended = await case.roll_out(BETTER)
    everything = {name: text async for name, text in _everything(world)}
    await case.delete()

    assert strangers == 401
    hooks = [hook for check in ended.checks for hook in check.check.hooks]
    assert (ended.outcome, {(hook.passed, hook.status) for hook in hooks}) == ("Promoted", {(True, 202)})
    found = (token, base64.b64encode(token)[:-4])
    assert [name for name, text in everything.items() if any(one in text for one in found)] == []
    assert any(tester.encode() in text for text in everything.values())
    assert [await case.find(kind, tester) for kind in ("deployments", "services", "secrets")] == [None] * 3


async def _run_as_a_stranger(case: Case, tester: str) -> int:
    """Ask a load tester to run a command, as whoever knows its address can."""
    path = f"{case.path('services', f'{tester}:80')}/proxy/"
    body = {"name": NAME, "namespace": case.namespace, "metadata": {"type": "bash", "cmd": "true"}}
    async with (
        aiohttp.ClientSession(case.cluster.endpoints["api"]) as session,
        session.post(path, json=body) as answer,
    ):
        return answer.status


async def _everything(world: World) -> AsyncIterator[tuple[str, bytes]]:
    """All that the engine leaves behind: every history, the logs and the reports."""
    async for execution in world.client.list_workflows():
        handle = world.client.get_workflow_handle(execution.id, run_id=execution.run_id)
        async for event in handle.fetch_history_events():
            yield f"{execution.id} {event.event_id}", event.SerializeToString()
    for file in [*world.folder.glob("worker-*.log"), *(world.folder / "reports").rglob("*.json")]:
        yield str(file), await asyncio.to_thread(file.read_bytes)


def _markers(text: bytes) -> list[str]:
    return [
        marker
        for marker in MARKERS
        if marker.encode() in text or base64.b64encode(marker.encode())[:-4] in text
    ]


def _secret(name: str, data: dict[str, str]) -> dict[str, Any]:
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name},
        "type": "Opaque",
        "data": encoded,
    }


def _template(place: str, url: str) -> dict[str, Any]:
    return {
        "apiVersion": "flagger.app/v1beta1",
        "kind": "MetricTemplate",
        "metadata": {"name": "mine", "namespace": place},
        "spec": {
            "query": "vector(0.5)",
            "provider": {"type": "prometheus", "address": url, "secretRef": {"name": "prometheus"}},
        },
    }


@asynccontextmanager
async def _prometheus() -> AsyncIterator[tuple[str, list[str]]]:
    """A Prometheus that answers 0.5, and a hook that says what it was sent; they keep who asked."""
    headers: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        headers.append(request.headers.get("Authorization", ""))
        result = [{"metric": {}, "value": [1, "0.5"]}]
        body = {"status": "success", "data": {"resultType": "vector", "result": result}}
        return web.Response(text=json.dumps(body), content_type="application/json")

    async def repeat(request: web.Request) -> web.Response:
        headers.append(request.headers.get("Authorization", ""))
        return web.Response(text=str(dict(request.headers)))

    app = web.Application()
    app.router.add_route("POST", "/hook", repeat)
    app.router.add_route("*", "/api/v1/query", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}", headers
    finally:
        await runner.cleanup()
