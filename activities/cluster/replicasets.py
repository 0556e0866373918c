"""Whether a Deployment's pods are those of its present template."""

from activities.cluster import paths
from activities.cluster.api import ClusterApi, Object
from canary.revision import template_hash

HASH = "pod-template-hash"
"""The label by which the Deployment controller tells one ReplicaSet's pods from another's."""


async def runs_its_template(api: ClusterApi, deployment: Object) -> bool:
    """Whether its ReplicaSet is there and no other has pods: paused before that, it would keep to another."""
    metadata = deployment["metadata"]
    labels = deployment["spec"]["selector"].get("matchLabels") or {}
    selector = ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
    found = await api.list(paths.collection("ReplicaSet", metadata["namespace"]), labelSelector=selector)
    wanted = template_hash(deployment["spec"]["template"])
    owned = [item for item in found["items"] if _is_owned(item, metadata["uid"])]
    own = [item for item in owned if template_hash(_without_hash(item["spec"]["template"])) == wanted]
    return bool(own) and not any(item["spec"].get("replicas") for item in owned if item not in own)


def _is_owned(item: Object, uid: str) -> bool:
    return any(reference.get("uid") == uid for reference in item["metadata"].get("ownerReferences") or [])


def _without_hash(template: Object) -> Object:
    metadata = template.get("metadata") or {}
    labels = {key: value for key, value in (metadata.get("labels") or {}).items() if key != HASH}
    return {**template, "metadata": {**metadata, "labels": labels}}
