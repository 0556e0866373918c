"""The real kubectl against the API server."""

import asyncio
import json
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from sandbox.apiserver.server import ApiServer
from sandbox.client import KubeClient

KUBECTL = shutil.which("kubectl", path=str(Path(sys.executable).parent))
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
MANIFEST = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
        - {name: app, image: "podinfo:1", env: [{name: A, value: "1"}, {name: B, value: "2"}]}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{name: http, port: 80, targetPort: 9898}]}
"""


class Kubectl:
    """Runs kubectl with a home and a kubeconfig of its own."""

    def __init__(self, server: ApiServer, home: Path) -> None:
        self.home = home
        cluster = {"name": "c", "cluster": {"server": server.url}}
        context = {"name": "c", "context": {"cluster": "c", "user": ""}}
        config = {"apiVersion": "v1", "kind": "Config", "clusters": [cluster], "contexts": [context]}
        (home / "config").write_text(json.dumps(config | {"current-context": "c"}))

    async def start(self, *arguments: str) -> asyncio.subprocess.Process:
        assert KUBECTL, "kubectl comes with the project's dependencies"
        pipe = asyncio.subprocess.PIPE
        env = {"HOME": str(self.home), "KUBECONFIG": str(self.home / "config")}
        return await asyncio.create_subprocess_exec(
            KUBECTL, *arguments, env=env, stdin=pipe, stdout=pipe, stderr=pipe
        )

    async def __call__(self, *arguments: str, stdin: str = "") -> str:
        process = await self.start(*arguments)
        out, err = await process.communicate(stdin.encode())
        assert process.returncode == 0, err.decode()
        return out.decode()


@pytest.fixture
async def server() -> AsyncIterator[ApiServer]:
    server = await ApiServer.start()
    yield server
    await server.stop()


@pytest.fixture
def kubectl(server: ApiServer, tmp_path: Path) -> Kubectl:
    return Kubectl(server, tmp_path)


@pytest.fixture
async def client(server: ApiServer) -> AsyncIterator[KubeClient]:
    async with KubeClient(server.url) as client:
        yield client


def rolled_out(generation: int) -> dict[str, Any]:
    condition = {"type": "Available", "status": "True", "reason": "MinimumReplicasAvailable"}
    counts = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), 2)
    return {"status": {**counts, "observedGeneration": generation, "conditions": [condition]}}


async def test_client_side_apply_changes_what_the_file_changes(kubectl: Kubectl, client: KubeClient) -> None:
    await kubectl("apply", "-f", "-", stdin=MANIFEST)
    changed = MANIFEST.replace("podinfo:1", "podinfo:2").replace('{name: A, value: "1"}, ', "")
    second = await kubectl("apply", "-f", "-", stdin=changed)
    found = await client.get(f"{DEPLOYMENTS}/web")

    container = found["spec"]["template"]["spec"]["containers"][0]
    assert container["image"] == "podinfo:2"
    assert container["env"] == [{"name": "B", "value": "2"}]
    assert second.split("\n")[:2] == ["deployment.apps/web configured", "service/web unchanged"]


async def test_get_sorts_what_it_shows(kubectl: Kubectl) -> None:
    for name in ("b", "c", "a"):
        body = f"{{apiVersion: v1, kind: ConfigMap, metadata: {{name: {name}}}}}"
        await kubectl("create", "-f", "-", stdin=body)

    shown = await kubectl("get", "configmaps", "--sort-by=.metadata.name", "--no-headers")

    assert [line.split()[0] for line in shown.splitlines()] == ["a", "b", "c"]


async def test_server_side_apply_names_the_conflict(kubectl: Kubectl, client: KubeClient) -> None:
    await kubectl("apply", "--server-side", "-f", "-", stdin=MANIFEST)
    await client.apply(
        f"{DEPLOYMENTS}/web",
        {"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"replicas": 5}},
        manager="canary",
    )
    process = await kubectl.start("apply", "--server-side", "-f", "-")
    _, err = await process.communicate(MANIFEST.encode())

    assert 'conflict with "canary": .spec.replicas' in err.decode()


async def test_validation_refuses_an_unknown_field(kubectl: Kubectl) -> None:
    process = await kubectl.start("apply", "-f", "-")
    wrong = "{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, dta: {}}"
    _, err = await process.communicate(wrong.encode())

    assert process.returncode == 1
    assert 'unknown field "dta"' in err.decode()


async def test_get_shows_the_columns_of_each_kind(kubectl: Kubectl) -> None:
    await kubectl("apply", "-f", "-", stdin=MANIFEST)
    shown = await kubectl("get", "deploy,svc,ns")

    words = [line.split() for line in shown.splitlines()]
    assert ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE"] in words
    assert ["deployment.apps/web", "0/2", "0", "0"] in [line[:4] for line in words]
    assert ["NAME", "TYPE", "CLUSTER-IP", "EXTERNAL-IP", "PORT(S)", "AGE"] in words
    assert ["namespace/default", "Active"] in [line[:2] for line in words]


async def test_get_watches(kubectl: Kubectl, client: KubeClient) -> None:
    await kubectl("apply", "-f", "-", stdin=MANIFEST)
    process = await kubectl.start("get", "deployments", "--watch", "--no-headers")
    assert process.stdout
    first = await process.stdout.readline()
    await client.patch(f"{DEPLOYMENTS}/web", {"spec": {"replicas": 7}})
    second = await process.stdout.readline()
    process.terminate()
    await process.communicate()

    assert (first.split()[1], second.split()[1]) == (b"0/2", b"0/7")


async def test_patch_scale_label_and_describe(kubectl: Kubectl, client: KubeClient) -> None:
    await kubectl("apply", "-f", "-", stdin=MANIFEST)
    image = {"spec": {"template": {"spec": {"containers": [{"name": "app", "image": "podinfo:9"}]}}}}
    await kubectl("patch", "deployment", "web", "-p", json.dumps(image))
    await kubectl("scale", "deployment", "web", "--replicas=3")
    await kubectl("label", "deployment", "web", "team=x")
    described = await kubectl("describe", "deployment", "web")
    found = await client.get(f"{DEPLOYMENTS}/web")

    assert "podinfo:9" in described
    assert "3 desired" in described
    assert len(found["spec"]["template"]["spec"]["containers"][0]["env"]) == 2
    assert found["metadata"]["labels"] == {"app": "web", "team": "x"}


async def test_rollout_status_and_wait_end_when_it_is_done(kubectl: Kubectl, client: KubeClient) -> None:
    await kubectl("apply", "-f", "-", stdin=MANIFEST)
    waiting = [
        asyncio.create_task(kubectl("rollout", "status", "deployment/web", "--timeout=30s")),
        asyncio.create_task(kubectl("wait", "deployment/web", "--for=condition=Available", "--timeout=30s")),
    ]
    await client.patch(f"{DEPLOYMENTS}/web/status", rolled_out(1))
    rollout, waited = await asyncio.gather(*waiting)

    assert "successfully rolled out" in rollout
    assert "condition met" in waited


async def test_delete_waits_until_it_is_gone(kubectl: Kubectl, client: KubeClient) -> None:
    await kubectl("apply", "-f", "-", stdin=MANIFEST)
    deleted = await kubectl("delete", "-f", "-", "--timeout=20s", stdin=MANIFEST)
    left = await client.list(DEPLOYMENTS)

    assert 'deployment.apps "web" deleted' in deleted
    assert left["items"] == []


async def test_api_resources_lists_custom_resources_too(kubectl: Kubectl) -> None:
    await kubectl("apply", "-f", "-", stdin=json.dumps(DEFINITION))
    await kubectl("wait", "crd/gauges.lab.example", "--for=condition=Established", "--timeout=20s")
    listed = await kubectl("api-resources", "--no-headers")
    await kubectl("apply", "-f", "-", stdin=json.dumps(GAUGE))
    shown = await kubectl("get", "ga", "--no-headers")
    await kubectl("delete", "crd", "gauges.lab.example", "--timeout=20s")

    words = [line.split() for line in listed.splitlines()]
    assert ["gauges", "ga", "lab.example/v1", "true", "Gauge"] in words
    assert ["deployments", "deploy", "apps/v1", "true", "Deployment"] in words
    assert shown.split()[:2] == ["g", "7"]


@pytest.mark.parametrize(
    "words",
    [
        "namespace foo",
        "configmap foo --from-literal=a=b",
        "deployment foo --image=podinfo:1",
        "role foo --verb=get --resource=pods",
    ],
)
async def test_create_says_what_to_do_instead_of_protobuf(kubectl: Kubectl, words: str) -> None:
    process = await kubectl.start("create", *words.split())
    _, err = await process.communicate()
    await kubectl(
        "apply", "-f", "-", stdin=await kubectl("create", *words.split(), "--dry-run=client", "-o=yaml")
    )

    assert process.returncode == 1
    assert "add `--dry-run=client -o yaml` to it and pipe that into `kubectl apply -f -`" in err.decode()


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("logs p", "containers of the sandbox write no log; see `kubectl describe pod`"),
        ("exec p -- ls", "containers of the sandbox are no processes"),
        ("attach p", "containers of the sandbox are no processes"),
        ("cp p:/a b", "containers of the sandbox are no processes"),
        ("port-forward p 0:80", "a pod's own address (`kubectl get pods -o wide`) can be called"),
    ],
)
async def test_what_pods_do_not_have_is_named(
    kubectl: Kubectl, client: KubeClient, words: str, why: str
) -> None:
    await kubectl("run", "p", "--image=podinfo:1")
    await client.patch("/api/v1/namespaces/default/pods/p/status", {"status": {"phase": "Running"}})
    process = await kubectl.start(*words.split())
    _, err = await process.communicate()

    assert process.returncode == 1
    assert why in err.decode()


DEFINITION: dict[str, Any] = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "gauges.lab.example"},
    "spec": {
        "group": "lab.example",
        "scope": "Namespaced",
        "names": {"plural": "gauges", "kind": "Gauge", "shortNames": ["ga"]},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "additionalPrinterColumns": [{"name": "Level", "type": "integer", "jsonPath": ".spec.level"}],
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {"type": "object", "properties": {"level": {"type": "integer"}}}
                        },
                    }
                },
            }
        ],
    },
}
GAUGE = {"apiVersion": "lab.example/v1", "kind": "Gauge", "metadata": {"name": "g"}, "spec": {"level": 7}}
