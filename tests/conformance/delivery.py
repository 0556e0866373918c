"""A workload that an Application brings from git, with a rollout or without."""

import json
from collections.abc import Sequence
from typing import Any

from canary.application import ApplicationSpec
from canary.documents.resolve import resolve
from starter import offer
from starter.commands import command
from tests.conformance import workload
from tests.conformance.case import Case
from tests.conformance.workload import NAME, PORT
from tests.conformance.world import World

Object = dict[str, Any]


def folder(place: str) -> str:
    """Where in the repository the manifests of a namespace are."""
    return f"apps/{place}"


def tree(place: str, tag: str) -> dict[str, str]:
    """A folder without a kustomization: all its manifests are applied."""
    manifests = {
        "namespace": workload.namespace(place),
        "deployment": workload.deployment(place, tag=tag),
        "service": workload.service(place),
    }
    return {f"{folder(place)}/{name}.yaml": json.dumps(body) for name, body in manifests.items()}


def rollout(place: str, **analysis: Any) -> Object:
    """A policy's rollout with a load tester of its own; *analysis* is merged over a patient one."""
    window = {"name": "request-success-rate", "intervalSeconds": 4, "thresholdRange": {"min": 99}}
    return {
        "testLoader": True,
        "trafficRoutingProvider": "istio",
        "workload": {"apiVersion": "apps/v1", "name": NAME, "kind": "Deployment", "namespace": place},
        "serviceName": NAME,
        "port": PORT,
        "rolloutPolicy": {
            "trafficRouting": {
                "gateways": ["istio-system/public-gateway"],
                "hosts": [f"{place}.example.com"],
                "canaryStrategy": {"maxWeight": 50, "stepWeight": 25},
            },
            "trafficAnalysis": {
                "checkIntervalSeconds": 3,
                "checkFailedTimes": 10,
                "metrics": [window],
                "webhooks": {
                    "timeoutSeconds": 10,
                    "command": [f"hey -z 3s -q 10 -c 2 http://{NAME}-canary.{place}:{PORT}/"],
                },
                **analysis,
            },
            "rolloutTimeoutSeconds": 600,
        },
    }


def application(world: World, place: str, clusters: Sequence[str], wanted: Object | None) -> ApplicationSpec:
    """An Application that brings the folder of a namespace to clusters, with the *wanted* rollout if any."""
    fleet = {
        "apiVersion": "fleet.kurator.dev/v1alpha1",
        "kind": "Fleet",
        "metadata": {"name": "conformance", "namespace": "default"},
        "spec": {"clusters": [{"name": name, "kind": "AttachedCluster"} for name in clusters]},
    }
    repository = {
        "interval": "1s",
        "ref": {"branch": "master"},
        "timeout": "20s",
        "url": world.endpoints["git"],
    }
    policy: Object = {
        "destination": {"fleet": "conformance"},
        "kustomization": {"interval": "0s", "path": f"./{folder(place)}", "prune": True, "timeout": "1m"},
    }
    document = {
        "apiVersion": "apps.kurator.dev/v1alpha1",
        "kind": "Application",
        "metadata": {"name": place, "namespace": "default"},
        "spec": {
            "source": {"gitRepository": repository},
            "syncPolicies": [policy | ({"rollout": wanted} if wanted else {})],
        },
    }
    found = resolve([fleet, document])
    assert not [mistake for mistake in found.mistakes if not mistake.is_warning], found.mistakes
    return found.applications[0].spec


async def deliver(world: World, spec: ApplicationSpec) -> None:
    """Hand it over as `canary apply` does."""
    result = await offer.make(world.client, offer.of_application(spec, command("test", "a test")))
    assert result.accepted, result


def case_of(world: World, cluster: str, place: str, spec: ApplicationSpec) -> Case:
    """The workload that an Application delivers in one of its clusters."""
    case = Case(world, cluster, place)
    case.namespace = place
    canaries = [canary for policy in spec.policies for canary in policy.canaries]
    (case.spec,) = [canary for canary in canaries if canary.cluster == cluster]
    return case
