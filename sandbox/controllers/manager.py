"""All controllers together, as kube-controller-manager runs them."""

import asyncio

from sandbox.client import KubeClient
from sandbox.controllers.autoscaling import AutoscalerController
from sandbox.controllers.catalogue import CRDS, Catalogue
from sandbox.controllers.daemonsets import DaemonSetController
from sandbox.controllers.deployments import DeploymentController
from sandbox.controllers.endpoints import EndpointsController
from sandbox.controllers.garbage import GarbageCollector
from sandbox.controllers.informers import Informers
from sandbox.controllers.namespaces import NamespaceController
from sandbox.controllers.recorder import Recorder
from sandbox.controllers.replicasets import ReplicaSetController
from sandbox.controllers.workqueue import WorkQueue


async def run(client: KubeClient) -> None:
    """Run every controller against the API server of `client` until cancelled."""
    async with asyncio.TaskGroup() as group:
        informers = Informers(client, group)
        recorder = Recorder(client, "sandbox-controllers")
        catalogue = Catalogue(client, informers)
        queues = (
            EndpointsController(client, informers).queue,
            DeploymentController(client, informers, recorder).queue,
            ReplicaSetController(client, informers, recorder).queue,
            DaemonSetController(client, informers, recorder).queue,
            AutoscalerController(client, informers, recorder).queue,
            GarbageCollector(client, catalogue).queue,
            NamespaceController(client, informers, catalogue).queue,
            _kinds_followed(informers, catalogue),
        )
        await informers.synced()
        for part in (recorder, *queues):
            group.create_task(part.run())


def _kinds_followed(informers: Informers, catalogue: Catalogue) -> WorkQueue:
    """Follow the kinds there are, again whenever a custom one is defined or removed."""

    async def refresh(_key: str) -> None:
        await catalogue.refresh()

    queue = WorkQueue("kinds", refresh)
    queue.add("kinds")
    informers.of(CRDS).subscribe(lambda _, __, ___: queue.add("kinds"))
    return queue
