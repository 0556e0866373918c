"""Which ReplicaSet holds which revision of a Deployment's template."""

import copy
import json
import zlib
from collections.abc import Iterable, Sequence

from sandbox.controllers.owners import controller_reference
from sandbox.controllers.rollout import DESIRED, MAXIMUM, max_surge, replicas_of
from sandbox.objects import Object, is_ending, labels_of

REVISION = "deployment.kubernetes.io/revision"
HISTORY = "deployment.kubernetes.io/revision-history"
HASH = "pod-template-hash"
# Annotations of the Deployment that say nothing about a ReplicaSet.
NOT_COPIED = {
    "kubectl.kubernetes.io/last-applied-configuration",
    "deprecated.deployment.rollback.to",
    REVISION,
    HISTORY,
    DESIRED,
    MAXIMUM,
}
# No vowels and nothing that looks like one, so that no name is ever a word.
ALPHABET = "bcdfghjklmnpqrstvwxz2456789"


def template_hash(template: Object, collisions: int = 0) -> str:
    """Name a pod template by its content."""
    text = json.dumps(template, sort_keys=True) + (str(collisions) if collisions else "")
    return "".join(ALPHABET[ord(char) % len(ALPHABET)] for char in str(zlib.crc32(text.encode())))


def annotations_of(obj: Object) -> dict[str, str]:
    """Return the annotations, none if there are none."""
    return obj["metadata"].get("annotations") or {}


def revision_of(obj: Object) -> int:
    """Return the revision an object carries, 0 without one."""
    return int(annotations_of(obj).get(REVISION, 0))


def find_new(deployment: Object, sets: Iterable[Object]) -> Object | None:
    """Return the ReplicaSet with the Deployment's own template, the oldest if there are several."""
    wanted = _without_hash(deployment["spec"]["template"])
    matching = [item for item in sets if _without_hash(item["spec"]["template"]) == wanted]
    return min(matching, key=_age, default=None)


def find_old(sets: Iterable[Object], new: Object | None) -> list[Object]:
    """Return the others."""
    uid = new["metadata"]["uid"] if new else None
    return [item for item in sets if item["metadata"]["uid"] != uid]


def by_age(sets: Iterable[Object]) -> list[Object]:
    """Sort, the oldest first."""
    return sorted(sets, key=_age)


def make_replica_set(deployment: Object, revision: int) -> Object:
    """Make the ReplicaSet of the Deployment's template, still without replicas."""
    spec, meta = deployment["spec"], deployment["metadata"]
    digest = template_hash(spec["template"], deployment.get("status", {}).get("collisionCount", 0))
    template = copy.deepcopy(spec["template"])
    labels = template["metadata"].setdefault("labels", {})
    labels[HASH] = digest
    selector = copy.deepcopy(spec["selector"])
    selector.setdefault("matchLabels", {})[HASH] = digest
    made: Object = {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": f"{meta['name']}-{digest}",
            "namespace": meta["namespace"],
            "labels": dict(labels),
            "annotations": {},
            "ownerReferences": [controller_reference(deployment)],
        },
        "spec": {"replicas": 0, "selector": selector, "template": template},
    }
    if spec.get("minReadySeconds"):
        made["spec"]["minReadySeconds"] = spec["minReadySeconds"]
    annotate(deployment, made, revision)
    return made


def annotate(deployment: Object, replica_set: Object, revision: int) -> bool:
    """Bring the ReplicaSet's annotations up to date; tell whether any changed."""
    annotations: dict[str, str] = replica_set["metadata"].setdefault("annotations", {})
    before = dict(annotations)
    copied = annotations_of(deployment).items()
    annotations.update({name: value for name, value in copied if name not in NOT_COPIED})
    known = annotations.get(REVISION)
    if int(known or 0) < revision:
        annotations[REVISION] = str(revision)
        if known:
            # Rolled back to: what it was before is kept for `kubectl rollout history`.
            annotations[HISTORY] = ",".join(filter(None, [annotations.get(HISTORY), known]))
    return annotations != before


def size_annotations(deployment: Object) -> dict[str, str]:
    """Return what a ReplicaSet notes about the size of its Deployment."""
    wanted = replicas_of(deployment)
    return {DESIRED: str(wanted), MAXIMUM: str(wanted + max_surge(deployment))}


def surplus(deployment: Object, old: Sequence[Object]) -> list[Object]:
    """Return the old ReplicaSets beyond the history limit that are at rest without a pod."""
    living = [item for item in old if not is_ending(item)]
    excess = len(living) - deployment["spec"].get("revisionHistoryLimit", 10)
    if excess <= 0:
        return []
    return [item for item in sorted(living, key=revision_of)[:excess] if _is_idle(item)]


def _is_idle(item: Object) -> bool:
    status = item.get("status", {})
    is_observed = item["metadata"]["generation"] <= status.get("observedGeneration", 0)
    return is_observed and not status.get("replicas") and not replicas_of(item)


def _without_hash(template: Object) -> Object:
    labels = labels_of(template)
    plain = {name: value for name, value in labels.items() if name != HASH}
    return template | {"metadata": template["metadata"] | {"labels": plain}}


def _age(obj: Object) -> tuple[str, str]:
    return obj["metadata"]["creationTimestamp"], obj["metadata"]["name"]
