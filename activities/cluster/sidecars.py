"""Whether a workload's pods are in the mesh: it is there that Istio counts what they answer."""

from collections.abc import Mapping

from temporalio.exceptions import ApplicationError

from activities.cluster import paths
from activities.cluster.api import ClusterApi, Object
from activities.cluster.pods import PAGE, selector_of

PROXY = "istio-proxy"
INJECTED = "sidecar.istio.io/status"
"""Istio's injector leaves this note on a pod, whichever kind of container the sidecar is."""
INJECT = "sidecar.istio.io/inject"
REDIRECTED = "ambient.istio.io/redirection"
MODE, AMBIENT = "istio.io/dataplane-mode", "ambient"


async def refuse_unmeshed(api: ClusterApi, workload: Object) -> None:
    """Refuse a workload with pods that are in no mesh, unless the clusters file lets them be.

    Without a sidecar a pod has none of Istio's metrics, and under STRICT mTLS nobody reaches it. What is
    looked at is the first hundred of its pods, in one request.

    Raises:
        ApplicationError: names such a pod, and how it gets its sidecar.
    """
    if not api.settings.requires_sidecars:
        return
    namespace, selector = workload["metadata"]["namespace"], selector_of(workload)
    found = await api.list(paths.collection("Pod", namespace), labelSelector=selector, limit=str(PAGE))
    bare = [pod for pod in found["items"] if not (_is_over(pod) or is_meshed(pod))]
    if not bare:
        return
    first = min(bare, key=lambda pod: str(pod["metadata"]["name"]))
    again = f"then kubectl delete pods -n {namespace} -l '{selector}' (no user is led there yet)"
    text = (
        f"Pod {first['metadata']['name']} in namespace {namespace} has no Istio sidecar, as {len(bare)} of "
        f"{len(found['items'])} pods of {workload['metadata']['name']}: {_remedy(first, again)}; or say "
        "requireSidecars: false of the cluster in the clusters file"
    )
    raise ApplicationError(text, type="NoSidecar", non_retryable=True)


def _remedy(pod: Object, again: str) -> str:
    """Say how a pod gets its sidecar: what its own template says comes before its namespace."""
    metadata, namespace = pod["metadata"], pod["metadata"]["namespace"]
    if (pod.get("spec") or {}).get("hostNetwork"):
        return "Istio injects none into pods with hostNetwork: take that out of the pod template"
    for part in ("labels", "annotations"):
        if (metadata.get(part) or {}).get(INJECT) == "false":
            return f"take {INJECT} out of the {part} of the pod template"
    label = f"kubectl label namespace {namespace} istio-injection=enabled --overwrite"
    return f"{label} (or istio.io/rev=<revision>, where Istio is installed by revisions), {again}"


def _is_over(pod: Object) -> bool:
    """Whether a pod serves nobody any more: evicted ones stay until somebody deletes them."""
    phase = (pod.get("status") or {}).get("phase")
    return "deletionTimestamp" in pod["metadata"] or phase in ("Failed", "Succeeded")


def is_meshed(pod: Object) -> bool:
    """Whether a pod has a sidecar, be it an init container that goes on running, or is redirected without."""
    metadata, spec = pod["metadata"], pod.get("spec") or {}
    notes: Mapping[str, str] = metadata.get("annotations") or {}
    labels: Mapping[str, str] = metadata.get("labels") or {}
    if INJECTED in notes or notes.get(REDIRECTED) == "enabled" or labels.get(MODE) == AMBIENT:
        return True
    lasting = [one for one in spec.get("initContainers") or [] if one.get("restartPolicy") == "Always"]
    return any(container.get("name") == PROXY for container in (*(spec.get("containers") or []), *lasting))
