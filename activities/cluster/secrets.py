"""Secrets of a member cluster, read by name where they are used; they never leave the worker."""

import base64

from activities.cluster.api import Clusters
from activities.cluster.paths import one


class ClusterSecrets:
    """Reads Secrets."""

    def __init__(self, clusters: Clusters) -> None:
        self._clusters = clusters

    async def read(self, cluster: str, namespace: str, name: str) -> dict[str, str] | None:
        """Return what a Secret holds, decoded; None if it is not there."""
        api = await self._clusters.get(cluster)
        found = await api.find(one("Secret", namespace, name))
        if found is None:
            return None
        return {key: base64.b64decode(value).decode() for key, value in (found.get("data") or {}).items()}
