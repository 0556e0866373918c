"""All controllers together, as kube-controller-manager runs them."""

import asyncio

from sandbox.client import KubeClient
from sandbox.controllers.deployments import DeploymentController
from sandbox.controllers.endpoints import EndpointsController
from sandbox.controllers.informers import Informers
from sandbox.controllers.recorder import Recorder
from sandbox.controllers.replicasets import ReplicaSetController


async def run(client: KubeClient) -> None:
    """Run every controller against the API server of `client` until cancelled."""
    async with asyncio.TaskGroup() as group:
        informers = Informers(client, group)
        recorder = Recorder(client, "sandbox-controllers")
        controllers = (
            EndpointsController(client, informers),
            DeploymentController(client, informers, recorder),
            ReplicaSetController(client, informers, recorder),
        )
        await informers.synced()
        group.create_task(recorder.run())
        for controller in controllers:
            group.create_task(controller.run())
