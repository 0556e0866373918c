"""The load tester that a fleet wants in each cluster: there before its canaries, and after them."""

import json
from contextlib import closing
from typing import Any

import aiohttp
import pytest

from canary.documents.resolve import resolve
from canary.loadtester import public
from canary.status import Phase
from starter import offer
from starter.commands import command
from tests.conformance import workload
from tests.conformance.case import DELIVERED_WITHIN, INITIALISED_WITHIN, Case
from tests.conformance.chorus import together
from tests.conformance.ground import Need
from tests.conformance.source import Source
from tests.conformance.waiting import until
from tests.conformance.workload import BETTER, GOOD, NAME, PORT
from tests.conformance.world import World
from workflows.contract import DELETE, Answer, DeleteCommand, application_id

CLUSTER, PLACE = "kurator-member2", "shares-a-tester"
FOLDER = f"apps/{PLACE}"
TESTER = public(CLUSTER)
FLEET = {
    "apiVersion": "fleet.kurator.dev/v1alpha1",
    "kind": "Fleet",
    "metadata": {"name": "sharing", "namespace": "default"},
    "spec": {
        "clusters": [{"name": CLUSTER, "kind": "AttachedCluster"}],
        "plugin": {"flagger": {"trafficRoutingProvider": "istio", "publicTestloader": True}},
    },
}
ROLLOUT = {
    "trafficRoutingProvider": "istio",
    "workload": {"apiVersion": "apps/v1", "name": NAME, "kind": "Deployment", "namespace": PLACE},
    "serviceName": NAME,
    "port": PORT,
    "rolloutPolicy": {
        "trafficRouting": {
            "gateways": ["istio-system/public-gateway"],
            "hosts": [f"{PLACE}.example.com"],
            "canaryStrategy": {"maxWeight": 50, "stepWeight": 50},
        },
        "trafficAnalysis": {
            "checkIntervalSeconds": 2,
            "checkFailedTimes": 5,
            "webhooks": {"command": ["true"]},
        },
    },
}


@pytest.mark.proves("T17")
@pytest.mark.conformance
@together
async def test_a_fleets_load_tester_serves_its_canaries_and_no_stranger_and_outlives_them(
    world: World,
) -> None:
    """Flagger's load tester runs any command for whoever reaches it; a guarded one for its canaries alone.

    T17: Flagger's pkg/loadtester.
    """
    world.require(Need.MEMBERS, Need.IMAGES)
    with closing(await Source.clone(world.endpoints["git"], world.folder / PLACE, PLACE)) as source:
        await source.push(_tree(GOOD))
        case = await _deliver(world)
        stranger = await _run_as_a_stranger(case)
        await source.push(_tree(BETTER))
        ended = await case.rollout_ends(await case.rollout_begins(within=DELIVERED_WITHIN))
        application = world.client.get_workflow_handle(application_id("default", PLACE))
        answer: Answer = await application.execute_update(
            DELETE, DeleteCommand(command=command("test", "over")), result_type=Answer
        )

    hooks = {(hook.passed, hook.status) for check in ended.checks for hook in check.check.hooks}
    assert (stranger, ended.outcome, hooks) == (401, "Promoted", {(True, 202)})
    assert "keep their public load testers" in answer.message
    for kind in ("deployments", "services", "secrets"):
        assert await _of_tester(case, kind)


async def _deliver(world: World) -> Case:
    """Deliver the Application until its canary is initialised; by then the load tester is there."""
    found = resolve([FLEET, _application(world)])
    assert not [mistake for mistake in found.mistakes if not mistake.is_warning], found.mistakes
    spec = found.applications[0].spec
    result = await offer.make(world.client, offer.of_application(spec, command("test", "a test")))
    assert result.accepted, result
    case = Case(world, CLUSTER, PLACE)
    case.namespace, case.spec = PLACE, spec.policies[0].canaries[0]
    await until(case.is_there, INITIALISED_WITHIN, "the canary is there")
    assert await _of_tester(case, "deployments")
    await case.canary_is(Phase.INITIALIZED, within=INITIALISED_WITHIN)
    return case


async def _of_tester(case: Case, kind: str) -> dict[str, Any]:
    group = "/apis/apps/v1" if kind == "deployments" else "/api/v1"
    return await case.cluster.api.get(f"{group}/namespaces/{TESTER.namespace}/{kind}/{TESTER.name}")


async def _run_as_a_stranger(case: Case) -> int:
    path = f"/api/v1/namespaces/{TESTER.namespace}/services/{TESTER.name}:80/proxy/"
    body = {"name": NAME, "namespace": PLACE, "metadata": {"type": "bash", "cmd": "true"}}
    async with (
        aiohttp.ClientSession(case.cluster.endpoints["api"]) as session,
        session.post(path, json=body) as answer,
    ):
        return answer.status


def _tree(tag: str) -> dict[str, str]:
    manifests = {
        "namespace": workload.namespace(PLACE),
        "deployment": workload.deployment(PLACE, tag=tag),
        "service": workload.service(PLACE),
    }
    return {f"{FOLDER}/{name}.yaml": json.dumps(body) for name, body in manifests.items()}


def _application(world: World) -> dict[str, Any]:
    repository = {"interval": "1s", "ref": {"branch": PLACE}, "url": world.endpoints["git"]}
    policy = {
        "destination": {"fleet": "sharing"},
        "kustomization": {"interval": "0s", "path": f"./{FOLDER}", "prune": True},
        "rollout": ROLLOUT,
    }
    return {
        "apiVersion": "apps.kurator.dev/v1alpha1",
        "kind": "Application",
        "metadata": {"name": PLACE, "namespace": "default"},
        "spec": {"source": {"gitRepository": repository}, "syncPolicies": [policy]},
    }
