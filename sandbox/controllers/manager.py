"""All controllers together, as kube-controller-manager runs them."""

import asyncio
from typing import Protocol

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


class Runnable(Protocol):
    """What runs until it is cancelled."""

    async def run(self) -> None:
        """Run until cancelled."""


async def run(client: KubeClient) -> None:
    """Run every controller against the API server of `client` until cancelled."""
    async with asyncio.TaskGroup() as group:
        informers = Informers(client, group)
        recorder = Recorder(client, "sandbox-controllers")
        catalogue = Catalogue(client, informers)
        workers: tuple[Runnable, ...] = (
            recorder,
            EndpointsController(client, informers),
            DeploymentController(client, informers, recorder),
            ReplicaSetController(client, informers, recorder),
            DaemonSetController(client, informers, recorder),
            AutoscalerController(client, informers, recorder),
            GarbageCollector(client, catalogue),
            NamespaceController(client, informers, catalogue),
            _kinds_followed(informers, catalogue),
        )
        await informers.synced()
        for worker in workers:
            group.create_task(worker.run())


def _kinds_followed(informers: Informers, catalogue: Catalogue) -> WorkQueue:
    """Follow the kinds there are, again whenever a custom one is defined or removed."""

    async def refresh(_key: str) -> None:
        await catalogue.refresh()

    queue = WorkQueue("kinds", refresh)
    queue.add("kinds")
    informers.of(CRDS).subscribe(lambda _, __, ___: queue.add("kinds"))
    return queue
