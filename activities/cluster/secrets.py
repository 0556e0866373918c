"""Secrets of a member cluster, read by name where they are used; they never leave the worker."""

import base64

from activities.cluster.clusters import Clusters
from activities.cluster.errors import ApiError
from activities.cluster.paths import one
from canary.errors import MeasurementError


class ClusterSecrets:
    """Reads Secrets."""

    def __init__(self, clusters: Clusters) -> None:
        self._clusters = clusters

    async def read(self, cluster: str, namespace: str, name: str) -> dict[str, str] | None:
        """Return what a Secret holds, decoded; None if it is not there.

        Raises:
            MeasurementError: the API server refuses.
        """
        api = await self._clusters.get(cluster)
        try:
            found = await api.find(one("Secret", namespace, name))
        except ApiError as error:
            if not error.is_permanent:
                raise
            raise MeasurementError(
                f"Secret {name} in namespace {namespace} cannot be read: {error.status} {error.reason}"
            ) from error
        if found is None:
            return None
        return {
            key: base64.b64decode(value).decode(errors="replace")
            for key, value in (found.get("data") or {}).items()
        }
