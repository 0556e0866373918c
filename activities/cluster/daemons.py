"""What a DaemonSet's status does not tell: which of its pods are on their way out."""

from activities.cluster import paths
from activities.cluster.api import ClusterApi, Object
from canary.observation import Workload
from canary.spec import CanarySpec, WorkloadKind

OVER_CAPACITY = "endpoints.kubernetes.io/over-capacity"
"""Endpoints with this note leave addresses out: there are more than a thousand."""


async def without_ending_pods(api: ClusterApi, spec: CanarySpec, target: Workload) -> Workload:
    """The target with no more ready pods than its Service leads to.

    In a DaemonSet's status a pod that ends counts as ready until it is gone. One that was taken away and is
    brought back meanwhile would be taken for ready, and users led to pods that no Service leads to any more.
    """
    if spec.target.kind is not WorkloadKind.DAEMON_SET or not target.ready:
        return target
    endpoints = await api.find(paths.one("Endpoints", spec.namespace, spec.service.canary))
    if endpoints is None or OVER_CAPACITY in (endpoints["metadata"].get("annotations") or {}):
        return target
    count = addresses(endpoints)
    return target.model_copy(
        update={"ready": min(target.ready, count), "available": min(target.available, count)}
    )


def addresses(endpoints: Object | None) -> int:
    """How many pods answer behind a Service."""
    return sum(len(subset.get("addresses") or []) for subset in (endpoints or {}).get("subsets") or [])
