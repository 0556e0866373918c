"""The annotations and labels that Durable Canary keeps on objects in a member cluster."""

from datetime import UTC, datetime
from typing import Any

from canary.spec import CanarySpec

DECIDED_AT = "durable-canary.dev/decided-at"
"""The fence: when the decision was made that wrote the object. A later one is never undone."""
PROMOTED = "durable-canary.dev/promoted"
"""On the primary: the hash of the pod template it was last promoted to."""
CONFIGS = "durable-canary.dev/configs"
"""On the primary: the hashes of the configs it was last promoted to, as JSON."""
PROMOTING = "durable-canary.dev/promoting"
"""On the primary: the hash of the template that is being promoted; gone once that has ended."""
LAST_APPLIED = "durable-canary.dev/last-applied"
"""On the primary: the checksum of the revision that was rolled out last, however that ended."""
OUTCOME = "durable-canary.dev/outcome"
"""On the primary: how the last rollout ended."""
REVISION = "durable-canary.dev/revision"
"""On the primary's pods: template and configs in one hash, so that changed configs restart them."""
ORIGINAL = "durable-canary.dev/original"
"""On an adopted object: the part of its spec that was there before, as JSON."""
CANARY = "durable-canary.dev/canary"
"""Label of everything that was created for a canary: its target's name."""

TOOLKIT = {
    "helm.toolkit.fluxcd.io/driftDetection": "disabled",
    "kustomize.toolkit.fluxcd.io/reconcile": "disabled",
}
"""Tells Flux to leave an object alone, as Flagger does."""


def stamp(moment: datetime) -> str:
    """Write a moment so that two of them compare as text."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def read_stamp(metadata: dict[str, Any]) -> datetime | None:
    """The moment of the decision that wrote an object; None for an object without a readable fence."""
    text = (metadata.get("annotations") or {}).get(DECIDED_AT)
    if not text:
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def is_superseded(metadata: dict[str, Any], decided_at: datetime) -> bool:
    """Whether a later decision than *decided_at* has already written the object."""
    stored = read_stamp(metadata)
    return stored is not None and stored > decided_at


def metadata(spec: CanarySpec, name: str, labels: dict[str, str] | None = None) -> dict[str, Any]:
    """The metadata of an object of ours, with the label that tells for which canary it was made."""
    own = {**(labels or {}), CANARY: spec.target.name}
    return {"metadata": {"name": name, "namespace": spec.namespace, "labels": own}}
