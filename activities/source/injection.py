"""The sidecars of a workload: its namespace's label for Istio."""

from activities.cluster import paths
from activities.cluster.api import ROLLOUT_MANAGER, ClusterApi, Object, Patch

LABEL = "istio-injection"
_DECIDED_BY = (LABEL, "istio.io/rev", "istio.io/dataplane-mode")


async def ask_for_sidecars(api: ClusterApi, found: Object) -> str:
    """Label the Namespace of a workload for injection, if nobody decided that and nothing runs there yet.

    Returns:
        What a person has to do, empty if nothing: pods that run already are never changed by a label.
    """
    namespace = found["metadata"]["name"]
    labels = found["metadata"].get("labels") or {}
    if labels.get(LABEL) == "disabled":
        return (
            f"Namespace {namespace} has sidecars disabled: kubectl label namespace {namespace}"
            f" {LABEL}=enabled --overwrite"
        )
    if any(label in labels for label in _DECIDED_BY):
        return ""
    if (await api.list(paths.collection("Pod", namespace), limit="1"))["items"]:
        return (
            f"Namespace {namespace} runs pods without sidecars: kubectl label namespace {namespace}"
            f" {LABEL}=enabled && kubectl rollout restart deployment,daemonset -n {namespace}"
        )
    body = {"metadata": {"labels": {LABEL: "enabled"}}}
    await api.patch(paths.namespace_path(namespace), body, kind=Patch.MERGE, manager=ROLLOUT_MANAGER)
    return ""
