"""The clusters that a worker can reach."""

from typing import Protocol

from activities.cluster.api import ClusterApi
from activities.cluster.errors import ServedElsewhereError
from canary.application import ClusterRef


class Clusters(Protocol):
    """The clusters a worker can reach."""

    async def get(self, name: str) -> ClusterApi:
        """Return the API of a cluster: of the clusters file, else by its kubeconfig Secret.

        Raises:
            UnknownClusterError: nothing tells how to reach it, or what tells so may not be used.
        """
        ...

    async def attach(self, cluster: ClusterRef) -> None:
        """Note in the host cluster which Secret a cluster is reached by; the clusters file comes first."""
        ...


def served_here(api: ClusterApi) -> ClusterApi:
    """Give the API back, unless new documents are to be served by others, who may be meant to take over.

    Raises:
        ServedElsewhereError: names whose workers.
    """
    if api.settings.task_queue:
        raise ServedElsewhereError(api.name, api.settings.task_queue)
    return api
