"""The seed's Application in one cluster: delivered from git, with its rollout or without."""

import asyncio
import re
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from canary.application import ApplicationSpec
from starter import offer
from starter.commands import command
from starter.demo import documents
from starter.demo.documents import Pace
from starter.demo.repository import MANIFEST
from starter.documents import load
from tests.conformance import workload
from tests.conformance.load import Way
from tests.conformance.source import Source
from tests.conformance.world import Cluster, World
from workflows.contract import DELETE, Answer, DeleteCommand, application_id

NAMESPACE, NAME, PORT = documents.NAMESPACE, "backend", 9898
HOST = "app.example.com"
GATEWAY = "istio-system/public-gateway"
PACE = Pace(check_seconds=4, load="4s", sync="1s")


class Webapp:
    """An Application whose workload is `backend` in `webapp`."""

    def __init__(self, world: World, source: Source) -> None:
        self._world = world
        self._source = source
        (self.cluster,) = world.clusters.values()

    @classmethod
    async def clone(cls, world: World) -> "Webapp":
        """Begin with a clone of the sandbox's repository."""
        return cls(world, await Source.clone(world.endpoints["git"], world.folder / "clone"))

    @property
    def tail(self) -> str:
        """What the ids of its canary and rollouts end with."""
        (policy,) = self._spec(with_rollout=True).policies
        return policy.canaries[0].tail

    def ways(self) -> list[Way]:
        """How users come: by the gateway, in the mesh by the apex host, and past the mesh."""
        urls, host = self.cluster.endpoints, f"{NAME}.{NAMESPACE}:{PORT}"
        return [
            Way("gateway", urls["gateway"], HOST),
            Way("mesh, apex host", urls["mesh"], host),
            Way("plain Service", urls["services"], host),
        ]

    async def apply(self, *, with_rollout: bool) -> None:
        """Hand the Application over."""
        spec = self._spec(with_rollout=with_rollout)
        wanted = offer.of_application(spec, command("bench", "a figure"))
        result = await offer.make(self._world.client, wanted)
        assert result.accepted, result

    async def make_room(self) -> None:
        """Make the namespace, in which pods get sidecars from the first on."""
        path = f"/api/v1/namespaces/{NAMESPACE}"
        await self.cluster.api.apply(path, workload.namespace(NAMESPACE), manager="kubectl")

    async def route(self) -> None:
        """Route users to the workload as it is without a canary."""
        body = _routes()
        path = f"/apis/{body['apiVersion']}/namespaces/{NAMESPACE}/virtualservices/{NAME}"
        await self.cluster.api.apply(path, body, manager="kubectl")

    async def push(self, tag: str) -> None:
        """Push another version."""
        manifest = await asyncio.to_thread((self._source.folder / MANIFEST).read_text)
        await self._source.push({MANIFEST: re.sub(r"(image: \S+podinfo):\S+", rf"\g<1>:{tag}", manifest)})

    async def push_beside(self) -> None:
        """Push a revision that changes nothing of the workload's template."""
        await self._source.push({"deploy/webapp/frontend/note.yaml": _NOTE})

    async def delete(self) -> None:
        """Take the Application out, as `canary delete` does."""
        handle = self._world.client.get_workflow_handle(application_id("default", "rollout-demo"))
        wish = DeleteCommand(command=command("bench", "over"))
        await handle.execute_update(DELETE, wish, result_type=Answer)

    def close(self) -> None:
        """Release the clone's files."""
        self._source.close()

    def _spec(self, *, with_rollout: bool) -> ApplicationSpec:
        folder = self._world.folder
        git = self._world.endpoints["git"]
        fleet, application = documents.write(folder, git, [self.cluster.name], PACE)
        yaml = YAML()
        document = yaml.load(Path(application))
        policy = document["spec"]["syncPolicies"][0]
        policy["kustomization"]["prune"] = False
        routing = policy["rollout"]["rolloutPolicy"]["trafficRouting"]
        routing["hosts"], routing["gateways"] = [HOST], [GATEWAY, "mesh"]
        if not with_rollout:
            del policy["rollout"]
        document["spec"]["syncPolicies"] = [policy]
        yaml.dump(document, Path(application))
        loaded = load([fleet, application])
        assert loaded.resolution.applications, loaded.findings
        return loaded.resolution.applications[0].spec


async def available(cluster: Cluster) -> bool:
    """Whether the workload serves."""
    path = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments"
    found = await cluster.api.list(path)
    return any(
        one["metadata"]["name"] == NAME and one["status"].get("availableReplicas") for one in found["items"]
    )


_NOTE = f"""\
apiVersion: v1
kind: ConfigMap
metadata: {{name: note, namespace: {NAMESPACE}}}
data: {{text: pushed while a rollout runs}}
"""


def _routes() -> dict[str, Any]:
    return {
        "apiVersion": "networking.istio.io/v1beta1",
        "kind": "VirtualService",
        "metadata": {"name": NAME, "namespace": NAMESPACE},
        "spec": {
            "hosts": [HOST],
            "gateways": [GATEWAY],
            "http": [{"route": [{"destination": {"host": NAME, "port": {"number": PORT}}}]}],
        },
    }
